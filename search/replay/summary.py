"""What the runs of a replay say, with 95% intervals over their seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from search.replay.replay import BEST, BUDGETS, Run
from trainable.dtypes import Floats

RESAMPLES = 2000
"""Bootstrap samples of the seeds behind every interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95% interval; the interval is NaN with one seed."""

    mean: float  # over all seeds
    low: float  # lower end of its 95% interval; NaN with one seed
    high: float  # upper end alike


@dataclass(frozen=True)
class Summary:
    """One strategy, from its runs.

    All but ``epochs`` and ``success`` are fractions. ``epochs``: of the whole sweep until every
    study's choice was within half a point of its pool's best, all that was spent counted where
    one never was. ``there``: runs in which every study got there. ``lost``: of the best three
    trials of every pool, those that were stopped. ``regret``, ``test_regret``: means over studies,
    by budget (``search.replay.replay.BUDGETS``).
    """

    strategy: str  # its name
    epochs: Estimate
    success: float  # the epochs of all runs over the number that got there; inf: none did
    there: float
    lost: Estimate
    regret: tuple[Estimate, ...]
    test_regret: tuple[Estimate, ...]


def summarise(runs: Sequence[Run]) -> list[Summary]:
    """A summary for each strategy, in their order."""
    return [_summary(name, of(runs, name)) for name in dict.fromkeys(r.strategy for r in runs)]


def of(runs: Sequence[Run], strategy: str) -> list[Run]:
    """The runs of one strategy."""
    return [run for run in runs if run.strategy == strategy]


def ratio(ours: Sequence[Run], theirs: Sequence[Run]) -> Estimate:
    """Mean epochs of ``ours`` over mean epochs of ``theirs``: seeds of each are drawn again."""
    mine, other = (np.array([run.spent for run in runs]) for runs in (ours, theirs))
    above, below = _resampled(mine, 0), _resampled(other, 1)
    return Estimate(float(mine.mean() / other.mean()), *_interval(above / below, len(ours)))


def _summary(strategy: str, runs: Sequence[Run]) -> Summary:
    there = [all(s.to_value < math.inf for s in run.studies) for run in runs]
    spent = [run.spent for run in runs]

    def over_studies(read: Callable[..., float]) -> Estimate:
        return _estimate([float(np.mean([read(s) for s in run.studies])) for run in runs])

    return Summary(
        strategy=strategy,
        epochs=_estimate(spent),
        success=sum(spent) / sum(there) if any(there) else math.inf,
        there=float(np.mean(there)),
        lost=over_studies(lambda study: study.lost / BEST),
        regret=tuple(
            over_studies(lambda study, i=i: study.regret[i]) for i in range(len(BUDGETS))
        ),
        test_regret=tuple(
            over_studies(lambda study, i=i: study.test_regret[i]) for i in range(len(BUDGETS))
        ),
    )


def _estimate(values: Sequence[float]) -> Estimate:
    there = np.asarray(values, dtype=np.float64)
    return Estimate(float(there.mean()), *_interval(_resampled(there, 0), len(there)))


def _resampled(values: Floats, stream: int) -> Floats:
    """Means of bootstrap samples [RESAMPLES]."""
    rng = np.random.default_rng(stream)
    drawn = values[rng.integers(len(values), size=(RESAMPLES, len(values)))]
    return np.asarray(drawn.mean(axis=1), dtype=np.float64)


def _interval(means: Floats, seeds: int) -> tuple[float, float]:
    if seeds < 2:
        return math.nan, math.nan
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
