"""The columns of the results: their names exist once, here.

``trials/trials.parquet`` has :data:`TRIAL_COLUMNS` and a ``param_<name>`` column for every
hyperparameter that any study of the sweep has; the parts under ``epochs/`` have
:data:`EPOCH_COLUMNS`, ``study`` standing in their folder's name. Undefined numbers are null in
Parquet and NaN in pandas.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

import pyarrow as pa

from trainable.catalog import LOSSES, NETWORKS, OPTIMISER, SCHEDULES, TARGETS, unknown
from trainable.metrics import EpochMetrics

SEARCH: Final = "search"
REPLICATE: Final = "replicate"
DEEPER: Final = "deeper"
RUNNING: Final = "running"
PAUSED: Final = "paused"
COMPLETED: Final = "completed"
STOPPED: Final = "stopped"
DIVERGED: Final = "diverged"
FAILED: Final = "failed"
KNOWN: Final = "known"
UNKNOWN: Final = "unknown"
CLEAN: Final = "clean"
GIVEN: Final = "given"
HOLDOUT: Final = "holdout"
PARAM = "param_"

ARROW_TYPES: dict[str, pa.DataType] = {
    "category": pa.string(),
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}
"""What a dtype of :class:`Column` is in a file. In pandas: category, str, int64 (float64 where a
value may be undefined), float64, bool, datetime64[us, UTC]."""


@dataclass(frozen=True)
class Column:
    """One column of a table on disk."""

    name: str  # as readers know it
    dtype: str  # a key of :data:`ARROW_TYPES`
    meaning: str  # what it holds, for the docs
    unit: str = ""  # empty: none


TRIAL_COLUMNS: tuple[Column, ...] = (
    Column("sweep", "category", "name of the sweep"),
    Column("study", "category", "name of the study: a noise setting and a loss"),
    Column("dataset", "category", "name of the data set"),
    Column("noise_kind", "category", "kind of label noise"),
    Column("noise_rate", "float", "rate asked for; what it means is the kind's", "fraction"),
    Column("noise", "category", "name of the noise setting"),
    Column("realised_rate", "float", "training labels that are wrong", "fraction"),
    Column("labels_fingerprint", "category", "hash of the given training labels"),
    Column("truth", "category", "whether true training labels are known, unknown; empty: known"),
    Column("validated_on", "category", "labels of the hold-out: given, clean; empty: given"),
    Column("val_examples", "int", "examples of the hold-out; empty: not recorded"),
    Column("tested_on", "category", "clean or given test labels, or holdout; empty: clean"),
    Column("loss", "category", "name of the loss"),
    Column("model", "category", "name of the network"),
    Column("trial_id", "category", "name of the trial, unique in the folder"),
    Column("number", "int", "number of the trial in its study, in the order of suggestion"),
    Column(
        "phase",
        "category",
        "search; replicate: an earlier trial again on a fresh seed; deeper: one of the best with "
        "a larger budget",
    ),
    Column("source_trial_id", "category", "what a replicate repeats; empty for search"),
    Column("seed", "int", "noise, split, initialisation and order derive from it"),
    Column("status", "category", "running paused completed stopped diverged failed"),
    Column("end_reason", "text", "why it ended, in words"),
    Column("attempt", "int", "times the trial was started, from 1"),
    Column("max_epochs", "int", "full budget", "epochs"),
    Column("epochs", "int", "epochs trained", "epochs"),
    Column("repeated_epochs", "int", "epochs trained again after an interruption", "epochs"),
    Column("val_accuracy", "float", "at the last epoch, on the hold-out", "fraction"),
    Column("test_accuracy", "float", "at the last epoch, on what `tested_on` says", "fraction"),
    Column("best_val_accuracy", "float", "highest of any epoch: never selected on", "fraction"),
    Column(
        "duration_s",
        "float",
        "seconds of its epochs, each counted once; starts, data and checkpoints are not in it",
        "s",
    ),
    Column("selected_by", "category", "metric that the sweep selects on"),
    Column("selection_value", "float", "that metric at the last epoch", "fraction"),
    Column("config", "text", "the whole trial config, as JSON"),
    Column("git_sha", "category", "commit of the code"),
    Column("versions", "category", "versions of Python and of the libraries, as JSON"),
    Column("device", "category", "what it was trained on"),
    Column("node", "category", "host that trained it last; its logs are there"),
    Column("started_at", "time", "start of the first attempt"),
    Column("ended_at", "time", "end of the last attempt"),
)

EPOCH_COLUMNS: tuple[Column, ...] = (
    Column("study", "category", "name of the study; in the files, part of the folder's name"),
    Column("trial_id", "category", "name of the trial"),
    Column("attempt", "int", "start of the trial that this row comes from, from 1"),
    Column("seq", "int", "order in which the rows of the sweep arrived, from 0"),
    Column("recorded_at", "time", "when the row arrived"),
    Column("device", "category", "what the epoch was trained on"),
    Column("node", "category", "host that trained the epoch"),
    *(
        Column(
            metric.name,
            "int" if metric.type is int else "float",
            metric.metadata["meaning"],
            metric.metadata["unit"],
        )
        for metric in fields(EpochMetrics)
    ),
)


def parameter_columns() -> dict[str, Column]:
    """Every possible ``param_*`` column; lists such as milestones are text: ``40 80``."""
    dtypes: dict[type, str] = {float: "float", int: "int", bool: "bool", str: "category"}
    tables = (LOSSES, TARGETS, {"": OPTIMISER}, SCHEDULES, NETWORKS)
    return {
        f"{PARAM}{name}": Column(f"{PARAM}{name}", dtypes.get(p.kind, "category"), p.meaning)
        for table in tables
        for entry in table.values()
        for name, p in entry.parameters.items()
    }


def trial_schema(names: Iterable[str]) -> pa.Schema:
    """The schema of a trials table whose rows have ``names``. Raises ValueError on others."""
    known = {column.name: column for column in TRIAL_COLUMNS}
    possible, given = parameter_columns(), set(names)
    for name in given - known.keys() - possible.keys():
        raise ValueError(unknown("trial column", name, [*known, *possible]))
    parameters = [column for name, column in possible.items() if name in given]
    return arrow_schema([*TRIAL_COLUMNS, *parameters])


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """The columns as they are in a file."""
    return pa.schema([(column.name, ARROW_TYPES[column.dtype]) for column in columns])


def categorical_columns(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that are categorical in pandas."""
    columns: Mapping[str, Column] = {
        **{column.name: column for column in (*TRIAL_COLUMNS, *EPOCH_COLUMNS)},
        **parameter_columns(),
    }
    return [name for name in names if name in columns and columns[name].dtype == "category"]
