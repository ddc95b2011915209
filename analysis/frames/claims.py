"""Whether refining ELR's target pays: the paper's two claims, put to a sweep's confirmed results.

Claim 1 is about accuracy at the end, claim 2 about the epochs it takes to come near ELR's (section
4 of the paper); memorisation goes with them. Every number is a difference to elr in the same noise
setting, paired by the seed of the replicates. Many differences are looked at here at once, so
their intervals are widened (:func:`answers`), as those of ``accuracy.accuracy_table`` are not.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping

import pandas as pd

from analysis.best import best_configs, chosen_configs, final_trials, full_budget, records
from analysis.frames.accuracy import (
    BASELINE,
    BETTER,
    DRAW,
    SETTING,
    UNSTABLE,
    WORSE,
    half_width,
    mean_interval,
    verdict,
)
from analysis.frames.learning import final_curves, first_epochs
from analysis.results import Results, once
from analysis.schema import PARAM, REPLICATE

SHARES = (0.95, 0.98, 0.99)
"""Of ELR's final accuracy: what :data:`EPOCHS` counts up to."""
ACCURACY, AVERAGED, MEMORIZED = "accuracy", "accuracy of averaged weights", "memorised"
EPOCHS = {share: f"epochs to {share:.0%}" for share in SHARES}
ACCURACIES = (ACCURACY, AVERAGED)
QUESTIONS = (ACCURACY, AVERAGED, *EPOCHS.values(), MEMORIZED)
SMALLER_IS_BETTER = frozenset((*EPOCHS.values(), MEMORIZED))
WORTH_SHOWING = 0.005
"""The difference in accuracy that ``seeds_needed`` is about: half a point."""
NOT_SHOWN = "not shown"
EVERYWHERE = "all settings"
MOST_SEEDS = 10_000
"""``seeds_needed`` is looked for up to here."""


@once
def answers(results: Results, against: Results | None = None) -> pd.DataFrame:
    """Every loss against elr, question by question and noise setting by noise setting.

    ``against``: another sweep, whose elr is meant instead of this one's. Its replicates count
    where they had the same seed and the same given labels.

    A row for each question (:data:`QUESTIONS`), loss and noise setting in which both have
    replicates of common seeds, and for each question and loss one over :data:`EVERYWHERE`, whose
    differences are the means of a seed over the settings. Columns: those of the setting,
    ``loss``, ``question``; ``value`` and ``elr`` (means over the pairs), ``difference`` (value
    minus elr), ``low`` and ``high``, ``pairs``, ``comparisons``, ``verdict`` and ``seeds_needed``.

    ``low`` and ``high`` bound Student's paired 95% interval after Bonferroni: all intervals of one
    question, so many as ``comparisons`` says, hold together with 95%. ``verdict`` is ``better`` or
    ``worse`` by the rule of ``accuracy.verdict``, else ``not shown``; ``diverged`` where a
    replicate of one did, so that the pairs are only those that went well. ``seeds_needed``, of
    accuracies: so many pairs would narrow the interval to half a point to either side, if they
    spread as these do.

    Accuracies and memorisation are fractions at the last epoch. Averaged weights (``averaging``
    above 0) are compared with elr's raw ones, elr's own too: how far averaging alone gets. Epochs
    are counted up to the first that was tested and reached the share of elr's mean final test
    accuracy in the setting; a trial that never does counts with one epoch more than it had.
    """
    elr_of = results if against is None else against
    # The goals of all losses are those of one ELR, so that epochs to them compare.
    reference = _at_end(_replicate_epochs(elr_of))
    reference = reference[reference["loss"] == BASELINE]
    goals = reference.groupby(SETTING)["test_accuracy"].mean()
    measured = _measured(results, goals)
    baseline = measured if against is None else _measured(against, goals)
    unstable = _unstable(results, elr_of)
    rows = []
    for _, of_question in _pairs(measured, baseline).groupby("question", sort=False):
        parts = list(_parts(of_question))
        for keys, part in parts:
            found = _found(part, len(parts), str(keys["question"]))
            if _key(keys) in unstable:
                found["verdict"] = UNSTABLE
            rows.append({**keys, **found})
    table = pd.DataFrame(rows, columns=[*SETTING, "loss", "question", *_FOUND])
    return table.astype({"noise_rate": "float64"})  # also where it is empty, to merge with others


_FOUND = [
    "value",
    "elr",
    "difference",
    "low",
    "high",
    "pairs",
    "comparisons",
    "verdict",
    "seeds_needed",
]


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    return row["dataset"], row["model"], row["noise"], row["loss"]


def _unstable(results: Results, elr_of: Results) -> set[tuple[object, ...]]:
    """Settings and losses of which a replicate diverged, elr's or the loss's own.

    A loss that is unstable in one setting is so over all of them.
    """
    chosen, elr = chosen_configs(results), chosen_configs(elr_of)
    lost = chosen[chosen["replicates_diverged"] > 0]
    elr = elr[(elr["loss"] == BASELINE) & (elr["replicates_diverged"] > 0)]
    beside = chosen.merge(elr[SETTING], on=SETTING)
    found = [row for table in (lost, beside) for row in records(table)]
    return {_key(row | noise) for row in found for noise in ({}, {"noise": EVERYWHERE})}


@once
def _replicate_epochs(results: Results) -> pd.DataFrame:
    """The epochs of the replicates of chosen configurations, with the labels they had."""
    finals = final_trials(results)
    finals = finals[finals["phase"] == REPLICATE][["trial_id", "labels_fingerprint"]]
    return final_curves(results).merge(finals.astype("str"), on="trial_id")


def _at_end(curves: pd.DataFrame) -> pd.DataFrame:
    return curves[curves["epoch"] == curves["max_epochs"]]


def _measured(results: Results, goals: "pd.Series[float]") -> pd.DataFrame:
    """What each replicate of a chosen configuration came to: a row a trial and question.

    ``goals``: elr's mean final test accuracy by setting, which epochs are counted up to.
    """
    curves = _replicate_epochs(results)
    at_end = _at_end(curves)
    answered = {ACCURACY: at_end.assign(value=at_end["test_accuracy"])}
    answered[AVERAGED] = at_end.assign(value=at_end["averaged_test_accuracy"])
    answered[MEMORIZED] = at_end.assign(value=at_end["wrong_memorized"])
    for share, question in EPOCHS.items():
        reach = at_end.merge((share * goals).rename("goal").reset_index(), on=SETTING)
        first = first_epochs(reach, curves)
        answered[question] = first.assign(value=first["epochs"].fillna(first["max_epochs"] + 1))
    parts = [
        table[[*SETTING, "loss", *DRAW, "value"]].assign(question=name)
        for name, table in answered.items()
    ]
    return pd.concat(parts).dropna(subset="value")


def _pairs(measured: pd.DataFrame, baseline: pd.DataFrame) -> pd.DataFrame:
    """Each measurement beside that of elr on the same draw: columns ``value`` and ``elr``.

    Elr's own averaged weights are a measurement of their own.
    """
    elr = baseline[baseline["loss"] == BASELINE]
    elr = elr.drop(columns="loss").rename(columns={"value": BASELINE})
    raw = elr[elr["question"] == ACCURACY].assign(question=AVERAGED)
    elr = pd.concat([elr[elr["question"] != AVERAGED], raw])
    others = measured[(measured["loss"] != BASELINE) | (measured["question"] == AVERAGED)]
    return others.merge(elr, on=[*SETTING, *DRAW, "question"])


def _parts(pairs: pd.DataFrame) -> Iterator[tuple[Mapping[str, object], pd.DataFrame]]:
    """The pairs of each setting and loss, then those of a loss over all its settings."""
    for keys, part in pairs.groupby([*SETTING, "loss", "question"], sort=True, observed=True):
        yield dict(zip([*SETTING, "loss", "question"], keys, strict=True)), part
    shared = ["dataset", "model", "loss", "question"]
    for keys, part in pairs.groupby(shared, sort=True, observed=True):
        settings = part["noise"].nunique()
        # Seeds that ran in all settings: the means of others would be over fewer of them.
        everywhere = part.groupby("seed").filter(lambda seed: len(seed) == settings)  # noqa: B023
        if settings > 1 and len(everywhere):
            means = everywhere.groupby("seed")[["value", BASELINE]].mean()
            yield dict(zip(shared, keys, strict=True)) | {"noise": EVERYWHERE}, means


def _found(pairs: pd.DataFrame, comparisons: int, question: str) -> dict[str, object]:
    differences = (pairs["value"] - pairs[BASELINE]).to_numpy(dtype=float)
    count = len(differences)
    mean, low, high = mean_interval(differences, comparisons)
    spread = float(differences.std(ddof=1)) if count > 1 else math.nan
    needed = _seeds_needed(spread, comparisons) if question in ACCURACIES else math.nan
    return {
        "value": pairs["value"].mean(),
        "elr": pairs[BASELINE].mean(),
        "difference": mean,
        "low": low,
        "high": high,
        "pairs": count,
        "comparisons": comparisons,
        "verdict": _verdict(low, high, count, question),
        "seeds_needed": needed,
    }


def _verdict(low: float, high: float, pairs: int, question: str) -> str:
    if question in SMALLER_IS_BETTER:
        low, high = -high, -low
    found = verdict(low, high, pairs)
    return found if found in (BETTER, WORSE) else NOT_SHOWN


def _seeds_needed(spread: float, comparisons: int) -> float:
    """The fewest pairs whose interval reaches half a point to either side; NaN: unknown."""
    counts = range(2, MOST_SEEDS + 1)
    # One pair has no spread, and pairs that all agree would ask for no seeds at all.
    if not spread > 0:
        return math.nan
    enough = bisect_left(
        counts, True, key=lambda count: half_width(spread, count, comparisons) <= WORTH_SHOWING
    )
    return float(counts[enough]) if enough < len(counts) else math.inf


@once
def targets(results: Results, against: Results | None = None) -> pd.DataFrame:
    """What the search found with each target that refines ELR's: a row a loss and target.

    Columns: ``loss``, ``target``; ``trials``, of the search, and ``completed``, on their full
    budget; ``settings``, noise settings in which elr and one of these completed; ``difference``,
    the best selection value with this target minus elr's best (fractions, the mean over
    ``settings``); ``won``, settings whose best trial of the loss has this target; ``confirmed``,
    over the settings that it won, the mean difference on fresh seeds (:func:`answers`; NaN
    without). Best first. ``against`` as for :func:`answers`. A target with more trials had more
    draws to be the best of.
    """
    trials = _with_target(results.searched)
    full = full_budget(trials)
    setting = [*SETTING, "loss"]
    best = full.groupby([*setting, "target"])["selection_value"].max().rename("best").reset_index()
    chosen = best_configs(results).dropna(subset="trial_id")
    # Best against best, both of the search: only winners have replicates.
    elr = best_configs(against or results).dropna(subset="trial_id")
    elr = elr[elr["loss"] == BASELINE][[*SETTING, "selection_value"]]
    winners = _with_target(chosen)[[*setting, "target"]].assign(won=True)
    found = answers(results, against)
    again = found[found["question"] == ACCURACY][[*setting, "difference"]]
    best = best.merge(elr, on=SETTING).merge(winners, "left", [*setting, "target"])
    best = best.merge(again.rename(columns={"difference": "confirmed"}), "left", setting)
    best["won"] = best["won"].eq(True)
    # Only the winner ran on fresh seeds: its result says nothing of the other targets.
    best["confirmed"] = best["confirmed"].where(best["won"])
    best["difference"] = best["best"] - best["selection_value"]
    of = ["loss", "target"]
    counts = trials.groupby(of).size().rename("trials").to_frame()
    counts["completed"] = full.groupby(of).size()
    by_target = best.groupby(of).agg(
        settings=("noise", "size"),
        difference=("difference", "mean"),
        won=("won", "sum"),
        confirmed=("confirmed", "mean"),
    )
    table = counts.join(by_target).fillna({"completed": 0, "settings": 0, "won": 0}).reset_index()
    whole = dict.fromkeys(["completed", "settings", "won"], "int64")
    return table.astype(whole).sort_values("difference", ascending=False, ignore_index=True)


def _with_target(trials: pd.DataFrame) -> pd.DataFrame:
    """Those whose loss has a target to choose, with plain texts to group by."""
    column = f"{PARAM}target"
    if column not in trials:
        trials = trials.assign(**{column: None})
    trials = trials.rename(columns={column: "target"}).dropna(subset="target")
    texts = ["dataset", "model", "noise_kind", "noise", "loss", "target"]
    return trials.astype(dict.fromkeys(texts, "str"))
