"""``python -m analysis``: what came out of a sweep."""

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from analysis.printed.text import best_table, console, print_best, print_note
from analysis.results import ResultsError, load_results
from trainable.folder.storage import Folder, StorageError

if TYPE_CHECKING:
    from analysis.frames.label_errors import LabelErrors

P = ParamSpec("P")
JOURNAL = "optuna.journal"

app = typer.Typer(
    help="What came out of a sweep: DIR is its results folder, a path or a URI.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Directory = Annotated[str, typer.Argument(metavar="DIR", help="results folder, a path or a URI")]
Study = Annotated[str | None, typer.Option(help="only this study")]
Confirmed = Annotated[bool, typer.Option("--confirmed", help="choose among what was replicated")]


class BestFormat(StrEnum):
    """How ``best`` prints."""

    TEXT = "text"
    CSV = "csv"
    TOML = "toml"


class TableFormat(StrEnum):
    """How ``table`` prints."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"


def clear_errors(command: Callable[P, None]) -> Callable[P, None]:
    """A user's mistake becomes one line on stderr and exit code 2."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (ResultsError, StorageError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            typer.echo(f"error: {error}; pip install 'elr-tune[analysis]'", err=True)
            raise typer.Exit(2) from None

    return wrapped


@app.command()
@clear_errors
def best(
    directory: Directory,
    study: Study = None,
    top: Annotated[int, typer.Option(min=1, help="the best so many of each study")] = 1,
    confirmed: Confirmed = False,
    format_: Annotated[
        BestFormat, typer.Option("--format", help="toml: a sweep file that runs it again")
    ] = BestFormat.TEXT,
) -> None:
    """The best configuration of each study, by the selection rule."""
    from analysis.printed.rerun import best_sweep

    if format_ is BestFormat.TOML and top > 1:
        raise ResultsError("--top has no meaning with --format toml: a sweep file has one trial")
    results = load_results(directory, studies=[study] if study else None, columns=[])
    if format_ is BestFormat.TOML:
        typer.echo(best_sweep(results, study, confirmed=confirmed), nl=False)
    elif format_ is BestFormat.CSV:
        best_table(results, confirmed=confirmed, top=top).to_csv(sys.stdout, index=False)
    else:
        print_best(results, console(), confirmed=confirmed, top=top)


@app.command()
@clear_errors
def table(
    directory: Directory,
    format_: Annotated[TableFormat, typer.Option("--format")] = TableFormat.TEXT,
) -> None:
    """Test accuracy per method and noise setting, beside what papers print."""
    from analysis.printed.tables import format_table

    typer.echo(format_table(load_results(directory, columns=[]), format_), nl=False)


@app.command()
@clear_errors
def report(
    directory: Directory,
    out: Annotated[Path | None, typer.Option(help="file to write; default: in DIR")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="write it again and again until the sweep has ended")
    ] = False,
    every: Annotated[
        float, typer.Option(min=1, help="with --watch: seconds between two reports")
    ] = 30,
) -> None:
    """Write the whole sweep as one HTML file: tables and figures."""
    from analysis.report.write import watch_report, write_report

    if not watch:
        typer.echo(write_report(directory, out))
        return
    try:
        watch_report(directory, out, seconds=every, written=typer.echo, missed=_missed)
    except KeyboardInterrupt:
        typer.echo("stopped watching", err=True)


def _missed(reason: str) -> None:
    typer.echo(f"not written this time: {reason}", err=True)


@app.command()
@clear_errors
def labels(
    directory: Directory,
    study: Annotated[str, typer.Option(help="whose best trial to ask")],
    picture: Annotated[bool, typer.Option(help="draw the most confident doubts")] = True,
) -> None:
    """The training labels that a study's best trial doubts, into DIR/label_errors."""
    from analysis.frames.label_errors import label_errors, write_label_errors

    results = load_results(directory, columns=[])
    errors = label_errors(results, study)
    folder = write_label_errors(errors, results)
    out = console()
    for line in errors.summary():
        print_note(line, out)
    if picture:
        _draw(errors, folder)
    for name in folder.names():
        typer.echo(f"{folder}/{name}")


@app.command()
@clear_errors
def optuna(
    directory: Directory,
    out: Annotated[Path | None, typer.Option(help="file to write; default: in DIR")] = None,
) -> None:
    """Export all studies to an Optuna journal file, as optuna-dashboard opens it."""
    from analysis.frames.studies import journal

    results = load_results(directory)
    data = journal(results)
    folder = results.folder if out is None else Folder.open(out.parent)
    name = JOURNAL if out is None else out.name
    folder.write(name, data)
    typer.echo(f"optuna-dashboard {folder}/{name}")


def _draw(errors: "LabelErrors", folder: Folder) -> None:
    """Add the contact sheet, if the images can be had here."""
    from analysis.printed.contact_sheet import contact_sheet
    from trainable.data import DataError, load_dataset

    try:
        dataset = load_dataset(errors.data)
    except (DataError, ImportError) as error:
        typer.echo(f"no picture: {error}", err=True)
        return
    folder.write(
        "doubted.png", contact_sheet(errors, dataset.train_images, dataset.info.class_names)
    )


if __name__ == "__main__":
    app(prog_name="python -m analysis")
