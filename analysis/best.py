"""The selection rule: which configuration of a study is the best one.

Among search trials that used their full budget, the highest value of the sweep's metric at the
last epoch; ties go to the smaller trial number. Never the peak over epochs, never a trial that
was stopped early, never the test set unless the sweep file says ``allow_test_selection = true``.
"""

from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from analysis.results import Results, ResultsError
from analysis.schema import COMPLETED, PARAM, REPLICATE, SEARCH
from trainable.metrics import TEST_METRICS

STUDY_COLUMNS = ["dataset", "model", "noise_kind", "noise_rate", "noise", "loss"]
"""Columns with one value in all trials of a study."""

TRIAL_COLUMNS = [
    "trial_id",
    "number",
    "seed",
    "epochs",
    "selected_by",
    "selection_value",
    "val_accuracy",
    "test_accuracy",
    "best_val_accuracy",
]


def best_configs(results: Results, *, confirmed: bool = False) -> pd.DataFrame:
    """The best trial of each study: one row a study, the highest selection value first.

    Columns: ``study``, what it is about, ``trials`` and ``completed`` (search trials, and those
    among them that used their full budget), the trial's own columns, its ``param_*``, ``config``
    (JSON), ``replicates`` (n), ``replicated_value``, ``replicated_test`` and
    ``replicated_test_std`` (mean of the selection metric, mean and standard deviation of test
    accuracy over completed replicates; NaN without), ``leak`` (selected on the test set). A study
    without a completed trial stays, with NaN in the trial's columns.

    Args:
        results: from ``load_results``.
        confirmed: choose, among the trials that were replicated, the highest mean of the
            selection metric over the replicates; studies without replicates get NaN.

    Raises:
        ResultsError: trials were selected on the test set, but the sweep file does not allow it.
    """
    ranked = _replicated(results) if confirmed else rank_trials(results)
    winners = ranked[ranked["rank"] == 1].drop(columns=["rank", *STUDY_COLUMNS])
    table = _studies(results).merge(winners, on="study", how="left")
    table["leak"] = selected_on_test(results)
    order = ["replicated_value" if confirmed else "selection_value", "study"]
    return table.sort_values(order, ascending=[False, True], ignore_index=True)


def top_configs(results: Results, k: int = 3) -> pd.DataFrame:
    """The best ``k`` trials of each study by the selection rule: column ``rank``, from 1.

    Sorted by study and rank; other columns as in :func:`best_configs`.
    """
    ranked = rank_trials(results)
    return ranked[ranked["rank"] <= k].reset_index(drop=True)


def final_trials(results: Results) -> pd.DataFrame:
    """The trials that a study's final numbers come from, sorted by study and seed.

    The completed replicates of its confirmed configuration; without any, its best search trial.
    Columns as in ``results.trials``.
    """
    trials = full_budget(results.trials)
    confirmed = set(best_configs(results, confirmed=True)["trial_id"].dropna())
    again = trials[(trials["phase"] == REPLICATE) & trials["source_trial_id"].isin(confirmed)]
    best = best_configs(results)
    best = best[~best["study"].isin(again["study"])]
    chosen = pd.concat([again, trials[trials["trial_id"].isin(set(best["trial_id"].dropna()))]])
    return chosen.sort_values(["study", "seed"], ignore_index=True)


def rank_trials(results: Results) -> pd.DataFrame:
    """All trials that may win, ranked in their study; what selected on test must be allowed."""
    selected_on_test(results)
    trials = full_budget(results.trials)
    trials = trials[trials["phase"] == SEARCH].merge(
        replicated(results.trials), on="trial_id", how="left"
    )
    trials["replicates"] = trials["replicates"].fillna(0).astype("int64")
    return _ranked(trials, "selection_value")


def full_budget(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials whose last epoch is that of their full budget, with a defined selection value."""
    used = (trials["status"] == COMPLETED) & (trials["epochs"] == trials["max_epochs"])
    return trials[used & trials["selection_value"].notna()]


def replicated(trials: pd.DataFrame) -> pd.DataFrame:
    """Per replicated trial (``trial_id``): n, mean metric, mean and std of test accuracy."""
    replicates = full_budget(trials)
    replicates = replicates[replicates["phase"] == REPLICATE]
    groups = replicates.astype({"source_trial_id": "str"}).groupby("source_trial_id")
    return (
        groups.agg(
            replicates=("trial_id", "count"),
            replicated_value=("selection_value", "mean"),
            replicated_test=("test_accuracy", "mean"),
            replicated_test_std=("test_accuracy", "std"),
        )
        .rename_axis("trial_id")
        .reset_index()
    )


def selected_on_test(results: Results) -> bool:
    """Whether the sweep selects on the test set. Raises ResultsError if it may not."""
    used = set(results.trials["selected_by"].dropna()) & set(TEST_METRICS)
    if used and not results.spec.get("search", {}).get("allow_test_selection", False):
        raise ResultsError(
            f"{results.folder}: trials were selected on {', '.join(sorted(used))}, a leak that "
            "the sweep file does not allow (allow_test_selection = true)"
        )
    return bool(used)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def parameters(row: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters in a row of any of these tables, without the undefined ones."""
    return {
        name.removeprefix(PARAM): value
        for name, value in row.items()
        if name.startswith(PARAM) and pd.notna(value)
    }


def _replicated(results: Results) -> pd.DataFrame:
    ranked = rank_trials(results)
    return _ranked(ranked[ranked["replicates"] > 0].drop(columns="rank"), "replicated_value")


def _ranked(trials: pd.DataFrame, value: str) -> pd.DataFrame:
    """Trials by study and ``value``, highest first, ties by number; ``rank`` from 1."""
    trials = trials.sort_values(
        ["study", value, "number"], ascending=[True, False, True], ignore_index=True
    )
    params = [name for name in trials.columns if name.startswith(PARAM)]
    extra = ["replicates", "replicated_value", "replicated_test", "replicated_test_std"]
    rank = trials.groupby("study", observed=True).cumcount() + 1
    columns = ["study", *STUDY_COLUMNS, *TRIAL_COLUMNS, *params, "config", *extra]
    return trials[columns].assign(rank=rank)


def _studies(results: Results) -> pd.DataFrame:
    """One row a study: what it is about, and how many search trials it has."""
    trials = results.trials[results.trials["phase"] == SEARCH]
    about = trials.groupby("study", observed=True)[STUDY_COLUMNS].first()
    groups = trials.groupby("study", observed=True)
    about["trials"] = groups.size()
    about["completed"] = full_budget(trials).groupby("study", observed=True).size()
    return about.fillna({"completed": 0}).astype({"completed": "int64"}).reset_index()
