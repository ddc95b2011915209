"""One trial as the driver sees it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from analysis.schema import COMPLETED, DIVERGED, FAILED, REPLICATE, RUNNING, SEARCH, STOPPED
from trainable.config import TrialConfig
from trainable.metrics import EpochMetrics

Phase = Literal["search", "replicate"]
Status = Literal["running", "paused", "completed", "stopped", "diverged", "failed"]
ENDED: frozenset[Status] = frozenset({COMPLETED, STOPPED, DIVERGED, FAILED})


def replicate_id(trial_id: str, seed: int) -> str:
    """The id of the trial that runs ``trial_id`` again on ``seed``."""
    return f"{trial_id}-seed{seed}"


@dataclass(frozen=True)
class Outcome:
    """What a report means for its trial: its status from now on, and why."""

    status: Status = RUNNING
    reason: str = ""


GOES_ON = Outcome()


@dataclass
class Trial:
    """Where a trial stands.

    ``attempt`` counts its starts (first run, after a failure, after a pause, on resume),
    ``failures`` how often in a row it broke without a new epoch in between. ``waiting``: it is to
    run, but the cluster has not given it its resources yet. ``last`` is its latest epoch,
    ``best_val`` its best validation accuracy and ``seconds`` the time of its epochs, each counted
    once: starts, data and checkpoints are not in it.
    """

    study: str
    trial_id: str
    number: int
    config: TrialConfig
    phase: Phase = SEARCH
    source_trial_id: str = ""
    status: Status = RUNNING
    end_reason: str = ""
    attempt: int = 0
    failures: int = 0
    waiting: bool = False
    last: EpochMetrics | None = None
    best_val: float = math.nan
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs reported so far."""
        return self.last.epoch if self.last else 0

    @property
    def ended(self) -> bool:
        """Whether its status is final."""
        return self.status in ENDED

    def again(self, seed: int) -> "Trial":
        """Its replicate on a fresh seed, without early stopping."""
        return Trial(
            study=self.study,
            trial_id=replicate_id(self.trial_id, seed),
            number=self.number,
            config=dataclasses.replace(self.config, seed=seed),
            phase=REPLICATE,
            source_trial_id=self.trial_id,
        )

    def hear(self, metrics: EpochMetrics) -> None:
        """Take in one epoch; one that comes again after a recovery counts once."""
        if metrics.epoch < self.epochs:
            return
        if metrics.epoch > self.epochs:
            self.seconds += metrics.epoch_seconds
            self.failures = 0
        self.last = metrics
        if not metrics.val_accuracy <= self.best_val:
            self.best_val = metrics.val_accuracy
