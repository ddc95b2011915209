"""Tables for a terminal, and the same as plain lines in a pipe or a log file."""

import sys
from collections.abc import Mapping
from typing import IO, Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.amounts import percent, plus_minus, short, signed_points
from analysis.best import best_configs, parameters, records, top_configs, varied_parameters
from analysis.frames.accuracy import SETTING
from analysis.frames.evidence import alerts, caveats, holdout, test_labels
from analysis.frames.ties import tied_settings, trial_ties
from analysis.printed.console import SafeConsole
from analysis.results import Results

NO_WINNER = "no trial used its full budget yet"
NUMBERS = ("trial", "val %", "test %", "full", "val again", "test again")


def console(stream: IO[str] | None = None) -> Console:
    """A console for stdout; where that is no terminal, its lines are not wrapped."""
    return SafeConsole(file=stream or sys.stdout, highlight=False)


def width() -> int:
    """Columns of the terminal that stdout is, or 0 if it is none."""
    return console().width if sys.stdout.isatty() else 0


def print_best(results: Results, out: Console, *, confirmed: bool = False, top: int = 1) -> None:
    """Print the best configurations of each study, noise setting by noise setting."""
    best = best_table(results, confirmed=confirmed, top=top)
    # Stable: within a setting the best stays first.
    best = best.sort_values(SETTING, kind="stable")
    rows = records(best)
    if not rows:
        print_note("no trials yet" if results.trials.empty else NO_WINNER, out)
        return
    ties = trial_ties(results).groupby("study", observed=False)["tied"].any()
    print_table(("study", *NUMBERS), [_row_of_numbers(row, ties) for row in rows], out)
    out.print()
    varied = varied_parameters(results)
    values = [
        [row["study"], _trial_number(row), _row_of_parameters(row, varied[row["study"]])]
        for row in rows
    ]
    print_table(("study", "trial", "parameters"), values, out)
    out.print()
    metric = " and ".join(sorted(set(best["selected_by"].dropna())))
    rule = "mean over the replicates" if confirmed else "value at the last epoch"
    chosen = f"chosen by the {rule} of {metric}, on the full budget only"
    print_note(chosen if metric else NO_WINNER, out)
    print_note(f"val: {holdout(results)}; test: {test_labels(results)}; both in %", out)
    if ties.any():
        print_note("≈: other trials of the study are within the hold-out's error of it", out)
    print_note("full: search trials that used their full budget, of all", out)
    for noise, losses in tied_settings(results):
        print_note(f"{noise}: {', '.join(losses)} are tied, within the hold-out's error", out)
    if best["replicates"].sum() > 0:
        print_note(f"val again: mean of {metric} over fresh seeds", out)
        print_note("test again: mean ± std (n) over fresh seeds", out)
    for caveat in caveats(results):
        print_note(f"note: {caveat}", out, "yellow")
    for alert in alerts(results):
        print_note(alert, out, "bold red")


def _row_of_numbers(row: Mapping[str, Any], ties: "pd.Series[bool]") -> list[str]:
    share = f"{row['completed']}/{row['trials']}"
    if pd.isna(row["trial_id"]):
        return [row["study"], "-", "-", "-", share, "-", "-"]
    mark = "≈" if ties[row["study"]] else ""
    searched = [percent(row["val_accuracy"]) + mark, percent(row["test_accuracy"]), share]
    return [
        row["study"],
        _trial_number(row),
        *searched,
        percent(row["replicated_value"]),
        test_again(row),
    ]


def _trial_number(row: Mapping[str, Any]) -> str:
    return "-" if pd.isna(row["number"]) else f"{row['number']:.0f}"


def best_table(results: Results, *, confirmed: bool, top: int) -> pd.DataFrame:
    """One row a study, or of ``top`` above 1 so many rows of each that has some."""
    if top == 1:
        return best_configs(results, confirmed=confirmed)
    return top_configs(results, top, confirmed=confirmed)


def _row_of_parameters(row: Mapping[str, Any], varied: set[str]) -> str:
    if pd.isna(row["trial_id"]):
        return NO_WINNER
    values = {name: value for name, value in parameters(row).items() if name in varied}
    return "  ".join(f"{name}={short(value)}" for name, value in values.items())


def print_table(header: tuple[str, ...], rows: list[list[str]], out: Console) -> None:
    """Columns of text; names in :data:`NUMBERS` are right-aligned.

    Of what is too wide for a terminal, the last column folds, and one that has a third of it.
    """
    wide = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    tight = sum(wide) + 2 * (len(wide) - 1) > out.width
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=tight)
    for name, width in zip(header, wide, strict=True):
        table.add_column(
            name,
            justify="right" if name in NUMBERS else "left",
            no_wrap=name != header[-1] and 3 * width <= out.width,
            overflow="fold",
        )
    for row in rows:
        # As text: rich would read [brackets] in a name as markup.
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def print_note(text: str, out: Console, style: str = "dim") -> None:
    """A line below a table; a terminal folds it between words, a file has it whole."""
    out.print(Text(text, style=style), soft_wrap=not out.is_terminal)


def mean_std(mean: float, std: float, n: float, diverged: float = 0) -> str:
    """``92.12 ± 0.35 (5)`` of fractions; without ± for one value, ``-`` for none.

    ``diverged`` seeds are in neither number, but said: ``81.00 (1, 4 diverged)``.
    """
    lost = f", {diverged:.0f} diverged" if diverged else ""
    if pd.isna(mean) or not n:
        return f"- (0{lost})" if lost else "-"
    return f"{percent(mean)}{plus_minus(std)} ({n:.0f}{lost})"


def test_again(row: Mapping[str, Any]) -> str:
    """:func:`mean_std` of the replicates of a configuration (``best.REPLICATED``)."""
    names = ("replicated_test", "replicated_test_std", "replicates", "replicates_diverged")
    return mean_std(*(row[name] for name in names))


def difference_interval(row: Mapping[str, Any]) -> str:
    """``+1.20 [+0.40, +2.00]`` in points (``accuracy.DIFFERENCE``); without bounds if unknown."""
    text = signed_points(row["difference"])
    if pd.notna(row["difference_low"]):
        low, high = (signed_points(row[f"difference_{end}"]) for end in ("low", "high"))
        text += f" [{low}, {high}]"
    return text
