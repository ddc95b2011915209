"""Comparing search strategies on recorded full-length curves, in seconds instead of GPU-days.

Each study's recorded trials are a finite pool (:mod:`search.replay.pool`): what a strategy
suggests is taken from there, with the epochs recorded. Studies, samplers and early-stopping rules
are those of a real sweep.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.schema import COMPLETED
from search.replay.curves import Curve, Curves
from search.replay.pool import Pool, PoolCell
from search.studies.simulate import Dealer, simulate
from search.studies.study import Study
from search.studies.sweep import Sweep
from search.studies.trial import Trial
from spaces.load import SpecError
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from spaces.sweep import Cell, SweepSpec
from trainable.catalog import unknown
from trainable.metrics import EpochMetrics

TOLERANCE = 0.005
"""How far below the pool's best accuracy counts as reaching it: half a point."""
STOCK = "stock"
BASELINE = "random+none"
"""Random search at full budget, without the reference setting as its first point."""
STRATEGIES = (
    BASELINE,
    "tpe+none",
    "random+asha",
    "tpe+asha",
    "tpe+asha_promotion",
    "tpe+median",
    STOCK,
)
"""What is compared unless asked otherwise: ``sampler+early_stopping``, and Ray's own pair."""


@dataclass(frozen=True)
class Run:
    """One strategy on one study with one seed.

    ``to_value``: epochs spent, over all its trials, until the best configuration so far, by the
    selection rule, was within :data:`TOLERANCE` of the pool's best; ``to_test``: until its test
    accuracy was within that of the test accuracy of the pool's best. inf: never. ``epochs`` and
    ``trials``: all that was spent by then.
    """

    study: str
    strategy: str
    seed: int
    to_value: float
    to_test: float
    epochs: int
    trials: int


def replay(
    curves: Curves,
    strategies: Sequence[str] = STRATEGIES,
    *,
    seeds: int = 20,
    slots: int = 1,
) -> Iterator[Run]:
    """Run every strategy on every study, over ``seeds`` seeds each.

    Raises SpecError for an unknown strategy.
    """
    for strategy in strategies:
        _check(strategy)
    for cell in curves.spec.cells():
        pool = curves.studies.get(cell.study)
        if pool:
            for strategy in strategies:
                for seed in range(seeds):
                    yield _run(curves.spec, cell, pool, strategy, seed, slots)


def _check(strategy: str) -> None:
    if strategy == STOCK:
        return
    sampler, _, rule = strategy.partition("+")
    if sampler not in SAMPLERS:
        raise SpecError(unknown("strategy", strategy, [*STRATEGIES, *SAMPLERS]))
    if rule not in EARLY_STOPPING:
        raise SpecError(unknown(f"early_stopping rule in {strategy!r}:", rule, EARLY_STOPPING))


def _run(
    spec: SweepSpec, cell: Cell, curves: Sequence[Curve], strategy: str, seed: int, slots: int
) -> Run:
    pool = Pool(cell.space, curves)
    dealer = _dealer(spec, PoolCell(**vars(cell), pool=pool), strategy, seed)
    best = min(curves, key=lambda curve: curve.key)
    chosen: Curve | None = None
    epochs = 0
    to_value = to_test = math.inf
    for trial, outcome in simulate(dealer, _epoch_of(pool, spec.search.metric), slots=slots):
        epochs += 1
        if outcome.status == COMPLETED:
            curve = pool.taken[trial.number]
            chosen = min(chosen or curve, curve, key=lambda curve: curve.key)
            if chosen.final >= best.final - TOLERANCE:
                to_value = min(to_value, epochs)
            if chosen.test[-1] >= best.test[-1] - TOLERANCE:
                to_test = min(to_test, epochs)
        if max(to_value, to_test) < math.inf:
            break
    return Run(cell.study, strategy, seed, to_value, to_test, epochs, len(pool.taken))


def _dealer(spec: SweepSpec, cell: PoolCell, strategy: str, seed: int) -> Dealer:
    budget = spec.budget.model_copy(update={"trials": cell.pool.size})
    if strategy == STOCK:
        # Ray takes seconds to import, which only this strategy needs.
        from search.replay.stock import StockSweep

        return StockSweep(cell, spec.search.metric, budget, seed)
    sampler, _, rule = strategy.partition("+")
    names: dict[str, Any] = {"sampler": sampler, "early_stopping": rule}
    if sampler != spec.search.sampler:
        names["sampler_options"] = {}
    search = spec.search.model_copy(update=names)
    first = [] if strategy == BASELINE else [cell.reference]
    study = Study(cell=cell, search=search, budget=budget, seed=seed, first_points=first)
    return Sweep(spec, {study.name: study})


def _epoch_of(pool: Pool, metric: str) -> Callable[[Trial], EpochMetrics]:
    """The next recorded epoch of a trial."""

    def next_epoch(trial: Trial) -> EpochMetrics:
        curve, done = pool.taken[trial.number], trial.epochs
        diverged = curve.diverged and done + 1 == len(curve.value)
        value: dict[str, Any] = {metric: float(curve.value[done])}
        loss = math.nan if diverged else 0.0
        return EpochMetrics(epoch=done + 1, train_loss=loss, **value)

    return next_epoch


@dataclass(frozen=True)
class Summary:
    """One strategy on one study, or over all of them (``study`` empty), from its runs.

    ``to_value`` and ``to_test`` are quartiles (lower, median, upper) of the runs' epochs; inf:
    never reached, NaN over all studies. The ratios say how many times fewer epochs than
    :data:`BASELINE` it spends for each run that gets there (:func:`expected_epochs`). ``reached``
    is the share of runs that got within the tolerance of the best value.
    """

    study: str
    strategy: str
    to_value: tuple[float, float, float]
    to_test: tuple[float, float, float]
    value_ratio: float
    test_ratio: float
    reached: float


def summarise(runs: Sequence[Run]) -> list[Summary]:
    """A summary for each study and strategy, then one a strategy over all studies.

    Ratios are NaN without runs of the baseline.
    """
    studies = list(dict.fromkeys(run.study for run in runs))
    strategies = list(dict.fromkeys(run.strategy for run in runs))
    groups = [(study, [run for run in runs if run.study == study]) for study in studies]
    if len(studies) > 1:
        groups.append(("", list(runs)))
    return [_summary(study, strategy, group) for study, group in groups for strategy in strategies]


def expected_epochs(runs: Sequence[Run], goal: str) -> float:
    """Epochs spent by all ``runs`` for each of them that reached ``goal``; inf if none did.

    The expected running time of Hansen et al. 2009 (INRIA RR-6828): what a search costs that is
    started again until it gets there. ``goal`` is ``to_value`` or ``to_test``.
    """
    reached = [getattr(run, goal) for run in runs if getattr(run, goal) < math.inf]
    lost = [run.epochs for run in runs if getattr(run, goal) == math.inf]
    return (sum(reached) + sum(lost)) / len(reached) if reached else math.inf


def _summary(study: str, strategy: str, group: Sequence[Run]) -> Summary:
    runs = [run for run in group if run.strategy == strategy]
    baseline = [run for run in group if run.strategy == BASELINE]
    quartiles, ratios = {}, {}
    for goal in ("to_value", "to_test"):
        there = [getattr(run, goal) for run in runs]
        quartiles[goal] = _quartiles(there) if study else (math.nan, math.nan, math.nan)
        before = expected_epochs(baseline, goal) if baseline else math.nan
        ratios[goal] = before / expected_epochs(runs, goal)
    return Summary(
        study=study,
        strategy=strategy,
        to_value=quartiles["to_value"],
        to_test=quartiles["to_test"],
        value_ratio=ratios["to_value"],
        test_ratio=ratios["to_test"],
        reached=float(np.mean([run.to_value < math.inf for run in runs])),
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75), method="nearest")
    return float(low), float(median), float(high)
