"""How much of a sweep is still to come, worked out from what was expected and what came so far."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from analysis.schema import PAUSED, SEARCH
from search.studies.round_robin import Sweep
from search.studies.study import Study
from search.studies.trial import Trial

EXPECTED_TRIALS = 4
"""Trials that an expectation counts as, beside those that ended: so the first few sway little."""


@dataclass(frozen=True)
class Forecast:
    """Epochs and seconds left of a sweep."""

    sweep: Sweep  # as it stands
    expected: Mapping[str, float]
    """Epochs of a search trial before anything ran, by study
    (:func:`search.planning.outline.outline`)."""

    @property
    def epochs_done(self) -> int:
        """Epochs trained, over all starts."""
        return sum(trial.epochs for trial in self.sweep.trials)

    @property
    def epochs_left(self) -> float:
        """Epochs that the sweep will still train."""
        return sum(self._left(study) for study in self.sweep.studies.values())

    def seconds_left(self, slots: int) -> float | None:
        """Wall-clock until the sweep ends; None before the first epoch."""
        overall = epoch_seconds(self.sweep.trials)
        if not overall:
            return None
        seconds = sum(
            self._left(study) * (epoch_seconds(study.trials.values()) or overall)
            for study in self.sweep.studies.values()
        )
        return max(seconds / max(1, slots), self._longest(overall))

    def _left(self, study: Study) -> float:
        """Of one study: its trials that run, those to come, and what follows these."""
        full = study.cell.max_epochs
        ended = [trial.epochs for trial in study.searched if trial.ended]
        expected = self.expected.get(study.name, full)
        mean = (EXPECTED_TRIALS * expected + sum(ended)) / (EXPECTED_TRIALS + len(ended))
        left = study.to_come * mean + sum(study.later)
        return left + sum(
            _rest(trial, ended, expected)
            for trial in study.trials.values()
            if not trial.ended and trial.status != PAUSED
        )

    def _longest(self, seconds: float) -> float:
        """What the trial that runs longest still takes, if nothing stops it."""
        left = [t.config.max_epochs - t.epochs for t in self.sweep.trials if not t.ended]
        later = [epochs for study in self.sweep.studies.values() for epochs in study.later]
        return seconds * max([*left, *later, 0])


def _rest(trial: Trial, ended: Iterable[int], expected: float) -> float:
    """Epochs that a running trial still takes: what those took that got as far."""
    full = trial.config.max_epochs
    if trial.phase != SEARCH:
        return full - trial.epochs
    further = [epochs - trial.epochs for epochs in ended if epochs > trial.epochs]
    return sum(further) / len(further) if further else max(expected, full) - trial.epochs


def epoch_seconds(trials: Iterable[Trial]) -> float:
    """Mean over the epochs so far; 0 before the first."""
    seconds, epochs = 0.0, 0
    for trial in trials:
        seconds, epochs = seconds + trial.seconds, epochs + trial.epochs
    return seconds / epochs if epochs else 0.0
