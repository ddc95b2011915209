"""A stand-in for the cluster: drives a Sweep on made-up curves, an epoch at a time."""

import math
import random
from dataclasses import dataclass, field
from typing import Any

from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from spaces.sweep import SweepSpec
from spaces.sweep_file import parse_sweep
from trainable.metrics import EpochMetrics
from trainable.trial.ray_trainable import Assignment

Row = tuple[str, int, EpochMetrics]

SPEC = """
name = "simulated"
losses = ["elr", "adam_elr"]
network = "tiny_cnn"
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
trials = 9
max_epochs = 12
grace_epochs = 2
[search]
sampler = "tpe"
early_stopping = "asha"
"""


def spec(*overrides: str) -> SweepSpec:
    return parse_sweep(SPEC, overrides)


def curve(trial: Trial, epoch: int) -> EpochMetrics:
    """Better the closer lam is to 3, and rising: a landscape with one known optimum."""
    lam = float(trial.config.parameters.get("lam", 1.0))
    accuracy = math.exp(-abs(math.log(lam / 3))) * (1 - math.exp(-epoch / 5))
    return EpochMetrics(epoch=epoch, train_loss=1.0, val_accuracy=accuracy, epoch_seconds=0.5)


def assignment(trial: Trial, **changed: Any) -> Assignment:
    """What an actor may be told of a trial, for tests in which none trains it."""
    told: dict[str, Any] = {"rungs": (), "threads": 1, "cpus": 1.0, "gpus": 0.0} | changed
    return Assignment(
        study=trial.study,
        trial_id=trial.trial_id,
        config=trial.config.as_dict(),
        labels="",
        results="",
        recorded_epochs=0,
        test_every=None,
        **told,
    )


@dataclass
class Driver:
    """Runs a sweep on ``slots`` slots; ``step`` lets one running trial finish one epoch."""

    sweep: Sweep
    slots: int = 1
    seed: int = 0
    live: list[Trial] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def step(self) -> bool:
        while len(self.live) < self.slots and (trial := self.sweep.deal()):
            self.live.append(trial)
        if not self.live:
            return False
        trial = self._rng.choice(self.live)
        metrics = curve(trial, trial.epochs + 1)
        self.rows.append((trial.trial_id, trial.attempt, metrics))
        if self.sweep.report(trial, metrics).status != "running":
            self.live.remove(trial)
        return True

    def run(self, steps: int | None = None) -> "Driver":
        done = 0
        while (steps is None or done < steps) and self.step():
            done += 1
        return self


def table(sweep: Sweep) -> list[tuple[object, ...]]:
    """What must not depend on interruptions."""
    return [
        (
            t.trial_id,
            t.status,
            t.end_reason,
            t.epochs,
            tuple(sorted(t.config.parameters.items(), key=str)),
        )
        for t in sorted(sweep.trials, key=lambda t: t.trial_id)
    ]
