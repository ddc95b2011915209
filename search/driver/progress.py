"""What a person sees while a sweep runs: a live table, or plain lines in a pipe or a log."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.rule import may_win, selection_key
from analysis.schema import COMPLETED, DIVERGED, FAILED, PAUSED, STOPPED
from analysis.wording import duration, percent
from search.studies.study import Study
from search.studies.sweep import Sweep
from search.studies.trial import Trial
from trainable.catalog import Value

COLUMNS = ("study", "done", "run", "stop", "div", "best val", "at", "epochs", "saved")
AT = COLUMNS.index("at")
MIN_NAME, MIN_AT = 12, 2
"""Characters that a study's name and its parameters keep in a narrow terminal."""
LIVE_SECONDS = 0.5
"""How often the live table is drawn."""
WAITED_SECONDS = 60.0
"""How long a trial may wait for its resources before somebody is told."""


@dataclass(frozen=True)
class StudyState:
    """One line of the table: counts of trials, the best one, epochs.

    ``epochs`` were trained, by trials of any status; ``saved`` are those that stopped trials did
    not train.
    """

    name: str
    planned: int
    completed: int
    running: int
    waiting: int
    paused: int
    stopped: int
    diverged: int
    failed: int
    epochs: int
    saved: int
    best: Trial | None

    @property
    def ended(self) -> int:
        """Trials with a final status."""
        return self.completed + self.stopped + self.diverged + self.failed


def study_state(study: Study) -> StudyState:
    """Count the trials of a study. The best is the selection rule's, or so far the leader."""
    trials = list(study.trials.values())
    count = Counter(trial.status for trial in trials)
    waiting = len(study.waiting)
    return StudyState(
        name=study.name,
        planned=len(trials) + study.to_come + study.confirming_to_come,
        completed=count[COMPLETED],
        running=study.running - waiting,
        waiting=waiting,
        paused=count[PAUSED],
        stopped=count[STOPPED],
        diverged=count[DIVERGED],
        failed=count[FAILED],
        epochs=sum(t.epochs for t in trials),
        saved=sum(t.config.max_epochs - t.epochs for t in trials if t.status == STOPPED),
        best=_best(study),
    )


def _best(study: Study) -> Trial | None:
    values = {t.trial_id: getattr(t.last, study.search.metric) for t in study.searched if t.last}
    heard = [t for t in study.searched if not math.isnan(values.get(t.trial_id, math.nan))]
    full = [
        t for t in heard if may_win(t.status, t.epochs, t.config.max_epochs, values[t.trial_id])
    ]
    return min(
        full or heard, key=lambda t: selection_key(t.number, values[t.trial_id]), default=None
    )


class Progress:
    """Shows a sweep's state: call :meth:`tick` as often as you like.

    On a terminal a table that redraws itself; elsewhere a line with the first epoch, every ten
    seconds after it and, in time, every minute.
    """

    def __init__(
        self,
        sweep: Sweep,
        console: Console,
        occupancy: Callable[[int], str],
        limit: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._sweep = sweep
        self._console = console
        # Of how many running trials a machine is full: "2 of 4 slots".
        self._occupancy = occupancy
        self._limit = limit
        self._start = time.monotonic()
        # Epochs of earlier starts: this one's speed is told without them.
        self._epochs_before = sum(trial.epochs for trial in sweep.trials)
        # When it was last drawn.
        self._drawn = self._start
        # Since when each trial waits for its resources; and whether that was said.
        self._waiting: dict[str, float] = {}
        self._warned = False
        # The table that redraws itself; None where the output is no terminal.
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def note(self, message: str) -> None:
        """A line that stays, such as a failed trial's error."""
        self._console.print(Text(message, style="red"), soft_wrap=True)

    def tick(self) -> None:
        """Draw again if it is time."""
        now = time.monotonic()
        elapsed = now - self._start
        pause = LIVE_SECONDS if self._live else min(60.0, max(10.0, elapsed / 6))
        if self._drawn == self._start and self._epochs_done():
            pause = 0.0
        if now - self._drawn < pause:
            return
        self._drawn = now
        self._watch_waiting(now)
        states = [study_state(study) for study in self._sweep.studies.values()]
        if self._live:
            self._live.update(self._view(states, elapsed), refresh=True)
        else:
            self._console.print(Text(self._line(states, elapsed)), soft_wrap=True)

    def _watch_waiting(self, now: float) -> None:
        """Say once that trials wait for resources that somebody else must hold."""
        trials = [t.trial_id for study in self._sweep.studies.values() for t in study.waiting]
        self._waiting = {name: self._waiting.get(name, now) for name in trials}
        long = sum(now - since >= WAITED_SECONDS for since in self._waiting.values())
        if long and not self._warned:
            self.note(
                f"{long} trials have waited {duration(WAITED_SECONDS)} for their resources: "
                "something else on the cluster holds them (ray status)"
            )
        self._warned = bool(long)

    def _view(self, states: list[StudyState], elapsed: float) -> Group:
        """The table: as many studies as the terminal has lines for, those that run first."""
        line = self._line(states, elapsed)
        room = max(1, self._console.height - 2 - -(-len(line) // self._console.width))
        ranked = sorted(states, key=lambda state: not (state.running or state.waiting))
        shown = {state.name for state in ranked[:room]}
        table = self._table([self._cells(state) for state in states if state.name in shown])
        more = [Text(f"and {len(states) - room} more studies", style="dim")]
        return Group(table, *more[: len(states) - len(shown)], Text(line, style="dim"))

    def _table(self, rows: list[list[str]]) -> Table:
        """Lines too long for the terminal lose parameters, then the middle of the study's name."""
        widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        room = self._console.width - sum(widths) + widths[0] + widths[AT] - 2 * (len(widths) - 1)
        widths[0] = max(MIN_NAME, min(widths[0], room - MIN_AT))
        widths[AT] = max(2, room - widths[0])
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, width in zip(COLUMNS, widths, strict=True):
            left = name in (COLUMNS[0], COLUMNS[AT])
            table.add_column(
                name,
                justify="left" if left else "right",
                no_wrap=True,
                overflow="ellipsis",
                width=width,
            )
        for name, *cells in rows:
            table.add_row(_shortened(name, widths[0]), *cells)
        return table

    def _cells(self, state: StudyState) -> list[str]:
        best = state.best
        value = getattr(best.last, self._sweep.spec.search.metric) if best else math.nan
        return [
            state.name,
            f"{state.ended}/{state.planned}",
            str(state.running),
            str(state.stopped),
            str(state.diverged + state.failed),
            percent(value) if best else "",
            parameter_text(best, self._sweep) if best else "",
            str(state.epochs),
            str(state.saved),
        ]

    def _line(self, states: list[StudyState], elapsed: float) -> str:
        ended = sum(state.ended for state in states)
        planned = sum(state.planned for state in states)
        running = sum(state.running for state in states)
        parts = [
            f"{ended}/{planned} trials",
            self._occupancy(running),
            f"{sum(s.stopped for s in states)} stopped early",
        ]
        for name in ("waiting", PAUSED, DIVERGED, FAILED):
            count = sum(getattr(state, name) for state in states)
            if count:
                parts.append(f"{count} {name}")
        spent, saved = sum(s.epochs for s in states), sum(s.saved for s in states)
        parts.append(f"{spent} epochs, {saved} saved")
        parts.append(f"{duration(elapsed)} so far, {self._left(states, elapsed)} left")
        return " · ".join(parts)

    def _epochs_done(self) -> int:
        return sum(trial.epochs for trial in self._sweep.trials) - self._epochs_before

    def _left(self, states: list[StudyState], elapsed: float) -> str:
        """Time left, if the trials to come take as many epochs as those that ended."""
        trials = list(self._sweep.trials)
        done = self._epochs_done()
        ended = [trial.epochs for trial in trials if trial.ended]
        if not done or not ended:
            return "unknown"
        per_trial = sum(ended) / len(ended)
        open_epochs = sum(max(0.0, per_trial - t.epochs) for t in trials if not t.ended)
        to_come = sum(s.planned for s in states) - len(trials)
        return duration(min(self._limit(), (to_come * per_trial + open_epochs) * elapsed / done))


def parameter_text(trial: Trial, sweep: Sweep) -> str:
    """The parameters that the study varies: ``lam=3.1 lr=0.02 lr_schedule=multistep``."""
    names = [name.rpartition(".")[2] for name in sweep.studies[trial.study].cell.space.varies]
    values = trial.config.parameters
    return " ".join(f"{n}={_short(values[n])}" for n in dict.fromkeys(names) if n in values)


def _shortened(name: str, width: int) -> str:
    """``name``, its middle left out where it is too long."""
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"


def _short(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
