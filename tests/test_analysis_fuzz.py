"""A thousand broken tables: the reader loads what is whole, else says which file is not."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.results import ResultsError, load_results
from recorded import epoch_row, trial_row, write_results
from trainable.folder import layout

STUDY = "symmetric-0.4-elr"
PART = f"epochs/{layout.partition(STUDY)}/{layout.part_name(0, 0)}"
TRIALS = "trials/trials.parquet"

a_quarter = settings(max_examples=250, database=None, derandomize=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small sweep, one file of which each example replaces."""
    path = tmp_path_factory.mktemp("fuzz") / "sweep"
    trials = [trial_row(STUDY, number, param_lam=float(number)) for number in range(4)]
    epochs = [
        epoch_row(row["trial_id"], e, 3 * k + e) for k, row in enumerate(trials) for e in (1, 2, 3)
    ]
    write_results(path, trials, epochs)
    return path


@pytest.fixture(scope="module")
def whole(folder):
    """The files as they were written."""
    return {name: (folder / name).read_bytes() for name in (TRIALS, PART)}


def load(folder, name, content, whole):
    """Load with ``content`` as the file ``name``; what was wrong, or None."""
    (folder / name).write_bytes(content)
    try:
        load_results(folder)
    except ResultsError as error:
        return str(error)
    finally:
        (folder / name).write_bytes(whole[name])
    return None


def assert_clear(error, folder, name):
    if error is not None:
        assert str(folder) in error
        assert "\n" not in error
        assert len(error) < 1000


@st.composite
def damages(draw):
    """A function that breaks some bytes: cut, flipped, repeated, or put in between."""
    kind = draw(st.sampled_from(["cut", "flip", "zero", "insert", "repeat", "swap ends"]))
    where = draw(st.floats(0, 1, exclude_max=True))
    width = draw(st.integers(1, 64))
    noise = draw(st.binary(min_size=1, max_size=64))

    def damage(data):
        at = int(where * len(data))
        changed = bytearray(data)
        match kind:
            case "cut":
                del changed[at:]
            case "flip":
                for k, byte in enumerate(noise[:width]):
                    changed[(at + k) % len(data)] ^= byte
            case "zero":
                changed[at : at + width] = bytes(len(changed[at : at + width]))
            case "insert":
                changed[at:at] = noise
            case "repeat":
                changed[at:at] = changed[at : at + width]
            case "swap ends":
                changed = changed[at:] + changed[:at]
        return bytes(changed)

    return damage


@pytest.mark.parametrize("name", [TRIALS, PART])
def test_damaged_bytes_load_or_are_named(name, folder, whole):
    outcomes = []

    @a_quarter
    @given(damages())
    def broken(damage):
        error = load(folder, name, damage(whole[name]), whole)
        assert_clear(error, folder, name)
        outcomes.append(error is None)

    broken()
    assert outcomes.count(False) > 125


COLUMNS = {
    "int": pa.array([1, -(2**62), None, 0]),
    "float": pa.array([0.5, float("nan"), float("inf"), None]),
    "text": pa.array(["", "\n", "x" * 300, None]),
    "bytes": pa.array([b"\xff", b"", None, b"a"]),
    "bool": pa.array([True, None, False, True]),
    "list": pa.array([[1], [], None, [2, 3]]),
    "record": pa.array([{"a": 1}, None, {"a": 2}, {"a": 3}]),
    "null": pa.nulls(4),
    "time": pa.array(np.arange(4), pa.timestamp("s")),
    "words": pa.array(["a", "b", None, "a"]).dictionary_encode(),
}


@pytest.mark.parametrize("name", [TRIALS, PART])
def test_foreign_columns_load_or_are_named(name, folder, whole):
    """Files that are sound Parquet, with columns of any type, missing, or twice."""
    original = pq.read_table(io.BytesIO(whole[name]))

    @a_quarter
    @given(
        st.dictionaries(st.sampled_from(original.column_names), st.sampled_from(sorted(COLUMNS))),
        st.lists(st.sampled_from(original.column_names), max_size=3),
        st.sampled_from([None, *original.column_names]),
        st.integers(0, 4),
    )
    def foreign(types, dropped, doubled, rows):
        table = original.slice(0, 4)
        for column, kind in types.items():
            table = table.set_column(table.column_names.index(column), column, COLUMNS[kind])
        if doubled is not None:
            table = table.append_column(doubled, table[doubled])
        table = table.select([k for k, n in enumerate(table.column_names) if n not in dropped])
        sink = io.BytesIO()
        pq.write_table(table.slice(0, rows), sink)
        assert_clear(load(folder, name, sink.getvalue(), whole), folder, name)

    foreign()
