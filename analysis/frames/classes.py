"""What becomes of each class: the labels it was given, and how well it is recognised."""

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.best import chosen_configs, final_trials, records
from analysis.frames.accuracy import SETTING
from analysis.frames.transition_matrix import search_config, stored_matrix
from analysis.results import Results, once, recorded_config
from analysis.store import damaged, read_beside
from trainable.catalog import DATASETS
from trainable.config import TrialConfig, labels_name
from trainable.folder import layout

PAIRS = ["study", "true", "other", "share", "classes"]
"""Columns of a matrix in long form."""


def class_names(results: Results, config: TrialConfig, count: int) -> tuple[str, ...]:
    """Names of the classes of a trial's data, by label.

    A user's own are recorded with the labels; where they are not, ``count`` numbers stand in.

    Raises:
        ResultsError: the labels are damaged.
    """
    info = DATASETS.get(config.data.name)
    if info is not None and info.class_names:
        return info.class_names
    folder, name = results.folder / layout.LABELS, layout.table_name(labels_name(config))
    if folder.exists(name):
        stored = read_beside(folder, name).schema.metadata or {}
        if layout.CLASSES.encode() in stored:
            return tuple(json.loads(stored[layout.CLASSES.encode()]))
    return tuple(map(str, range(count)))


def noise_matrices(results: Results) -> pd.DataFrame:
    """The realised transition matrix of each noise setting, in the search, in long form.

    Columns: ``study`` (the first of the setting), ``true`` and ``other`` (labels: the class, and
    the one given), ``share`` of the class's examples in [0, 1], ``classes`` (names by label). Left
    out is a setting whose true labels nobody knows.

    Raises:
        ResultsError: a config that cannot be read, or a damaged file.
    """
    tables = []
    for study in results.trials.drop_duplicates(SETTING)["study"]:
        config = search_config(results, str(study))
        matrix = None if config is None else stored_matrix(results, config)
        if config is not None and matrix is not None:
            names = class_names(results, config, len(matrix))
            tables.append(_long(str(study), matrix.to_numpy(), names))
    return _together(tables, PAIRS)


def confusions(results: Results) -> pd.DataFrame:
    """What the best configuration of each noise setting takes test images for, in long form.

    At the last epoch, over all seeds of its final trials (``best.final_trials``). Columns as in
    :func:`noise_matrices`, ``other`` being the class predicted. Settings are left out whose best
    trials left no record, as those of earlier versions did.

    Raises:
        ResultsError: a damaged file.
    """
    tables, finals = [], _recorded(results)
    for study in chosen_configs(results).drop_duplicates(SETTING)["study"]:
        own = [found for found in finals if found.row["study"] == study]
        if own:
            total = np.sum([found.counts for found in own], axis=0)
            # A class without a test image has a row of zeros, not of NaN.
            share = total / np.maximum(total.sum(axis=1, keepdims=True), 1)
            tables.append(_long(str(study), share, own[0].names))
    return _together(tables, PAIRS)


def class_accuracy(results: Results) -> pd.DataFrame:
    """Test accuracy of each class at the last epoch: a row for each final trial and class.

    Columns: ``study``, ``trial_id``, ``seed``, ``label``, ``name`` of the class, ``examples`` of
    it in the test set, ``accuracy`` (a fraction; NaN without examples). Trials that left no record
    are left out, as in :func:`confusions`.

    Raises:
        ResultsError: a damaged file.
    """
    columns = ["study", "trial_id", "seed", "label", "name", "examples", "accuracy"]
    tables = []
    for row, names, counts in _recorded(results):
        examples = counts.sum(axis=1)
        accuracy = np.where(examples > 0, counts.diagonal() / np.maximum(examples, 1), np.nan)
        own = {name: str(row[name]) for name in ("study", "trial_id")} | {"seed": row["seed"]}
        table = {
            "label": np.arange(len(counts)),
            "name": names,
            "examples": examples,
            "accuracy": accuracy,
        }
        tables.append(pd.DataFrame(own | table))
    return _together(tables, columns)


class _Recorded(NamedTuple):
    """A row of ``final_trials``, the names of its classes, and counts [C, C]."""

    row: dict[str, Any]
    names: tuple[str, ...]
    counts: NDArray[np.int64]


@once
def _recorded(results: Results) -> list[_Recorded]:
    """The final trials that recorded their test images by true and predicted class."""
    folder = results.folder / layout.TARGETS
    # Listed once: a question for each trial would be a request each on an object store.
    left, found = set(folder.names()), []
    for row in records(final_trials(results)):
        name = layout.table_name(str(row["trial_id"]))
        if name not in left:
            continue
        stored = read_beside(folder, name).schema.metadata or {}
        # Earlier versions wrote targets without it.
        if layout.CONFUSION.encode() not in stored:
            continue
        try:
            counts = np.array(json.loads(stored[layout.CONFUSION.encode()]), np.int64)
            names = class_names(results, recorded_config(results.folder, row), len(counts))
            if counts.shape != (len(names),) * 2:
                raise ValueError(f"{layout.CONFUSION} is no matrix of the {len(names)} classes")
        except (ValueError, TypeError) as error:
            raise damaged(folder, name, error) from None
        found.append(_Recorded(row, names, counts))
    return found


def _long(study: str, matrix: NDArray[np.float64], classes: tuple[str, ...]) -> pd.DataFrame:
    true, other = np.indices(matrix.shape)
    columns = {"true": true.ravel(), "other": other.ravel(), "share": matrix.ravel()}
    table = pd.DataFrame({"study": study, **columns})
    return table.assign(classes=pd.Series([classes] * matrix.size, dtype=object))


def _together(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
