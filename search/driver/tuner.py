"""Thin adapters between a :class:`Sweep` and Ray Tune: one Tuner runs all studies.

Tune starts actors and carries results; everything decided is decided by the sweep. A trial that
pauses, fails or was interrupted ends for Tune, and comes back as a new Tune trial that continues
from its checkpoint: one way for promotion, retry and resume.
"""

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.callback import Callback
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler

from analysis.schema import DEEPER, REPLICATE, RUNNING
from search import compat
from search.cluster.resources import Slots, TrialResources
from search.driver.dealing import NotPickled, StudiesSearch
from search.driver.label_book import LabelBook
from search.driver.progress import Progress
from search.driver.recorder import Recorder
from search.driver.tensorboard import TensorBoardCallback
from search.studies.afterwards import why_afresh
from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from spaces.sweep import SweepSpec
from trainable.config import labels_name
from trainable.folder import layout
from trainable.folder.storage import Folder, RefusedError
from trainable.metrics import TEST_METRICS
from trainable.trial.ray_trainable import Assignment, TrialTrainable

TUNE_SECONDS = 60
"""How often Tune writes and copies its logs: each time those of all trials there have been."""


class LadderScheduler(NotPickled, FIFOScheduler):
    """Asks the sweep what becomes of a trial after each epoch."""

    def __init__(self, sweep: Sweep, find: Callable[[TuneTrial], Trial]) -> None:
        super().__init__()
        self._sweep = sweep  # what judges the epochs
        self._find = find  # our trial of one of Tune's
        self._added: deque[TuneTrial] = deque()  # the trials that may wait for an actor, in order

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """A trial that waits for an actor."""
        self._added.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """The first that waits. Tune asks at every event: who has run is not looked at again."""
        while self._added and self._added[0].status != TuneTrial.PENDING:
            self._added.popleft()
        return self._added[0] if self._added else None

    def on_trial_result(
        self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]
    ) -> str:
        """CONTINUE while the trial runs; STOP when it has ended or pauses."""
        outcome = self._sweep.report(self._find(trial), result["metrics"])
        return str(self.CONTINUE if outcome.status == RUNNING else self.STOP)


class RecorderCallback(NotPickled, Callback):
    """Tells the recorder and the live table what happened.

    Each of ``checks`` is called between two events, and may raise to end the sweep.
    """

    def __init__(
        self,
        sweep: Sweep,
        recorder: Recorder,
        progress: Progress,
        find: Callable[[TuneTrial], Trial],
        checks: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._sweep = sweep  # hears of trials that broke
        self._recorder = recorder  # hears of every epoch
        self._progress = progress  # shows what is worth a line
        self._find = find  # our trial of one of Tune's
        self._checks = checks
        # What an actor's storage said that takes nothing more: it stops the sweep.
        self._refused: RefusedError | None = None

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial has its actor."""
        self._find(trial).waiting = False
        self._recorder.changed()

    def on_trial_result(
        self,
        iteration: int,
        trials: list[TuneTrial],
        trial: TuneTrial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        """An epoch came in, and the scheduler has judged it."""
        ours = self._find(trial)
        self._recorder.epoch(ours, result["metrics"], result["device"], result["hostname"])
        for note in result["notes"]:
            self._progress.note(f"{ours.trial_id}: {note}")

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        """A trial broke, or its actor or node did.

        A storage that refuses is no trial's fault, nor is it that Ray has died: both stop the
        sweep when this step ends.
        """
        if compat.dead_process_of_ray():
            return
        ours = self._find(trial)
        if (refused := _refusal(trial)) is not None:
            self._refused = refused
            return
        error = _one_line(trial)
        self._sweep.fail(ours, error)
        self._progress.note(f"{ours.trial_id}: {error}")
        self._recorder.changed()

    def on_step_end(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Tune went once round its loop, which it does at least every tenth of a second."""
        if self._refused is not None:
            raise self._refused
        for check in self._checks:
            check()
        self._recorder.tick()
        self._progress.tick()


def build_tuner(
    sweep: Sweep,
    *,
    folder: Folder,
    book: LabelBook,
    recorder: Recorder,
    progress: Progress,
    slots: Slots,
    checks: Sequence[Callable[[], None]] = (),
) -> tune.Tuner:
    """The one Tuner of a sweep. Its ``fit()`` returns when the sweep has nothing left to run."""
    _configure_tune()
    trainable = tune.with_parameters(
        TrialTrainable,
        datasets=book.datasets,
        labels={key: noisy.labels for key, noisy in book.noisy.items()},
    )

    def assign(trial: Trial) -> Assignment:
        rungs = tuple(sweep.studies[trial.study].rungs(trial))
        every = _test_every(trial, sweep.spec)
        source = _source(trial, sweep, progress) if trial.phase == DEEPER else None
        return _assignment(trial, rungs, every, folder, slots.trial, source)

    def find(trial: TuneTrial) -> Trial:
        assigned = _assigned(trial)
        return sweep.studies[assigned.study].trials[assigned.trial_id]

    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudiesSearch(sweep, assign, slots),
            scheduler=LadderScheduler(sweep, find),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=time.strftime("%Y-%m-%d_%H-%M-%S"),
            storage_path=(folder / layout.TUNE).location,
            callbacks=[
                RecorderCallback(sweep, recorder, progress, find, checks),
                TensorBoardCallback(),
            ],
            verbose=0,
        ),
    )


def _configure_tune() -> None:
    """Set what Tune reads from the environment only."""
    # All free slots ask for their actors at once; the searcher itself keeps to the slots.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "100000"
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = str(TUNE_SECONDS)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the old output engine is silent when told to be


def _test_every(trial: Trial, spec: SweepSpec) -> int | None:
    """Each epoch where the test set selects, against all advice; unless said, also for figures."""
    given = spec.training.test_every
    drawn = trial.phase == REPLICATE and given is None
    return 1 if drawn or spec.search.metric in TEST_METRICS else given


def _assigned(trial: TuneTrial) -> Assignment:
    assigned: Assignment = trial.config["assignment"]
    return assigned


def _source(trial: Trial, sweep: Sweep, progress: Progress) -> tuple[str, str] | None:
    """What a deeper trial goes on from; None, and said why, if it has to start afresh."""
    source = sweep.studies[trial.study].trials[trial.source_trial_id]
    reason = why_afresh(source.config, trial.config.max_epochs)
    if not reason:
        return source.trial_id, source.config.fingerprint
    if trial.attempt == 1:
        progress.note(f"{trial.trial_id}: starts afresh: {reason}")
    return None


def _assignment(
    trial: Trial,
    rungs: tuple[int, ...],
    test_every: int | None,
    folder: Folder,
    resources: TrialResources,
    source: tuple[str, str] | None = None,
) -> Assignment:
    return Assignment(
        study=trial.study,
        trial_id=trial.trial_id,
        config=trial.config.as_dict(),
        labels=labels_name(trial.config),
        results=folder.location,
        recorded_epochs=trial.epochs,
        rungs=rungs,
        test_every=test_every,
        threads=resources.threads,
        cpus=resources.cpus,
        gpus=resources.gpus,
        source=source,
    )


def _refusal(trial: TuneTrial) -> RefusedError | None:
    """The storage's refusal that a trial ended with, if that is why: it stops the whole sweep."""
    if not trial.pickled_error_file:
        return None
    # Written by this process: what the actor raised.
    error = pickle.loads(Path(trial.pickled_error_file).read_bytes())
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, RefusedError) else None


def _one_line(trial: TuneTrial) -> str:
    """What went wrong, in one line: a traceback's last, or an actor's end in Ray's own words.

    Tune writes it to a file in its staging folder, and syncs that to its storage only later.
    """
    text = Path(trial.error_file).read_text() if trial.error_file else ""
    lines = [line.strip() for line in text.rpartition("Failure # ")[2].splitlines()[1:]]
    lines = [line for line in lines if line] or ["unknown error"]
    return lines[-1 if "ray::" in lines[0] else 0]
