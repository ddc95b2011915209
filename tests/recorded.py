"""Results folders for tests, written by the real writer: by hand, or of a plausible sweep."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.store import ResultsWriter
from spaces.sweep import Cell, SweepSpec
from spaces.sweep_file import parse_sweep
from trainable.catalog import DATASETS
from trainable.config import TrialConfig, labels_name
from trainable.folder.layout import CONFUSION
from trainable.folder.storage import Folder
from trainable.metrics import EpochMetrics

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
        "git_sha": "abc1234",
        "versions": {"python": "3.11"},
        "device": "cpu",
        "started_at": START,
        "ended_at": START + timedelta(seconds=3),
        **fields,
    }
    noise = {"kind": row["noise_kind"], "rate": row["noise_rate"]}
    row.setdefault("config", json.dumps({"noise": noise}))
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


SWEEP = """
name = "recorded"
losses = ["ce", "elr", "adam_elr"]
network = "tiny_cnn"
[data]
name = "digits"
[[noise]]
kind = "symmetric"
rates = [0.4, 0.6]
[budget]
trials = 12
max_epochs = 20
grace_epochs = 3
"""


def record_sweep(
    location: str | Path, text: str = SWEEP, *, replicates: int = 0, seed: int = 0
) -> Folder:
    """A whole sweep of ``text``, its curves drawn from a formula that a seed makes noisy.

    Cross-entropy peaks early and memorises; ELR's accuracy depends on lam, best near 3; adam_elr
    is two points better than elr. Trials stop at rungs, one in twenty diverges. The best trial of
    each study is repeated on ``replicates`` fresh seeds, and leaves its targets.
    Labels are flipped to the next class; class 3 is the hardest, taken for 4.
    """
    spec = parse_sweep(text)
    folder = Folder.open(location)
    folder.write("sweep.toml", text.encode())
    folder.write("provenance.json", json.dumps({"git_sha": "abc1234"}).encode())
    rng = np.random.default_rng(seed)
    writer, trials, seq = ResultsWriter(folder), [], 0
    for cell in spec.cells():
        drawn = [_trial(cell, spec, k, rng) for k in range(spec.budget.trials)]
        _stop_early(drawn, spec)
        best = max((t for t in drawn if t.status == "completed"), key=lambda t: t.value)
        drawn += [best.again(spec, k, rng) for k in range(1, replicates + 1)]
        rows = [row for trial in drawn for row in trial.epoch_rows()]
        for row in rows:
            row["seq"], seq = seq, seq + 1
        writer.append_epochs(cell.study, rows)
        trials += [trial.row(spec) for trial in drawn]
        for trial in (best, *(again for again in drawn if again.source)):
            _write_targets(folder, trial, rng)
        write_transition(folder, best.config)
    writer.write_trials(trials)
    writer.compact()
    return folder


@dataclass
class RecordedTrial:
    cell: Cell
    config: TrialConfig
    number: int
    curve: list[EpochMetrics]
    source: str = ""
    status: str = "completed"
    end_reason: str = "full budget"

    @property
    def trial_id(self) -> str:
        return f"{self.source or self.cell.study}-{'r' if self.source else ''}{self.number:04d}"

    @property
    def value(self) -> float:
        return self.curve[-1].val_accuracy

    def again(self, spec: SweepSpec, number: int, rng: np.random.Generator) -> "RecordedTrial":
        config = replace(self.config, seed=spec.seed + number)
        return RecordedTrial(self.cell, config, number, _curve(config, rng), self.trial_id)

    def stop(self, epoch: int, status: str, reason: str) -> None:
        self.curve, self.status, self.end_reason = self.curve[:epoch], status, reason

    def epoch_rows(self) -> list[dict[str, Any]]:
        return [epoch_row(self.trial_id, **vars(m)) for m in self.curve]

    def row(self, spec: SweepSpec) -> dict[str, Any]:
        config, last = self.config, self.curve[-1]
        return trial_row(
            self.cell.study,
            self.number,
            trial_id=self.trial_id,
            sweep=spec.name,
            dataset=config.data.name,
            noise_kind=config.noise.kind,
            noise_rate=config.noise.rate,
            noise=config.noise.setting,
            loss=config.loss,
            model=config.network,
            phase="replicate" if self.source else "search",
            source_trial_id=self.source,
            seed=config.seed,
            status=self.status,
            end_reason=self.end_reason,
            max_epochs=config.max_epochs,
            epochs=last.epoch,
            selected_by=spec.search.metric,
            val_accuracy=last.val_accuracy,
            test_accuracy=last.test_accuracy,
            best_val_accuracy=max(m.val_accuracy for m in self.curve),
            duration_s=sum(m.epoch_seconds for m in self.curve),
            config=json.dumps(config.as_dict()),
            **{f"param_{name}": value for name, value in config.parameters.items()},
        )


def _trial(cell: Cell, spec: SweepSpec, number: int, rng: np.random.Generator) -> RecordedTrial:
    fractions = {name: rng.random() for name in cell.space.varies}
    values = cell.space.at(fractions) if number else cell.reference
    config = cell.trial(values, spec.seed)
    trial = RecordedTrial(cell, config, number, _curve(config, rng))
    if number and rng.random() < 0.05:
        trial.curve[2:] = [replace(trial.curve[2], train_loss=float("nan"))]
        trial.stop(3, "diverged", "loss is nan in epoch 3")
    return trial


def _stop_early(trials: Sequence[RecordedTrial], spec: SweepSpec) -> None:
    epoch, factor = spec.budget.grace_epochs, spec.budget.reduction_factor
    while epoch < trials[0].config.max_epochs:
        arrived: list[float] = []
        for trial in (t for t in trials if len(t.curve) > epoch):
            value = trial.curve[epoch - 1].val_accuracy
            arrived.append(value)
            cutoff = sorted(arrived, reverse=True)[len(arrived) // factor if arrived[1:] else 0]
            if value < cutoff:
                trial.stop(epoch, "stopped", f"rung {epoch}: {value:.4f} < {cutoff:.4f}")
        epoch *= factor


def _curve(config: TrialConfig, rng: np.random.Generator) -> list[EpochMetrics]:
    full, rate = config.max_epochs, config.noise.rate
    distance = np.log(float(config.loss_parameters.get("lam", 0.3)) / 3)  # type: ignore[arg-type]
    top = 0.98 - 0.02 * distance**2 + (0.02 if config.loss == "adam_elr" else 0)
    top += 0.005 * rng.standard_normal() - 0.3 * max(rate - 0.4, 0)
    fall = (0.5 if config.loss == "ce" else 0.02) * rate
    curve = []
    for epoch in range(1, full + 1):
        done = epoch / full
        test = top * (1 - np.exp(-12 * done)) - fall * max(0.0, done - 0.3)
        val = test * (1 - rate) + 0.01 * rng.standard_normal()
        curve.append(
            EpochMetrics(
                epoch=epoch,
                lr=config.lr,
                train_loss=2.0 - done,
                train_accuracy=val,
                clean_correct=test,
                wrong_correct=0.9 * test,
                wrong_memorized=fall * done,
                wrong_neither=1 - 0.9 * test - fall * done,
                target_accuracy=float("nan") if config.loss == "ce" else test,
                val_loss=1.0,
                val_accuracy=float(np.clip(val, 0, 1)),
                test_loss=1.0,
                test_accuracy=float(np.clip(test, 0, 1)),
                epoch_seconds=0.5,
                images_per_second=3000.0,
            )
        )
    return curve


def _write_targets(folder: Folder, trial: RecordedTrial, rng: np.random.Generator) -> None:
    """300 examples, of which 100 are wrong; the targets find 80 of those and doubt 10 others."""
    if trial.config.loss == "ce":
        return
    classes = DATASETS[trial.config.data.name].num_classes
    true = rng.integers(0, classes, 300)
    given = np.where(np.arange(300) < 100, (true + 1) % classes, true)
    proposed = true.copy()
    proposed[80:100] = given[80:100]
    proposed[100:110] = (true[100:110] + 2) % classes
    table = pa.table(
        {
            "index": np.arange(300) * 3,
            "given": given,
            "true": true,
            "proposed": proposed,
            "confidence": rng.uniform(0.5, 1, 300),
        }
    )
    confusion = json.dumps(_confusion(trial.curve[-1].test_accuracy, classes))
    _write(
        folder / "targets", trial.trial_id, table.replace_schema_metadata({CONFUSION: confusion})
    )


def _confusion(accuracy: float, classes: int) -> list[list[int]]:
    """100 test images a class; class 3 is recognised half as often as the others."""
    right = [round(100 * accuracy * (0.5 if label == 3 else 1)) for label in range(classes)]
    counts = np.diag(right)
    for label in range(classes):
        counts[label, (label + 1) % classes] += 100 - right[label]
    return [[int(count) for count in row] for row in counts]


def write_transition(folder: Folder, config: TrialConfig) -> None:
    classes, rate = DATASETS[config.data.name].num_classes, config.noise.rate
    matrix = (1 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, axis=1)
    frame = pd.DataFrame(matrix).rename_axis("true").rename_axis("given", axis=1)
    _write(folder / "transitions", labels_name(config), pa.Table.from_pandas(frame))


def _write(folder: Folder, name: str, table: pa.Table) -> None:
    sink = BytesIO()
    pq.write_table(table, sink)
    folder.write(f"{name}.parquet", sink.getvalue())
