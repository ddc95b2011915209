"""The hours of ``[budget]``: when they are used up, the sweep hears that no new trial starts."""

import itertools
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from analysis.schema import DEEPER, REPLICATE, RUNNING, SEARCH
from search.driver.forecast import epoch_seconds
from search.studies.round_robin import Sweep
from search.studies.study import Study
from search.studies.trial import Phase
from spaces.sweep_file import SpecError

CHECK_SECONDS = 1.0
"""How often the hours are looked at."""


class Hours:
    """What is left of a sweep's ``hours`` (wall-clock, over all starts) and ``gpu_hours``.

    The search ends while there is still time for what follows it: what that takes, and under
    ``when_out = "finish"`` the search trials that run, is kept back. It is worked out from the
    epochs so far. What follows starts until the hours themselves are used up.

    ``gpus`` are those of a trial, ``spent`` the seconds of wall-clock before this start, ``clock``
    counts seconds. Raises SpecError for ``gpu_hours`` where trials get no GPU.
    """

    def __init__(
        self,
        sweep: Sweep,
        *,
        gpus: float,
        slots: Callable[[], int],
        spent: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        budget = sweep.spec.budget
        if budget.gpu_hours is not None and not gpus:
            raise SpecError(
                f"budget: gpu_hours = {budget.gpu_hours:g}, but trials get no GPU here; "
                "limit them with hours"
            )
        self._sweep = sweep  # whose hours these are; it hears when they are used up
        self._gpus = gpus  # of a trial
        self._slots = slots  # how many trials run at once, by now
        self._clock = clock  # seconds, from any origin
        # When the clock would have begun if the sweep had run without a break.
        self._begin = clock() - spent
        self._checked = -float("inf")  # when the hours were last looked at
        self._closed: set[Phase] = set()  # phases of which no trial starts any more

    def check(self) -> None:
        """Tell the sweep if its hours are used up; looks once a second."""
        now = self._clock()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        for name, limit, used, kept in self._limits(now):
            if used + kept >= limit:
                self._close(SEARCH, name, limit)
            if used >= limit:
                self._close(DEEPER, name, limit)
                self._close(REPLICATE, name, limit)

    def left(self) -> float:
        """Seconds until no new trial starts, as far as the clock says; inf without ``hours``."""
        hours = self._sweep.spec.budget.hours
        if hours is None:
            return float("inf")
        return max(0.0, 3600 * hours - (self._clock() - self._begin))

    def used_up(self) -> str:
        """What to say if trials that were planned have not started; else ""."""
        if not self._closed:
            return ""
        there = sum(len(study.searched) for study in self._sweep.studies.values())
        if there == self._sweep.planned and self._closed == {SEARCH}:
            return ""
        return (
            f"the hours of [budget] are used up after {there:,} of {self._sweep.planned:,} "
            "trials; to go on, run the sweep again with more, such as --set budget.hours=24"
        )

    def _limits(self, now: float) -> Iterable[tuple[str, float, float, float]]:
        """Each limit that is set, as (key, limit, used, kept back), in hours."""
        budget = self._sweep.spec.budget
        kept = sum(map(self._kept, self._sweep.studies.values())) / 3600
        if budget.hours is not None:
            slots = max(1, self._slots())
            yield "hours", budget.hours, (now - self._begin) / 3600, kept / slots
        if budget.gpu_hours is not None:
            trained = sum(trial.seconds for trial in self._sweep.trials) / 3600
            yield "gpu_hours", budget.gpu_hours, trained * self._gpus, kept * self._gpus

    def _kept(self, study: Study) -> float:
        """Seconds of one slot that a study takes if it searches no more."""
        epochs = sum(study.later)
        for trial in study.trials.values():
            finishes = trial.phase != SEARCH or self._finish
            if trial.status == RUNNING and finishes:
                epochs += trial.config.max_epochs - trial.epochs
        return epochs * (epoch_seconds(study.trials.values()) or epoch_seconds(self._sweep.trials))

    @property
    def _finish(self) -> bool:
        return self._sweep.spec.budget.when_out == "finish"

    def _close(self, phase: Phase, name: str, limit: float) -> None:
        if phase not in self._closed:
            self._closed.add(phase)
            reason = f"budget: {name} = {limit:g} used up"
            self._sweep.close(phase, reason, stop=not self._finish)


def wall_clock(starts: Sequence[datetime], arrived: Sequence[datetime]) -> float:
    """Seconds that a sweep has run before: from each start to the last epoch before the next.

    ``starts`` and ``arrived``, the times at which epochs came in, are in order.
    """
    seconds = 0.0
    for begin, end in itertools.zip_longest(starts, starts[1:]):
        before = len(arrived) if end is None else bisect_left(arrived, end)
        if before and arrived[before - 1] > begin:
            seconds += (arrived[before - 1] - begin).total_seconds()
    return seconds
