"""Results folders for tests, written by the real writer: by hand, or of a plausible sweep."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from analysis.store import ResultsWriter
from trainable.metrics import EpochMetrics
from trainable.storage import Folder

START = datetime(2026, 1, 1, tzinfo=UTC)


def trial_row(study: str = "symmetric-0.4-elr", number: int = 0, **fields: Any) -> dict[str, Any]:
    """A completed search trial; ``fields`` replace what a test is about."""
    row: dict[str, Any] = {
        "sweep": "test",
        "study": study,
        "dataset": "digits",
        "noise_kind": "symmetric",
        "noise_rate": 0.4,
        "noise": "symmetric-0.4",
        "realised_rate": 0.36,
        "labels_fingerprint": "0123456789abcdef",
        "loss": "elr",
        "model": "tiny_cnn",
        "trial_id": f"{study}-{number:04d}",
        "number": number,
        "phase": "search",
        "source_trial_id": "",
        "seed": number,
        "status": "completed",
        "end_reason": "full budget",
        "attempt": 1,
        "max_epochs": 3,
        "epochs": 3,
        "repeated_epochs": 0,
        "val_accuracy": 0.5,
        "test_accuracy": 0.6,
        "best_val_accuracy": 0.5,
        "duration_s": 3.0,
        "selected_by": "val_accuracy",
        "config": "{}",
        "git_sha": "abc1234",
        "versions": {"python": "3.11"},
        "device": "cpu",
        "started_at": START,
        "ended_at": START + timedelta(seconds=3),
        **fields,
    }
    return {"selection_value": row.get(row["selected_by"]), **row}


def epoch_row(trial_id: str, epoch: int, seq: int = 0, **fields: Any) -> dict[str, Any]:
    """One epoch; metrics that are not given are NaN, as the trainer leaves undefined ones."""
    known = {k: v for k, v in fields.items() if k in EpochMetrics.__dataclass_fields__}
    return {
        "trial_id": trial_id,
        "attempt": 1,
        "seq": seq,
        "recorded_at": START + timedelta(seconds=seq),
        **vars(EpochMetrics(epoch, **known)),
        **fields,
    }


def write_results(
    location: str | Path,
    trials: Sequence[Mapping[str, Any]],
    epochs: Sequence[Mapping[str, Any]] = (),
    spec: str = 'name = "test"\n',
) -> Folder:
    """A results folder with these rows; an epoch's study is that of its trial."""
    folder = Folder.open(location)
    folder.write("sweep.toml", spec.encode())
    folder.write("provenance.json", json.dumps({"git_sha": "abc1234"}).encode())
    writer = ResultsWriter(folder)
    writer.write_trials(trials)
    studies = {row["trial_id"]: row["study"] for row in trials}
    for study in dict.fromkeys(studies.values()):
        writer.append_epochs(study, [e for e in epochs if studies[e["trial_id"]] == study])
    return folder
