"""Keeping only what something can still use, so that disk use stays flat as trials grow."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.rule import may_win, selection_key
from analysis.schema import PAUSED, REPLICATE
from search.studies.trial import ENDED
from trainable.folder import layout
from trainable.folder.storage import Folder
from trainable.trial.checkpoints import KEPT_MODELS

_JUDGED = ("status", "epochs", "max_epochs", "selection_value")


class Housekeeping:
    """Removes checkpoints and final targets that nobody can ask for any more.

    Of trials that have ended, the best of each study keep both, and so do those that were
    replicated; a replicate keeps its targets, as several judge labels better than one. Of a
    paused trial one checkpoint stays, of a running one those that its store keeps.
    """

    def __init__(self, results: Folder) -> None:
        self._checkpoints = results / layout.CHECKPOINTS  # a folder a trial
        self._targets = results / layout.TARGETS  # a table a trial
        # Trials of which nothing is left: a storage is not asked again.
        self._gone: set[str] = set()
        # (trial, epochs) of which one checkpoint is left.
        self._single: set[tuple[str, int]] = set()

    def tidy(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Tidy up after the trials table that was just written. Raises StorageError."""
        kept = _kept(rows)
        for row in rows:
            trial_id, ended = row["trial_id"], row["status"] in ENDED
            if row["status"] == PAUSED or trial_id in kept:
                self._leave_last(trial_id, row["epochs"])
            elif ended and trial_id not in self._gone:
                self._checkpoints.delete(trial_id)
                if row["phase"] != REPLICATE:
                    self._targets.delete(layout.table_name(trial_id))
                self._gone.add(trial_id)

    def _leave_last(self, trial_id: str, epochs: int) -> None:
        if (trial_id, epochs) in self._single:
            return
        folder = self._checkpoints / trial_id
        for name in folder.names()[:-1]:
            folder.delete(name)
        self._single.add((trial_id, epochs))


def _kept(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The best trials of each study and budget, and those that were replicated.

    The best of a smaller budget are those that may go on to a larger one.
    """
    best: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    kept = set()
    for row in rows:
        if row["phase"] == REPLICATE:
            kept.add(row["source_trial_id"])
        elif may_win(*(row[name] for name in _JUDGED)):
            best[row["study"], row["max_epochs"]].append(row)
    for candidates in best.values():
        candidates.sort(key=lambda row: selection_key(row["number"], row["selection_value"]))
        kept |= {row["trial_id"] for row in candidates[:KEPT_MODELS]}
    return kept
