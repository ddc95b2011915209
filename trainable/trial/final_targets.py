"""What a trial says about each training label at the end of its budget, to find wrong ones.

targets/<trial_id>.parquet    a row a training example

==================  =============================================================================
index               its place in the data set's own training set
given, true         labels; true is null where nobody knows it
proposed            the class that its final target favours; null for a loss without targets
confidence          that class's share of the target, in [0, 1]; null alike
margin              mean over the epochs: given label's logit less the largest other one
given_probability   mean over the epochs: probability of the given label, in [0, 1]
rival               the other class that was the most probable over the epochs
rival_probability   mean over the epochs: probability of the rival, in [0, 1]
==================  =============================================================================

Metadata ``test_confusion``: counts of test images by true (rows) and predicted class, as JSON.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from trainable.folder import layout
from trainable.folder.checked_parquet import packed
from trainable.folder.patience import patiently
from trainable.folder.storage import Folder
from trainable.trial.trainer import Trainer


def write_targets(results: Folder, trial_id: str, trainer: Trainer) -> None:
    """Write the trial's table."""
    written = packed(targets_table(trainer), compression="zstd")
    name = layout.table_name(trial_id)
    patiently(results, lambda: (results / layout.TARGETS).write(name, written))


def targets_table(trainer: Trainer) -> pa.Table:
    """The table above; without means and confusion for a trial that trained no epoch here."""
    data = trainer.data
    # Given labels stand in for true ones there: written, they would pass for the truth.
    unknown = np.full(len(data.train_true), not data.truth_known)
    columns = {
        "index": data.train_index,
        "given": data.train_given,
        "true": pa.array(data.train_true, mask=unknown),
    }
    table = pa.table({**columns, **_final(trainer), **_over_epochs(trainer)})
    confusion = trainer.test_confusion()
    if confusion is None:
        return table
    return table.replace_schema_metadata({layout.CONFUSION: json.dumps(confusion.tolist())})


def _final(trainer: Trainer) -> dict[str, Any]:
    targets = trainer.targets()
    if targets is None:
        count = len(trainer.data.train_index)
        return {
            "proposed": pa.nulls(count, pa.int64()),
            "confidence": pa.nulls(count, pa.float32()),
        }
    # A target that saw no visit may be zero in all classes.
    total = np.maximum(targets.sum(axis=1), np.finfo(np.float32).tiny)
    return {"proposed": targets.argmax(axis=1), "confidence": targets.max(axis=1) / total}


def _over_epochs(trainer: Trainer) -> dict[str, Any]:
    summary = trainer.beliefs.summary()
    if summary is None:
        return {}
    return {name: values.cpu().numpy() for name, values in summary._asdict().items()}
