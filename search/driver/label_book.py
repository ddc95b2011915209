"""The given labels of every noise setting: drawn once, stored with the results, then only read.

    labels/<data set>-<noise setting>-seed<seed>.parquet    columns index, true, given
    labels/<the same>-transition.parquet                    their realised transition matrix

Whoever resumes a sweep, on whatever machine, trains on exactly these labels.
"""

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.frames.transition_matrix import LABELS, file_name
from analysis.store import ResultsError
from trainable.config import TrialConfig, labels_name
from trainable.data import Dataset, Ints, load_dataset, subset_index
from trainable.folder.storage import Folder, MissingError
from trainable.noise import NoisyLabels
from trainable.trial.prepare import prepare

__all__ = ["LabelBook", "labels_name"]


class LabelBook:
    """Data sets and given labels of a sweep, kept in memory for the trials and in the results."""

    def __init__(self, results: Folder) -> None:
        self._folder = results / LABELS
        self.datasets: dict[str, Dataset] = {}
        self.noisy: dict[str, NoisyLabels] = {}

    def add(self, configs: Iterable[TrialConfig]) -> None:
        """Make sure that the data set and the labels of every config are there.

        Raises DataError for a data set that cannot be read, NoiseError for noise that it cannot
        have, ResultsError for stored labels that are damaged or of other images.
        """
        for config in configs:
            name, key = config.data.name, labels_name(config)
            if name not in self.datasets:
                self.datasets[name] = load_dataset(name, config.data.root)
            if key not in self.noisy:
                self.noisy[key] = self._read(key, config) or self._draw(key, config)
                self._write_transition(key, self.noisy[key])

    def describe(self, config: TrialConfig) -> dict[str, Any]:
        """The columns of the trials table that tell about a trial's labels."""
        noisy = self.noisy[labels_name(config)]
        return {"realised_rate": noisy.rate, "labels_fingerprint": noisy.fingerprint}

    def _draw(self, key: str, config: TrialConfig) -> NoisyLabels:
        dataset = self.datasets[config.data.name]
        noisy = prepare(dataset, config.data, config.noise, config.seed)[1]
        subset, true = self._true(config)
        table = pa.table({"index": subset, "true": true, "given": noisy.labels})
        self._write(f"{key}.parquet", table)
        return noisy

    def _write_transition(self, key: str, noisy: NoisyLabels) -> None:
        """Written at every start, so that it is always that of the labels that are there."""
        classes = range(len(noisy.transition))
        matrix = pd.DataFrame(
            noisy.transition,
            index=pd.Index(classes, name="true"),
            columns=pd.Index(classes, name="given"),
        )
        self._write(file_name(key), pa.Table.from_pandas(matrix, preserve_index=True))

    def _write(self, name: str, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        self._folder.write(name, sink.getvalue())

    def _read(self, key: str, config: TrialConfig) -> NoisyLabels | None:
        name = f"{key}.parquet"
        try:
            table = pq.read_table(io.BytesIO(self._folder.read(name)))
            stored = {c: table[c].to_numpy() for c in ("index", "true", "given")}
        except MissingError:
            return None
        except (pa.ArrowException, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ResultsError(f"{self._folder}/{name} is damaged: {reason}") from None
        subset, true = self._true(config)
        if not (np.array_equal(stored["index"], subset) and np.array_equal(stored["true"], true)):
            raise ResultsError(f"{self._folder}/{name} holds the labels of other images")
        classes = self.datasets[config.data.name].num_classes
        return NoisyLabels.of(true, stored["given"], classes)

    def _true(self, config: TrialConfig) -> tuple[Ints, Ints]:
        dataset = self.datasets[config.data.name]
        subset = subset_index(dataset, config.data, config.seed)
        return subset, dataset.train_labels[subset]
