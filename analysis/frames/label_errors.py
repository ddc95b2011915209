"""Which training labels a trained model doubts: its final target against the given label."""

import math
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.best import chosen_configs, records
from analysis.results import Results, ResultsError, recorded_config
from analysis.store import read_beside
from analysis.wording import percent
from trainable.catalog import unknown
from trainable.config import DataConfig, TrialConfig
from trainable.folder import layout
from trainable.folder.storage import Folder

COLUMNS = ("index", "given", "true", "proposed", "confidence")


@dataclass(frozen=True)
class LabelErrors:
    """What a trial's final targets say about its training labels.

    ``doubted``: the examples whose target's largest class is not the given label, the most
    confident first: ``index`` (position in the data set's training set), ``given``,
    ``proposed``, ``confidence`` (the target's share of the proposed class, in [0, 1]) and, where
    the truth is known, ``true``. ``examples``: how many were looked at, ``wrong``: how many given
    labels are wrong. ``precision``: share of the doubted labels that are wrong; ``recall``: share
    of the wrong labels that are doubted; ``corrected``: share of the wrong labels whose proposal
    is the true one. All NaN where undefined or the truth is unknown.
    """

    study: str
    trial_id: str
    data: DataConfig
    doubted: pd.DataFrame
    examples: int
    wrong: float
    precision: float
    recall: float
    corrected: float

    def summary(self) -> list[str]:
        """What a reader wants to know first, a line each."""
        doubted = len(self.doubted)
        share = percent(_share(doubted, self.examples))
        lines = [
            f"trial {self.trial_id} doubts {doubted} of {self.examples} training labels ({share}%)"
        ]
        if math.isnan(self.wrong):
            return [*lines, "the true labels are unknown here"]
        return [
            *lines,
            f"{self.wrong:.0f} labels are wrong; of the doubted ones, {percent(self.precision)}% "
            f"(precision); of the wrong ones, {percent(self.recall)}% are doubted (recall) and "
            f"for {percent(self.corrected)}% the target is the true class",
        ]


def label_errors(results: Results, study: str) -> LabelErrors:
    """Label errors found by a study's best trial: the confirmed one if there are replicates.

    Raises ResultsError for an unknown study, one without a winner, and a trial that left no
    targets (a loss without any) or damaged ones.
    """
    names = [str(name) for name in results.trials["study"].cat.categories]
    if study not in names:
        raise ResultsError(unknown("study", study, names))
    trial_id, config = _winner(results, study)
    targets = _read_targets(results.folder / layout.TARGETS, trial_id)
    doubted = targets[targets["proposed"] != targets["given"]]
    doubted = doubted.sort_values(["confidence", "index"], ascending=[False, True])
    wrong = precision = recall = corrected = math.nan
    if "true" in targets:
        is_wrong = targets["given"] != targets["true"]
        found = is_wrong & (targets["proposed"] != targets["given"])
        right = is_wrong & (targets["proposed"] == targets["true"])
        wrong = int(is_wrong.sum())
        precision = _share(found.sum(), len(doubted))
        recall, corrected = _share(found.sum(), wrong), _share(right.sum(), wrong)
    return LabelErrors(
        study=study,
        trial_id=trial_id,
        data=config.data,
        doubted=doubted.reset_index(drop=True),
        examples=len(targets),
        wrong=wrong,
        precision=precision,
        recall=recall,
        corrected=corrected,
    )


def write_label_errors(errors: LabelErrors, results: Results) -> Folder:
    """Write the doubted examples as ``doubted.parquet`` and ``doubted.csv``; returns where."""
    folder = results.folder / layout.LABEL_ERRORS / quote(errors.study, safe="")
    sink = BytesIO()
    pq.write_table(pa.Table.from_pandas(errors.doubted, preserve_index=False), sink)
    folder.write("doubted.parquet", sink.getvalue())
    folder.write("doubted.csv", errors.doubted.to_csv(index=False).encode())
    return folder


def _share(part: float, whole: int) -> float:
    return float(part) / whole if whole else math.nan


def _winner(results: Results, study: str) -> tuple[str, TrialConfig]:
    chosen = chosen_configs(results)
    for row in records(chosen[chosen["study"] == study]):
        return row["trial_id"], recorded_config(results.folder, row)
    if study not in set(results.trials["study"]):
        raise ResultsError(f"study {study} has epochs, but no row in the table of trials")
    raise ResultsError(f"study {study} has no trial that used its full budget")


def _read_targets(folder: Folder, trial_id: str) -> pd.DataFrame:
    name = layout.table_name(trial_id)
    absent = (
        f"trial {trial_id} left no targets (only losses with a target have some, once they used "
        "their full budget)"
    )
    table = read_beside(folder, name, absent).to_pandas()
    for column in COLUMNS:
        if column not in table and column != "true":
            raise ResultsError(f"{folder}/{name} is no table of targets: no {column!r} in it")
    known = "true" in table and table["true"].notna().all()
    return pd.DataFrame(table[[c for c in COLUMNS if c != "true" or known]])
