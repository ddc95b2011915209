"""How accuracy depends on a hyperparameter, and how it moves over the epochs."""

from collections.abc import Sequence

import pandas as pd

from analysis.best import (
    STUDY_COLUMNS,
    best_configs,
    final_trials,
    full_budget,
    selected_on_test,
    selection_curves,
)
from analysis.frames.accuracy import BASELINE, SETTING
from analysis.frames.ties import trial_ties
from analysis.results import Results, ResultsError
from analysis.schema import PARAM
from trainable.catalog import unknown

MEMORIZATION = [
    "clean_correct",
    "wrong_correct",
    "wrong_memorized",
    "wrong_neither",
    "target_accuracy",
]
"""The fractions of figure 1 of ELR (arXiv 2007.00151), and the target's accuracy."""

FEW = 3
"""Trials of a study that count as its best even where only one is ahead of all others."""
FRACTIONS = (0.9, 0.95, 0.98, 1.0)


def response_curve(results: Results, parameter: str = "lam") -> pd.DataFrame:
    """Accuracy over one hyperparameter: a row for each search trial that used its full budget.

    Columns: the study's, ``trial_id``, ``number``, ``value`` (of the parameter),
    ``selection_value``, ``test_accuracy``, and ``chosen``: whether it is its study's best by the
    selection rule. ``elr_best``: test accuracy of the elr trial chosen so in the same setting,
    the dotted line of the paper's figure 3; like all trials of the search it is one draw, on the
    search's seed. ``elr_again`` and ``elr_again_std``: mean and standard deviation of the same
    configuration over its ``elr_seeds`` fresh seeds. NaN without elr, or replicates of it. Sorted
    by study and value.

    Raises ResultsError if no trial has the parameter.
    """
    selected_on_test(results)
    trials = full_budget(results.searched)
    names = [str(name).removeprefix(PARAM) for name in trials if str(name).startswith(PARAM)]
    if parameter not in names:
        raise ResultsError(unknown("hyperparameter", parameter, names))
    trials = trials.rename(columns={f"{PARAM}{parameter}": "value"}).dropna(subset="value")
    best = best_configs(results)
    # By the selection rule: the highest on test would be a choice that nobody may make.
    trials = trials.assign(chosen=trials["trial_id"].isin(set(best["trial_id"].dropna())))
    columns = ["study", *STUDY_COLUMNS, "trial_id", "number", "value", "chosen"]
    curve = trials[[*columns, "selection_value", "test_accuracy"]]
    curve = _as_text(curve).merge(_elr(best), on=SETTING, how="left")
    return curve.sort_values(["study", "value", "number"], ignore_index=True)


def best_values(results: Results, parameter: str = "lam") -> pd.DataFrame:
    """The values of one hyperparameter in the best trials of each study: how far it is settled.

    Rows of :func:`response_curve` with their ``rank`` by the selection rule: the best trial, those
    that the hold-out cannot tell from it (``ties.trial_ties``), and the first :data:`FEW` in any
    case. Sorted by study and rank.

    Raises ResultsError if no trial has the parameter.
    """
    ties = trial_ties(results)
    near = ties[(ties["rank"] <= FEW) | ties["tied"]][["trial_id", "rank"]]
    table = response_curve(results, parameter).merge(_as_text(near), on="trial_id")
    return table.sort_values(["study", "rank"], ignore_index=True)


def convergence(results: Results, fractions: Sequence[float] = FRACTIONS) -> pd.DataFrame:
    """How many epochs the final trials of each study take to come near the best accuracy.

    A row for each trial, fraction and ``reference``: ``own``, the trial's own highest value, or
    ``elr``, the mean over the elr trials of the same setting of theirs. ``goal`` is fraction
    times reference; ``epochs`` the first epoch whose test accuracy reaches it (NaN: never). Other
    columns: the study's, ``trial_id``, ``seed``, ``max_epochs``.
    """
    epochs = final_curves(results)
    keys = ["study", *STUDY_COLUMNS, "trial_id", "seed", "max_epochs"]
    peaks = epochs.groupby(keys, sort=False)["test_accuracy"].max().rename("own").reset_index()
    # The mean over ELR's seeds: a goal of a lucky one would be hard for all.
    baseline = peaks[peaks["loss"] == BASELINE].groupby(SETTING)["own"].mean().rename("elr")
    peaks = peaks.merge(baseline.reset_index(), on=SETTING, how="left")
    goals = peaks.melt(keys, ["own", "elr"], "reference", "best").dropna(subset="best")
    goals = goals.merge(pd.Series(fractions, name="fraction"), how="cross")
    goals["goal"] = goals["fraction"] * goals.pop("best")
    order = ["study", "seed", "trial_id", "reference", "fraction"]
    return first_epochs(goals, epochs).sort_values(order, ignore_index=True)


def first_epochs(goals: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """``goals`` with ``epochs``: the first whose test accuracy reaches ``goal``, or NaN.

    Args:
        goals: columns ``trial_id`` and ``goal`` (a fraction) among others.
        curves: rows of :func:`final_curves`.
    """
    goals = goals.reset_index(drop=True)
    rows = goals[["trial_id", "goal"]].assign(place=goals.index)
    rows = rows.merge(curves[["trial_id", "epoch", "test_accuracy"]], on="trial_id")
    reached = rows[rows["test_accuracy"] >= rows["goal"]]
    return goals.assign(epochs=reached.groupby("place")["epoch"].min())


def memorization(results: Results) -> pd.DataFrame:
    """Memorisation over the epochs of each study's final trials.

    Columns: the study's, ``trial_id``, ``seed``, ``epoch`` and :data:`MEMORIZATION` (fractions of
    the clean or of the wrong training examples; NaN where undefined).
    """
    keys = ["study", *STUDY_COLUMNS, "trial_id", "seed", "epoch"]
    return final_curves(results)[[*keys, *MEMORIZATION]]


def final_curves(results: Results) -> pd.DataFrame:
    """The epochs of each study's final trials (``best.final_trials``), sorted.

    Columns: the study's, ``trial_id``, ``seed``, ``max_epochs``, then those of ``epochs``.
    """
    finals = final_trials(results)[["trial_id", *STUDY_COLUMNS, "seed", "max_epochs"]]
    epochs = _as_text(results.epochs).merge(_as_text(finals), on="trial_id")
    return epochs.sort_values(["study", "seed", "trial_id", "epoch"], ignore_index=True)


def search_curves(results: Results) -> pd.DataFrame:
    """The metric that selects over the epochs of all search trials, sorted as they arrived.

    Columns: those of ``best.selection_curves``; ``number``, ``status``, ``chosen`` (best by the
    selection rule).
    """
    best = set(best_configs(results)["trial_id"].dropna())
    trials = results.searched
    trials = trials.assign(chosen=trials["trial_id"].isin(best))
    trials = _as_text(trials[["trial_id", "number", "status", "chosen"]])
    return selection_curves(results).merge(trials, on="trial_id")


def best_so_far(results: Results) -> pd.DataFrame:
    """The best final value of each study as the sweep went on: a row a trial that ended in full.

    Columns: ``study``, ``spent`` (epochs that all its search trials had trained by then),
    ``hours`` (since the sweep's first epoch was recorded), ``best`` (a fraction).
    """
    rows = search_curves(results)
    rows["spent"] = rows.groupby("study").cumcount() + 1
    start = results.epochs["recorded_at"].min()
    rows["hours"] = (rows["recorded_at"] - start).dt.total_seconds() / 3600
    full = _as_text(full_budget(results.trials))[["trial_id", "epochs"]]
    # Only full budgets count: a trial is never chosen for a value on its way.
    ended = rows.merge(full, left_on=["trial_id", "epoch"], right_on=["trial_id", "epochs"])
    ended["best"] = ended.groupby("study")["value"].cummax()
    return ended[["study", "spent", "hours", "best"]]


def _elr(best: pd.DataFrame) -> pd.DataFrame:
    """What the search chose for elr in each setting, and what came of it on fresh seeds."""
    names = {
        "test_accuracy": "elr_best",
        "replicated_test": "elr_again",
        "replicated_test_std": "elr_again_std",
        "replicates": "elr_seeds",
    }
    elr = _as_text(best[best["loss"] == BASELINE])
    return elr[[*SETTING, *names]].rename(columns=names)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Categoricals as text, so that tables of different categories merge and group simply."""
    names = table.select_dtypes("category").columns
    return table.astype(dict.fromkeys(names, "str"))
