"""Loading a results folder, finished or running, into two DataFrames."""

import inspect
import json
import time
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, wraps
from itertools import chain
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from analysis import store
from analysis.schema import (
    EPOCH_COLUMNS,
    PAUSED,
    RUNNING,
    SEARCH,
    TRIAL_COLUMNS,
    arrow_schema,
    categorical_columns,
    parameter_columns,
)
from analysis.store import EPOCH_KEY, EPOCH_SCHEMA, ResultsError, latest_rows
from spaces.sweep import SweepSpec
from trainable.catalog import unknown
from trainable.config import TrialConfig
from trainable.folder import layout
from trainable.folder.storage import Folder, MissingError
from trainable.wording import own_words

__all__ = ["Results", "ResultsError", "ResultsWarning", "load_results", "once", "recorded_config"]

P = ParamSpec("P")
T = TypeVar("T")

TRIAL_KEY = ("trial_id", "study", "number", "phase", "status", "attempt", "epochs", "config")
EPOCH_INDEX = ("study", "trial_id", "epoch")
PartKey: TypeAlias = tuple[int, int]
"""(level, number) of one part of a study."""
_PAUSES = (*(0.02 * 2**n for n in range(6)), *[1.0] * 29)
"""Seconds between the attempts to read a study that changes meanwhile: 30 in all."""
_READERS = 8


class ResultsWarning(UserWarning):
    """Something is not in the results because its file is damaged or missing."""


# Compared by identity: tables have no single truth value, and ``once`` hashes its arguments.
@dataclass(frozen=True, eq=False)
class Results:
    """One sweep's results."""

    folder: Folder  # where they lie
    trials: pd.DataFrame
    """A row a trial (``schema.TRIAL_COLUMNS`` and ``param_*``), sorted by study, phase and number.
    """
    epochs: pd.DataFrame
    """A row for each trial and epoch (``schema.EPOCH_COLUMNS``), sorted like the trials and by
    epoch."""
    spec: dict[str, Any] = field(default_factory=dict)
    """The sweep file; empty where the folder has none."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What it ran on; empty where the folder does not say."""
    computed: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What functions marked with :func:`once` have made of the tables, which are not to be
    changed."""

    @property
    def name(self) -> str:
        """The sweep's name in its file; ``sweep`` where there is none."""
        return str(self.spec.get("name", "sweep"))

    @property
    def searched(self) -> pd.DataFrame:
        """The trials of the search: without replicates, and without those of a larger budget."""
        return self.trials[self.trials["phase"] == SEARCH]

    @property
    def running(self) -> bool:
        """Whether some trial has not ended."""
        return bool(self.trials["status"].isin([RUNNING, PAUSED]).any())


def once(
    compute: Callable[Concatenate[Results, P], T],
) -> Callable[Concatenate[Results, P], T]:
    """A function of results that computes once for each of its arguments; tables come as copies.

    Hundreds of numbers of a report go back to a few rankings of the trials. An argument is the
    same however it is given: by name, by place, or left at its default.
    """
    signature = inspect.signature(compute)

    @wraps(compute)
    def computed(results: Results, *args: P.args, **kwargs: P.kwargs) -> T:
        given = signature.bind(results, *args, **kwargs)
        # Else a default that is spelled out would be computed and kept a second time.
        given.apply_defaults()
        key = (compute, *tuple(given.arguments.values())[1:])  # without the results
        if key not in results.computed:
            results.computed[key] = compute(results, *args, **kwargs)
        value = results.computed[key]
        return cast(T, value.copy()) if isinstance(value, pd.DataFrame) else cast(T, value)

    return cast(Callable[Concatenate[Results, P], T], computed)


def recorded_config(folder: Folder, row: Mapping[Any, Any]) -> TrialConfig:
    """The config in a row of the trials table. Raises ResultsError that names the trial."""
    try:
        return TrialConfig.from_json(row["config"])
    except ValueError as error:
        raise ResultsError(f"{folder}: the config of trial {row['trial_id']}: {error}") from None


def table_in(config: object, name: str) -> dict[str, Any]:
    """The table ``name`` of a recorded config; empty where a config has none, or is none."""
    try:
        found = json.loads(config) if isinstance(config, str) else None
    except (ValueError, RecursionError):
        found = None
    table = found.get(name) if isinstance(found, dict) else None
    return table if isinstance(table, dict) else {}


@once
def sweep_spec(results: Results) -> SweepSpec:
    """The sweep file, checked. Raises ResultsError if it is missing or damaged."""
    if not results.spec:
        raise ResultsError(f"{results.folder} has no {layout.SWEEP}, which has the search space")
    try:
        return SweepSpec.model_validate(results.spec)
    except ValidationError as error:
        reason = own_words(error.errors()[0])
        raise ResultsError(f"{results.folder}/{layout.SWEEP} is damaged: {reason}") from None


def load_results(
    path: str | Path | Folder,
    *,
    studies: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    strict: bool = True,
) -> Results:
    """Load the results folder of one sweep, while it runs or after.

    Args:
        path: the folder, a path or a URI (s3, gs, …).
        studies: names of the studies to read; None: all.
        columns: columns of ``epochs`` to read besides study, trial_id and epoch; None: all.
        strict: whether a damaged file is an error, or left out with a :class:`ResultsWarning`.

    Raises:
        ResultsError: no results there, a damaged file (its path), epochs without a table of
            trials, an unknown study or column.
        StorageError: the storage cannot be read.
    """
    folder = Folder.open(path)
    # A sweep that has only begun has its file and no trial yet: that is no mistake.
    if not folder.exists(layout.TRIALS) and not folder.exists(layout.SWEEP):
        raise ResultsError(_not_results(folder))
    for name in set(columns or ()) - {column.name for column in EPOCH_COLUMNS}:
        raise ResultsError(unknown("epoch column", name, [c.name for c in EPOCH_COLUMNS]))
    recorded = layout.recorded_studies(folder)
    trials = _load_trials(folder, bool(recorded), strict)
    known = sorted({*trials["study"], *recorded})
    for name in set(studies or ()) - set(known):
        raise ResultsError(unknown("study", name, known))
    chosen = known if studies is None else [name for name in known if name in studies]
    trials = _typed_trials(trials, chosen)
    return Results(
        folder=folder,
        trials=trials,
        epochs=_load_epochs(folder, chosen, columns, strict, trials["trial_id"].to_list()),
        spec=_load_text(folder, layout.SWEEP, tomllib.loads, strict),
        provenance=_load_text(folder, layout.PROVENANCE, json.loads, strict),
    )


def _not_results(folder: Folder) -> str:
    inside = [name for name in folder.names() if (folder / name).exists(layout.SWEEP)]
    if inside:
        return f"{folder} is not the results of one sweep, but holds some: {', '.join(inside)}"
    return f"{folder} holds no results: neither {layout.SWEEP} nor {layout.TRIALS}/ is there"


def _load_trials(folder: Folder, has_epochs: bool, strict: bool) -> pd.DataFrame:
    schema = arrow_schema([*TRIAL_COLUMNS, *parameter_columns().values()])
    table = schema.empty_table()
    if (folder / layout.TRIALS).exists(layout.TRIALS_TABLE):
        table = _read(folder / layout.TRIALS, layout.TRIALS_TABLE, schema, TRIAL_KEY, strict)
        table = _once_each(folder, table, strict)
    elif has_epochs:
        missing = f"{layout.TRIALS}/{layout.TRIALS_TABLE} is missing"
        text = f"{folder} holds epochs, but no table of trials: {missing}"
        _refuse(ResultsError(text), strict)
    return cast(pd.DataFrame, table.to_pandas())


def _once_each(folder: Folder, table: pa.Table, strict: bool) -> pa.Table:
    """The trials table, where each trial has one row."""
    ids = table["trial_id"].to_pandas()
    twice = ids.duplicated()
    if twice.any():
        where = f"{folder}/{layout.TRIALS}/{layout.TRIALS_TABLE}"
        _refuse(ResultsError(f"{where} has trial {ids[twice].iloc[0]} twice"), strict)
    return table.filter(pa.array(~twice))


def _typed_trials(trials: pd.DataFrame, studies: list[str]) -> pd.DataFrame:
    """Sorted, with categoricals; trial ids are categories in this order."""
    trials = trials[trials["study"].isin(studies)]
    replicates = trials["phase"] != SEARCH
    # The last key counts most: study, then search before what repeats it, number, id.
    order = np.lexsort((trials["trial_id"], trials["number"], replicates, trials["study"]))
    trials = trials.iloc[order].reset_index(drop=True)
    dtypes: dict[str, Any] = dict.fromkeys(categorical_columns(trials.columns), "category")
    # Of all studies asked for, so that trials and epochs have the same categories.
    dtypes["study"] = pd.CategoricalDtype(studies)
    dtypes["trial_id"] = pd.CategoricalDtype(trials["trial_id"])
    return trials.astype(dtypes)


def _load_epochs(
    folder: Folder,
    studies: list[str],
    columns: Sequence[str] | None,
    strict: bool,
    trial_ids: list[str],
) -> pd.DataFrame:
    names = [column.name for column in EPOCH_COLUMNS]
    wanted = names if columns is None else [n for n in names if n in {*EPOCH_INDEX, *columns}]
    schema = pa.schema(f for f in EPOCH_SCHEMA if f.name in {*wanted, *EPOCH_KEY})
    parts = _settled_parts(folder, studies, schema, strict)
    table = pa.concat_tables([_with_study(schema.empty_table(), studies, 0), *parts])
    # Each part numbers its texts by itself, and pandas takes one numbering for a column.
    table = table.unify_dictionaries()
    rows = latest_rows(table, trial_ids)
    # A finished sweep has every epoch once and in order: then nothing is copied.
    if not np.array_equal(rows, np.arange(len(table))):
        table = table.take(rows)
    table = table.select(wanted)
    epochs = cast(pd.DataFrame, table.to_pandas())
    others = epochs["trial_id"].cat.categories.difference(trial_ids)
    # Epochs of trials that the table has lost stay, so that somebody can notice.
    epochs["trial_id"] = epochs["trial_id"].cat.set_categories([*trial_ids, *others])
    return epochs


def _settled_parts(
    folder: Folder, studies: list[str], schema: pa.Schema, strict: bool
) -> list[pa.Table]:
    """All parts of the studies, in their order.

    They are listed together, so that no study is ahead of another. One whose parts a running
    sweep merges before they are read is listed and read again, alone.
    """
    places = [folder / layout.EPOCHS / layout.partition(study) for study in studies]

    def read(index: int, part: PartKey) -> pa.Table:
        table = _read(places[index], layout.part_name(*part), schema, EPOCH_KEY, strict)
        return _with_study(table, studies, index)

    # Two pools: a study that waited in the one that reads its files could wait for itself.
    with ThreadPoolExecutor(_READERS) as files, ThreadPoolExecutor(_READERS) as threads:

        def settled(index: int, listing: set[PartKey]) -> list[pa.Table]:
            return _settled(places[index], listing, partial(read, index), files)

        listings = list(threads.map(_listing, places))
        return list(chain.from_iterable(threads.map(settled, range(len(studies)), listings)))


def _settled(
    place: Folder, listing: set[PartKey], read: Callable[[PartKey], pa.Table], threads: Executor
) -> list[pa.Table]:
    """The parts of one study, read in ``threads`` until none was merged meanwhile."""
    for pause in _PAUSES:
        # A part that was merged between listing and reading is gone: list again.
        with suppress(MissingError):
            tables = list(threads.map(read, sorted(listing)))
            after = _listing(place)
            merged = any(level > 0 for level, _ in after - listing)
            if listing <= after and not merged:
                return tables
        time.sleep(pause)
        listing = _listing(place)
    raise ResultsError(f"{place} changes faster than it can be read; try again")


def _listing(place: Folder) -> set[PartKey]:
    return set(layout.part_keys(place))


def _read(
    folder: Folder, name: str, schema: pa.Schema, key: Sequence[str], strict: bool
) -> pa.Table:
    """The table, or, unless ``strict``, an empty one and a warning in place of a damaged one."""
    try:
        return store.read_table(folder, name, schema, key)
    except ResultsError as error:
        _refuse(error, strict)
        return schema.empty_table()


def _refuse(error: ResultsError, strict: bool) -> None:
    """Raise the error, or, unless ``strict``, warn that something is left out."""
    if strict:
        raise error
    warnings.warn(f"left out: {error}", ResultsWarning, stacklevel=3)


def _with_study(table: pa.Table, studies: list[str], index: int) -> pa.Table:
    indices = np.full(len(table), index, dtype=np.int32)
    column = pa.DictionaryArray.from_arrays(indices, pa.array(studies, pa.string()))
    return table.add_column(0, "study", column)


def _load_text(
    folder: Folder, name: str, parse: Callable[[str], Any], strict: bool
) -> dict[str, Any]:
    if not folder.exists(name):
        return {}
    try:
        content = parse(folder.read(name).decode())
        if isinstance(content, dict):
            return content
        reason = "no table of names and values"
    except ValueError as error:
        reason = str(error)
    _refuse(ResultsError(f"{folder}/{name} is damaged: {reason}"), strict)
    return {}
