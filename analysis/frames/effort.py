"""What a sweep cost, what early stopping saved, and how far its numbers can be trusted."""

import pandas as pd

from analysis.best import REPLICATE_COUNTS, best_configs, full_budget, replicated
from analysis.results import Results
from analysis.schema import COMPLETED, DIVERGED, FAILED, PAUSED, RUNNING, STOPPED

EPOCH_COUNTS = ["epochs", "saved_epochs", "failed_epochs", "repeated_epochs", "lost_epochs"]


ENOUGH_TO_RANK = 8
"""Trials below which a rank correlation is mostly chance."""


def budget(results: Results) -> pd.DataFrame:
    """Epochs and hours of each study and phase.

    Columns: ``study``, ``phase``, ``trials``; how many of them ``completed``, ``stopped``,
    ``diverged``, ``failed``, ``unfinished``; ``epochs`` trained (each counted once) and their
    ``hours``; ``saved_epochs`` that stopped trials did not train, ``saved_hours`` (at the study's
    mean time an epoch); ``lost_epochs``: the ``failed_epochs`` of failed trials, which are among
    ``epochs``, and the ``repeated_epochs`` trained again after an interruption, which are not.

    Hours add up the seconds of epochs, evaluation included: two trials side by side for an hour
    are two. Starts, preparing data, checkpoints and repeated epochs are not in them.
    """
    trials = results.trials
    status = trials["status"]
    left = trials["max_epochs"] - trials["epochs"]
    columns = trials[["study", "phase"]].assign(
        trials=1,
        **{name: status == name for name in (COMPLETED, STOPPED, DIVERGED, FAILED)},
        unfinished=status.isin([RUNNING, PAUSED]),
        epochs=trials["epochs"],
        hours=trials["duration_s"] / 3600,
        saved_epochs=left.where(status == STOPPED, 0),
        failed_epochs=trials["epochs"].where(status == FAILED, 0),
        repeated_epochs=trials["repeated_epochs"].fillna(0),
    )
    table = columns.groupby(["study", "phase"], observed=True).sum().reset_index()
    table["saved_hours"] = (
        table["saved_epochs"] * table["hours"] / table["epochs"].where(table["epochs"] > 0)
    )
    table["lost_epochs"] = table["failed_epochs"] + table["repeated_epochs"]
    return table.astype(dict.fromkeys(EPOCH_COUNTS, "int64"))


def selection_gap(results: Results) -> pd.DataFrame:
    """How lucky the search's winner was, and how well the hold-out predicts the test.

    One row a study. ``selection_value`` of the best search trial against ``replicated_value``,
    its mean over ``replicates`` fresh seeds, and ``gap``, the first minus the second (NaN
    without replicates): the luck of having been chosen, and that of the search's seed, whose
    hold-out may be an easy one. ``rank_correlation`` in [-1, 1] (Spearman's) between the selection
    value and test accuracy over the ``trials`` search trials that used their full budget; NaN
    with fewer than :data:`ENOUGH_TO_RANK`.
    """
    best = best_configs(results)[["study", "loss", "noise", "trial_id", "selection_value"]]
    table = best.merge(replicated(results.trials), on="trial_id", how="left")
    table[REPLICATE_COUNTS] = table[REPLICATE_COUNTS].fillna(0).astype("int64")
    table["gap"] = table["selection_value"] - table["replicated_value"]
    trials = full_budget(results.searched)
    rows = [
        {"study": study, "trials": len(group), "rank_correlation": _rank_correlation(group)}
        for study, group in trials.groupby("study", observed=True)
    ]
    agreement = pd.DataFrame(rows, columns=["study", "trials", "rank_correlation"])
    table = table.merge(agreement, on="study", how="left").fillna({"trials": 0})
    return table.astype({"trials": "int64"})


def _rank_correlation(trials: pd.DataFrame) -> float:
    if len(trials) < ENOUGH_TO_RANK:
        return float("nan")
    # Spearman's is Pearson's of the ranks; asked for by name, pandas would import scipy.
    ranks = trials[["selection_value", "test_accuracy"]].rank()
    # Of values that are all equal numpy would divide by zero.
    if (ranks.nunique() < 2).any():
        return float("nan")
    return float(ranks["selection_value"].corr(ranks["test_accuracy"]))
