"""From a results folder back to a running sweep: recorded rows are replayed, no pickle is read."""

import json
from collections import defaultdict
from typing import Any

import pandas as pd

from analysis.results import Results, ResultsError
from search.driver.recorder import Recorder
from search.studies.sweep import Sweep
from search.studies.trial import Trial
from trainable.config import TrialConfig
from trainable.metrics import METRIC_COLUMNS, EpochMetrics


def restore(sweep: Sweep, recorder: Recorder, results: Results) -> None:
    """Bring ``sweep`` and ``recorder`` to where ``results`` stop.

    Raises ResultsError if the rows do not fit the sweep, or if some are missing that the trials
    table builds on: nothing is ever started over silently.
    """
    rows = {str(row["trial_id"]): _plain(row) for row in results.trials.to_dict("records")}
    for row in rows.values():
        if row["study"] not in sweep.studies:
            raise ResultsError(
                f"{results.folder}: study {row['study']!r} is not in the sweep file"
            )
    epochs: list[tuple[str, int, EpochMetrics]] = []
    seqs: dict[str, list[int]] = defaultdict(list)
    machines: dict[str, dict[str, Any]] = {}
    arrived = _gapless(results.epochs)
    for record in arrived.to_dict("records"):
        trial_id = str(record["trial_id"])
        if trial_id in rows:
            metrics = EpochMetrics(**{name: record[name] for name in METRIC_COLUMNS})
            epochs.append((trial_id, int(record["attempt"]), metrics))
            seqs[trial_id].append(int(record["seq"]))
            machines[trial_id] = {name: record[name] for name in ("device", "node")}
    for trial_id, row in rows.items():
        if len(seqs[trial_id]) < row["epochs"]:
            raise ResultsError(
                f"{results.folder}: trial {trial_id} has had {row['epochs']} epochs, but only "
                f"{len(seqs[trial_id])} can be read in order: files under epochs/ are missing"
            )
    try:
        sweep.restore(map(_trial, rows.values()), epochs)
    except ValueError as error:
        raise ResultsError(f"{results.folder}: {error}") from None
    recorder.restore(rows, seqs, machines, len(arrived))


def _gapless(epochs: pd.DataFrame) -> pd.DataFrame:
    """The rows in their order of arrival, up to the first that is missing.

    A driver that dies while it writes leaves the epochs of some studies and not of others. What
    arrived after a lost row may have followed from it, so it is not built upon: its trials
    continue from their checkpoints.
    """
    epochs = epochs.sort_values("seq", ignore_index=True)
    there = (epochs["seq"] == epochs.index).to_numpy()
    return epochs if there.all() else epochs.iloc[: there.argmin()]


def _trial(row: dict[str, Any]) -> Trial:
    return Trial(
        study=row["study"],
        trial_id=row["trial_id"],
        number=int(row["number"]),
        config=TrialConfig.from_dict(json.loads(row["config"])),
        phase=row["phase"],
        source_trial_id=row["source_trial_id"] or "",
        status=row["status"],
        end_reason=row["end_reason"] or "",
        attempt=int(row["attempt"]),
    )


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}
