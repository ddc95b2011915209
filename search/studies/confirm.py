"""Which trials run again on fresh seeds, and on which: the winner's luck is taken out so."""

import math
from collections.abc import Iterable

from analysis.schema import COMPLETED, REPLICATE
from search.studies.trial import Trial
from spaces.sweep import ConfirmSpec


def leaders(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The trials that may be chosen, best first, as ``analysis.best`` ranks them.

    Of those that are no replicates, with their full budget and a value, the ones of the largest
    budget; ties go to the smaller number.
    """
    full = [
        t
        for t in trials
        if t.phase != REPLICATE and t.status == COMPLETED and not math.isnan(_value(t, metric))
    ]
    deepest = max((t.config.max_epochs for t in full), default=0)
    chosen = [t for t in full if t.config.max_epochs == deepest]
    return sorted(chosen, key=lambda trial: (-_value(trial, metric), trial.number))


def replicate_seeds(seed: int, count: int) -> range:
    """Those after the sweep's own.

    They are the same for every study, so that losses are compared on the same noise, split and
    initialisation.
    """
    return range(seed + 1, seed + 1 + count)


def confirmations(
    trials: Iterable[Trial], metric: str, confirm: ConfirmSpec, seed: int
) -> list[tuple[str, int]]:
    """The replicates of the best, as (trial_id, seed), in the order to run them."""
    best = leaders(trials, metric)[: confirm.top]
    seeds = replicate_seeds(seed, confirm.seeds)
    return [(trial.trial_id, seed) for trial in best for seed in seeds]


def _value(trial: Trial, metric: str) -> float:
    return getattr(trial.last, metric) if trial.last else math.nan
