"""TensorBoard events of every trial: its epochs as steps, and its settings."""

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


class TensorBoardCallback(LoggerCallback):
    """Appends what happens to a trial to its file at once, an epoch as one record.

    Tune's own callback has two threads and a pipe for each trial, through which each number
    travels by itself: a third of what an epoch costs the driver.
    """

    def log_trial_start(self, trial: TuneTrial) -> None:
        """A trial has its actor."""
        _append(trial, Event(file_version="brain.Event:2"))

    def log_trial_result(self, iteration: int, trial: TuneTrial, result: dict[str, Any]) -> None:
        """An epoch came in."""
        metrics: EpochMetrics = result["metrics"]
        values = [Summary.Value(tag=tag, simple_value=v) for tag, v in _numbers(metrics).items()]
        _append(trial, Event(step=metrics.epoch, summary=Summary(value=values)))

    def log_trial_end(self, trial: TuneTrial, failed: bool = False) -> None:
        """The trial has ended: its settings, for those that reached something."""
        metrics: EpochMetrics | None = trial.last_result.get("metrics")
        if metrics is None:
            return
        settings = flatten_dict(vars(trial.config["assignment"]))
        shown = {name: value for name, value in settings.items() if isinstance(value, SETTING)}
        for summary in hparams(shown, _numbers(metrics)):
            _append(trial, Event(summary=summary))


def _numbers(metrics: EpochMetrics) -> dict[str, float]:
    """What an epoch measured, by tag."""
    measured = vars(metrics).items()
    return {f"ray/tune/{name}": value for name, value in measured if not math.isnan(value)}


def _append(trial: TuneTrial, event: Event) -> None:
    """Write a record: its length, a checksum of that, the event, its checksum."""
    event.wall_time = time.time()
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    with Path(str(trial.local_path), EVENTS).open("ab") as file:
        file.write(length + checksums[0] + data + checksums[1])
