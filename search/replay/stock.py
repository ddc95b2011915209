"""Ray's own OptunaSearch and ASHAScheduler behind the face of a sweep, to compare ours with.

The classes are Ray's, unchanged, called in the order in which Tune's controller calls them; no Ray
is started. Both get the study's space, metric, budget and rungs; everything else is their default.
"""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import optuna
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from analysis.schema import COMPLETED, DIVERGED, STOPPED
from search import compat
from search.replay.pool import PoolCell
from search.studies.samplers import correct
from search.studies.trial import GOES_ON, Outcome, Trial
from spaces.sections import BudgetSpec
from trainable.metrics import EpochMetrics
from trainable.seeds import derive_seed


class StockSweep:
    """The studies of a sweep, each as users of Ray Tune would run it, in turn."""

    def __init__(
        self, cells: Sequence[PoolCell], metric: str, budget: BudgetSpec, seed: int
    ) -> None:
        self._studies = {  # by name
            cell.study: StockStudy(cell, metric, budget, derive_seed(seed, cell.study) % 2**32)
            for cell in cells
        }

    def deal(self) -> Trial | None:
        """The next trial of the study that has had the fewest."""
        ready = [study for study in self._studies.values() if study.dealt < study.planned]
        return min(ready, key=lambda study: study.dealt).deal() if ready else None

    def report(self, trial: Trial, metrics: EpochMetrics) -> Outcome:
        """See :class:`StockStudy`."""
        return self._studies[trial.study].report(trial, metrics)


class StockStudy:
    """One study as users of Ray Tune would run it, on a pool of recorded trials."""

    def __init__(self, cell: PoolCell, metric: str, budget: BudgetSpec, seed: int) -> None:
        self._cell = cell  # the study's space and its recorded trials
        self._metric = metric  # the column that both maximise
        self.planned = min(budget.trials, cell.pool.size)  # how many trials it will deal
        self.dealt = 0  # how many it has
        self._suggested: dict[str, Any] = {}  # the last point that the searcher asked for
        # Ray's, as it is: who is next.
        self._searcher = OptunaSearch(self._suggest, metric=metric, mode="max", seed=seed)
        # Ray's, as it is: who goes on. It reads nothing of a trial but its id.
        self._scheduler: Any = ASHAScheduler(
            metric=metric,
            mode="max",
            max_t=cell.max_epochs,
            grace_period=budget.grace(cell.max_epochs),
            reduction_factor=budget.reduction_factor,
        )

    def _suggest(self, trial: optuna.Trial) -> None:
        self._suggested = self._cell.space.suggest(trial)

    def deal(self) -> Trial:
        """The next trial."""
        trial_id = f"{self.dealt:04d}"
        self._searcher.suggest(trial_id)
        config = self._cell.trial(self._suggested, seed=0)
        # It is told what it got: to think it was what it asked for would be unfair to it.
        correct(compat.asked_for(self._searcher, trial_id), self._cell.space, config.parameters)
        trial = Trial(self._cell.study, trial_id, self.dealt, config, attempt=1)
        self._scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial_id))
        self.dealt += 1
        return trial

    def report(self, trial: Trial, metrics: EpochMetrics) -> Outcome:
        """Ask the scheduler, then tell the searcher, as Tune's controller does."""
        trial.hear(metrics)
        value = getattr(metrics, self._metric)
        result = {self._metric: value, "training_iteration": metrics.epoch}
        named = SimpleNamespace(trial_id=trial.trial_id)
        full = metrics.epoch >= self._cell.max_epochs
        verdict = self._scheduler.on_trial_result(None, named, result)
        if math.isnan(metrics.train_loss):
            outcome = Outcome(DIVERGED, "the recorded curve ends here")
        elif full:
            outcome = Outcome(COMPLETED, "all epochs")
        elif verdict == ASHAScheduler.STOP:
            outcome = Outcome(STOPPED, "ASHAScheduler")
        else:
            self._searcher.on_trial_result(trial.trial_id, result)
            return GOES_ON
        self._scheduler.on_trial_complete(None, named, result)
        self._searcher.on_trial_complete(trial.trial_id, result)
        trial.status, trial.end_reason = outcome.status, outcome.reason
        return outcome
