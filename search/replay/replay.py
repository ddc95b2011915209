"""Comparing search strategies on recorded full-length curves, in minutes instead of GPU-days.

Each study's recorded trials are a finite pool (:mod:`search.replay.pool`): what a strategy
suggests is taken from there, with the epochs recorded. A run is a whole sweep, its studies
interleaved on the slots as they are on a cluster, until every pool is used up. Studies, samplers
and early-stopping rules are those of a real sweep.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.schema import COMPLETED, STOPPED
from search.replay.curves import Curve, Curves, shuffled
from search.replay.pool import Pool, PoolCell
from search.studies.round_robin import Sweep
from search.studies.simulate import Dealer, simulate
from search.studies.trial import Outcome, Trial
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from spaces.sweep_file import SpecError
from trainable.catalog import unknown
from trainable.metrics import EpochMetrics

TOLERANCE = 0.005
"""How far below the pool's best accuracy counts as reaching it: half a point."""
BUDGETS = (1, 2, 5, 10, 20)
"""When the regret is read: after so many full budgets a study, all studies together."""
BEST = 3
"""How many of a pool's best trials should not be stopped."""
STOCK = "stock"
BASELINE = "random+none"
"""Random search at full budget."""
STRATEGIES = (
    "multitask+asha_ties",
    "multitask+none",
    "tpe+asha",
    "tpe+none",
    STOCK,
    "random+one_rung",
    BASELINE,
)
"""What is compared unless asked otherwise: ``sampler+early_stopping``, and Ray's own pair."""


@dataclass
class StudyRun:
    """What a run did in one study."""

    study: str  # its name
    to_value: float = math.inf
    """Epochs that the whole sweep had spent when the best configuration of this study so far, by
    the selection rule, was within :data:`TOLERANCE` of its pool's best; inf: never."""
    regret: list[float] = field(default_factory=list)
    """By :data:`BUDGETS`, how far the value of the choice was below the best of the pool, a
    fraction; a study with nothing to choose yet has the mean of its pool."""
    test_regret: list[float] = field(default_factory=list)  # the same in test accuracy
    lost: int = 0  # how many of the pool's best :data:`BEST` were stopped early


@dataclass(frozen=True)
class Run:
    """One strategy on the whole sweep with one seed."""

    strategy: str  # its name
    seed: int  # of its sampler
    epochs: int  # all that it spent
    studies: tuple[StudyRun, ...]  # what it did in each
    budget: int  # epochs of a full budget in every study
    path: tuple[float, ...]
    """The mean regret over studies after 1, 2, … such budgets, as far as it went."""

    @property
    def spent(self) -> float:
        """Epochs until every study was there; all that were spent if one never was."""
        return min(max(study.to_value for study in self.studies), self.epochs)


def replay(
    curves: Curves,
    strategies: Sequence[str] = STRATEGIES,
    *,
    seeds: int = 20,
    slots: int = 1,
    offered: bool = True,
    unrelated: bool = False,
) -> Iterator[Run]:
    """Run every strategy on the sweep, over ``seeds`` seeds each.

    ``offered``: ``multitask`` chooses among the points left; else it suggests from the whole space
    and gets the nearest, as every other sampler does. ``unrelated``: each seed deals the curves of
    a study to its points at random, so that no study says anything of another.

    Raises SpecError for an unknown strategy.
    """
    for strategy in strategies:
        _check(strategy)
    for strategy in strategies:
        for seed in range(seeds):
            dealt = shuffled(curves, seed) if unrelated else curves
            yield _run(dealt, strategy, seed, slots, offered)


def _check(strategy: str) -> None:
    if strategy == STOCK:
        return
    sampler, _, rule = strategy.partition("+")
    if sampler not in SAMPLERS:
        raise SpecError(unknown("strategy", strategy, [*STRATEGIES, *SAMPLERS]))
    if rule not in EARLY_STOPPING:
        raise SpecError(unknown(f"early_stopping rule in {strategy!r}:", rule, EARLY_STOPPING))


def _run(curves: Curves, strategy: str, seed: int, slots: int, offered: bool) -> Run:
    pools = {
        cell.study: Pool(cell.space, curves.studies[cell.study], offered=offered)
        for cell in curves.spec.cells()
        if curves.studies.get(cell.study)
    }
    watches = {study: _Watch(study, pool) for study, pool in pools.items()}
    full = sum(cell.max_epochs for cell in curves.spec.cells() if cell.study in pools)
    reads = [budget * full for budget in BUDGETS]
    epochs, path = 0, []
    epoch_of = _epoch_of(pools, curves.spec.search.metric)
    for trial, outcome in simulate(_dealer(curves, pools, strategy, seed), epoch_of, slots):
        epochs += 1
        watches[trial.study].hear(trial, outcome, epochs)
        if epochs in reads:
            for watch in watches.values():
                watch.read()
        if epochs % full == 0:
            path.append(float(np.mean([watch.regret for watch in watches.values()])))
    studies = tuple(watch.end() for watch in watches.values())
    return Run(strategy, seed, epochs, studies, full, tuple(path))


class _Watch:
    """Follows the choice in one study of a run."""

    def __init__(self, study: str, pool: Pool) -> None:
        self._pool = pool  # deals the recorded trials
        self._ranked = sorted(pool.curves, key=lambda curve: curve.key)  # the best first
        # the highest test accuracy at the end
        self._best_test = max(curve.test[-1] for curve in pool.curves if not curve.diverged)
        self._chosen: Curve | None = None  # by the selection rule
        self._trials: dict[int, Trial] = {}  # by the number of their curve
        self._run = StudyRun(study)  # what was seen so far

    def hear(self, trial: Trial, outcome: Outcome, epochs: int) -> None:
        """A trial had an epoch; ``epochs`` are those of the whole sweep so far."""
        curve = self._pool.taken[trial.number]
        self._trials[curve.number] = trial
        if outcome.status != COMPLETED:
            return
        self._chosen = min(self._chosen or curve, curve, key=lambda curve: curve.key)
        if self._chosen.final >= self._ranked[0].final - TOLERANCE:
            self._run.to_value = min(self._run.to_value, epochs)

    @property
    def regret(self) -> float:
        """How far the choice is below the best of the pool; all of it count without a choice."""
        return self._ranked[0].final - float(np.mean([curve.final for curve in self._choice]))

    @property
    def _choice(self) -> Sequence[Curve]:
        full = [curve for curve in self._ranked if not curve.diverged]
        return [self._chosen] if self._chosen else full

    def read(self) -> None:
        """Write the regret of the choice down."""
        test = float(np.mean([curve.test[-1] for curve in self._choice]))
        self._run.regret.append(self.regret)
        self._run.test_regret.append(self._best_test - test)

    def end(self) -> StudyRun:
        """Everything has been dealt, and has ended. Budgets past that change nothing any more."""
        # A pool may be used up before the largest budget.
        while len(self._run.regret) < len(BUDGETS):
            self.read()
        best = [self._trials.get(curve.number) for curve in self._ranked[:BEST]]
        self._run.lost = sum(trial is not None and trial.status == STOPPED for trial in best)
        return self._run


def _dealer(curves: Curves, pools: Mapping[str, Pool], strategy: str, seed: int) -> Dealer:
    spec = curves.spec
    cells = [
        PoolCell(**vars(cell), pool=pools[cell.study])
        for cell in spec.cells()
        if cell.study in pools
    ]
    trials = max(pool.size for pool in pools.values())
    budget = spec.budget.model_copy(update={"trials": trials})
    if strategy == STOCK:
        # Ray takes seconds to import, which only this strategy needs.
        from search.replay.stock import StockSweep

        return StockSweep(cells, spec.search.metric, budget, seed)
    sampler, _, rule = strategy.partition("+")
    names: dict[str, Any] = {"sampler": sampler, "early_stopping": rule}
    if sampler != spec.search.sampler:
        names["sampler_options"] = {}
    if rule != spec.search.early_stopping:
        names["early_stopping_options"] = {}
    search = spec.search.model_copy(update=names)
    changed = {"search": search, "budget": budget, "seed": seed}
    sweep = Sweep.build(spec.model_copy(update=changed), cells=cells)
    sweep.labelled(curves.transitions)
    return sweep


def _epoch_of(pools: Mapping[str, Pool], metric: str) -> Callable[[Trial], EpochMetrics]:
    """The next recorded epoch of a trial."""

    def next_epoch(trial: Trial) -> EpochMetrics:
        curve, done = pools[trial.study].taken[trial.number], trial.epochs
        diverged = curve.diverged and done + 1 == len(curve.value)
        value: dict[str, Any] = {metric: float(curve.value[done])}
        loss = math.nan if diverged else 0.0
        return EpochMetrics(epoch=done + 1, train_loss=loss, **value)

    return next_epoch
