"""What a trial's targets say at the end of its budget, for finding label errors.

targets/<trial_id>.parquet    columns index, given, true, proposed, confidence
"""

import numpy as np
import pyarrow as pa

from trainable.folder import layout
from trainable.folder.parquet import packed
from trainable.folder.patience import patiently
from trainable.folder.storage import Folder
from trainable.trial.trainer import Trainer


def write_targets(results: Folder, trial_id: str, trainer: Trainer) -> None:
    """Write each training example's final target; nothing for a loss without targets.

    ``index`` is the example's place in the data set's own training set, ``proposed`` the class
    its target favours and ``confidence`` that class's share of the target, in [0, 1].
    """
    targets = trainer.targets()
    if targets is None:
        return
    data, known = trainer.data, trainer.data.truth_known
    total = np.maximum(targets.sum(axis=1), np.finfo(np.float32).tiny)
    table = pa.table(
        {
            "index": data.train_index,
            "given": data.train_given,
            "true": pa.array(data.train_true, mask=np.full(len(data.train_true), not known)),
            "proposed": targets.argmax(axis=1),
            "confidence": targets.max(axis=1) / total,
        }
    )
    written, name = packed(table, compression="zstd"), layout.table_name(trial_id)
    patiently(results, lambda: (results / layout.TARGETS).write(name, written))
