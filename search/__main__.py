"""``python -m search``: run, resume and look at sweeps.

What takes seconds to import (torch, Ray, pandas) is imported by the commands that need it, once
their arguments are checked.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from analysis.printed.console import SafeConsole
from analysis.printed.streams import lasting_streams
from analysis.store import ResultsError
from search.cluster import RayFailedError
from search.cluster.cores import usable_cores
from search.cluster.watch import LastWords, last_resort
from search.driver.shell import python
from search.driver.signals import Interrupted, Signals
from spaces.presets import PRESETS
from spaces.sections import DeepenSpec
from spaces.sweep_file import SpecError, load_sweep, shipped
from trainable.data.files import DataError
from trainable.folder import layout
from trainable.folder.storage import Folder, StorageError
from trainable.noise import NoiseError

if TYPE_CHECKING:
    from search.driver.run import Finished

app = typer.Typer(
    help="Search hyperparameters of losses for noisy labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = SafeConsole()
err = SafeConsole(stderr=True)

Spec = Annotated[str, typer.Argument(help="a .toml file or a shipped sweep (see presets)")]
ResultsFolder = Annotated[str, typer.Argument(help="a results folder, path or URI")]
Storage = Annotated[str, typer.Option(help="path or URI that holds the results folders")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value, dotted keys")]
Name = Annotated[str | None, typer.Option(help="name of the sweep and of its folder")]


@app.command()
def run(
    spec: Spec,
    storage: Storage = "results",
    name: Name = None,
    set_: Set = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            help="an earlier results folder: its best points first; multitask learns from all"
        ),
    ] = None,
) -> None:
    """Run a sweep, or go on with it if its folder is there already."""
    with _clear_errors():
        sweep = load_sweep(spec, set_ or (), name=name)
        _end(
            lambda runner: runner.start(sweep, storage, out, warm_start=warm_start),
            Folder.open(storage) / sweep.name,
        )


@app.command()
def resume(results: ResultsFolder) -> None:
    """Go on with an interrupted sweep where its results folder stops."""
    with _clear_errors():
        folder = Folder.open(results)
        _end(lambda runner: runner.resume(folder, out), folder)


@app.command()
def extend(
    results: ResultsFolder,
    trials: Annotated[int | None, typer.Option(min=1, help="more trials for every study")] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(min=1, help="a larger budget for the best trials of every study"),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="how many get the larger budget")] = 3,
) -> None:
    """Add trials to every study of a sweep, finished or not, or epochs to its best; run them."""
    with _clear_errors():
        if not (trials or max_epochs):
            raise SpecError("extend: say what to add: --trials N, --max-epochs N, or both")
        deepen = DeepenSpec(max_epochs=max_epochs, top=top) if max_epochs else None
        folder = Folder.open(results)
        _end(lambda runner: runner.extend(folder, trials or 0, out, deepen), folder)


@app.command()
def replicate(
    results: ResultsFolder,
    top: Annotated[int, typer.Option(min=1, help="best trials of each study")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="fresh seeds for each of them")] = 5,
) -> None:
    """Run the best trials of every study again on fresh seeds, at full budget."""
    with _clear_errors():
        folder = Folder.open(results)
        _end(lambda runner: runner.replicate(folder, top, seeds, out), folder)


@app.command()
def plan(spec: Spec, storage: Storage = "results", name: Name = None, set_: Set = None) -> None:
    """Say what a sweep will cost: epochs, hours, memory, disk. Runs a few training steps."""
    with _clear_errors():
        sweep = load_sweep(spec, set_ or (), name=name)
        _check_home()

        from search.planning import plan as planning
        from search.planning.plan_table import print_plan

        folder = Folder.open(storage) / sweep.name
        with err.status("measuring a few training steps"):
            made = planning.plan(sweep)
        print_plan(made, out)
        if folder.names():
            out.print(Text(f"note: {folder} is there already; run would go on with it"))


@app.command()
def replay(
    curves: Annotated[
        str, typer.Argument(help="results of a sweep without early stopping, or a .parquet of one")
    ],
    strategy: Annotated[
        list[str] | None, typer.Option(help="sampler+early_stopping, or stock; repeatable")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="runs of every strategy")] = 20,
    slots: Annotated[int, typer.Option(min=1, help="trials at once")] = 1,
    set_: Set = None,
    unrelated: Annotated[
        bool, typer.Option("--unrelated", help="deal each study's curves to its points at random")
    ] = False,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="offer multitask no points: it gets the nearest too")
    ] = False,
    figure: Annotated[
        str | None, typer.Option(help="draw the regret over epochs into this .pdf, .svg or .png")
    ] = None,
    export: Annotated[str | None, typer.Option(help="write the curves to this .parquet")] = None,
) -> None:
    """Compare search strategies on recorded full-length curves, in minutes."""
    with _clear_errors():
        from search.replay.curves import load_curves, overridden, save_curves
        from search.replay.replay import STRATEGIES
        from search.replay.replay import replay as runs
        from search.replay.replay_table import print_replay

        if figure is not None:
            # matplotlib and plotly take seconds to import, which only a figure needs.
            from search.replay.regret_figure import check_figure, write_regret

            check_figure(figure)
        recorded = overridden(load_curves(curves), set_ or ())
        if export is not None:
            save_curves(recorded, export)
        chosen = strategy or list(STRATEGIES)
        with err.status("replaying"):
            done = list(
                runs(
                    *(recorded, chosen),
                    seeds=seeds,
                    slots=slots,
                    offered=not nearest,
                    unrelated=unrelated,
                )
            )
        print_replay(recorded, done, out)
        if figure is not None:
            write_regret(done, figure)


@app.command()
def presets() -> None:
    """List the shipped sweeps and the presets of search spaces."""
    out.print("sweeps (python -m search run NAME)", style="bold")
    out.print(_listed({name: text.splitlines()[0] for name, text in shipped().items()}))
    out.print(Text('presets of [space] (preset = "NAME")', style="bold"))
    out.print(_listed({name: preset.summary for name, preset in PRESETS.items()}))


def _listed(lines: Mapping[str, str]) -> Table:
    """Names with a line on each, which a terminal folds beside the names."""
    table = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        table.add_row(f"  {name}", Text(text.lstrip("# ")))
    return table


def _end(go: "Callable[[Any], Finished]", folder: Folder) -> None:
    """Run ``go(runner)`` and say how it ended: exit code 0, 1 (failures) or 130 (interrupted)."""
    _check_home()
    resume = f"Go on with:\n  {python()} -m search resume {folder.argument}"
    again = "nothing is written yet: give the same command again"

    def last_words(why: str) -> None:
        _stopped(why, f"{resume}\nor, if {again}")
        unsaid.close()

    unsaid = LastWords(f"stopped: killed, or ended by Ray\n{resume}\nor, if {again}")
    try:
        with closing(unsaid), Signals(), last_resort(last_words):
            # Within, as loading takes seconds in which somebody may press Ctrl-C.
            with err.status("loading torch and Ray"):
                from search.driver import runner

            finished = go(runner)
            _say(finished)
    except (Interrupted, KeyboardInterrupt) as interruption:
        why = str(interruption) or "interrupted; no trial was running"
        try:
            _stopped(why, resume if layout.is_there(folder) else again)
        except StorageError:
            last_words(why)
        raise typer.Exit(1 if interruption.__cause__ else 130) from None
    if finished.failed:
        raise typer.Exit(1)


def _check_home() -> None:
    """Raise SpecError for a user without a home: Ray fails without one as it is loaded."""
    try:
        Path.home()
    except RuntimeError:
        raise SpecError("this user has no home, which Ray needs: set HOME") from None


def _stopped(why: str, how_to_go_on: str) -> None:
    err.print(Text(f"{why}\n{how_to_go_on}"), soft_wrap=True)
    sys.stderr.flush()
    out.show_cursor()  # a live table that was cut short has hidden it


def _say(finished: "Finished") -> None:
    from analysis.printed.text import console, print_best
    from analysis.report.write import write_report
    from analysis.results import load_results
    from search.driver.next_steps import print_next

    results = load_results(finished.folder, columns=[])
    print_best(results, console())
    print_next(results, write_report(finished.folder), out)
    for trial in finished.failed:
        err.print(Text(f"failed: {trial.trial_id}: {trial.end_reason}"), soft_wrap=True)


@contextmanager
def _clear_errors() -> Iterator[None]:
    """A person's mistake is one clear line and exit code 2, never a traceback."""
    try:
        yield
    except (SpecError, StorageError, ResultsError, DataError, NoiseError) as error:
        for line in str(error).splitlines():
            err.print(Text(line), soft_wrap=True)
        raise typer.Exit(2) from None
    except RayFailedError as error:
        err.print(Text(str(error)), soft_wrap=True)
        raise typer.Exit(1) from None


def main() -> None:
    """Entry point: all four packages must be those of one folder."""
    # Before torch is loaded, which knows the affinity and not the quota of a container.
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))

    import optuna

    import analysis
    import spaces
    import trainable

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    roots = {Path(str(m.__file__)).parents[1] for m in (trainable, spaces, analysis)}
    here = Path(__file__).parents[1]
    if roots != {here}:
        sys.exit(
            f"search is {here}, but the other packages come from {', '.join(map(str, roots))}"
        )
    with lasting_streams():
        app()


if __name__ == "__main__":
    main()
