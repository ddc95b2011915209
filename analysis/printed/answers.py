"""The paper's two claims as tables: every loss against elr, question by question."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.amounts import percent, signed, signed_points
from analysis.best import records
from analysis.frames.accuracy import BETTER
from analysis.frames.claims import (
    ACCURACY,
    AVERAGED,
    EPOCHS,
    MEMORIZED,
    QUESTIONS,
    answers,
    targets,
)
from analysis.frames.evidence import alerts, caveats
from analysis.printed.console import csv_text
from analysis.printed.grid import Grid, Line, Printed, written
from analysis.printed.paper_table import methods
from analysis.results import Results, ResultsError

HEADINGS = {
    ACCURACY: "accuracy at the end, in %",
    AVERAGED: "accuracy of the averaged weights at the end, against ELR's raw ones, in %",
    **{question: f"{question} of ELR's final accuracy" for question in EPOCHS.values()},
    MEMORIZED: "wrong labels memorised at the end, in %",
}
COLUMNS = ("noise", "value", "ELR", "diff", "95% interval", "n", "answer", "seeds")
NOTES = (
    "Means over n fresh seeds of the configurations that each study chose; differences are paired "
    "by seed. All intervals of one question, over losses and settings, hold together with 95% "
    "(Student's, after Bonferroni), so they are wider than those of the table of accuracies; one "
    "that holds zero shows nothing.",
    "Epochs to a share of ELR's mean final test accuracy: a seed that never got there counts with "
    "one epoch more than it had.",
    "Seeds: so many would narrow the interval to half a point to either side.",
)
TARGET_COLUMNS = ("target", "trials", "completed", "settings", "difference", "won", "confirmed")


def format_answers(
    results: Results, how: str, width: int = 0, *, against: Results | None = None
) -> str:
    """The answers as ``text``, ``markdown``, ``latex``, or ``csv`` (one row an answer).

    ``width``: of the terminal that a text is for; 0: as wide as it is. ``against``: the sweep
    whose elr is meant, if not this one's.

    Raises ResultsError where no loss has replicates of seeds that elr has too, ValueError for an
    unknown format.
    """
    found = answers(results, against)
    if found.empty:
        other = "" if against is None else f" in {against.folder}, with the same seeds and labels"
        raise ResultsError(
            f"{results.folder}: nothing to compare: the claims need replicates of elr{other} and "
            "of another loss in one noise setting: [confirm] in the sweep file, or python -m "
            "search replicate"
        )
    if how == "csv":
        return csv_text(found)
    grids = [*_answer_grids(results, found, against), *_target_grids(results, against)]
    return written(grids, how, width)


def _answer_grids(results: Results, found: pd.DataFrame, against: Results | None) -> list[Grid]:
    """A table for each data set, network and loss; what holds for all is said below the last."""
    names = methods()
    whose = "ELR" if against is None else f"ELR of {against.name}"
    said = (*(() if against is None else alerts(against)), *caveats(results), *NOTES)
    grids = [
        Grid(
            sweep=results.name,
            title=f"{names[str(loss)]} against {whose}: {dataset}, {model}",
            caption=(
                f"{names[str(loss)]} is compared with {whose} on {dataset} with {model}, on "
                "the same fresh seeds."
            ),
            header=COLUMNS,
            blocks=Grid.filled(
                {HEADINGS[question]: _by_setting(table, question) for question in QUESTIONS}
            ),
            notes=alerts(results),
        )
        for (dataset, model, loss), table in found.groupby(["dataset", "model", "loss"], sort=True)
    ]
    last = grids[-1]
    # Once is enough: what holds for all tables would be read past under each.
    return [*grids[:-1], replace(last, notes=(*last.notes, *said))]


def _by_setting(table: pd.DataFrame, question: str) -> tuple[Line, ...]:
    rows = records(table[table["question"] == question])
    return tuple((row["noise"], _cells(row, question)) for row in rows)


def _cells(row: Mapping[str, Any], question: str) -> tuple[Printed, ...]:
    number = _epochs if question in EPOCHS.values() else percent
    interval = "-"
    if pd.notna(row["low"]):
        interval = f"[{_signed(row['low'], question)}, {_signed(row['high'], question)}]"
    needed = row["seeds_needed"]
    texts = (
        number(row["value"]),
        number(row["elr"]),
        _signed(row["difference"], question),
        interval,
        f"{row['pairs']:.0f}",
        row["verdict"],
        "-" if pd.isna(needed) else f"{needed:.0f}",
    )
    return tuple(Printed(text, text == row["verdict"] == BETTER) for text in texts)


def _epochs(value: float) -> str:
    return f"{value:.1f}"


def _signed(value: float, question: str) -> str:
    return signed(value, 1) if question in EPOCHS.values() else signed_points(value)


def _target_grids(results: Results, against: Results | None) -> list[Grid]:
    """What became of each target, a table a loss, where the sweep had more than one of them."""
    found, names = targets(results, against), methods()
    return [
        Grid(
            sweep=results.name,
            title=f"Targets of {names[str(loss)]} in the search",
            caption=(
                f"The targets that the search tried for {names[str(loss)]} are compared with "
                "ELR on the hold-out."
            ),
            header=TARGET_COLUMNS,
            blocks=(("best hold-out accuracy against ELR's, in points", _by_target(table)),),
            notes=(
                *alerts(results),
                "Difference: the best with this target minus the best of ELR, the mean over the "
                "noise settings that completed both; confirmed: the same on fresh seeds, over the "
                "settings that it won. More trials are more draws to be the best of.",
            ),
        )
        for loss, table in found.groupby("loss")
        if len(table) > 1
    ]


def _by_target(table: pd.DataFrame) -> tuple[Line, ...]:
    counts = ("trials", "completed", "settings")
    return tuple(
        (
            row["target"],
            (
                *(Printed(str(row[name])) for name in counts),
                Printed(signed_points(row["difference"])),
                Printed(str(row["won"])),
                Printed(signed_points(row["confirmed"])),
            ),
        )
        for row in records(table)
    )
