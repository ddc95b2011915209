"""Checkpoints of one trial in the results folder: whole, few, and bound to their config.

    checkpoints/<trial_id>/epoch-00012.pt

A checkpoint holds the trainer's state and the trial's own curve, so rows that a crash kept from
being recorded can be reported from it. The last two are kept: if the newest is damaged, the one
before it serves.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import torch

from trainable.folder import layout
from trainable.folder.patience import patiently
from trainable.folder.storage import Folder
from trainable.metrics import EpochMetrics

KEPT = 2
"""Checkpoints of a running trial: the newest, and the one before it."""
KEPT_MODELS = 3
"""Final models of each study: those of its best trials."""


class CheckpointError(ValueError):
    """A checkpoint that is whole, but cannot be gone on from: one line with what and where."""


@dataclass(frozen=True)
class Checkpoint:
    """A trainer between two epochs."""

    state: Mapping[str, Any]  # ``Trainer.state_dict`` after ``len(curve)`` epochs
    curve: Sequence[EpochMetrics]  # every epoch so far


class CheckpointStore:
    """The checkpoints of one trial under a results folder.

    ``fingerprint`` is the trial config's: a checkpoint of another config is not this trial's.
    ``notes`` say what was wrong with checkpoints that were found. A storage that is away for a
    moment is waited for; one that stays away raises StorageError.
    """

    def __init__(self, results: Folder, trial_id: str, fingerprint: str) -> None:
        self._results = results  # the results folder
        self._folder = results / layout.CHECKPOINTS / trial_id  # the trial's own in it
        self.notes: list[str] = []
        self._fingerprint = fingerprint
        patiently(results, self._folder.remove_leftovers)  # of a worker killed while it wrote

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint whole, then drop all but the last two."""
        buffer = io.BytesIO()
        content = {
            "fingerprint": self._fingerprint,
            "curve": [asdict(metrics) for metrics in checkpoint.curve],
            "state": checkpoint.state,
        }
        torch.save(content, buffer)
        name = layout.checkpoint_name(len(checkpoint.curve))
        patiently(self._results, lambda: self._folder.write(name, buffer.getvalue()))
        # Only once the new one is there: at no moment are there fewer than before.
        for old in patiently(self._results, self._names)[:-KEPT]:
            self._delete(old)

    def load(
        self, resume: Callable[[Mapping[str, Any]], None] = lambda state: None
    ) -> Sequence[EpochMetrics] | None:
        """Go on from the newest checkpoint that is whole, this trial's and usable.

        ``resume`` takes its state in, and may raise what a state of another shape makes a trainer
        raise. A checkpoint that is damaged or cannot be used is named in ``notes``, removed, and
        the one before it is tried. Returns the curve up to the checkpoint, None if none is left:
        then ``resume`` may have been tried in vain. Raises CheckpointError for one that is whole
        but has been written by another version: it stays.
        """
        names = patiently(self._results, self._names)
        while names:
            name = names.pop()
            data = patiently(self._results, partial(self._folder.read, name))
            try:
                content = _unpacked(data)
                if content["fingerprint"] == self._fingerprint:
                    curve = self._curve(name, content["curve"])
                    resume(content["state"])
                    return curve
                reason = "belongs to another configuration"
            # It is sound, and of use to the version that wrote it: it must not be removed below.
            except CheckpointError:
                raise
            except Exception as error:  # a damaged zip, pickle or key: each has its own exception
                # The machine's fault, not the file's: removed, it would be lost for nothing.
                if _out_of_memory(error):
                    raise
                first_line = f"{type(error).__name__}: {error}".splitlines()[0]
                reason = f"is damaged ({first_line:.100})"
            instead = "the one before it serves" if names else "no other is left, so from epoch 0"
            self.notes.append(f"checkpoint {name} {reason}: removed, {instead}")
            self._delete(name)
        return None

    def _curve(self, name: str, rows: Sequence[Mapping[str, Any]]) -> list[EpochMetrics]:
        there, known = set().union(*rows), {field.name for field in fields(EpochMetrics)}
        if strange := sorted(there - known):
            raise CheckpointError(
                f"{self._folder}/{name} was written by another version, which has "
                f"{', '.join(strange)}: go on with that one, or delete the file"
            )
        return [EpochMetrics(**row) for row in rows]

    def _delete(self, name: str) -> None:
        patiently(self._results, lambda: self._folder.delete(name))

    def _names(self) -> list[str]:
        return layout.checkpoint_names(self._folder)


def _unpacked(data: bytes) -> Any:
    """The content of a checkpoint. Torch itself checks no checksum, and would load other numbers.

    Raises zipfile.BadZipFile for bytes that are not those that were written.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if (part := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {part}")
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _out_of_memory(error: Exception) -> bool:
    """Torch's allocator says so in words only."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)
