"""One trial as the driver sees it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from analysis.schema import (
    COMPLETED,
    DEEPER,
    DIVERGED,
    FAILED,
    REPLICATE,
    RUNNING,
    SEARCH,
    STOPPED,
)
from trainable.config import TrialConfig
from trainable.metrics import EpochMetrics

Phase = Literal["search", "replicate", "deeper"]
Status = Literal["running", "paused", "completed", "stopped", "diverged", "failed"]
ENDED: frozenset[Status] = frozenset({COMPLETED, STOPPED, DIVERGED, FAILED})


def replicate_id(trial_id: str, seed: int) -> str:
    """The id of the trial that runs ``trial_id`` again on ``seed``."""
    return f"{trial_id}-seed{seed}"


@dataclass(frozen=True)
class Outcome:
    """What a report means for its trial."""

    status: Status = RUNNING  # the trial's from now on
    reason: str = ""  # in words, where it ends or waits


GOES_ON = Outcome()


@dataclass
class Trial:
    """Where a trial stands."""

    study: str  # the name of its study
    trial_id: str  # of its study and number, then what sets it off from its source
    number: int  # in its study, from 0; that of its source, if it has one
    config: TrialConfig  # all that decides what it trains
    phase: Phase = SEARCH  # what it is for
    source_trial_id: str = ""  # the trial that it runs again, or deeper
    status: Status = RUNNING  # running too while it waits for a slot
    end_reason: str = ""  # why its status is what it is, in words
    attempt: int = 0  # starts: first run, after a failure, after a pause, on resume
    failures: int = 0  # how often in a row it broke without a new epoch in between
    waiting: bool = False  # it has a slot, and the cluster has not given it its resources yet
    last: EpochMetrics | None = None  # its latest epoch
    best_val: float = math.nan  # its best validation accuracy so far
    seconds: float = 0.0  # of its epochs, each counted once; starts and checkpoints are not in it

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
        config = dataclasses.replace(self.config, seed=seed)
        return self._follower(REPLICATE, replicate_id(self.trial_id, seed), config)

    def deeper(self, max_epochs: int) -> "Trial":
        """The same trial with a larger budget."""
        config = dataclasses.replace(self.config, max_epochs=max_epochs)
        return self._follower(DEEPER, f"{self.trial_id}-epochs{max_epochs}", config)

    def _follower(self, phase: Phase, trial_id: str, config: TrialConfig) -> "Trial":
        return Trial(
            study=self.study,
            trial_id=trial_id,
            number=self.number,
            config=config,
            phase=phase,
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
        # Not ``>``, which the NaN that it starts with would never let pass.
        if not metrics.val_accuracy <= self.best_val:
            self.best_val = metrics.val_accuracy
