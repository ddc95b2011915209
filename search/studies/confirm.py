"""Which trials run again on fresh seeds, and on which: the winner's luck is taken out so."""

import math
from collections.abc import Iterable
from itertools import compress

from analysis.rule import may_win, of_largest_budget, selection_key
from analysis.schema import REPLICATE
from search.studies.trial import Trial
from spaces.sections import ConfirmSpec


def leaders(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The trials of one study that may be chosen, best first, as ``analysis.best`` ranks them."""
    searched = [t for t in trials if t.phase != REPLICATE]
    able = [
        t for t in searched if may_win(t.status, t.epochs, t.config.max_epochs, _value(t, metric))
    ]
    compared = of_largest_budget((t.study for t in able), (t.config.max_epochs for t in able))
    return sorted(
        compress(able, compared),
        key=lambda trial: selection_key(trial.number, _value(trial, metric)),
    )


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
