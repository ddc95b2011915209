"""Which configuration of a study is the best one, by the selection rule (``analysis.rule``).

Never the peak over epochs, never a trial that was stopped early, never the test set unless the
sweep file says ``allow_test_selection = true``.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import pandas as pd

from analysis.readable import ReadableTable
from analysis.results import Results, ResultsError, once, sweep_spec
from analysis.rule import may_win, of_largest_budget, selection_key
from analysis.schema import DIVERGED, PARAM, PAUSED, REPLICATE, RUNNING
from trainable.catalog import unknown
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

REPLICATE_COUNTS = ["replicates", "replicates_diverged", "replicates_unfinished"]
REPLICATED = [
    *REPLICATE_COUNTS,
    "replicated_value",
    "confirmed_value",
    "replicated_test",
    "replicated_test_std",
]
"""What :func:`replicated` says about a trial."""


FIRST = [
    "study",
    "rank",
    "number",
    "completed",
    "trials",
    "val_accuracy",
    "test_accuracy",
    "replicates",
    "replicated_test",
    "replicated_test_std",
]
"""What a person reads first of a table of configurations; the searched parameters follow."""


def best_configs(results: Results, *, confirmed: bool = False) -> pd.DataFrame:
    """The best trial of each study: one row a study, the highest selection value first.

    Columns: ``study``, what it is about, ``trials`` and ``completed`` (search trials, and those
    among them that used their full budget), the trial's own columns, its ``param_*``, ``config``
    (JSON), those of :func:`replicated`, ``leak`` (selected on the test set). A study without a
    completed trial stays, with NaN in the trial's columns. A notebook shows :data:`FIRST` and the
    hyperparameters that were searched (:class:`~analysis.readable.ReadableTable`).

    Args:
        results: from ``load_results``.
        confirmed: choose, among the trials whose replicates have all ended, the highest mean of
            the selection metric over the replicates; those of which a replicate diverged come
            after all others. Studies without such a trial get NaN.

    Raises:
        ResultsError: trials were selected on the test set, but the sweep file does not allow it.
    """
    return _readable(_best_configs(results, confirmed), results)


@once
def _best_configs(results: Results, confirmed: bool) -> pd.DataFrame:
    table = _top(results, 1, confirmed, how="left").drop(columns="rank")
    values = _CONFIRMED if confirmed else _SEARCHED
    descending = [False] * len(values)
    return table.sort_values([*values, "study"], ascending=[*descending, True], ignore_index=True)


def top_configs(results: Results, k: int = 3, *, confirmed: bool = False) -> pd.DataFrame:
    """The best ``k`` trials of each study by the selection rule: column ``rank``, from 1.

    Sorted by study and rank; other columns, and ``confirmed``, as in :func:`best_configs`. A
    study without a completed trial has no rows.
    """
    table = _top(results, k, confirmed, how="inner")
    return _readable(table.sort_values(["study", "rank"], ignore_index=True), results)


def _readable(table: pd.DataFrame, results: Results) -> pd.DataFrame:
    searched = {
        f"{PARAM}{name}" for names in varied_parameters(results).values() for name in names
    }
    first = [name for name in FIRST if name in table]
    return ReadableTable.of(table, [*first, *(name for name in table if name in searched)])


def _top(results: Results, k: int, confirmed: bool, how: Literal["left", "inner"]) -> pd.DataFrame:
    ranked = _replicated(results) if confirmed else rank_trials(results)
    best = ranked[ranked["rank"] <= k].drop(columns=STUDY_COLUMNS)
    table = _studies(results).merge(best, on="study", how=how)
    return table.assign(leak=selected_on_test(results))


@once
def chosen_configs(results: Results) -> pd.DataFrame:
    """The configuration that each study ends up with: the confirmed one, else the search's best.

    Columns as in :func:`best_configs`, and ``confirmed``. The confirmed ones come first, each
    part best first; studies without a completed trial are left out.
    """
    confirmed, searched = (
        best_configs(results, confirmed=again).dropna(subset="trial_id").assign(confirmed=again)
        for again in (True, False)
    )
    searched = searched[~searched["study"].isin(confirmed["study"])]
    # Of an empty table pandas would take the dtypes too, which are not those of the other.
    parts = [table for table in (confirmed, searched) if len(table)]
    return pd.concat(parts or [confirmed], ignore_index=True)


@once
def final_trials(results: Results) -> pd.DataFrame:
    """The trials that a study's final numbers come from, sorted by study and seed.

    Of its chosen configuration the replicates that used their full budget, if it is confirmed,
    else the search trial itself. Columns as in ``results.trials``.
    """
    trials = full_budget(results.trials)
    chosen = chosen_configs(results)
    confirmed = chosen["confirmed"].astype("bool")
    # A search trial has been chosen among many, its replicates have not: they never mix.
    again, first = set(chosen["trial_id"][confirmed]), set(chosen["trial_id"][~confirmed])
    final = trials["source_trial_id"].isin(again) & (trials["phase"] == REPLICATE)
    return trials[final | trials["trial_id"].isin(first)].sort_values(
        ["study", "seed"], ignore_index=True
    )


@once
def rank_trials(results: Results) -> pd.DataFrame:
    """All trials that are compared, ranked in their study; selecting on test must be allowed."""
    selected_on_test(results)
    trials = full_budget(results.trials)
    trials = trials[trials["phase"] != REPLICATE]
    trials = trials.loc[of_largest_budget(trials["study"], trials["max_epochs"])]
    trials = trials.merge(replicated(results.trials), on="trial_id", how="left")
    # A trial that nobody ran again is in no row of the other table: counts of NaN.
    trials[REPLICATE_COUNTS] = trials[REPLICATE_COUNTS].fillna(0).astype("int64")
    return _ranked(trials, _SEARCHED)


def full_budget(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials whose last epoch is that of their full budget, with a defined selection value."""
    names = ("status", "epochs", "max_epochs", "selection_value")
    able: pd.Series[bool] = may_win(*(trials[name] for name in names))
    return trials[able]


def replicated(trials: pd.DataFrame) -> pd.DataFrame:
    """How the replicates of each replicated trial (``trial_id``) ended, one row a trial.

    ``replicates`` used their full budget, ``replicates_diverged`` did not get there,
    ``replicates_unfinished`` run or wait; one that failed is none of these: that says nothing
    about the configuration. Over those with their full budget: ``replicated_value``, the mean of
    the selection metric, ``replicated_test`` and ``replicated_test_std``, mean and standard
    deviation of test accuracy (NaN without). ``confirmed_value`` is ``replicated_value``, but NaN,
    the worst value, if a replicate diverged.
    """
    again = trials[trials["phase"] == REPLICATE]
    full = again.index.isin(full_budget(again).index)
    outcomes = pd.DataFrame(
        {
            "trial_id": again["source_trial_id"].astype("str"),
            "replicates": full,
            "replicates_diverged": again["status"] == DIVERGED,
            "replicates_unfinished": again["status"].isin([RUNNING, PAUSED]),
            "value": again["selection_value"].where(full),
            "test": again["test_accuracy"].where(full),
        }
    )
    table = outcomes.groupby("trial_id", as_index=False).agg(
        **{name: (name, "sum") for name in REPLICATE_COUNTS},
        replicated_value=("value", "mean"),
        replicated_test=("test", "mean"),
        replicated_test_std=("test", "std"),
    )
    # A mean over the seeds that survived would reward a configuration for diverging.
    steady = table["replicates_diverged"] == 0
    return table.assign(confirmed_value=table["replicated_value"].where(steady))


def selection_curves(results: Results) -> pd.DataFrame:
    """The metric that selects, after each epoch in which it is defined, in order of arrival.

    Columns: ``study``, ``trial_id``, ``epoch``, ``value`` (a fraction), ``recorded_at``. Text is
    plain, not categorical. The epochs must have been loaded with all their columns.
    """
    metric_of = results.trials[["trial_id", "selected_by"]].astype("str")
    rows = results.epochs.astype({"study": "str", "trial_id": "str"}).sort_values("seq")
    rows = rows.merge(metric_of, on="trial_id")
    values = pd.Series(float("nan"), rows.index)
    for metric in rows["selected_by"].unique():
        values = values.where(rows["selected_by"] != metric, rows[metric])
    rows = rows.assign(value=values)[["study", "trial_id", "epoch", "value", "recorded_at"]]
    return rows.dropna(subset="value").reset_index(drop=True)


def selected_on_test(results: Results) -> bool:
    """Whether the sweep selects on the test set. Raises ResultsError if it may not."""
    used = set(results.trials["selected_by"].dropna()) & set(TEST_METRICS)
    if used and not results.spec.get("search", {}).get("allow_test_selection", False):
        raise ResultsError(
            f"{results.folder}: trials were selected on {', '.join(sorted(used))}, a leak that "
            "the sweep file does not allow (allow_test_selection = true)"
        )
    return bool(used)


def one_study(results: Results, study: str | None) -> str:
    """The study that is meant: it may be left out if the sweep has only one.

    Raises ResultsError, which lists them, for an unknown one, or none of several.
    """
    names = [str(name) for name in results.trials["study"].cat.categories]
    # Any of several would be a guess, and its files would bear the name of what was meant.
    if study is None and len(names) > 1:
        raise ResultsError(f"one study at a time: add --study with one of {', '.join(names)}")
    name = study if study is not None else "".join(names)
    if name not in names:
        raise ResultsError(unknown("study", name, names))
    return name


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


@once
def varied_parameters(results: Results) -> dict[str, set[str]]:
    """Per study, the hyperparameters that it searches; all, if it searches none.

    Those of the sweep file, or, where there is none that names the study, those that differ
    between its search trials.
    """
    trials = results.searched
    columns = [name for name in trials.columns if name.startswith(PARAM)]
    try:
        cells = {cell.study: cell for cell in sweep_spec(results).cells()}
    except ResultsError:
        cells = {}
    varied = {}
    for study, group in ((str(k), g) for k, g in trials.groupby("study", observed=True)):
        # Without a sweep file, what differs must have been searched.
        names = {name for name in columns if group[name].nunique() > 1}
        if study in cells:
            # A branch's parameters carry its name in the space, and none in the results.
            names = {PARAM + name.rpartition(".")[2] for name in cells[study].space.varies}
        varied[study] = {name.removeprefix(PARAM) for name in names or columns}
    return varied


_SEARCHED = ["selection_value"]
_CONFIRMED = ["confirmed_value", "replicated_value"]
"""What the search ranks by, and the replicates: the second value where the first is undefined."""


def _replicated(results: Results) -> pd.DataFrame:
    ranked = rank_trials(results).drop(columns="rank")
    told = ranked["replicates"] + ranked["replicates_diverged"] > 0
    return _ranked(ranked[told & (ranked["replicates_unfinished"] == 0)], _CONFIRMED)


def _ranked(trials: pd.DataFrame, values: list[str]) -> pd.DataFrame:
    """Trials by study and ``values``, highest first, ties by number; ``rank`` from 1."""
    # By the rule's own key, not by sort_values: NaN, ties and order are decided in one place.
    rows = zip(trials["study"], trials["number"], *(trials[v] for v in values), strict=True)
    keys = [(study, selection_key(number, *given)) for study, number, *given in rows]
    trials = trials.iloc[sorted(range(len(keys)), key=keys.__getitem__)].reset_index(drop=True)
    params = [name for name in trials.columns if name.startswith(PARAM)]
    rank = trials.groupby("study", observed=True).cumcount() + 1
    columns = ["study", *STUDY_COLUMNS, *TRIAL_COLUMNS, *params, "config", *REPLICATED]
    return trials[columns].assign(rank=rank)


def _studies(results: Results) -> pd.DataFrame:
    """One row a study: what it is about, and how many search trials it has."""
    trials = results.searched
    about = trials.groupby("study", observed=True)[STUDY_COLUMNS].first()
    groups = trials.groupby("study", observed=True)
    about["trials"] = groups.size()
    about["completed"] = full_budget(trials).groupby("study", observed=True).size()
    # A study none of whose trials has its full budget is in no group.
    return about.fillna({"completed": 0}).astype({"completed": "int64"}).reset_index()
