"""The realised transition matrix of a study's labels, as the sweep recorded it."""

import pandas as pd

from analysis.results import Results, ResultsError, recorded_config
from analysis.schema import SEARCH
from analysis.store import read_beside
from trainable.catalog import unknown
from trainable.config import labels_name
from trainable.folder import layout


def transition_matrix(results: Results, study: str, seed: int | None = None) -> pd.DataFrame:
    """Share of each given class among the examples of each true class, in [0, 1].

    Args:
        results: of the sweep.
        study: name of a study in it.
        seed: that of a trial, whose labels are meant; None: the search's.

    Returns:
        [C, C], rows ``true`` and columns ``given`` (class numbers), rows summing to 1. Training
        part and hold-out together; a class without examples keeps its own.

    Raises:
        ResultsError: no such study, no trial of it with this seed, or a file that is missing or
            damaged.
    """
    trials = results.trials
    names = [str(name) for name in trials["study"].cat.categories]
    if study not in names:
        raise ResultsError(unknown("study", study, names))
    wanted = trials["phase"] == SEARCH if seed is None else trials["seed"] == seed
    rows = trials[(trials["study"] == study) & wanted].to_dict("records")
    if not rows:
        lacking = "of the search" if seed is None else f"with seed {seed}"
        raise ResultsError(f"study {study} has no trial {lacking}")
    config = recorded_config(results.folder, rows[0])
    absent = "it is written when a sweep starts or is resumed"
    labels = labels_name(config)
    folder, name = results.folder / layout.TRANSITIONS, layout.table_name(labels)
    earlier = layout.earlier_transition_name(labels)
    if not folder.exists(name) and (results.folder / layout.LABELS).exists(earlier):
        folder, name = results.folder / layout.LABELS, earlier
    return pd.DataFrame(read_beside(folder, name, absent).to_pandas())
