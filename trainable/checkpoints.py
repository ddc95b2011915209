"""Checkpoints of one trial in the results folder: whole, few, and bound to their config.

    checkpoints/<trial_id>/epoch-00012.pt

A checkpoint holds the trainer's state and the trial's own curve, so rows that a crash kept from
being recorded can be reported from it. The last two are kept: if the newest is damaged, the one
before it serves.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from trainable.metrics import EpochMetrics
from trainable.patience import patiently
from trainable.storage import Folder, StorageError

CHECKPOINTS = "checkpoints"
KEPT = 2
_NAME = re.compile(r"epoch-(\d+)\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """State of a trainer after ``len(curve)`` epochs, and every epoch so far."""

    state: Mapping[str, Any]
    curve: Sequence[EpochMetrics]


class CheckpointStore:
    """The checkpoints of one trial under a results folder.

    ``fingerprint`` is the trial config's: a checkpoint of another config is not this trial's.
    ``notes`` say what was wrong with checkpoints that were found. A storage that is away for a
    moment is waited for.
    """

    def __init__(self, results: Folder, trial_id: str, fingerprint: str) -> None:
        self._results = results
        self._folder = results / CHECKPOINTS / trial_id
        self.notes: list[str] = []
        self._fingerprint = fingerprint

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint whole, then drop all but the last two. Raises StorageError."""
        buffer = io.BytesIO()
        content = {
            "fingerprint": self._fingerprint,
            "curve": [asdict(metrics) for metrics in checkpoint.curve],
            "state": checkpoint.state,
        }
        torch.save(content, buffer)
        name = f"epoch-{len(checkpoint.curve):05d}.pt"
        patiently(self._results, lambda: self._folder.write(name, buffer.getvalue()))
        for old in self._names()[:-KEPT]:
            self._folder.delete(old)

    def load(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and this trial's, or None.

        A damaged one is named in ``notes``, removed, and the one before it is tried.
        """
        for name in reversed(patiently(self._results, self._names)):
            try:
                content = torch.load(
                    io.BytesIO(self._folder.read(name)), map_location="cpu", weights_only=True
                )
                if content["fingerprint"] == self._fingerprint:
                    curve = [EpochMetrics(**metrics) for metrics in content["curve"]]
                    return Checkpoint(content["state"], curve)
                reason = "belongs to another configuration"
            except StorageError:
                raise
            except Exception as error:  # a damaged zip, pickle or key: each has its own exception
                reason = f"is damaged ({type(error).__name__}: {str(error).splitlines()[0]:.80})"
            self.notes.append(f"checkpoint {name} {reason}: removed, the one before it serves")
            self._folder.delete(name)
        return None

    def _names(self) -> list[str]:
        return [name for name in self._folder.names() if _NAME.fullmatch(name)]
