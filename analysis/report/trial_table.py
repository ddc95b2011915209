"""The table of all trials: what a reader sorts, filters and opens."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import tomli_w

from analysis.amounts import percent, short
from analysis.best import parameters, records
from analysis.frames.evidence import holdout, test_name
from analysis.frames.ties import trial_ties
from analysis.printed.rerun import sweep_table
from analysis.results import Results, ResultsError, recorded_config
from analysis.schema import PARAM


@dataclass(frozen=True)
class Trials:
    """The table of all trials, and what opens below it."""

    caption: str  # what its accuracies are measured on
    header: list[str]  # names of the columns
    rows: list[list[str]]  # text, a row a trial
    opened: list[dict[str, Any]]
    """For each row its title, why it ended, the sweep file that runs exactly it again (TOML; empty
    where its config cannot be read) and its curves, in percent by epoch."""


def trial_table(results: Results) -> Trials:
    """All trials with their parameters, in the order of studies and numbers."""
    trials = results.trials
    columns = map(str, trials.columns)
    names = [c for c in columns if c.startswith(PARAM) and trials[c].notna().any()]
    ties = trial_ties(results)
    marks = dict.fromkeys(ties["trial_id"][ties["tied"]], "≈")
    marks |= dict.fromkeys(ties["trial_id"][ties["rank"] == 1], "best")
    curves = _curves_by_trial(results)
    rows, opened = [], []
    for row in records(trials):
        own = parameters(row)
        rows.append(
            [
                str(row["trial_id"]),
                str(row["status"]),
                str(row["epochs"]),
                percent(row["val_accuracy"]),
                percent(row["test_accuracy"]),
                marks.get(row["trial_id"], ""),
                *(short(own.get(name.removeprefix(PARAM), "")) for name in names),
            ]
        )
        opened.append(
            {
                "title": str(row["trial_id"]),
                "end": str(row["end_reason"] or ""),
                "toml": _toml(results, row),
                "curves": curves.get(row["trial_id"], {}),
            }
        )
    shown = [name.removeprefix(PARAM) for name in names]
    header = ["trial", "status", "epochs", "val %", "test %", "chosen", *shown]
    caption = "All trials, " + " and ".join(_names(results).values()) + " at their last epoch"
    return Trials(caption, header, rows, opened)


def _names(results: Results) -> dict[str, str]:
    """The columns of epochs that a trial's figure shows, and what it calls them."""
    return {"val_accuracy": holdout(results), "test_accuracy": test_name(results)}


def _toml(results: Results, row: dict[str, Any]) -> str:
    try:
        config = recorded_config(results.folder, row)
    except ResultsError:
        return ""
    # A name may have 100 signs (trainable.parameters.NAME).
    name = f"{row['trial_id']}-again"[:100]
    return tomli_w.dumps(sweep_table(config, name, str(row["selected_by"])))


def _curves_by_trial(results: Results) -> dict[Any, dict[str, list[float | None]]]:
    """By trial: the epochs, and each curve in percent, None where it is undefined."""
    curves: dict[Any, dict[str, list[float | None]]] = {}
    names = _names(results)
    for trial_id, rows in results.epochs.groupby("trial_id", observed=True):
        own: dict[str, list[float | None]] = {"epoch": [int(epoch) for epoch in rows["epoch"]]}
        values = {
            said: [None if pd.isna(v) else round(100 * v, 2) for v in rows[column]]
            for column, said in names.items()
        }
        curves[trial_id] = own | values
    return curves
