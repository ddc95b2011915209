"""The accuracy table for a paper: methods down, noise settings across.

A method is bold where it is better than elr (``accuracy.compare``): the 95% interval of their
difference, paired by seed, lies above zero.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from analysis.amounts import percent, plus_minus
from analysis.best import records
from analysis.frames.accuracy import BASELINE, BETTER, ENOUGH_PAIRS, SETTING, accuracy_table
from analysis.frames.evidence import alerts, caveats, holdout
from analysis.frames.published import OTHER_METHODS, REMARKS, Deviation, in_words
from analysis.frames.ties import loss_ties
from analysis.printed.console import csv_text
from analysis.printed.grid import Grid, Line, Printed, written
from analysis.printed.text import difference_interval, mean_std
from analysis.results import Results, ResultsError
from trainable.catalog import LOSSES


def methods() -> dict[str, str]:
    """Losses, and what papers print beside them, by their printed names and in papers' order."""
    labels = {name: entry.label for name, entry in LOSSES.items()}
    return {"ce": labels["ce"], **OTHER_METHODS, **labels}


MEASURED = "this sweep"
DIFFERENCES = "difference to ELR, in points"
PUBLISHED = "published"
BOLD = (
    f"at least {ENOUGH_PAIRS} pairs with ELR, an interval of the difference above zero and not of "
    "width zero, and no seed on which one of the two diverged."
)


def format_table(results: Results, how: str, width: int = 0) -> str:
    """The accuracy table as ``text``, ``markdown``, ``latex`` or ``csv`` (one row a study).

    ``width``: of the terminal that a text is for; 0: as wide as it is.

    Raises ResultsError while no trial has used its full budget, ValueError for an unknown format.
    """
    if how == "csv":
        table = accuracy_table(results)
        said = table["differs_in"].map(in_words, na_action="ignore")
        return csv_text(table.assign(differs_in=said))
    found = grids(results)
    if not found:
        raise ResultsError(f"{results.folder}: no trial has used its full budget yet")
    return written(found, how, width)


def grids(results: Results) -> list[Grid]:
    """A table for each data set and network of the sweep."""
    ties = loss_ties(results)[["study", "tied"]].astype({"study": "str"})
    table = accuracy_table(results).merge(ties, "left", "study")
    table["tied"] = table["tied"].eq(True)
    against = (*alerts(results), *caveats(results))
    groups = table.groupby(["dataset", "model"], sort=True)
    chosen_on = holdout(results)
    return [_grid(results.name, group, chosen_on, against) for _, group in groups]


def _grid(sweep: str, table: pd.DataFrame, chosen_on: str, against: tuple[str, ...]) -> Grid:
    dataset, model = table[["dataset", "model"]].iloc[0]
    settings = table[SETTING].drop_duplicates()["noise"].tolist()
    own = table[table["study"].notna()]
    printed = table[table["published"].notna()]
    others = own[own["loss"] != BASELINE].dropna(subset="difference")
    return Grid(
        sweep=sweep,
        title=f"Test accuracy in %: {dataset}, {model}",
        caption=(
            f"Each method's test accuracy in % on {dataset} with {model} is given for each noise "
            "setting."
        ),
        header=("method", *settings),
        blocks=Grid.filled(
            {
                MEASURED: _by_method(own, settings, _measured_cell),
                DIFFERENCES: _by_method(others, settings, _difference_cell),
                PUBLISHED: _by_method(printed, settings, _published_cell, star="*"),
            }
        ),
        notes=(*against, *_notes(own, printed, chosen_on)),
        bold=BOLD if own["pairs"].max() >= 2 else "",
    )


def _by_method(
    table: pd.DataFrame,
    settings: list[str],
    cell: Callable[[Mapping[str, Any]], Printed],
    star: str = "",
) -> tuple[Line, ...]:
    """A line for each method of ``table``, in the order of :func:`methods`."""
    cells = {(row["loss"], row["noise"]): cell(row) for row in records(table)}
    present = set(table["loss"])
    return tuple(
        (
            label + (star if method == BASELINE else ""),
            tuple(cells.get((method, setting), Printed()) for setting in settings),
        )
        for method, label in methods().items()
        if method in present
    )


def _measured_cell(row: Mapping[str, Any]) -> Printed:
    text = mean_std(row["test"], row["test_std"], row["n"], row["diverged"])
    text += " ≈" if row["tied"] else ""
    return Printed(text, row["verdict"] == BETTER)


def _difference_cell(row: Mapping[str, Any]) -> Printed:
    text = f"{difference_interval(row)} ({row['pairs']:.0f})"
    return Printed(text, row["verdict"] == BETTER)


def _published_cell(row: Mapping[str, Any]) -> Printed:
    return Printed(percent(row["published"]) + plus_minus(row["published_std"]))


def _notes(own: pd.DataFrame, printed: pd.DataFrame, chosen_on: str) -> list[str]:
    notes = ["Mean ± standard deviation (n seeds), at the last epoch, of the configuration"]
    notes[0] += f" chosen on the {chosen_on}."
    if not own["from_replicates"].all():
        notes.append("n = 1 is the search's own winner, not confirmed on fresh seeds.")
    if own["tied"].any():
        notes.append(
            "≈: tied for best in its noise setting by the rule that chooses, within one standard "
            "error of the hold-out's accuracy."
        )
    if own["diverged"].any():
        notes.append("Seeds on which a configuration diverged are counted, but in no mean.")
    if own["pairs"].max() >= 2:
        notes.append(
            "Differences to ELR are paired by seed, with a 95% t interval (pairs), not corrected "
            "for several comparisons."
        )
    if len(printed):
        sources = sorted(set(printed["source"]))
        notes += [f"Published: {source}. {REMARKS[source]}" for source in sources]
        notes += _otherwise(own["differs_in"].dropna())
    return notes


def _otherwise(deviations: Iterable[tuple[Deviation, ...]]) -> list[str]:
    """How this sweep's protocol differs from the printed rows', of all methods together."""
    theirs: dict[str, list[str]] = {}
    for deviation in dict.fromkeys(one for row in deviations for one in row):
        theirs.setdefault(deviation.ours, []).append(deviation.printed)
    parts = [f"{ours} instead of {' or '.join(printed)}" for ours, printed in theirs.items()]
    return [f"Another protocol here: {'; '.join(parts)}."] if parts else []
