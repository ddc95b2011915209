"""Writing results while a sweep runs, so that any reader at any moment finds whole tables.

    trials/trials.parquet               one row a trial, replaced as a whole
    epochs/study=<name>/part-*.parquet  rows appended in parts; 32 parts of a level become one of
                                        the next, so a study never has more than a few dozen files

A part is merged by writing the larger one first and deleting its sources after. In between a
reader meets rows twice; after a recovery, epochs come again. Both are settled by the key
(trial, epoch): the latest attempt wins (:func:`latest_rows`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.schema import EPOCH_COLUMNS, PARAM, arrow_schema, parameter_columns, trial_schema
from trainable.folder import layout
from trainable.folder.checked_parquet import DAMAGED, opened, packed
from trainable.folder.storage import Folder, MissingError
from trainable.wording import check_known

PARTS_PER_LEVEL = 32
COMPACTED_LEVEL = 9
"""Level of the one part that the end of a sweep leaves; merging does not reach it before."""

REPEATED = ("trial_id", "device", "node")
"""Text columns of the epochs that hold few values many times: stored and read as categories."""

EPOCH_SCHEMA = pa.schema(
    field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in REPEATED else field
    for field in arrow_schema(column for column in EPOCH_COLUMNS if column.name != "study")
)
EPOCH_KEY = ("trial_id", "epoch", "attempt", "seq")
_JUDGED = ("train_loss", "val_accuracy")
"""What every epoch has been judged by, in every version: without them a trial would diverge."""


class ResultsError(ValueError):
    """Results that cannot be understood: one line with what and where."""


class ResultsWriter:
    """Writes one sweep's tables into its results folder. One writer a folder at a time.

    It goes on numbering where the one before stopped. All methods raise StorageError if the
    storage fails.
    """

    def __init__(self, folder: Folder) -> None:
        self._trials = folder / layout.TRIALS  # where the trials table is
        self._epochs = folder / layout.EPOCHS  # where a folder a study is
        # (level, number) of the parts that each study has
        self._parts: dict[str, set[tuple[int, int]]] = {}
        # parts written since the last merge, by study: they need not be read to be merged
        self._fresh: dict[str, dict[tuple[int, int], pa.Table]] = {}
        self._ended: dict[str, Mapping[str, Any]] = {}  # rows of trials that have ended
        self._ended_table = trial_schema(()).empty_table()  # the table that they make
        # trial_id, and the columns of the trials table that this version does not know
        self._others = _other_columns(self._trials)
        self._folder = folder  # the results folder
        for study in layout.recorded_studies(folder):
            self._parts[study] = set(layout.part_keys(self._epochs / layout.partition(study)))

    def remove_leftovers(self) -> None:
        """Delete what a killed writer left half-done."""
        studies = (self._epochs / layout.partition(study) for study in self._parts)
        for place in (self._folder, self._trials, self._epochs, *studies):
            place.remove_leftovers()

    def write_trials(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace the trials table: one row a trial, keys from ``schema.TRIAL_COLUMNS``.

        Missing keys are null. Tuples become text, mappings JSON. A row with ``ended_at`` is
        converted once and must not be changed afterwards: a sweep writes its table every second
        or so, and most rows have ended. Raises ValueError on a key that is no column.
        """
        schema = trial_schema(name for row in rows for name in row)
        table = pa.concat_tables(
            [self._ended_trials(rows, schema), _arrow(_not_ended(rows), schema)]
        )
        for column in self._others.column_names[1:]:
            if column not in table.column_names:
                places = pc.index_in(table["trial_id"], self._others["trial_id"])
                table = table.append_column(column, self._others[column].take(places))
        self._trials.write(layout.TRIALS_TABLE, _parquet(table, ()))

    def append_epochs(self, study: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, keys from ``schema.EPOCH_COLUMNS`` (``study`` itself may be left out)."""
        if not rows:
            return
        check_known("epoch column", set().union(*rows) - {"study"}, EPOCH_SCHEMA.names)
        self._write_part(study, 0, _arrow(rows, EPOCH_SCHEMA))
        self._merge_full_levels(study)

    def compact(self) -> None:
        """Leave one part a study, with exactly one row for each trial and epoch."""
        for study, known in self._parts.items():
            # A resume that added nothing rewrites nothing.
            if {level for level, _ in known} == {COMPACTED_LEVEL} and len(known) == 1:
                continue
            self._replace(study, sorted(known), COMPACTED_LEVEL)

    def truncate(self, seq: int) -> None:
        """Drop the rows that arrived as number ``seq`` or later, in every study."""
        for study, known in self._parts.items():
            folder = self._epochs / layout.partition(study)
            for level, number in sorted(known):
                name = layout.part_name(level, number)
                table = read_table(folder, name, EPOCH_SCHEMA, EPOCH_KEY, others=True)
                kept = table.filter(pc.less(table["seq"], seq))
                if len(kept) < len(table):
                    folder.write(name, _parquet(kept, REPEATED))

    def _ended_trials(self, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
        """The rows that have ended, in the order in which they did; only new ones cost time."""
        ended = {row["trial_id"]: row for row in rows if row.get("ended_at") is not None}
        # A trial that is started again, or a parameter seen for the first time, makes it anew.
        same = all(ended.get(trial_id) is row for trial_id, row in self._ended.items())
        if not same or schema != self._ended_table.schema:
            self._ended, self._ended_table = {}, schema.empty_table()
        new = [row for trial_id, row in ended.items() if trial_id not in self._ended]
        table = pa.concat_tables([self._ended_table, _arrow(new, schema)])
        self._ended, self._ended_table = ended, table.combine_chunks()
        return self._ended_table

    def _merge_full_levels(self, study: str) -> None:
        by_level: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for key in sorted(self._parts[study]):
            by_level[key[0]].append(key)
        for level, keys in sorted(by_level.items()):
            if len(keys) >= PARTS_PER_LEVEL:
                self._replace(study, keys, level + 1)
                self._merge_full_levels(study)
                return

    def _replace(self, study: str, keys: Sequence[tuple[int, int]], level: int) -> None:
        folder = self._epochs / layout.partition(study)
        fresh = self._fresh.pop(study, {})
        tables = [
            fresh[key]
            if key in fresh
            else read_table(folder, layout.part_name(*key), EPOCH_SCHEMA, EPOCH_KEY, others=True)
            for key in keys
        ]
        table = pa.concat_tables(tables, promote_options="default")
        self._write_part(study, level, table.take(latest_rows(table)))
        # Only now do its sources go: a reader may see rows twice, never none.
        for key in keys:
            folder.delete(layout.part_name(*key))
            self._parts[study].discard(key)

    def _write_part(self, study: str, level: int, table: pa.Table) -> None:
        # Unique over all levels: the name of a part that was merged never comes again.
        known = self._parts.setdefault(study, set())
        number = max((number for _, number in known), default=-1) + 1
        name = layout.part_name(level, number)
        (self._epochs / layout.partition(study)).write(name, _parquet(table, REPEATED))
        known.add((level, number))
        if level == 0:
            self._fresh.setdefault(study, {})[level, number] = table


def read_table(
    folder: Folder, name: str, schema: pa.Schema, key: Sequence[str], *, others: bool = False
) -> pa.Table:
    """One file as a table with the columns of ``schema``, null where an older file has none.

    Of ``param_*`` columns, only those that the file has. ``others``: after them the columns that
    the schema does not have, which a later version may have written.

    Raises MissingError if it is not there, ResultsError with its path if it is damaged, or if a
    column of ``key`` is missing or empty in some row.
    """
    data = folder.read(name)
    try:
        table = _fitted(opened(data), schema, key, others)
        table.validate(full=True)
    except _ForeignError as error:
        raise ResultsError(f"{folder}/{name} is no table of results: {error}") from None
    except DAMAGED as error:
        raise damaged(folder, name, error) from error
    return table


def read_beside(folder: Folder, name: str, absent: str = "it has just gone") -> pa.Table:
    """A file that lies beside the results. Raises ResultsError: damaged, or ``absent`` if gone."""
    try:
        table = opened(folder.read(name)).read()
        table.validate(full=True)
    except MissingError:
        raise ResultsError(f"{folder}/{name} is not there: {absent}") from None
    except DAMAGED as error:
        raise damaged(folder, name, error) from error
    return table


def damaged(folder: Folder, name: str, error: Exception) -> ResultsError:
    """What is raised for a file whose reading raised one of ``DAMAGED``."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ResultsError(f"{folder}/{name} is damaged: {reason:.200}")


class _ForeignError(Exception):
    """Sound Parquet, but not what this package writes."""


def _fitted(file: pq.ParquetFile, schema: pa.Schema, key: Sequence[str], others: bool) -> pa.Table:
    """The columns of ``schema`` in a file, and its others."""
    names = file.schema_arrow.names
    for column in {n for n in names if names.count(n) > 1}:
        raise _ForeignError(f"{column!r} twice in it")
    for column in (*key, *(name for name in _JUDGED if name in schema.names)):
        if column not in names:
            raise _ForeignError(f"no {column!r} in it")
    schema = pa.schema(f for f in schema if f.name in names or not f.name.startswith(PARAM))
    rest = [n for n in names if n not in schema.names] if others else []
    # Files are read side by side already: threads of its own would only take turns with those.
    whole = file.read([*(n for n in schema.names if n in names), *rest], use_threads=False)
    table = whole.drop_columns(rest)
    for field in schema:
        if field.name not in names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    # An older file may have its columns in another order, or of another type.
    if not table.schema.equals(schema):
        table = table.select(schema.names).cast(schema)
    for column in key:
        if table[column].null_count:
            raise _ForeignError(f"rows without {column!r} in it")
    for column in rest:
        table = table.append_column(whole.field(column), whole[column])
    return table


def latest_rows(table: pa.Table, trial_ids: Sequence[str] = ()) -> np.ndarray:
    """Which rows of an epochs table count: one for each trial and epoch, sorted.

    Of rows with the same trial and epoch, the one of the latest attempt stays, and of that the
    last that arrived. Trials come in the order of ``trial_ids``, others after them.
    """
    column = table["trial_id"].unify_dictionaries().combine_chunks()
    ranks = {trial_id: rank for rank, trial_id in enumerate(trial_ids)}
    names = column.dictionary.to_pylist()
    rank = np.array([ranks.setdefault(name, len(ranks)) for name in names], dtype=np.int64)
    trial = rank[column.indices.to_numpy()]
    epoch, attempt, seq = (table[name].to_numpy() for name in ("epoch", "attempt", "seq"))
    # So it is in a sweep that has ended, and then nothing is sorted.
    if (np.diff(trial * (epoch.max(initial=0) + 1) + epoch) > 0).all():
        return np.arange(len(table))
    order = np.lexsort((seq, attempt, epoch, trial))
    trial, epoch = trial[order], epoch[order]
    last = np.ones(len(order), dtype=bool)
    last[:-1] = (trial[1:] != trial[:-1]) | (epoch[1:] != epoch[:-1])
    return order[last]


def _arrow(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    rows = list(rows)
    return pa.table(
        {
            field.name: pa.array(
                [_storable(row.get(field.name)) for row in rows], field.type, from_pandas=True
            )
            for field in schema
        },
        schema=schema,
    )


def _other_columns(trials: Folder) -> pa.Table:
    """trial_id and what else an earlier table of trials has that the schema does not."""
    key = pa.schema([("trial_id", pa.string())])
    if not trials.exists(layout.TRIALS_TABLE):
        return key.empty_table()
    table = read_table(trials, layout.TRIALS_TABLE, key, ("trial_id",), others=True)
    known = {*trial_schema(()).names, *parameter_columns()} - {"trial_id"}
    return table.drop_columns([name for name in table.column_names if name in known])


def _not_ended(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row.get("ended_at") is None]


def _storable(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True)
    return value


def _parquet(table: pa.Table, dictionary: Sequence[str]) -> bytes:
    return packed(table, use_dictionary=list(dictionary) or False)
