"""TensorBoard events of every trial: its epochs as steps, and its settings."""

import logging
import math
import struct
import time
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.logger import LoggerCallback
from ray.tune.utils import flatten_dict
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import hparams

from trainable.metrics import EpochMetrics

EVENTS = "events.out.tfevents"
"""Name of the file in a trial's folder of Tune's logs."""
SETTING = (str, bool, int, float)
"""Types of the settings that TensorBoard can show."""

_log = logging.getLogger(__name__)


class TensorBoardCallback(LoggerCallback):
    """Appends what happens to a trial to its file at once, an epoch as one record.

    Tune's own callback has two threads and a pipe for each trial, through which each number
    travels by itself: a third of what an epoch costs the driver.
    """

    def __init__(self) -> None:
        super().__init__()
        # Trials whose files took no more: a record behind a torn one could not be read.
        self._given_up: set[str] = set()

    def log_trial_start(self, trial: TuneTrial) -> None:
        """A trial has its actor."""
        self._append(trial, Event(file_version="brain.Event:2"))

    def log_trial_result(self, iteration: int, trial: TuneTrial, result: dict[str, Any]) -> None:
        """An epoch came in."""
        metrics: EpochMetrics = result["metrics"]
        values = [Summary.Value(tag=tag, simple_value=v) for tag, v in _numbers(metrics).items()]
        self._append(trial, Event(step=metrics.epoch, summary=Summary(value=values)))

    def log_trial_end(self, trial: TuneTrial, failed: bool = False) -> None:
        """The trial has ended: its settings, for those that reached something."""
        metrics: EpochMetrics | None = trial.last_result.get("metrics")
        if metrics is None:
            return
        settings = flatten_dict(vars(trial.config["assignment"]))
        shown = {name: value for name, value in settings.items() if isinstance(value, SETTING)}
        for summary in hparams(shown, _numbers(metrics)):
            self._append(trial, Event(summary=summary))

    def _append(self, trial: TuneTrial, event: Event) -> None:
        """Write an event; where that fails a trial's file ends, and no more: results are apart."""
        if trial.trial_id in self._given_up:
            return
        try:
            with Path(str(trial.local_path), EVENTS).open("ab") as file:
                file.write(_record(event))
        except OSError as error:
            self._given_up.add(trial.trial_id)
            _log.warning("no more TensorBoard events of %s: %s", trial, error)


def _numbers(metrics: EpochMetrics) -> dict[str, float]:
    """What an epoch measured, by tag."""
    measured = vars(metrics).items()
    return {f"ray/tune/{name}": value for name, value in measured if not math.isnan(value)}


def _record(event: Event) -> bytes:
    """An event with its time, as the file has it: length, its checksum, event, its checksum."""
    event.wall_time = time.time()
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return bytes(length + checksums[0] + data + checksums[1])
