"""``python -m analysis``: what came out of a sweep."""

import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Annotated, ParamSpec

import typer

from analysis.best import best_configs, top_configs
from analysis.rerun import best_sweep
from analysis.results import ResultsError, load_results
from analysis.text import console, print_best
from trainable.storage import StorageError

P = ParamSpec("P")

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


def clear_errors(command: Callable[P, None]) -> Callable[P, None]:
    """A user's mistake becomes one line on stderr and exit code 2."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (ResultsError, StorageError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from None

    return wrapped


@app.command()
@clear_errors
def best(
    directory: Directory,
    study: Study = None,
    top: Annotated[int, typer.Option(min=1, help="csv: the best so many of each study")] = 1,
    confirmed: Confirmed = False,
    format_: Annotated[
        BestFormat, typer.Option("--format", help="toml: a sweep file that runs it again")
    ] = BestFormat.TEXT,
) -> None:
    """The best configuration of each study, by the selection rule."""
    results = load_results(directory, studies=[study] if study else None, columns=[])
    if format_ is BestFormat.TOML:
        typer.echo(best_sweep(results, study, confirmed=confirmed), nl=False)
    elif format_ is BestFormat.CSV:
        table = (
            best_configs(results, confirmed=confirmed) if top == 1 else top_configs(results, top)
        )
        table.to_csv(sys.stdout, index=False)
    else:
        print_best(results, console(), confirmed=confirmed)


@app.callback()
def main() -> None:
    """Needed while there is one command: typer would drop its name."""


if __name__ == "__main__":
    app(prog_name="python -m analysis")
