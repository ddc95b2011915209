"""One start of a sweep in its results folder.

What can be wrong is found before anything is written: a start looks at the folder, makes it its
own, reads and draws what it needs, joins Ray and asks the nodes, and only then writes. So a start
that is refused leaves the folder as it was, and nothing is ever undone. The one file that comes
earlier is the sign that the folder is taken: of two drivers one waits or goes before they read.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from analysis.results import load_results
from analysis.schema import FAILED
from search import compat
from search.cluster import RayFailedError, join, resources, watch
from search.driver import provenance
from search.driver.budget import Hours, wall_clock
from search.driver.forecast import Forecast
from search.driver.housekeeping import Housekeeping
from search.driver.label_book import LabelBook
from search.driver.ownership import Ownership, OwnershipLost
from search.driver.progress import Progress
from search.driver.reading import reading
from search.driver.recorder import Recorder
from search.driver.restore import restore
from search.driver.signals import Interrupted, Signals
from search.driver.tuner import build_tuner
from search.driver.warm_start import write_earlier
from search.planning.outline import Outline, outline
from search.planning.plan import measured
from search.planning.plan_table import one_line
from search.studies.confirm import replicate_seeds
from search.studies.earlier import Earlier
from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, dump_sweep
from trainable.folder import layout
from trainable.folder.storage import Folder, StorageError


@dataclass(frozen=True)
class Finished:
    """How a sweep ended."""

    spec: SweepSpec  # what was run
    folder: Folder  # its results
    failed: tuple[Trial, ...]  # trials that failed for good


@dataclass(frozen=True)
class Wanted:
    """What a command wants of a results folder."""

    spec: SweepSpec  # the sweep to run
    there: SweepSpec | None
    """What the folder's sweep file says until now; None: the sweep is to begin."""
    earlier: Earlier = field(default_factory=Earlier)  # what it takes from another sweep
    prepare: Callable[[Sweep], None] = lambda sweep: None  # adds trials to what is left to run
    limited: bool = True  # whether the hours of ``[budget]`` count


@dataclass(frozen=True)
class Start:
    """One start of a sweep in a folder that is this driver's: all it needs, nothing written."""

    wanted: Wanted  # what the command asked for
    folder: Folder  # the results
    sweep: Sweep  # stands where the folder's rows stop
    spent: float  # seconds of wall-clock before this start
    book: LabelBook  # has the given labels
    recorder: Recorder  # writes what comes
    owner: Ownership  # holds the folder against other drivers
    signals: Signals  # ends the sweep in good order on Ctrl-C and SIGTERM
    console: Console  # where people are told


def run(folder: Folder, console: Console, look: Callable[[], Wanted]) -> Finished:
    """Run what ``look`` finds to be wanted of a folder, or refuses.

    It looks before anything is waited for, and again once the folder is ours: who had it until
    then may have changed what is there.
    """
    look()
    folder.check_writable()

    def note(text: str) -> None:
        console.print(Text(text), soft_wrap=True)

    with Signals() as signals, Ownership(folder, note) as owner:
        try:
            one = _read(look(), folder, console, owner, signals)
            _go(one)
        except OwnershipLost as lost:
            raise Interrupted(f"stopped: {lost}") from lost
    failed = tuple(trial for trial in one.sweep.trials if trial.status == FAILED)
    return Finished(one.wanted.spec, folder, failed)


def _read(
    wanted: Wanted, folder: Folder, console: Console, owner: Ownership, signals: Signals
) -> Start:
    """What is in the folder already, and what the trials to come need: data and labels."""
    spec = wanted.spec
    sweep = Sweep.build(spec, wanted.earlier)
    book = LabelBook(folder)
    recorder = Recorder(
        sweep,
        folder,
        lambda trial: provenance.describe(trial, spec) | book.describe(trial.config),
        tidy=Housekeeping(folder).tidy,
        confirm=owner.confirm,
    )
    searched = {cell.study: cell.trial(cell.reference, spec.seed) for cell in spec.cells()}
    again = replicate_seeds(spec.seed, spec.confirm.seeds) if spec.confirm else ()
    with reading(console) as told:
        book.add(searched.values(), told)
        for seed in again:
            book.add((cell.trial(cell.reference, seed) for cell in spec.cells()), told)
    sweep.judged_on(book.datasets)
    sweep.labelled(book.transitions(searched))
    spent = 0.0
    earlier = load_results(folder) if wanted.there is not None else None
    if earlier is not None:
        restore(sweep, recorder, earlier)
        spent = wall_clock(provenance.starts(folder), sorted(earlier.epochs["recorded_at"]))
    wanted.prepare(sweep)
    book.add(trial.config for trial in sweep.trials if not trial.ended)
    if earlier is not None:
        book.check(earlier, {trial.trial_id: trial.config for trial in sweep.trials})
    for dataset in book.datasets.values():
        for text in dataset.notes:
            console.print(Text(f"note: {text}", style="yellow"), soft_wrap=True)
    return Start(wanted, folder, sweep, spent, book, recorder, owner, signals, console)


def _go(start: Start) -> None:
    """Train what is left, if anything is, and leave whole tables."""
    if start.sweep.finished:
        _write(start)
    else:
        with join.joined(start.wanted.spec.resources.join_seconds, start.console):
            share = resources.trial_resources(start.wanted.spec.resources)
            resources.check_storage(start.folder)
            slots = resources.Slots(share, start.wanted.spec.resources)
            hours = Hours(start.sweep, gpus=share.gpus, slots=slots, spent=start.spent)
            _write(start)
            if start.wanted.limited:
                hours.check()
            if not start.sweep.finished:
                _train(start, slots, hours)
        if text := hours.used_up():
            start.console.print(Text(text, style="yellow"), soft_wrap=True)
    with _explained(), start.signals.held():
        start.recorder.close(compact=True)


def _write(start: Start) -> None:
    """The first files of this start: the sweep file is there before all that builds on it."""
    wanted, folder = start.wanted, start.folder
    with _explained():
        start.owner.confirm()
        if wanted.there is None:
            write_earlier(folder, wanted.earlier)
        if wanted.there != wanted.spec:
            folder.write(layout.SWEEP, dump_sweep(wanted.spec).encode())
        start.book.write()
        start.recorder.begin()


def _train(start: Start, slots: resources.Slots, hours: Hours) -> None:
    # What Tune would log (restore me, no metrics found) is untrue here: the folder is the state.
    for logs in ("ray.tune", "ray.train"):
        logging.getLogger(logs).setLevel(logging.CRITICAL)
    left = hours.left if start.wanted.limited else lambda: math.inf
    sketch = outline(start.wanted.spec, slots(), start.book.datasets)
    forecast = Forecast(start.sweep, sketch.trial_epochs)
    if not any(start.sweep.trials):
        _announce(start, sketch)
    with _explained():
        provenance.record_start(start.folder, resources.nodes())
        with (
            start.signals.held() as stop_if_asked,
            _saved(start.recorder),
            Progress(forecast, start.console, slots, left) as progress,
            compat.tune_writes_only(lambda: _is_there(start.folder)),
        ):
            limit = (hours.check,) if start.wanted.limited else ()
            checks = (watch.check_alive, stop_if_asked, start.owner.check, *limit)
            build_tuner(
                start.sweep,
                folder=start.folder,
                book=start.book,
                recorder=start.recorder,
                progress=progress,
                slots=slots,
                checks=checks,
            ).fit()


def _is_there(folder: Folder) -> bool:
    """Whether the results folder is there, and not away or moved: nothing is to be made anew."""
    try:
        return layout.is_there(folder)
    except StorageError:
        return False


def _announce(start: Start, sketch: Outline) -> None:
    """Print what is about to run and how long it will take, measured on a few training steps."""
    spec, console = start.wanted.spec, start.console
    try:
        with console.status("measuring a few training steps"):
            made = measured(spec, start.book.datasets)
    except SpecError:  # the cluster is busy: the trials will wait, and so would the figure
        console.print(Text(one_line(sketch)), soft_wrap=True)
        return
    console.print(Text(one_line(made.outline, made.hours)), soft_wrap=True)
    for note in filter(None, [made.limit, made.too_long]):
        console.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)


@contextmanager
def _explained() -> Iterator[None]:
    """A storage that fails from here on, or Ray, stops a sweep that has begun."""
    try:
        yield
    except (StorageError, RayFailedError) as error:
        raise Interrupted(f"stopped: {error}") from error


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
