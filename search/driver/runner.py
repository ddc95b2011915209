"""Running a sweep from its file to its results folder, for the first time or again."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import ray
from rich.console import Console
from rich.text import Text

from analysis.best import top_configs
from analysis.results import ResultsError, load_results
from search.cluster import resources
from search.driver import provenance
from search.driver.housekeeping import Housekeeping
from search.driver.label_book import LabelBook
from search.driver.ownership import OWNER, Ownership, OwnershipLost
from search.driver.progress import Progress
from search.driver.recorder import Recorder
from search.driver.restore import restore
from search.driver.signals import Interrupted, Signals
from search.driver.tuner import build_tuner
from search.driver.warm_start import WARM_START, read_points, warm_points, write_points
from search.planning.network import with_network
from search.planning.outline import outline
from search.planning.plan import measured
from search.planning.printed import one_line
from search.studies.sweep import Sweep
from search.studies.trial import Trial
from spaces.load import SpecError, differences, dump_sweep, parse_sweep
from spaces.sweep import SweepSpec
from trainable.data.files import DataError
from trainable.folder.patience import SWEEP_FILE
from trainable.folder.storage import Folder, StorageError
from trainable.noise.kinds import NoiseError

T = TypeVar("T")


@dataclass(frozen=True)
class Finished:
    """How a sweep ended: its folder, and the trials that failed for good."""

    spec: SweepSpec
    folder: Folder
    failed: tuple[Trial, ...]


def start(
    spec: SweepSpec, storage: str | Path, console: Console, *, warm_start: str | None = None
) -> Finished:
    """Run a sweep into ``<storage>/<name>``, or resume it if it is there already.

    ``warm_start``: an earlier results folder whose best points are tried first. Raises SpecError
    if the folder is another sweep's or another driver runs it, StorageError if it cannot be
    written, Interrupted when stopped by a signal.
    """
    folder = Folder.open(storage) / spec.name
    _check_lasting(folder)
    folder.check_writable()  # S3 says why it refuses a write, not why it refuses a look
    spec = _with_network(spec, folder, console)
    with _alone(folder, console, lambda: _present(spec, folder, warm_start)) as (alone, there):
        with alone.undone_if_refused():
            if there is None:
                alone.undo = lambda: Folder.open(storage).delete(spec.name)
                if warm_start is not None:
                    write_points(folder, warm_points(spec, load_results(warm_start, columns=[])))
            elif there != spec:
                alone.undo = lambda: folder.write(SWEEP_FILE, dump_sweep(there).encode())
            if there != spec:
                folder.write(SWEEP_FILE, dump_sweep(spec).encode())
        return _run(spec, folder, console, alone)


def _with_network(spec: SweepSpec, folder: Folder, console: Console) -> SweepSpec:
    """The sweep with its network named: that of the folder, or the default here.

    Whoever goes on with the sweep elsewhere finds it in the folder's sweep file.
    """
    if spec.network is not None:
        return spec
    if folder.exists(SWEEP_FILE):
        return spec.model_copy(update={"network": read_spec(folder).network})
    named, why = with_network(spec)
    console.print(Text(why), soft_wrap=True)
    return named


def _present(spec: SweepSpec, folder: Folder, warm_start: str | None) -> SweepSpec | None:
    """The sweep that ``spec`` goes on with, None if it is to begin in an empty folder.

    Raises SpecError if something else is there.
    """
    if not folder.exists(SWEEP_FILE):
        if set(folder.names()) - {OWNER}:
            raise SpecError(
                f"{folder} is not empty and holds no {SWEEP_FILE}: not a results folder"
            )
        return None
    if warm_start is not None and not folder.exists(WARM_START):
        raise SpecError(f"{folder} has started without --warm-start; give a --name")
    there = read_spec(folder)
    if changed := differences(there, spec):
        lines = "\n".join(f"  {line}" for line in changed)
        raise SpecError(
            f"{folder} holds another sweep of this name; give it a --name, or use extend:\n{lines}"
        )
    return there


def _check_lasting(folder: Folder) -> None:
    """Refuse results in the working directory of a submitted job, which Ray deletes."""
    if "runtime_resources" in Path(folder.location).parts:
        raise SpecError(
            "--storage: a submitted job's working directory is deleted after it; give an absolute "
            "path that every node mounts, or a URI such as s3://bucket/sweeps"
        )


def read_spec(folder: Folder) -> SweepSpec:
    """The sweep file of a results folder. Raises SpecError if there is none."""
    if not folder.exists(SWEEP_FILE):
        raise SpecError(f"{folder} is not a results folder: it has no {SWEEP_FILE}")
    return parse_sweep(folder.read(SWEEP_FILE), where=f"{folder}/{SWEEP_FILE}")


def extend(folder: Folder, trials: int, console: Console) -> Finished:
    """Give every study of a results folder ``trials`` more, and run them.

    Raises SpecError if there is no results folder or nothing could be added.
    """
    with _alone(folder, console, lambda: _longer(folder, trials)) as (alone, (spec, longer)):
        alone.undo = lambda: folder.write(SWEEP_FILE, dump_sweep(spec).encode())
        folder.write(SWEEP_FILE, dump_sweep(longer).encode())
        return _run(longer, folder, console, alone)


def _longer(folder: Folder, trials: int) -> tuple[SweepSpec, SweepSpec]:
    """The sweep of a results folder, and the same with ``trials`` more for every study."""
    spec = read_spec(folder)
    table = spec.model_dump()
    table["budget"]["trials"] += trials
    longer = SweepSpec.model_validate(table)
    if Sweep.build(longer).planned == Sweep.build(spec).planned:
        raise SpecError(f"{folder}: every point of the space is planned already")
    return spec, longer


def replicate(folder: Folder, top: int, seeds: int, console: Console) -> Finished:
    """Run the ``top`` trials of every study again on ``seeds`` fresh seeds, at full budget.

    Seeds follow the sweep's own, the same for every study, so that losses are compared on the
    same noise, split and initialisation. Replicates that are there already are not repeated,
    those that were interrupted go on, those that failed start again. Raises SpecError if the
    search is not finished.
    """

    def add_replicates(sweep: Sweep) -> None:
        if not all(study.searched_out for study in sweep.studies.values()):
            raise SpecError(f"{folder}: the search is not finished; resume it first")
        best = top_configs(load_results(folder), top)
        for trial_id, study in zip(best["trial_id"], best["study"], strict=True):
            for seed in range(sweep.spec.seed + 1, sweep.spec.seed + 1 + seeds):
                sweep.studies[study].replicate(trial_id, seed)

    with _alone(folder, console, lambda: read_spec(folder)) as (alone, spec):
        return _run(spec, folder, console, alone, prepare=add_replicates)


def resume(folder: Folder, console: Console) -> Finished:
    """Run what is left of the sweep in a results folder. Raises SpecError if there is none."""
    with _alone(folder, console, lambda: read_spec(folder)) as (alone, spec):
        return _run(spec, folder, console, alone)


@dataclass
class _Alone:
    """A results folder that is this driver's, and the signals that may end it.

    ``undo`` takes back what was written so far; it is called if the sweep is refused before any
    trial can start.
    """

    signals: Signals
    owner: Ownership
    undo: Callable[[], None] = lambda: None

    @contextmanager
    def undone_if_refused(self) -> Iterator[None]:
        """What is wrong with data, noise, resources or results is found before any trial starts.

        Then nothing is left behind, so that the mended sweep file finds no other sweep there.
        """
        try:
            yield
        except (SpecError, DataError, NoiseError, ResultsError):
            self.owner.release(self.undo)
            raise


@contextmanager
def _alone(folder: Folder, console: Console, look: Callable[[], T]) -> Iterator[tuple[_Alone, T]]:
    """The folder for this driver alone, and what ``look`` finds there, or refuses.

    It looks before anything is written or waited for, and again once the folder is ours: who had
    it until then may have changed what is there.
    """
    look()
    folder.check_writable()

    def note(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    with Signals() as signals, Ownership(folder, note) as owner:
        try:
            yield _Alone(signals, owner), look()
        except OwnershipLost as lost:
            raise Interrupted(f"stopped: {lost}") from lost


def _run(
    spec: SweepSpec,
    folder: Folder,
    console: Console,
    alone: _Alone,
    *,
    prepare: Callable[[Sweep], None] = lambda sweep: None,
) -> Finished:
    """Run what is left of a sweep in its folder, and what ``prepare`` adds to it."""
    with alone.undone_if_refused():
        sweep = Sweep.build(spec, read_points(folder))
        book = LabelBook(folder)
        recorder = Recorder(
            sweep,
            folder,
            lambda trial: provenance.describe(trial, spec) | book.describe(trial.config),
            tidy=Housekeeping(folder).tidy,
            confirm=alone.owner.confirm,
        )
        restore(sweep, recorder, load_results(folder))
        prepare(sweep)
        book.add(cell.trial(cell.reference, spec.seed) for cell in spec.cells())
        book.add(trial.config for trial in sweep.trials if not trial.ended)
    try:
        if not sweep.finished:
            _fit(sweep, folder, book, recorder, console, alone)
        with alone.signals.held():
            recorder.close(compact=True)
    except StorageError as error:
        raise Interrupted(f"stopped: {error}") from error
    return Finished(spec, folder, tuple(t for t in sweep.trials if t.status == "failed"))


def _fit(
    sweep: Sweep,
    folder: Folder,
    book: LabelBook,
    recorder: Recorder,
    console: Console,
    alone: _Alone,
) -> None:
    # What Tune would log (restore me, no metrics found) is untrue here: the folder is the state.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    ours = not ray.is_initialized()
    with alone.undone_if_refused():
        resources.connect()
    try:
        with alone.undone_if_refused():
            share = resources.trial_resources(sweep.spec.resources)
            resources.check_storage(folder)
        slots = resources.Slots(share, sweep.spec.resources)
        alone.owner.confirm()
        provenance.record_start(folder, resources.nodes())
        if not any(sweep.trials):
            _announce(sweep.spec, book, slots(), console)
        with (
            alone.signals.held() as stop_if_asked,
            _saved(recorder),
            Progress(sweep, console, slots.occupancy) as progress,
        ):
            build_tuner(
                sweep,
                folder=folder,
                book=book,
                recorder=recorder,
                progress=progress,
                resources=share,
                slots=slots,
                checks=(stop_if_asked, alone.owner.check),
            ).fit()
    finally:
        if ours:
            ray.shutdown()


def _announce(spec: SweepSpec, book: LabelBook, slots: int, console: Console) -> None:
    """Print what is about to run and how long it will take, measured on a few training steps."""
    try:
        with console.status("measuring a few training steps"):
            made = measured(spec, book.datasets)
    except SpecError:  # the cluster is busy: the trials will wait, and so would the figure
        console.print(Text(one_line(outline(spec, slots))), soft_wrap=True)
        return
    console.print(Text(one_line(made.outline, made.hours)), soft_wrap=True)
    if made.too_long:
        console.print(Text(f"note: {made.too_long}", style="yellow"), soft_wrap=True)


@contextmanager
def _saved(recorder: Recorder) -> Iterator[None]:
    """However the training ends early, what is in memory is written, if the folder is ours."""
    try:
        yield
    except KeyboardInterrupt:
        recorder.close()
        raise Interrupted("interrupted; everything so far is saved") from None
    except BaseException:
        with suppress(StorageError, OwnershipLost):
            recorder.close()
        raise
