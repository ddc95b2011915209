"""The realised transition matrix of a study's labels, as the sweep recorded it."""

import pandas as pd

from analysis.best import one_study
from analysis.results import Results, ResultsError, recorded_config
from analysis.schema import SEARCH
from analysis.store import read_beside
from trainable.config import TrialConfig, labels_name
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
    one_study(results, study)
    config = search_config(results, study, seed)
    if config is None:
        lacking = "of the search" if seed is None else f"with seed {seed}"
        raise ResultsError(f"study {study} has no trial {lacking}")
    matrix = stored_matrix(results, config)
    if matrix is None:
        name = f"{layout.TRANSITIONS}/{layout.table_name(labels_name(config))}"
        absent = "it is written when a sweep starts or is resumed"
        raise ResultsError(f"{results.folder}/{name} is not there: {absent}")
    return matrix


def search_config(results: Results, study: str, seed: int | None = None) -> TrialConfig | None:
    """Some trial of a study with the labels of a seed, or of the search; None if it has none.

    Raises ResultsError if its config cannot be read.
    """
    trials = results.trials
    wanted = trials["phase"] == SEARCH if seed is None else trials["seed"] == seed
    rows = trials[(trials["study"] == study) & wanted].to_dict("records")
    return recorded_config(results.folder, rows[0]) if rows else None


def stored_matrix(results: Results, config: TrialConfig) -> pd.DataFrame | None:
    """The matrix of a trial's labels; None where none was written.

    Raises ResultsError if it is damaged.
    """
    labels = labels_name(config)
    places = (
        (layout.TRANSITIONS, layout.table_name(labels)),
        (layout.LABELS, layout.earlier_transition_name(labels)),
    )
    for place, name in places:
        folder = results.folder / place
        if folder.exists(name):
            return pd.DataFrame(read_beside(folder, name).to_pandas())
    return None
