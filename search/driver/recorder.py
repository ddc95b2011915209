"""Writing what happens while it happens, off the critical path.

The driver's thread appends to lists; a second or so later a thread of the recorder's own writes
them. A row is durable before any trace that depends on it: a trial before its epochs, its epochs
before its end.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from analysis.schema import RUNNING
from analysis.store import ResultsWriter
from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from trainable.folder.patience import patiently
from trainable.folder.storage import Folder
from trainable.metrics import METRIC_COLUMNS, EpochMetrics

Row = dict[str, Any]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Recorder:
    """Records a sweep's trials and epochs through a :class:`ResultsWriter`.

    ``describe`` gives the columns of a trial that do not change while it runs; ``tidy`` is called
    in the recorder's thread with every trials table once it is durable. ``confirm`` is called
    before anything is written or deleted, and raises what is to stop that. ``now`` is the clock of
    the timestamps, ``flush_seconds`` how long a row may wait. A storage that is away is waited
    for; an error that stays surfaces in the next call of :meth:`tick` or :meth:`close`.
    """

    def __init__(
        self,
        sweep: Sweep,
        folder: Folder,
        describe: Callable[[Trial], Row],
        *,
        tidy: Callable[[list[Row]], None] = lambda rows: None,
        confirm: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = _utc_now,
        flush_seconds: float = 1.0,
    ) -> None:
        self._sweep = sweep  # where every trial stands
        self._folder = folder  # the results folder
        self._writer = ResultsWriter(folder)  # of the recorder's thread, once that runs
        self._describe = describe
        self._tidy = tidy
        self._confirm = confirm
        self._now = now
        self._flush_seconds = flush_seconds
        # Of the driver's thread: what is not handed over yet.
        self._pending: dict[str, list[Row]] = defaultdict(list)  # new epochs by study
        self._changed = False  # whether the trials table is out of date
        self._last_flush = time.monotonic()  # when rows were last handed over
        # What is known of every trial, by trial_id.
        self._rows: dict[str, Row] = {}  # its row, as it was last made
        self._final: set[str] = set()  # those whose row is not made anew
        self._machines: dict[str, Row] = {}  # ``device`` and ``node`` it last trained on
        self._repeated: Counter[str] = Counter()  # epochs that came again
        # The order of arrival over all studies.
        self._seq = 0  # the number of the next new epoch
        self._seqs: dict[str, list[int]] = {}  # of each epoch so far, by trial that has not ended
        # The writing thread, one table at a time.
        self._thread = ThreadPoolExecutor(1, "recorder")
        self._writing: Future[None] | None = None  # what was handed over last
        self._durable: dict[str, Row] = {}  # the rows that are written once that is done
        self._cut: int | None = None  # rows of this seq and later are to be dropped first
        self._write_seconds = 0.0  # what the last table took

    def restore(
        self,
        trials: Mapping[str, Mapping[str, Any]],
        seqs: Mapping[str, list[int]],
        machines: Mapping[str, Row],
        next_seq: int,
    ) -> None:
        """Go on where a results folder stops.

        ``trials``: the recorded rows by trial_id; ``seqs``: per trial the seq of each of its
        epochs, so that one that comes again keeps its place; ``machines``: the ``device`` and
        ``node`` that each last trained on; ``next_seq``: the first new one; rows from there on
        are dropped before anything else is written.
        """
        self._rows = {trial_id: dict(row) for trial_id, row in trials.items()}
        self._durable = dict(self._rows)
        self._seqs = {trial_id: list(numbers) for trial_id, numbers in seqs.items()}
        self._repeated.update({t: int(row["repeated_epochs"] or 0) for t, row in trials.items()})
        self._machines = dict(machines)
        self._seq = next_seq
        self._cut = next_seq
        self._changed = True

    def epoch(self, trial: Trial, metrics: EpochMetrics, device: str, node: str) -> None:
        """One epoch of one trial, as it arrived from ``node``, trained on ``device``."""
        machine: Row = {"device": device, "node": node}
        row: Row = {name: getattr(metrics, name) for name in METRIC_COLUMNS} | machine
        row |= {
            "trial_id": trial.trial_id,
            "attempt": trial.attempt,
            "seq": self._number(trial.trial_id, metrics.epoch),
            "recorded_at": self._now(),
        }
        self._pending[trial.study].append(row)
        self._machines[trial.trial_id] = machine
        self.changed()

    def changed(self) -> None:
        """A trial started or ended: the trials table is to be written again."""
        self._changed = True

    def tick(self) -> None:
        """Hand what waits to the writing thread, if it is time and the thread is free."""
        if self._writing is not None:
            if not self._writing.done():
                return
            self._writing.result()
            self._writing = None
        # A table that has grown large is written less often: at most a 20th of the time.
        pause = max(self._flush_seconds, 20 * self._write_seconds)
        if self._changed and time.monotonic() - self._last_flush >= pause:
            self._hand_over()

    def begin(self) -> None:
        """Write the trials table, before any trial of this start leaves a trace; tidy up first."""
        self._writer.remove_leftovers()
        self._hand_over().result()

    def close(self, *, compact: bool = False) -> None:
        """Write everything that waits. ``compact``: then leave one file a study."""
        try:
            if self._writing is not None:
                self._writing.result()
            # Also without a change heard of: paused trials may have been ended since.
            self._hand_over().result()
            if compact:
                self._confirm()
                self._writer.compact()
        finally:
            self._thread.shutdown()

    def _number(self, trial_id: str, epoch: int) -> int:
        """The seq of an epoch: an epoch that comes again after a recovery keeps its first."""
        numbers = self._seqs.setdefault(trial_id, [])
        if epoch > len(numbers):
            numbers.append(self._seq)
            self._seq += 1
        else:
            self._repeated[trial_id] += 1
        return numbers[epoch - 1]

    def _hand_over(self) -> "Future[None]":
        for trial in self._sweep.trials:
            if trial.trial_id not in self._final or not trial.ended:
                self._refresh(trial)
        rows = dict(self._rows)
        self._writing = self._thread.submit(self._write, self._durable, rows, self._pending)
        self._durable, self._pending = rows, defaultdict(list)
        self._changed = False
        self._last_flush = time.monotonic()
        return self._writing

    def _write(
        self, durable: dict[str, Row], rows: dict[str, Row], epochs: dict[str, list[Row]]
    ) -> None:
        begin = time.monotonic()
        if self._cut is not None:
            self._patiently(partial(self._writer.truncate, self._cut))
            self._cut = None
        started = [row for trial_id, row in rows.items() if trial_id not in durable]
        if started and epochs:
            running = {"status": RUNNING, "end_reason": "", "ended_at": None, "epochs": 0}
            first = [*durable.values(), *(row | running for row in started)]
            self._patiently(lambda: self._writer.write_trials(first))
        for study, study_rows in epochs.items():
            self._patiently(partial(self._writer.append_epochs, study, study_rows))
        table = list(rows.values())
        self._patiently(lambda: self._writer.write_trials(table))
        self._write_seconds = time.monotonic() - begin
        self._patiently(lambda: self._tidy(table))

    def _patiently(self, action: Callable[[], None]) -> None:
        def confirmed() -> None:
            self._confirm()
            action()

        patiently(self._folder, confirmed)

    def _refresh(self, trial: Trial) -> None:
        """Make a trial's row anew; that of an ended trial stays, unless it starts again."""
        row = self._rows.get(trial.trial_id)
        if row is not None and row.get("ended_at") is not None and trial.ended:
            self._final.add(trial.trial_id)
            return
        started_at = row["started_at"] if row is not None else self._now()
        if row is None:
            row = self._describe(trial)
        row = row | self._progress(trial) | {"started_at": started_at, "ended_at": None}
        self._rows[trial.trial_id] = row
        self._final.discard(trial.trial_id)
        if trial.ended:
            row["ended_at"] = self._now()
            self._seqs.pop(trial.trial_id, None)
            self._final.add(trial.trial_id)

    def _progress(self, trial: Trial) -> Row:
        last = trial.last
        metric = self._sweep.spec.search.metric
        progress: Row = {
            "status": trial.status,
            "end_reason": trial.end_reason,
            "attempt": trial.attempt,
            "epochs": trial.epochs,
            "repeated_epochs": self._repeated[trial.trial_id],
            "val_accuracy": last.val_accuracy if last else None,
            "test_accuracy": last.test_accuracy if last else None,
            "best_val_accuracy": trial.best_val,
            "selection_value": getattr(last, metric) if last else None,
            "duration_s": trial.seconds,
        }
        return progress | self._machines.get(trial.trial_id, {})
