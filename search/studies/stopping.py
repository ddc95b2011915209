"""Early stopping: who goes on, decided from the reported values alone.

A rule hears every epoch of every trial of one study, in the order of arrival, and answers what
becomes of it: it goes on, stops or pauses. It draws no random numbers and keeps nothing else, so
feeding it the recorded rows again rebuilds it. Values are maximised; NaN is worse than everything.
"""

import itertools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from analysis.schema import PAUSED, STOPPED
from search.studies.trial import GOES_ON, Outcome
from spaces.strategies import EARLY_STOPPING
from trainable.catalog import Value, named


@dataclass(kw_only=True)
class Rule:
    """Every trial gets its full budget; the base of the rules that say otherwise."""

    grace: int = 1  # epochs before which no trial is stopped
    factor: int = 3  # of n trials at a rung about n / factor go on
    held_out: int = 1  # examples that a value is measured on

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        """What becomes of a trial that reports ``value`` after ``epoch`` epochs.

        It is running, stopped or paused. ``rungs`` are the trial's own: {epoch: level}
        (:func:`rung_epochs`).
        """
        return GOES_ON

    def promotable(self) -> str | None:
        """A paused trial that has earned to go on, if any."""
        return None

    def leader(self, completed: int) -> str | None:
        """The paused trial that goes on when nothing else is left to do, if any.

        ``completed``: how many trials of the study had their full budget.
        """
        return None

    def promote(self, trial_id: str) -> None:
        """The trial goes on from the rung it is paused at."""

    def end(self, trial_id: str) -> None:
        """The trial is over, for whatever reason."""

    def standing(self, trial_id: str) -> str:
        """Where a paused trial stands, in words."""
        return ""


def rung_epochs(
    *, grace: int, factor: int, max_epochs: int, cycle_ends: tuple[int, ...] = ()
) -> dict[int, int]:
    """The epochs at which a trial is judged, as {epoch: level}.

    Level k is at ``grace * factor**k`` epochs, below ``max_epochs``. For a schedule with warm
    restarts it moves up to the end of the cycle, where accuracy is comparable; of two levels that
    meet at one cycle end the higher stays.
    """
    rungs: dict[int, int] = {}
    level, epoch = 0, grace
    while epoch < max_epochs:
        aligned = next((end for end in cycle_ends if end >= epoch), max_epochs)
        if not cycle_ends:
            aligned = epoch
        if aligned < max_epochs:
            rungs[aligned] = level
        level, epoch = level + 1, epoch * factor
    return rungs


@dataclass(kw_only=True)
class Asha(Rule):
    """ASHA's stopping variant (Li et al. 2020, arXiv 1810.05934).

    With n values at a rung, the trial's own among them, it goes on if at most ``n // factor`` are
    strictly better: ties go on, and so do the first arrivals. That is one more than the best
    1/factor: of few values, and those noisy, the best share alone would often miss the best trial.
    """

    rungs: dict[int, dict[str, float]] = field(default_factory=dict)
    """By level, the value of every trial that arrived."""

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        """See :class:`Rule`."""
        if epoch not in rungs:
            return GOES_ON
        value = _worst_if_nan(value)
        values = self.rungs.setdefault(rungs[epoch], {})
        values[trial_id] = value
        ranked = sorted(values.values(), reverse=True)
        cutoff = ranked[min(len(ranked) // self.factor, len(ranked) - 1)]
        if value >= cutoff:
            return GOES_ON
        return Outcome(STOPPED, f"rung {epoch}: {value:.2%} < {cutoff:.2%}")


@dataclass(kw_only=True)
class AshaTies(Asha):
    """ASHA that stops no trial for a difference that the hold-out cannot see.

    Accuracies p and q on n examples differ by chance with a standard error of at most
    sqrt((p (1 - p) + q (1 - q)) / n); that of two trials on the same examples is smaller, by how
    much is not known. A trial within ``errors`` of these below ASHA's cutoff goes on. Values are
    means of up to three epochs, so that a lucky one moves no cutoff.
    """

    errors: float = 4.0
    """Standard errors below the cutoff that count as a tie."""
    latest: dict[str, list[float]] = field(default_factory=dict)
    """By trial, the values of the epochs up to its last."""

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        """See :class:`Rule`."""
        values = self.latest.setdefault(trial_id, [])
        # An epoch that comes again takes back those after it.
        values[epoch - 1 :] = [_worst_if_nan(value)]
        if epoch not in rungs:
            return GOES_ON
        mean = statistics.fmean(values[-3:])
        outcome = super().report(trial_id, epoch, mean, rungs)
        there = self.rungs[rungs[epoch]].values()
        cutoff = sorted(there, reverse=True)[len(there) // self.factor] if outcome.reason else mean
        if mean >= cutoff - self.errors * self._standard_error(mean, cutoff):
            return GOES_ON
        return outcome

    def _standard_error(self, one: float, other: float) -> float:
        return math.sqrt(sum(max(p * (1 - p), 0.0) for p in (one, other)) / self.held_out)


@dataclass(kw_only=True)
class AshaPromotion(Rule):
    """ASHA's promotion variant (Li et al. 2020, algorithm 2): pause, then go on when it pays.

    A trial at a rung is promoted once it is among the best ``n // factor`` of the n trials that
    reached it; ties go to the one that arrived first. Until then it is paused.
    """

    rungs: dict[int, dict[str, float]] = field(default_factory=dict)
    """By level, the value with which each trial arrived, in the order of arrival."""
    passed: dict[int, set[str]] = field(default_factory=dict)
    """By level, the trials that went on from there."""
    ended: set[str] = field(default_factory=set)
    """Trials that are over."""

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        """See :class:`Rule`. A report past a rung says that the trial was promoted there."""
        for rung, level in rungs.items():
            if rung < epoch:
                self.passed.setdefault(level, set()).add(trial_id)
        if epoch not in rungs:
            return GOES_ON
        level = rungs[epoch]
        self.rungs.setdefault(level, {})[trial_id] = _worst_if_nan(value)
        if trial_id in self._best(level):
            self.passed.setdefault(level, set()).add(trial_id)
            return GOES_ON
        return Outcome(PAUSED, f"rung {epoch}: waits to be promoted")

    def promotable(self) -> str | None:
        """See :class:`Rule`. The highest rung first, the best trial of it first."""
        for level in sorted(self.rungs, reverse=True):
            for trial_id in self._best(level):
                if self._waits(trial_id, level):
                    return trial_id
        return None

    def leader(self, completed: int) -> str | None:
        """See :class:`Rule`: the best of the highest rung, until one trial has its full budget."""
        if completed:
            return None
        for level in sorted(self.rungs, reverse=True):
            waiting = [t for t in self._ranked(level) if self._waits(t, level)]
            if waiting:
                return waiting[0]
        return None

    def promote(self, trial_id: str) -> None:
        """See :class:`Rule`."""
        level = max(level for level, values in self.rungs.items() if trial_id in values)
        self.passed.setdefault(level, set()).add(trial_id)

    def end(self, trial_id: str) -> None:
        """See :class:`Rule`."""
        self.ended.add(trial_id)

    def standing(self, trial_id: str) -> str:
        """See :class:`Rule`: ``rank 5 of 12 at level 1``."""
        level = max(level for level, values in self.rungs.items() if trial_id in values)
        ranked = self._ranked(level)
        return f"rank {ranked.index(trial_id) + 1} of {len(ranked)} at level {level}"

    def _waits(self, trial_id: str, level: int) -> bool:
        return trial_id not in self.passed.get(level, set()) and trial_id not in self.ended

    def _ranked(self, level: int) -> list[str]:
        values = self.rungs[level]
        return sorted(values, key=lambda trial_id: -values[trial_id])

    def _best(self, level: int) -> list[str]:
        return self._ranked(level)[: len(self.rungs[level]) // self.factor]


@dataclass(kw_only=True)
class OneRung(Rule):
    """All trials pause at one epoch; when all have, the best go on, one after the other.

    Hard to beat where curves are easy to tell apart early (Egele et al. 2024, arXiv 2404.04111).
    """

    finalists: int = 3
    """How many get their full budget."""
    values: dict[str, float] = field(default_factory=dict)
    """The value with which each trial arrived at the rung."""
    passed: set[str] = field(default_factory=set)
    """Trials that went on, or are over."""

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        """See :class:`Rule`. The first of the trial's rungs is the only one."""
        rung = min(rungs, default=0)
        if epoch > rung:
            self.passed.add(trial_id)
        if epoch != rung:
            return GOES_ON
        self.values[trial_id] = _worst_if_nan(value)
        return Outcome(PAUSED, f"rung {epoch}: waits for the other trials")

    def leader(self, completed: int) -> str | None:
        """See :class:`Rule`."""
        waiting = [t for t in self._ranked() if t not in self.passed]
        return waiting[0] if waiting and completed < self.finalists else None

    def promote(self, trial_id: str) -> None:
        """See :class:`Rule`."""
        self.passed.add(trial_id)

    def end(self, trial_id: str) -> None:
        """See :class:`Rule`."""
        self.passed.add(trial_id)

    def standing(self, trial_id: str) -> str:
        """See :class:`Rule`: ``rank 5 of 12``."""
        return f"rank {self._ranked().index(trial_id) + 1} of {len(self.values)}"

    def _ranked(self) -> list[str]:
        return sorted(self.values, key=lambda trial_id: -self.values[trial_id])


@dataclass(kw_only=True)
class Median(Rule):
    """The median rule of Vizier (Golovin et al. 2017).

    From ``grace`` epochs on, a trial stops if its best value so far is strictly below the median
    of the other trials' mean values up to the same epoch; at least three others are needed.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    """By trial, the value of each epoch."""
    sums: dict[str, list[float]] = field(default_factory=dict)
    """By trial, ``sums[n]`` of its first n values: a mean in one division."""

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        """See :class:`Rule`. ``rungs`` are not used: every epoch is one."""
        self._hear(trial_id, epoch, _worst_if_nan(value))
        if epoch < self.grace:
            return GOES_ON
        means = [
            s[epoch] / epoch for t, s in self.sums.items() if t != trial_id and len(s) > epoch
        ]
        if len(means) < 3:
            return GOES_ON
        best, median = max(self.values[trial_id][:epoch]), statistics.median(means)
        if best >= median:
            return GOES_ON
        return Outcome(STOPPED, f"epoch {epoch}: best {best:.2%} < {median:.2%}")

    def _hear(self, trial_id: str, epoch: int, value: float) -> None:
        """An epoch that comes again after a recovery replaces the one before."""
        values = self.values.setdefault(trial_id, [])
        values[epoch - 1 : epoch] = [value]
        sums = self.sums.setdefault(trial_id, [0.0])
        sums[epoch - 1 :] = itertools.accumulate(values[epoch - 1 :], initial=sums[epoch - 1])


def _worst_if_nan(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def build_rule(
    name: str,
    *,
    grace: int,
    factor: int,
    held_out: int = 1,
    options: Mapping[str, Value] = MappingProxyType({}),
) -> Rule:
    """The rule of that name (``spaces.strategies.EARLY_STOPPING``) with its own ``options``.

    Raises ValueError for an unknown name, and for options that the rule does not have.
    """
    entry = named("early_stopping rule", name, EARLY_STOPPING)
    own = entry.complete(f"early_stopping rule {name}", options)
    rule: Rule = entry.builder()(grace=grace, factor=factor, held_out=held_out, **own)
    return rule
