"""What the hold-out cannot tell apart: accuracies that differ by less than its error.

An accuracy p measured on n examples has the binomial standard error sqrt(p (1 - p) / n). Two
accuracies p and q are tied if |p - q| <= sqrt(p (1 - p) / n + q (1 - q) / m): one standard error
of their difference, as if they were measured on different examples. On the same hold-out, where
errors are shared, the true error is smaller, so this calls rather too much a tie than too little.
"""

import numpy as np
import pandas as pd

from analysis.best import chosen_configs, rank_trials, selection_curves
from analysis.frames.accuracy import SETTING
from analysis.results import Results, once, table_in
from analysis.schema import STOPPED
from trainable.data import DATASETS
from trainable.data.splits import holdout_size
from trainable.metrics import TEST_METRICS


def judging_examples(results: Results, trial_ids: "pd.Series[str]") -> np.ndarray:
    """How many examples each trial was judged on, as floats: NaN where nobody knows.

    The hold-out's, as recorded; where an earlier version recorded none, as the config says, which
    knows nothing of a user's own images. Of a sweep that selects on the test set, the latter's.
    """
    trials = results.trials[["trial_id", "config", "selected_by", "val_examples"]]
    found = {trial_id: _judged_on(*judged) for trial_id, *judged in trials.itertuples(index=False)}
    return np.array([found[trial_id] for trial_id in trial_ids], dtype=np.float64)


def _judged_on(config: str, metric: str, recorded: float) -> float:
    if metric not in TEST_METRICS and recorded > 0:
        return recorded
    data = table_in(config, "data")
    known = DATASETS.get(str(data.get("name")))
    if known is None:
        return np.nan
    if metric in TEST_METRICS:
        return known.test_examples or np.nan
    examples = data.get("train_examples") or known.train_examples
    try:
        return holdout_size(data["holdout"], examples) or np.nan
    except (KeyError, TypeError, ValueError):  # of a config that nobody could train
        return np.nan


def margin(
    accuracy: "pd.Series[float]",
    examples: "pd.Series[float]",
    other: "pd.Series[float]",
    others: "pd.Series[float]",
) -> "pd.Series[float]":
    """One standard error of the difference of two accuracies, each on so many examples."""
    return (accuracy * (1 - accuracy) / examples + other * (1 - other) / others) ** 0.5


@once
def loss_ties(results: Results) -> pd.DataFrame:
    """Each study's chosen configuration against the best of its setting: one row a study.

    Columns: ``study``, those of the setting, ``loss``, ``confirmed``; ``value`` that it was
    chosen by (the mean over replicates if confirmed), measured on ``examples`` hold-out examples
    in all (n of them on each seed); ``behind`` (value of the setting's best minus this one),
    ``margin`` and ``tied``: whether ``behind`` is at most ``margin``. The best itself is tied if
    another one is. Confirmed and unconfirmed ones are never called tied: they are not compared.
    """
    table = chosen_configs(results)
    single = judging_examples(results, table["trial_id"])
    again = table["confirmed"].astype("bool")
    table["value"] = table["replicated_value"].where(again, table["selection_value"])
    table["examples"] = single * table["replicates"].where(again, 1)
    table = table[["study", *SETTING, "loss", "confirmed", "value", "examples"]]
    best = table.drop_duplicates(SETTING)
    table = table.merge(best, on=SETTING, suffixes=("", "_best"))
    table["behind"] = table["value_best"] - table["value"]
    table["margin"] = margin(*(table[n] for n in _COMPARED))
    # A mean over fresh seeds and the best of a search do not compare: one has been selected.
    alike = table["confirmed"] == table["confirmed_best"]
    table["tied"] = (table["behind"] <= table["margin"]) & alike
    # Every best is within the margin of itself; a tie takes two.
    several = table.groupby(SETTING, observed=True)["tied"].transform("sum") > 1
    table["tied"] &= several
    return table.drop(columns=[name for name in table if str(name).endswith("_best")])


_COMPARED = ("value", "examples", "value_best", "examples_best")


def tied_settings(results: Results) -> list[tuple[str, tuple[str, ...]]]:
    """The noise settings whose best losses are tied, each with these losses, the best first."""
    ties = loss_ties(results)
    groups = ties[ties["tied"]].groupby(SETTING, observed=True)
    return [(str(setting[-1]), tuple(group["loss"])) for setting, group in groups]


@once
def trial_ties(results: Results) -> pd.DataFrame:
    """Each trial that may win against the best of its study, as the search ranks them.

    Columns: ``study``, ``trial_id``, ``number``, ``rank``, ``value`` (of the selection metric),
    ``examples``, ``behind``, ``margin`` and ``tied``, as in :func:`loss_ties`; the best itself is
    never tied.
    """
    ranked = rank_trials(results)
    ranked["examples"] = judging_examples(results, ranked["trial_id"])
    table = ranked.rename(columns={"selection_value": "value"})
    table = table[["study", "trial_id", "number", "rank", "value", "examples"]]
    best = table.loc[table["rank"] == 1, ["study", "value", "examples"]]
    table = table.merge(best, on="study", suffixes=("", "_best"))
    table["behind"] = table["value_best"] - table["value"]
    table["margin"] = margin(*(table[n] for n in _COMPARED))
    table["tied"] = (table["behind"] <= table["margin"]) & (table["rank"] > 1)
    return table.drop(columns=["value_best", "examples_best"])


def overtaken(results: Results) -> pd.DataFrame:
    """Stopped trials that stood above their study's best one at the epoch they were stopped at.

    Early stopping compares a trial with those that reached its rung before it, so that this can
    be: one of these might have ended as the best. Columns: ``study``, ``trial_id``, ``number``,
    ``epoch``, ``value`` and ``best_value``, both of the selection metric after that epoch.
    """
    best = rank_trials(results)
    best = best[best["rank"] == 1]
    curves = selection_curves(results)
    curves = curves[curves["trial_id"].isin(best["trial_id"])].rename(
        columns={"value": "best_value"}
    )
    stopped = results.trials[results.trials["status"] == STOPPED]
    stopped = stopped[["study", "trial_id", "number", "epochs", "selection_value"]]
    stopped = stopped.rename(columns={"epochs": "epoch", "selection_value": "value"})
    stopped = stopped.astype({"study": "str", "trial_id": "str"})
    both = stopped.merge(curves[["study", "epoch", "best_value"]], on=["study", "epoch"])
    return both[both["value"] > both["best_value"]].reset_index(drop=True)
