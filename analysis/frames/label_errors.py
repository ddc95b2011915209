"""Which given labels are probably wrong: a study's training examples, the most doubtful first.

Only examples that a trial trained on are ranked: of the hold-out nobody recorded anything.

===========  ======================================================================================
criterion    score: the higher, the more doubtful; above 0, another class is ahead of the given one
===========  ======================================================================================
margin       the largest other logit less the given label's, mean over the winner's epochs and
             those of its replicates with the same labels (area under the margin, 2001.10528)
probability  the rival's probability less the given label's, mean alike (arXiv 2009.10795)
losses       the same over the winners of all losses that were searched with these labels
target       the final target's share of the class it favours; negative where that is the given one
===========  ======================================================================================

The README says how well each one finds wrong labels.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.amounts import percent
from analysis.best import chosen_configs, one_study, records
from analysis.frames.accuracy import SETTING
from analysis.frames.classes import class_names
from analysis.results import Results, ResultsError, recorded_config
from analysis.schema import COMPLETED, REPLICATE
from analysis.store import read_beside
from trainable.catalog import unknown
from trainable.config import TrialConfig
from trainable.folder import layout
from trainable.folder.checked_parquet import packed
from trainable.folder.storage import Folder

CRITERIA = {
    "margin": ("margin", "rival", "rival_probability"),
    "probability": ("given_probability", "rival", "rival_probability"),
    "losses": ("given_probability", "rival", "rival_probability"),
    "target": ("proposed", "confidence"),
}
"""The columns of a trial's targets that each criterion reads; the first is the default."""

PAIR_COLUMNS = ["study", "given", "proposed", "labels", "examples", "classes"]


@dataclass(frozen=True)
class LabelErrors:
    """What the trials of a study say about its training labels."""

    study: str  # whose labels are judged
    criterion: str
    """One of :data:`CRITERIA`."""
    trial_ids: tuple[str, ...]
    """Who was asked; the study's winner comes first."""
    config: TrialConfig
    """The winner's."""
    ranked: pd.DataFrame
    """A row a training example, the most doubtful first: ``index`` (place in the data set's
    training set), ``given``, ``proposed`` (what it is, if the given label is wrong), ``score``,
    and ``true`` where the truth is known."""

    @property
    def doubted(self) -> pd.DataFrame:
        """The rows whose score is above 0."""
        return self.ranked[self.ranked["score"] > 0]

    @property
    def examples(self) -> int:
        """Training examples that were looked at."""
        return len(self.ranked)

    @cached_property
    def wrong(self) -> float:
        """How many given labels are wrong; NaN where nobody knows."""
        return float(self._is_wrong.sum()) if "true" in self.ranked else math.nan

    @property
    def precision(self) -> float:
        """Share of the doubted labels that are wrong; NaN where undefined or unknown."""
        return self.precision_of(len(self.doubted))

    @property
    def recall(self) -> float:
        """Share of the wrong labels that are doubted; NaN likewise."""
        return self.precision * len(self.doubted) / self.wrong if self.wrong else math.nan

    @property
    def corrected(self) -> float:
        """Share of the wrong labels that are doubted and whose proposal is right; NaN likewise."""
        if not self.wrong > 0:
            return math.nan
        doubted = self.doubted
        right = (doubted["proposed"] == doubted["true"]) & (doubted["given"] != doubted["true"])
        return float(right.sum()) / self.wrong

    def precision_of(self, count: int) -> float:
        """Share of the first ``count`` labels that are wrong; at ``wrong``, the recall as well."""
        if not count or math.isnan(self.wrong):
            return math.nan
        return float(self._is_wrong.iloc[:count].mean())

    @property
    def _is_wrong(self) -> "pd.Series[bool]":
        return self.ranked["given"] != self.ranked["true"]

    def summary(self) -> list[str]:
        """What a reader wants to know first, a line each."""
        doubted = len(self.doubted)
        who = f"trial {self.trial_ids[0]}"
        if len(self.trial_ids) > 1:
            who += f" with {len(self.trial_ids) - 1} more"
        verb = "doubt" if len(self.trial_ids) > 1 else "doubts"
        share = percent(doubted / self.examples) if self.examples else "0"
        lines = [
            f"{who} {verb} {doubted} of {self.examples} training labels ({share}%), by "
            f"{self.criterion}; examples of the hold-out are not judged"
        ]
        if math.isnan(self.wrong):
            return [*lines, "the true labels are unknown here"]
        return [
            *lines,
            f"{self.wrong:.0f} labels are wrong; of the doubted ones, {percent(self.precision)}% "
            f"(precision); of the wrong ones, {percent(self.recall)}% are doubted (recall) and "
            f"for {percent(self.corrected)}% the proposal is the true class",
        ]


def label_errors(results: Results, study: str, criterion: str | None = None) -> LabelErrors:
    """Rank the training labels of a study by how doubtful they are to its best trials.

    Args:
        results: of the sweep.
        study: name of a study in it.
        criterion: one of :data:`CRITERIA`; None: the first that the winner left enough for.

    Raises:
        ResultsError: an unknown study or criterion, a study without a winner, a winner that left
            nothing or too little for the criterion, a damaged file.
    """
    one_study(results, study)
    if criterion is not None and criterion not in CRITERIA:
        raise ResultsError(unknown("criterion", criterion, CRITERIA))
    winner, config = _winner(results, study)
    table = _read_targets(results.folder, winner)
    chosen = criterion or next((c for c in CRITERIA if _suits(table, c)), "target")
    if not _suits(table, chosen):
        raise ResultsError(
            f"trial {winner} left nothing for criterion {chosen}: "
            + ("its loss has no target" if chosen == "target" else "it ran before that was kept")
        )
    tables = {winner: table}
    for trial_id in _others(results, study, winner, chosen):
        if (results.folder / layout.TARGETS).exists(layout.table_name(trial_id)):
            other = _read_targets(results.folder, trial_id)
            tables |= {trial_id: other} if _suits(other, chosen) else {}
    ranked = rank(list(tables.values()), chosen)
    return LabelErrors(study, chosen, tuple(tables), config, ranked)


def doubted_pairs(results: Results) -> pd.DataFrame:
    """A class pair of a noise setting: how many given labels are perhaps of the other class.

    Of each setting the study with the best selection value that left something about its labels.
    Columns ``study``, ``given``, ``proposed``, ``labels`` (how many), ``examples`` (training
    examples in all), ``classes`` (names by label); a setting without doubts has one row of none.

    Raises:
        ResultsError: a damaged file.
    """
    rows = list[dict[str, Any]]()
    best = chosen_configs(results).sort_values("selection_value", ascending=False)
    left = set((results.folder / layout.TARGETS).names())
    # A winner that ended before its targets were kept leaves the next study of its setting.
    best = best[best["trial_id"].astype(str).map(layout.table_name).isin(left)]
    for study in best.drop_duplicates([*SETTING])["study"]:
        errors = label_errors(results, str(study))
        pairs = Counter(zip(errors.doubted["given"], errors.doubted["proposed"], strict=True))
        of_study = {
            "study": str(study),
            "examples": errors.examples,
            "classes": named_classes(errors, results),
        }
        for (given, proposed), labels in (pairs or {(0, 0): 0}).items():
            rows.append({**of_study, "given": given, "proposed": proposed, "labels": labels})
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def named_classes(errors: LabelErrors, results: Results) -> tuple[str, ...]:
    """Names of the classes (``classes.class_names``); numbers up to the highest that is there."""
    highest = errors.ranked[["given", "proposed"]].to_numpy().max(initial=0)
    return class_names(results, errors.config, 1 + int(highest))


def rank(tables: list[pd.DataFrame], criterion: str) -> pd.DataFrame:
    """The examples in targets tables, the most doubtful first (``LabelErrors.ranked``)."""
    scored = pd.concat([_scored(table, criterion) for table in tables], ignore_index=True)
    # Each trial votes for one class, with its weight; the class with the most is proposed.
    believed = scored.groupby(["index", "proposed"])["weight"].sum().reset_index()
    believed = believed.sort_values(["index", "weight"]).drop_duplicates("index", keep="last")
    ranked = scored.drop_duplicates("index").drop(columns=["score", "proposed", "weight"])
    ranked = ranked.merge(believed[["index", "proposed"]], on="index")
    ranked = ranked.merge(scored.groupby("index")["score"].mean().reset_index(), on="index")
    return ranked.sort_values(["score", "index"], ascending=[False, True], ignore_index=True)


def write_label_errors(errors: LabelErrors, folder: Folder) -> None:
    """Write the ranking as a table, with the true labels where they are known."""
    table = pa.Table.from_pandas(errors.ranked, preserve_index=False)
    folder.write(layout.RANKED_LABELS, packed(table))


def _scored(table: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """``score``, ``proposed`` and the ``weight`` of the proposal, beside the labels."""
    scored = table[[column for column in ("index", "given", "true") if column in table]].copy()
    if criterion == "target":
        doubted = table["proposed"] != table["given"]
        scored["score"] = np.where(doubted, table["confidence"], -table["confidence"])
        return scored.assign(proposed=table["proposed"].astype(int), weight=table["confidence"])
    if criterion == "margin":
        scored["score"] = -table["margin"]
    else:
        scored["score"] = table["rival_probability"] - table["given_probability"]
    return scored.assign(proposed=table["rival"], weight=table["rival_probability"])


def _suits(table: pd.DataFrame, criterion: str) -> bool:
    return all(c in table and table[c].notna().all() for c in CRITERIA[criterion])


def _winner(results: Results, study: str) -> tuple[str, TrialConfig]:
    chosen = chosen_configs(results)
    for row in records(chosen[chosen["study"] == study]):
        return row["trial_id"], recorded_config(results.folder, row)
    if study not in set(results.trials["study"]):
        raise ResultsError(f"study {study} has epochs, but no row in the table of trials")
    raise ResultsError(f"study {study} has no trial that used its full budget")


def _others(results: Results, study: str, winner: str, criterion: str) -> list[str]:
    """Who else is asked: trials with exactly the winner's given labels."""
    trials = results.trials
    labels = trials.loc[trials["trial_id"] == winner, "labels_fingerprint"].iloc[0]
    alike = trials[(trials["labels_fingerprint"] == labels) & (trials["status"] == COMPLETED)]
    if criterion == "losses":
        winners = set(chosen_configs(results)["trial_id"])
        alike = alike[alike["trial_id"].isin(winners)]
    elif criterion == "target":
        return []
    else:
        alike = alike[(alike["phase"] == REPLICATE) & (alike["source_trial_id"] == winner)]
    return [str(trial_id) for trial_id in alike["trial_id"] if trial_id != winner]


def _read_targets(results: Folder, trial_id: str) -> pd.DataFrame:
    name = layout.table_name(trial_id)
    absent = f"trial {trial_id} left nothing about its labels, as trials do at their full budget"
    folder = results / layout.TARGETS
    table = read_beside(folder, name, absent).to_pandas()
    for column in ("index", "given"):
        if column not in table:
            raise ResultsError(f"{folder}/{name} is no table of targets: no {column!r} in it")
    # Where nobody knows the truth the column is empty, and must not pass for labels.
    if "true" in table and table["true"].isna().any():
        table = table.drop(columns="true")
    return pd.DataFrame(table)
