"""``python -m analysis``: what came out of a sweep."""

import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, ParamSpec

import typer

from analysis.printed.console import csv_text
from analysis.printed.streams import lasting_streams
from analysis.printed.text import best_table, console, print_best, print_note, width
from analysis.report.section_names import SECTIONS
from analysis.results import ResultsError, load_results
from trainable.folder import layout
from trainable.folder.storage import Folder, StorageError, UnwritableError

if TYPE_CHECKING:
    from analysis.frames.label_errors import LabelErrors
    from analysis.results import Results

P = ParamSpec("P")

app = typer.Typer(
    help="What came out of a sweep: DIR is its results folder, a path or a URI.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Directory = Annotated[str, typer.Argument(metavar="DIR", help="results folder, a path or a URI")]


def _file(text: str) -> Path:
    if not text or "://" in text:
        raise typer.BadParameter(f"{text!r} is no path of a file on this machine")
    return Path(text)


OutFile = Annotated[
    Path | None,
    typer.Option(help="file to write; default: in DIR", parser=_file, metavar="FILE"),
]
OutFolder = Annotated[
    str | None, typer.Option(help="folder to write, a path or a URI; default: in DIR")
]
Confirmed = Annotated[bool, typer.Option("--confirmed", help="choose among what was replicated")]


TableFormat = Annotated[Literal["text", "markdown", "latex", "csv"], typer.Option("--format")]


def clear_errors(command: Callable[P, None]) -> Callable[P, None]:
    """A user's mistake becomes one line on stderr and exit code 2."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (ResultsError, StorageError) as error:
            refused = isinstance(error, UnwritableError) and "out" in kwargs
            elsewhere = "; --out writes elsewhere" if refused else ""
            typer.echo(f"error: {error}{elsewhere}", err=True)
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            typer.echo(f"error: {error}; pip install 'elr-tune[analysis]'", err=True)
            raise typer.Exit(2) from None

    return wrapped


@app.command()
@clear_errors
def best(
    directory: Directory,
    study: Annotated[str | None, typer.Option(help="only this study")] = None,
    top: Annotated[int, typer.Option(min=1, help="the best so many of each study")] = 1,
    confirmed: Confirmed = False,
    format_: Annotated[
        Literal["text", "markdown", "latex", "csv", "toml"],
        typer.Option("--format", help="toml: a sweep file that runs it again"),
    ] = "text",
) -> None:
    """The best configuration of each study, by the selection rule."""
    from analysis.printed.rerun import best_sweep

    if format_ == "toml" and top > 1:
        raise ResultsError("--top has no meaning with --format toml: a sweep file has one trial")
    results = load_results(directory, studies=[study] if study else None, columns=[])
    if format_ == "toml":
        typer.echo(best_sweep(results, study, confirmed=confirmed), nl=False)
    elif format_ in ("markdown", "latex"):
        from analysis.printed.winners import format_winners

        typer.echo(format_winners(results, format_, confirmed=confirmed, top=top), nl=False)
    elif format_ == "csv":
        typer.echo(csv_text(best_table(results, confirmed=confirmed, top=top)), nl=False)
    else:
        print_best(results, console(), confirmed=confirmed, top=top)


@app.command()
@clear_errors
def table(
    directory: Directory,
    format_: TableFormat = "text",
) -> None:
    """Test accuracy per method and noise setting, beside what papers print."""
    from analysis.printed.paper_table import format_table

    typer.echo(format_table(load_results(directory, columns=[]), format_, width()), nl=False)


@app.command()
@clear_errors
def claims(
    directory: Directory,
    against: Annotated[str | None, typer.Option(help="another sweep, whose elr is meant")] = None,
    format_: TableFormat = "text",
) -> None:
    """Whether each loss beats elr on fresh seeds: accuracy, epochs to it, labels memorised."""
    from analysis.printed.answers import format_answers

    results, elr_of = load_results(directory), load_results(against) if against else None
    typer.echo(format_answers(results, format_, width(), against=elr_of), nl=False)


@app.command()
@clear_errors
def report(
    directory: Directory,
    out: OutFile = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="write it again and again until the sweep has ended")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, help="with --watch: seconds between two reports")
    ] = 30,
    serve: Annotated[
        bool, typer.Option("--serve", help="with --watch: show it in a browser, kept up to date")
    ] = False,
    host: Annotated[
        str, typer.Option(help="with --serve: address to listen on; default: this machine only")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="with --serve: port; 0: any that is free")
    ] = 0,
) -> None:
    """Write the whole sweep as one HTML file: tables and figures."""
    from analysis.report.write import watch_report, write_report

    if not watch and not serve:
        typer.echo(write_report(directory, out))
        return
    try:
        if serve:
            _serve(directory, out, every, host, port)
        else:
            watch_report(directory, out, seconds=every, written=typer.echo, missed=_missed)
    except KeyboardInterrupt:
        typer.echo("stopped watching", err=True)


def _serve(directory: str, out: Path | None, every: float, host: str, port: int) -> None:
    """Watch a sweep in a browser until Ctrl-C."""
    from analysis.report.serve import serving
    from analysis.report.write import watch_report

    with serving(host, port) as page:
        typer.echo(f"open {page.url}")
        watch_report(directory, out, seconds=every, built=page.publish, missed=_missed)
        page.end()
        typer.echo("the sweep has ended; Ctrl-C ends serving")
        threading.Event().wait()


def _missed(reason: str) -> None:
    typer.echo(f"not written this time: {reason}", err=True)


@app.command()
@clear_errors
def figures(
    directory: Directory,
    format_: Annotated[Literal["pdf", "svg", "png"], typer.Option("--format")] = "pdf",
    columns: Annotated[
        int, typer.Option(min=1, max=2, help="width: one column of a paper, or two")
    ] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help=f"this section alone; repeatable; one of {', '.join(SECTIONS)}"
        ),
    ] = None,
    out: OutFolder = None,
) -> None:
    """Write every chart of the report as a file for a paper."""
    from analysis.paper.export import write_figures

    write_figures(
        load_results(directory),
        format_,
        columns=columns,
        only=only or (),
        out=out,
        written=typer.echo,
        left_out=lambda reason: typer.echo(f"left out: {reason}", err=True),
    )


@app.command()
@clear_errors
def compare(
    directories: Annotated[
        list[str], typer.Argument(metavar="DIR DIR…", help="results folders, paths or URIs")
    ],
    report: Annotated[
        Path | None,
        typer.Option(parser=_file, metavar="OUT.html", help="also write it as one HTML file"),
    ] = None,
) -> None:
    """Two sweeps or more side by side: settings that differ, accuracies and their differences."""
    from analysis.frames.comparison import sweeps_of
    from analysis.printed.comparison_text import print_comparison

    sweeps = sweeps_of([load_results(directory, columns=[]) for directory in directories])
    print_comparison(sweeps, console())
    if report is not None:
        from analysis.report.comparison_page import write_comparison

        typer.echo(write_comparison(sweeps, report))


@app.command()
@clear_errors
def labels(
    directory: Directory,
    study: Annotated[
        str | None, typer.Option(help="whose best trial to ask; may be left out of one study")
    ] = None,
    criterion: Annotated[
        str | None, typer.Option(help="margin, probability, losses or target; default: the best")
    ] = None,
    out: OutFolder = None,
    picture: Annotated[bool, typer.Option(help="draw the doubted images")] = True,
) -> None:
    """Rank a study's training labels, the most doubtful first: a list to edit, and pictures."""
    from analysis.best import one_study
    from analysis.frames.label_errors import label_errors, write_label_errors

    results = load_results(directory, columns=[])
    errors = label_errors(results, one_study(results, study), criterion)
    usual = layout.label_errors(results.folder, errors.study)
    folder = usual if out is None else Folder.open(out)
    write_label_errors(errors, folder)
    _list_and_draw(errors, results, folder, picture=picture)
    for line in errors.summary():
        print_note(line, console())
    for name in folder.names():
        typer.echo(f"{folder}/{name}")


@app.command()
@clear_errors
def example(
    name: Annotated[str | None, typer.Argument(help="which; without: their names")] = None,
    storage: Annotated[Path, typer.Option(help="folder to copy it to")] = Path("results"),
) -> None:
    """Copy the results of a recorded sweep, to try all that is said here without training."""
    from analysis.examples import copy_example, examples

    if name is None:
        typer.echo("\n".join(examples()))
        return
    typer.echo(copy_example(name, storage))


@app.command()
@clear_errors
def optuna(
    directory: Directory,
    out: OutFile = None,
) -> None:
    """Export all studies to an Optuna journal file, as optuna-dashboard opens it."""
    from analysis.frames.studies import journal

    results = load_results(directory)
    data = journal(results)
    folder = results.folder if out is None else Folder.open(out.parent)
    name = layout.JOURNAL if out is None else out.name
    folder.write(name, data)
    typer.echo(f"optuna-dashboard {(folder / name).argument}")


def _list_and_draw(
    errors: "LabelErrors", results: "Results", folder: Folder, *, picture: bool
) -> None:
    """The list for a person, and the images if they can be had here, else without their names."""
    from analysis.frames.label_errors import named_classes
    from analysis.printed.contact_sheet import contact_sheet
    from analysis.printed.label_list import label_list
    from analysis.report.doubted_page import label_page
    from trainable.data import DataError, load_dataset

    try:
        dataset = load_dataset(errors.config.data)
    except (DataError, ImportError) as error:
        typer.echo(f"no picture: {error}", err=True)
        classes = named_classes(errors, results)
        folder.write(layout.LABEL_LIST, label_list(errors, results, classes, ()))
        return
    classes, images = dataset.info.class_names, dataset.train_images
    folder.write(layout.LABEL_LIST, label_list(errors, results, classes, dataset.names))
    if picture:
        folder.write(layout.DOUBTED_PICTURE, contact_sheet(errors, images, classes))
        folder.write(layout.DOUBTED_PAGE, label_page(errors, images, classes, dataset.names))


if __name__ == "__main__":
    with lasting_streams():
        app(prog_name="python -m analysis")
