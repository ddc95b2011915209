"""Keeping only the checkpoints that something can still use, so disk use stays flat."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from search.trial import ENDED
from trainable.checkpoints import CHECKPOINTS
from trainable.storage import Folder

KEPT_MODELS = 3
"""Final models kept of each study: those of its best trials."""


class Housekeeping:
    """Removes the checkpoints of trials that have ended, but for each study's best models."""

    def __init__(self, results: Folder) -> None:
        self._checkpoints = results / CHECKPOINTS
        self._gone: set[str] = set()
        self._single: set[str] = set()

    def tidy(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Tidy up after the trials table that was just written. Raises StorageError."""
        best: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        ended = [row for row in rows if row["status"] in ENDED]
        for row in ended:
            if row["status"] == "completed" and row["phase"] == "search":
                best[row["study"]].append(row)
        kept = {
            row["trial_id"]
            for candidates in best.values()
            for row in sorted(candidates, key=_rank)[:KEPT_MODELS]
        }
        for trial_id in kept - self._single:
            self._leave_last(trial_id)
        for row in ended:
            if row["trial_id"] not in kept | self._gone:
                self._checkpoints.delete(row["trial_id"])
                self._gone.add(row["trial_id"])

    def _leave_last(self, trial_id: str) -> None:
        folder = self._checkpoints / trial_id
        for name in folder.names()[:-1]:
            folder.delete(name)
        self._single.add(trial_id)


def _rank(row: Mapping[str, Any]) -> tuple[float, int]:
    return (-row["selection_value"], row["number"])
