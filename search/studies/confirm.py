"""Which trials run again on fresh seeds, and on which: the winner's luck is taken out so."""

import math
from collections.abc import Iterable

from analysis.schema import COMPLETED
from search.studies.trial import Trial
from spaces.sweep import ConfirmSpec


def leaders(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The search trials that may be chosen, best first, as ``analysis.best`` ranks them.

    Those with their full budget and a value; ties go to the smaller number.
    """
    chosen = [t for t in trials if t.status == COMPLETED and not math.isnan(_value(t, metric))]
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
