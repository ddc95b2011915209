"""The given labels of every noise setting: drawn once, stored with the results, then only read.

    labels/<data set>-<noise setting>-seed<seed>.parquet    columns index, true, given
    transitions/<the same>.parquet                          their realised transition matrix

Whoever resumes a sweep, on whatever machine, trains on exactly these labels.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.results import Results, ResultsError
from analysis.schema import CLEAN, GIVEN, KNOWN, UNKNOWN
from analysis.store import read_table
from trainable.catalog import LOSSES
from trainable.config import TrialConfig, labels_name
from trainable.data import DataError, Dataset, load_dataset, subset_index
from trainable.data.own.pixels import Reading
from trainable.dtypes import Floats, Ints
from trainable.folder import layout
from trainable.folder.checked_parquet import packed
from trainable.folder.storage import Folder, MissingError
from trainable.noise import NoisyLabels
from trainable.trial.prepare import prepare

_LABELS = pa.schema([(name, pa.int64()) for name in ("index", "true", "given")])
"""A file of labels; nobody may know the true ones."""


class LabelBook:
    """Data sets and given labels of a sweep, kept in memory for the trials and in the results."""

    def __init__(self, results: Folder) -> None:
        self._results = results  # the results folder
        self._drawn: set[str] = set()  # names of labels that are not in the folder yet
        self.datasets: dict[str, Dataset] = {}  # by the data set's name
        self.noisy: dict[str, NoisyLabels] = {}  # by the labels' name (labels_name)
        self._of: dict[str, TrialConfig] = {}  # some trial with these labels, by their name

    def add(self, configs: Iterable[TrialConfig], progress: Reading | None = None) -> None:
        """Load the data set and read or draw the labels of every config; nothing is written.

        ``progress`` is told how far a user's own images are read.

        Raises DataError for a data set that cannot be read, NoiseError for noise that it cannot
        have, ResultsError for stored labels that are damaged or of other images.
        """
        for config in configs:
            name, key = config.data.name, labels_name(config)
            if name not in self.datasets:
                self.datasets[name] = load_dataset(config.data, progress=progress)
            if key not in self.noisy:
                self.noisy[key] = self._read(key, config) or self._draw(key, config)
                self._of[key] = config

    def write(self) -> None:
        """Store the labels that were drawn, and the matrices of all. Raises StorageError.

        A matrix is written at every start, so that it is always that of the labels there.
        """
        for key, noisy in self.noisy.items():
            # What was read is there already, and is what trials were trained on.
            if key in self._drawn:
                subset, true = self._true(self._of[key])
                unknown = np.full(len(true), not self._dataset(key).truth_known)
                columns = {"index": subset, "true": pa.array(true, mask=unknown)}
                table = pa.table(columns | {"given": noisy.labels})
                classes = json.dumps(self._dataset(key).info.class_names)
                table = table.replace_schema_metadata({layout.CLASSES: classes})
                self._write(layout.LABELS, key, table)
                self._drawn.remove(key)
            if self._dataset(key).truth_known:
                self._write(layout.TRANSITIONS, key, _matrix(noisy))
            (self._results / layout.LABELS).delete(layout.earlier_transition_name(key))

    def check(self, results: Results, configs: Mapping[str, TrialConfig]) -> None:
        """Raise ResultsError if recorded trials were trained on other labels than are there.

        ``configs``: those of the recorded trials, by trial.
        """
        for row in results.trials.to_dict("records"):
            key = labels_name(configs[row["trial_id"]])
            found = self.noisy.get(key)
            if found is not None and row["labels_fingerprint"] != found.fingerprint:
                name = f"{layout.LABELS}/{layout.table_name(key)}"
                raise ResultsError(
                    f"{results.folder}: {name} has changed since trial {row['trial_id']} was "
                    "trained on it: put the file back that was there, or give a new sweep a --name"
                )

    def transitions(self, configs: Mapping[str, TrialConfig]) -> dict[str, Floats]:
        """The realised matrices [C, C] of those labels whose truth is known, by the same keys."""
        return {
            key: self.noisy[labels_name(config)].transition
            for key, config in configs.items()
            if self.datasets[config.data.name].truth_known
        }

    def describe(self, config: TrialConfig) -> dict[str, Any]:
        """The columns of the trials table that tell about a trial's labels."""
        noisy, dataset = self.noisy[labels_name(config)], self.datasets[config.data.name]
        return {
            "realised_rate": noisy.rate,
            "labels_fingerprint": noisy.fingerprint,
            "truth": KNOWN if dataset.truth_known else UNKNOWN,
            "validated_on": CLEAN if dataset.val_clean else GIVEN,
            "val_examples": dataset.held_out(config.data),
            "tested_on": dataset.tested_on,
        }

    def _draw(self, key: str, config: TrialConfig) -> NoisyLabels:
        self._drawn.add(key)
        dataset = self.datasets[config.data.name]
        if not dataset.truth_known and config.matrix_from == "true":
            raise DataError(
                f"{config.data.root}: {config.loss} with "
                f'{LOSSES[config.loss].matrix_from} = "true" needs true labels, and nobody knows '
                'them: take "estimated"'
            )
        return prepare(dataset, config.data, config.noise, config.seed)[1]

    def _write(self, folder: str, key: str, table: pa.Table) -> None:
        (self._results / folder).write(layout.table_name(key), packed(table))

    def _read(self, key: str, config: TrialConfig) -> NoisyLabels | None:
        folder, name = self._results / layout.LABELS, layout.table_name(key)
        try:
            table = read_table(folder, name, _LABELS, key=("index", "given"))
        except MissingError:
            return None
        stored = {column: table[column].to_numpy() for column in table.column_names}
        subset, true = self._true(config)
        dataset = self.datasets[config.data.name]
        # Where nobody knows the truth, the labels given stand in for it, and split the images.
        now = stored["true" if dataset.truth_known else "given"]
        if not (np.array_equal(stored["index"], subset) and np.array_equal(now, true)):
            raise ResultsError(
                f"{folder}/{name} holds the labels of other images, or labels that have changed"
            )
        noisy = NoisyLabels.of(true, stored["given"], dataset.num_classes)
        return noisy if dataset.truth_known else replace(noisy, rate=float("nan"))

    def _dataset(self, key: str) -> Dataset:
        return self.datasets[self._of[key].data.name]

    def _true(self, config: TrialConfig) -> tuple[Ints, Ints]:
        dataset = self.datasets[config.data.name]
        subset = subset_index(dataset, config.data, config.seed)
        return subset, dataset.train_labels[subset]


def _matrix(noisy: NoisyLabels) -> pa.Table:
    classes = range(len(noisy.transition))
    matrix = pd.DataFrame(
        noisy.transition,
        index=pd.Index(classes, name="true"),
        columns=pd.Index(classes, name="given"),
    )
    return pa.Table.from_pandas(matrix, preserve_index=True)
