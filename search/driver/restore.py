"""From a results folder back to a running sweep: recorded rows are replayed, no pickle is read."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.results import Results, ResultsError, recorded_config
from analysis.schema import SEARCH
from search.driver.recorder import Recorder
from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from spaces.sweep_file import differing
from trainable.folder import layout
from trainable.folder.storage import Folder
from trainable.metrics import METRIC_COLUMNS, EpochMetrics


def restore(sweep: Sweep, recorder: Recorder, results: Results) -> None:
    """Bring ``sweep`` and ``recorder`` to where ``results`` stop.

    Raises ResultsError if the rows do not fit the sweep, or if some are missing that the trials
    table builds on: nothing is ever started over silently.
    """
    _check_nothing_lost(results)
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
    trials = [_trial(results.folder, row) for row in rows.values()]
    for trial in trials:
        _check_config(results.folder, sweep, trial)
    try:
        sweep.restore(trials, epochs)
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


def _check_nothing_lost(results: Results) -> None:
    """Raise ResultsError if there are traces of trials whose rows are gone.

    A row is durable before its epochs, and the table is there before any checkpoint.
    """
    folder, table = results.folder, f"{layout.TRIALS}/{layout.TRIALS_TABLE}"
    for trial_id in set(results.epochs["trial_id"]) - set(results.trials["trial_id"]):
        raise ResultsError(f"{folder}: {table} has lost trial {trial_id}, which has epochs")
    there = (folder / layout.TRIALS).exists(layout.TRIALS_TABLE)
    if not there and (left := (folder / layout.CHECKPOINTS).names()):
        raise ResultsError(f"{folder}: {table} is gone, and trial {left[0]} has checkpoints")


def _check_config(folder: Folder, sweep: Sweep, trial: Trial) -> None:
    """Raise ResultsError if the sweep file would make another trial of the same parameters."""
    recorded, study = trial.config, sweep.studies[trial.study]
    # Only a replicate has a seed of its own.
    seed = sweep.spec.seed if trial.phase == SEARCH else recorded.seed
    expected = study.cell.trial(recorded.parameters, seed)
    if trial.phase != SEARCH:  # what follows the search may have a larger budget
        expected = replace(expected, max_epochs=recorded.max_epochs)
    if expected.fingerprint == recorded.fingerprint:
        return
    changed = differing(recorded.as_dict(), expected.as_dict())
    # Where files lie may differ.
    moved = ("data.root", "data.labels", "noise.labels_file")
    unknown = ("a config", "of another version", "otherwise")
    name, one, two = next((found for found in changed if found[0] not in moved), unknown)
    raise ResultsError(
        f"{folder}: trial {trial.trial_id} was run with {name} = {one!r}, but "
        f"{layout.SWEEP} says {two!r}: put that back, or give the new sweep a --name"
    )


def _trial(folder: Folder, row: dict[str, Any]) -> Trial:
    return Trial(
        study=row["study"],
        trial_id=row["trial_id"],
        number=int(row["number"]),
        config=recorded_config(folder, row),
        phase=row["phase"],
        source_trial_id=row["source_trial_id"] or "",
        status=row["status"],
        end_reason=row["end_reason"] or "",
        attempt=int(row["attempt"]),
    )


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}
