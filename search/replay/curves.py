"""Recorded full-length curves: what a sweep without early stopping leaves, or one file of it.

The file is Parquet with a row a trial: ``study``, ``number``, ``config`` (JSON), ``diverged``, and
two lists with a value for every epoch, ``value`` (the metric that the sweep selects on) and
``test``. The sweep file stands in the metadata of its schema, so the file explains itself; there
too, as JSON, the transition matrices that the labels realised, by study.
"""

import dataclasses
import json
import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.frames.transition_matrix import stored_matrix
from analysis.results import ResultsError, load_results
from analysis.rule import selection_key
from analysis.schema import COMPLETED, DIVERGED, STOPPED
from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, differences, dump_sweep, parse_sweep
from trainable.config import TrialConfig
from trainable.dtypes import Floats
from trainable.folder import layout
from trainable.folder.checked_parquet import DAMAGED, opened, packed
from trainable.folder.storage import Folder

SCHEMA = pa.schema(
    [
        ("study", pa.string()),
        ("number", pa.int32()),
        ("config", pa.string()),
        ("diverged", pa.bool_()),
        ("value", pa.list_(pa.float64())),
        ("test", pa.list_(pa.float64())),
    ]
)
_SPEC_KEY = layout.SWEEP.encode()
_TRANSITIONS_KEY = layout.TRANSITIONS.encode()


@dataclass(frozen=True)
class Curve:
    """One recorded trial."""

    number: int  # the trial's in its study
    config: TrialConfig  # what it trained
    diverged: bool  # whether it ended early for that
    value: Floats
    """What was selected on after every epoch, fractions [E]; E is the full budget, or less if it
    diverged."""
    test: Floats  # test accuracy likewise

    @property
    def final(self) -> float:
        """What it is selected by: the value after the full budget, -inf if it diverged."""
        return -math.inf if self.diverged else float(self.value[-1])

    @property
    def key(self) -> tuple[float, ...]:
        """What the selection rule sorts by, the best one first."""
        return selection_key(self.number, self.final)


@dataclass(frozen=True)
class Curves:
    """The recorded trials of a sweep."""

    spec: SweepSpec  # the sweep file they were recorded under
    studies: Mapping[str, Sequence[Curve]]  # by study
    transitions: Mapping[str, Floats] = field(default_factory=dict)
    """By study what its labels realised, [C, C]; of those whose truth is known."""


def load_curves(path: str) -> Curves:
    """Read a results folder, or a ``.parquet`` file written by :func:`save_curves`.

    Raises ResultsError for trials that were stopped early (their curves are cut off), for a
    damaged file and where there is no complete trial; StorageError where nothing can be read.
    """
    curves = _from_file(path) if path.endswith(".parquet") else _from_folder(Folder.open(path))
    if not any(curves.studies.values()):
        raise ResultsError(f"{path}: no trial has had its full budget yet")
    return curves


def save_curves(curves: Curves, path: str) -> None:
    """Write curves to one ``.parquet`` file. Raises StorageError."""
    rows = [
        {
            "study": study,
            "number": curve.number,
            "config": json.dumps(curve.config.as_dict(), sort_keys=True),
            "diverged": curve.diverged,
            "value": curve.value,
            "test": curve.test,
        }
        for study, pool in curves.studies.items()
        for curve in pool
    ]
    transitions = {study: matrix.tolist() for study, matrix in curves.transitions.items()}
    schema = SCHEMA.with_metadata(
        {
            _SPEC_KEY: dump_sweep(curves.spec).encode(),
            _TRANSITIONS_KEY: json.dumps(transitions).encode(),
        }
    )
    folder, name = _place(path)
    folder.write(name, packed(pa.Table.from_pylist(rows, schema), compression="zstd"))


def overridden(curves: Curves, overrides: Sequence[str]) -> Curves:
    """The curves with ``key=value`` put over ``[search]``, ``[budget]`` and priors of their sweep.

    Raises SpecError for what would change the trials themselves.
    """
    spec = parse_sweep(dump_sweep(curves.spec), overrides)
    free = ["search.", "budget.grace_epochs", "budget.reduction_factor"]
    # Not strict: sweeps of other cells differ in lines of their own, below.
    spaces = zip(curves.spec.cells(), spec.cells(), strict=False)
    if all(old.space == new.space for old, new in spaces):  # but for their priors
        free.append("space.")
    for key, line in differences(curves.spec, spec).items():
        if not key.startswith(tuple(free)):
            raise SpecError(f"--set: the trials are recorded already: {line}")
    return dataclasses.replace(curves, spec=spec)


def shuffled(curves: Curves, seed: int) -> Curves:
    """The same points and the same curves, but which belongs to which is left to chance."""
    rng = np.random.default_rng(seed)
    studies = {
        study: [
            dataclasses.replace(curve, number=own.number, config=own.config)
            for own, curve in zip(pool, (pool[i] for i in rng.permutation(len(pool))), strict=True)
        ]
        for study, pool in curves.studies.items()
    }
    return dataclasses.replace(curves, studies=studies)


def _from_file(path: str) -> Curves:
    folder, name = _place(path)
    try:
        table = opened(folder.read(name)).read()
        metadata = table.schema.metadata or {}
        spec = parse_sweep(metadata[_SPEC_KEY].decode(), where=path)
        rows = table.cast(SCHEMA.with_metadata(metadata)).to_pylist()
        transitions = json.loads(metadata.get(_TRANSITIONS_KEY, "{}"))
    except DAMAGED as error:
        raise ResultsError(f"{path} holds no recorded curves: {error}") from error
    return Curves(
        spec,
        _grouped(spec, rows),
        {study: np.array(matrix) for study, matrix in transitions.items()},
    )


def _from_folder(folder: Folder) -> Curves:
    spec = parse_sweep(folder.read(layout.SWEEP).decode(), where=f"{folder}/{layout.SWEEP}")
    metric = spec.search.metric
    # Each validation metric has its namesake on the test set.
    test = metric.replace("val_", "test_")
    results = load_results(folder, columns=[metric, test])
    trials = results.searched
    cut = int((trials["status"] == STOPPED).sum())
    if cut:
        raise ResultsError(
            f"{folder}: {cut} trials were stopped early, so their curves are cut off; "
            'replay needs a sweep run with early_stopping = "none"'
        )
    epochs = dict(list(results.epochs.groupby("trial_id", observed=True)))
    full = trials[trials["status"].isin([COMPLETED, DIVERGED])]
    studies = _grouped(
        spec,
        [
            {
                "study": row["study"],
                "number": row["number"],
                "config": row["config"],
                "diverged": row["status"] == DIVERGED,
                "value": epochs[row["trial_id"]][metric],
                "test": epochs[row["trial_id"]][test],
            }
            for row in full.to_dict("records")
        ],
    )
    matrices = {study: stored_matrix(results, pool[0].config) for study, pool in studies.items()}
    known = {study: m.to_numpy() for study, m in matrices.items() if m is not None}
    return Curves(spec, studies, known)


def _grouped(spec: SweepSpec, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Curve]]:
    studies: dict[str, list[Curve]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["number"]):
        studies[row["study"]].append(
            Curve(
                number=int(row["number"]),
                config=TrialConfig.from_json(row["config"]),
                diverged=bool(row["diverged"]),
                value=np.asarray(row["value"], dtype=np.float64),
                test=np.asarray(row["test"], dtype=np.float64),
            )
        )
    return {c.study: studies[c.study] for c in spec.cells() if c.study in studies}


def _place(path: str) -> tuple[Folder, str]:
    parent, name = os.path.split(path)  # of a URI, too
    return Folder.open(parent or "."), name
