"""The Ray Tune side of a trial: one step is one epoch, an actor serves one trial after another.

The only module of this package that imports Ray.
"""

import platform
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from ray import tune

from trainable.config import TrialConfig
from trainable.data import Dataset, TrialData
from trainable.dtypes import Ints
from trainable.folder.storage import Folder
from trainable.metrics import EpochMetrics
from trainable.network.device import device_name
from trainable.trial.checkpoints import Checkpoint, CheckpointStore
from trainable.trial.final_targets import write_targets
from trainable.trial.prepare import prepare
from trainable.trial.tested import epochs_with_test
from trainable.trial.trainer import Trainer
from trainable.trial.trial_loss import build_trainer

CHECKPOINT_SHARE = 0.02
"""Share of the training time that checkpoints between rungs may cost."""


@dataclass(frozen=True)
class Assignment:
    """What the driver asks an actor to do; it travels in Tune's config, as ``assignment``.

    ``labels``: key of the given labels. ``results``: location of the results folder.
    ``recorded_epochs``: epochs the driver has; a checkpoint's epochs beyond it are reported again.
    ``rungs``: epochs after which a checkpoint is due. ``test_every``: epochs from one evaluation
    on the test set to the next (``tested.epochs_with_test``). ``threads``: CPU threads for torch.
    ``cpus``, ``gpus``: what Ray gives the trial, fractions allowed; without a GPU it trains on
    the CPU, whatever torch sees.
    ``source``: id and config's fingerprint of a trial that this one goes on from the end of, if
    it has no checkpoint of its own yet.
    """

    study: str  # name of its study
    trial_id: str  # unique in the sweep
    config: Mapping[str, Any]  # a TrialConfig's ``as_dict``
    labels: str
    results: str
    recorded_epochs: int
    rungs: tuple[int, ...]
    test_every: int | None
    threads: int
    cpus: float
    gpus: float
    source: tuple[str, str] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Assignment":
        """Itself: nobody changes it, and Tune copies its configs again and again."""
        return self


class TrialTrainable(tune.Trainable):
    """Trains one :class:`TrialConfig` epoch by epoch.

    ``datasets`` (by name) and ``labels`` (given labels by key) come once an actor from Ray's
    object store, where all actors of a node map the same memory.
    """

    _datasets: dict[str, Dataset]  # by name
    _labels: dict[str, Ints]  # given labels, by key
    _data: tuple[tuple[Any, ...], TrialData] | None  # of the latest trial, and what it depends on
    _said_no_gpu: bool  # whether the driver has been told that Ray's GPU is not there
    # Of the trial that runs.
    _assignment: Assignment  # what the driver asks for
    _config: TrialConfig  # the trial
    _tested: frozenset[int]  # epochs that are evaluated on the test set
    _results: Folder  # the results folder
    _store: CheckpointStore  # its checkpoints there, and notes for the driver
    _trainer: Trainer  # stands at the latest epoch
    _curve: list[EpochMetrics]  # every epoch so far
    _unreported: deque[EpochMetrics]  # those of them that the driver lacks
    _training_seconds: float  # spent on epochs since the latest checkpoint
    _checkpoint_seconds: float  # what that one took; 0 before the first

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What the actor of a trial takes."""
        assigned: Assignment = config["assignment"]
        return _request(assigned.cpus, assigned.gpus)

    def setup(  # type: ignore[override]  # tune.with_parameters adds the other two
        self, config: dict[str, Any], datasets: dict[str, Dataset], labels: dict[str, Ints]
    ) -> None:
        """Start the actor's first trial."""
        self._datasets, self._labels = datasets, labels
        self._data = None
        self._said_no_gpu = False
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start the actor's next trial. Everything of the one before is dropped first."""
        # Before the next one is made: the device may have no room for two.
        del self._trainer
        self._start(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch, or report one that a checkpoint has and the driver lacks."""
        if self._unreported:
            return self._result(self._unreported.popleft())
        metrics = self._trainer.run_epoch(test=self._trainer.epoch + 1 in self._tested)
        self._curve.append(metrics)
        self._training_seconds += metrics.epoch_seconds
        full = metrics.epoch >= self._config.max_epochs
        # Before the checkpoint: once that is there, a trial that broke would not come back here.
        if full:
            write_targets(self._results, self._assignment.trial_id, self._trainer)
        if full or metrics.epoch in self._assignment.rungs or self._checkpoint_pays():
            self._checkpoint()
        return self._result(metrics)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """For those who ask Tune for a checkpoint: it lies in the results folder."""
        self._checkpoint()

    def load_checkpoint(self, checkpoint: dict[str, Any] | str | None) -> None:
        """Continue from the newest checkpoint in the results folder."""
        self._restore()

    def _start(self, config: dict[str, Any]) -> None:
        self._assignment = config["assignment"]
        self._config = TrialConfig.from_dict(self._assignment.config)
        torch.set_num_threads(self._assignment.threads)
        self._tested = epochs_with_test(
            self._config,
            self._trial_data(),
            self._assignment.rungs,
            self._assignment.test_every,
        )
        self._results = Folder.open(self._assignment.results)
        self._store = CheckpointStore(
            self._results, self._assignment.trial_id, self._config.fingerprint
        )
        self._restore()
        self._say_if_no_gpu()

    def _say_if_no_gpu(self) -> None:
        """A GPU that only Ray believes in: drivers missing, or a torch built without CUDA."""
        if self._assignment.gpus and self._trainer.device.type == "cpu" and not self._said_no_gpu:
            self._store.notes.append(
                f"torch sees no GPU on {platform.node()}, so it trains on the CPU"
            )
            self._said_no_gpu = True

    def _restore(self) -> None:
        """A new trainer at the epoch of the newest usable checkpoint, or at 0."""
        self._training_seconds = self._checkpoint_seconds = 0.0
        self._trainer = self._new_trainer()
        curve = self._store.load(self._trainer.load_state_dict)
        if curve is None and self._store.notes:  # what could not be used may be half taken in
            self._trainer = self._new_trainer()
        if curve is None and self._assignment.source is not None:
            curve = self._from_source(*self._assignment.source)
        self._curve = list(curve or ())
        self._unreported = deque(self._curve[self._assignment.recorded_epochs :])
        # An actor's log holds one trial after another.
        where = f"on {platform.node()}, {device_name(self._trainer.device)}"
        print(f"{self._assignment.trial_id}: from epoch {self._trainer.epoch} {where}", flush=True)

    def _from_source(self, trial_id: str, fingerprint: str) -> Sequence[EpochMetrics] | None:
        """Where another trial has ended; None, and a note, if its checkpoint is gone."""
        store = CheckpointStore(self._results, trial_id, fingerprint)
        curve = store.load(self._trainer.load_state_dict)
        self._store.notes += store.notes
        if curve is None:
            self._trainer = self._new_trainer()
            self._store.notes.append(f"{trial_id} has no checkpoint left: starts afresh")
        else:
            self._store.notes.append(f"goes on from {trial_id} after epoch {len(curve)}")
        return curve

    def _new_trainer(self) -> Trainer:
        device = None if self._assignment.gpus else "cpu"
        return build_trainer(self._config, self._trial_data(), device)

    def _trial_data(self) -> TrialData:
        """The data of this trial; kept while the next one has the same, as on its device."""
        config = self._config
        key = (config.data, config.noise, config.seed)
        if self._data is None or self._data[0] != key:
            given = self._labels[self._assignment.labels]
            dataset = self._datasets[config.data.name]
            self._data = key, prepare(dataset, config.data, config.noise, config.seed, given)[0]
        return self._data[1]

    def _checkpoint_pays(self) -> bool:
        """Whether another checkpoint keeps their cost under its share of the training time."""
        # A guess, before the first has been timed.
        expected = self._checkpoint_seconds or 0.02
        return expected < CHECKPOINT_SHARE * self._training_seconds

    def _checkpoint(self) -> None:
        start = time.perf_counter()
        self._store.save(Checkpoint(self._trainer.state_dict(), self._curve))
        self._checkpoint_seconds = time.perf_counter() - start
        self._training_seconds = 0.0

    def _result(self, metrics: EpochMetrics) -> dict[str, Any]:
        notes, self._store.notes = self._store.notes, []
        device = device_name(self._trainer.device)
        # The step in TensorBoard, which would count from 1 again after every interruption.
        step = {"timesteps_total": metrics.epoch}
        # In one piece: of every number of its own in a result Tune keeps means, maxima and more.
        return {"metrics": metrics, **step, "device": device, "notes": notes}


@cache
def _request(cpus: float, gpus: float) -> tune.PlacementGroupFactory:
    """One object for all trials: Tune looks it up at every event, and two compare slowly."""
    return tune.PlacementGroupFactory([{"CPU": cpus, "GPU": gpus}])
