"""Where every study stands, as a person reads it."""

import math
from collections import Counter
from dataclasses import dataclass

from analysis.amounts import short
from analysis.rule import selection_key
from analysis.schema import COMPLETED, DIVERGED, FAILED, PAUSED, RUNNING, STOPPED
from search.studies.confirm import leaders
from search.studies.study import Study
from search.studies.trial import Trial


@dataclass(frozen=True)
class StudyState:
    """One line of the table."""

    name: str  # the study's
    planned: int  # in all, those to come among them
    completed: int  # trials of that status
    running: int  # trials that have their resources
    waiting: int  # dealt, but without resources of the cluster yet
    paused: int  # at a rung
    stopped: int  # trials of that status
    diverged: int  # trials of that status
    failed: int  # trials of that status
    epochs: int  # trained, by trials of any status
    saved: int  # epochs that stopped trials did not train
    best: Trial | None  # by the selection rule, or so far the leader; None: none yet
    parameters: str  # of ``best``, those that the study varies
    epochs_of: tuple[tuple[int, int], ...]
    """Of the running trials (epochs trained, epochs in full), the first started first."""

    @property
    def ended(self) -> int:
        """Trials with a final status."""
        return self.completed + self.stopped + self.diverged + self.failed


def study_state(study: Study) -> StudyState:
    """Count the trials of a study. The best is the selection rule's, or so far the leader."""
    trials = list(study.trials.values())
    count = Counter(trial.status for trial in trials)
    waiting = len(study.waiting)
    best = _best(study)
    return StudyState(
        name=study.name,
        planned=len(trials) + study.to_come + len(study.later),
        completed=count[COMPLETED],
        running=study.running - waiting,
        waiting=waiting,
        paused=count[PAUSED],
        stopped=count[STOPPED],
        diverged=count[DIVERGED],
        failed=count[FAILED],
        epochs=sum(t.epochs for t in trials),
        saved=sum(t.config.max_epochs - t.epochs for t in trials if t.status == STOPPED),
        best=best,
        parameters=parameter_text(best, study) if best else "",
        epochs_of=tuple((t.epochs, t.config.max_epochs) for t in _training(study)),
    )


def _training(study: Study) -> list[Trial]:
    """The trials that have a slot and their resources."""
    # These are running in name: they wait for a slot.
    interrupted = {trial.trial_id for trial in study.interrupted}
    return [
        trial
        for trial in study.trials.values()
        if trial.status == RUNNING and not trial.waiting and trial.trial_id not in interrupted
    ]


def _best(study: Study) -> Trial | None:
    if full := leaders(study.trials.values(), study.search.metric):
        return full[0]
    values = {t.trial_id: getattr(t.last, study.search.metric) for t in study.searched if t.last}
    heard = [t for t in study.searched if not math.isnan(values.get(t.trial_id, math.nan))]
    return min(heard, key=lambda t: selection_key(t.number, values[t.trial_id]), default=None)


def parameter_text(trial: Trial, study: Study) -> str:
    """The parameters that the study varies: ``lam=3.1 lr=0.02 lr_schedule=multistep``."""
    names = [name.rpartition(".")[2] for name in study.cell.space.varies]
    values = trial.config.parameters
    return " ".join(f"{n}={short(values[n])}" for n in dict.fromkeys(names) if n in values)
