"""What a person sees while a sweep runs: a live table, or plain lines in a pipe or a log."""

import math
import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from analysis.amounts import duration
from analysis.schema import DIVERGED, FAILED, PAUSED
from search.driver.forecast import Forecast
from search.driver.live_view import live_view
from search.driver.states import StudyState, study_state
from search.studies.round_robin import Sweep
from trainable.data import DATASETS

LIVE_SECONDS = 0.5
"""How often the live table is drawn."""
WAITED_SECONDS = 60.0
"""How long a trial may wait for its resources before somebody is told."""


class Occupied(Protocol):
    """Slots as the table shows them, such as :class:`search.cluster.resources.Slots`."""

    def __call__(self) -> int:
        """How many trials run at once."""

    def occupancy(self, running: int) -> str:
        """What so many running trials take, in words: "2 running on 4 slots"."""

    def held_by_others(self) -> bool:
        """Whether something else has what a trial with a slot waits for."""


class Progress:
    """Shows a sweep's state: call :meth:`tick` as often as you like.

    On a terminal a bar and a table that redraw themselves; elsewhere a line with the first epoch,
    every ten seconds after it and, in time, every minute.
    """

    def __init__(
        self,
        forecast: Forecast,
        console: Console,
        slots: Occupied,
        limit: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._forecast = forecast  # how much is left
        self._sweep: Sweep = forecast.sweep  # what is shown
        self._console = console  # where
        self._slots = slots  # how many trials run at once, and who has the rest
        self._limit = limit  # seconds until the budget's hours are used up
        self._start = time.monotonic()  # when this start of the sweep began to train
        # Epochs of earlier starts: the first line comes with the first epoch of this one.
        self._epochs_before = forecast.epochs_done
        self._drawn = self._start  # when it was last drawn
        self._waiting: dict[str, float] = {}  # since when each trial waits for its resources
        self._warned = False  # whether that was said
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
        if self._drawn == self._start and self._forecast.epochs_done > self._epochs_before:
            pause = 0.0
        if now - self._drawn < pause:
            return
        self._drawn = now
        self._watch_waiting(now)
        states = [study_state(study) for study in self._sweep.studies.values()]
        done = self._forecast.epochs_done
        line = self._line(states, elapsed)
        if self._live:
            expected = done + self._forecast.epochs_left
            spec, size = self._sweep.spec, (self._console.width, self._console.height)
            view = live_view(
                *(states, (done, expected), line, spec.search.metric, *size),
                published=all(DATASETS[data.name].read for data in spec.data),
            )
            self._live.update(view, refresh=True)
        else:
            self._console.print(Text(line), soft_wrap=True)

    def _watch_waiting(self, now: float) -> None:
        """Say once that trials wait, and for whom: accuse nobody whom Ray's accounts do not."""
        trials = [t.trial_id for study in self._sweep.studies.values() for t in study.waiting]
        self._waiting = {name: self._waiting.get(name, now) for name in trials}
        long = sum(now - since >= WAITED_SECONDS for since in self._waiting.values())
        if long and not self._warned:
            cause = "Ray is still starting workers"
            if self._slots.held_by_others():
                cause = "something else on the cluster holds them (ray status)"
            waited = duration(WAITED_SECONDS)
            self.note(f"{long} trials have waited {waited} for their resources: {cause}")
        self._warned = bool(long)

    def _line(self, states: list[StudyState], elapsed: float) -> str:
        ended = sum(state.ended for state in states)
        planned = sum(state.planned for state in states)
        running = sum(state.running for state in states)
        parts = [
            f"{ended}/{planned} trials",
            self._slots.occupancy(running),
            f"{sum(s.stopped for s in states)} stopped early",
        ]
        for name in ("waiting", PAUSED, DIVERGED, FAILED):
            count = sum(getattr(state, name) for state in states)
            if count:
                parts.append(f"{count} {name}")
        spent, saved = sum(s.epochs for s in states), sum(s.saved for s in states)
        expected = spent + round(self._forecast.epochs_left)
        parts.append(f"{spent:,} epochs of about {expected:,}, {saved:,} saved")
        parts.append(f"{duration(elapsed)} so far, {self._left()} left")
        return " · ".join(parts)

    def _left(self) -> str:
        seconds = self._forecast.seconds_left(self._slots())
        return "unknown" if seconds is None else f"about {duration(min(seconds, self._limit()))}"
