import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analysis import store
from analysis.results import load_results
from analysis.schema import EPOCH_COLUMNS, TRIAL_COLUMNS, parameter_columns, trial_schema
from analysis.store import ResultsError, ResultsWriter
from tests.recorded import epoch_row, trial_row, write_results
from trainable.folder.storage import Folder
from trainable.metrics import METRIC_COLUMNS

STUDY = "symmetric-0.4-elr"
TRIAL = f"{STUDY}-0000"


def part_files(path):
    return sorted(p.name for p in path.glob("epochs/study=*/*"))


def append_one_by_one(writer, count, start=0, study=STUDY):
    for seq in range(start, start + count):
        writer.append_epochs(study, [epoch_row(TRIAL, seq + 1, seq, val_accuracy=seq / 1000)])


def test_pandas_alone_reads_both_tables(tmp_path):
    write_results(
        tmp_path,
        [trial_row(), trial_row("a/b c", 1, param_lam=3.0)],
        [epoch_row(TRIAL, 1), epoch_row("a/b c-0001", 1)],
    )
    epochs = pd.read_parquet(tmp_path / "epochs")
    assert set(epochs["study"]) == {STUDY, "a/b c"}
    assert set(epochs.columns) == {column.name for column in EPOCH_COLUMNS}
    trials = pd.read_parquet(tmp_path / "trials")
    assert list(trials.columns) == [*(c.name for c in TRIAL_COLUMNS), "param_lam"]
    assert trials["trial_id"].tolist() == [TRIAL, "a/b c-0001"]


def test_write_trials_replaces_the_table(tmp_path):
    writer = ResultsWriter(Folder.open(tmp_path))
    writer.write_trials([trial_row(status="running"), trial_row(number=1)])
    writer.write_trials([trial_row(status="stopped")])
    trials = pd.read_parquet(tmp_path / "trials")
    assert trials["status"].tolist() == ["stopped"]


def test_write_trials_follows_rows_that_end_change_or_vanish(tmp_path):
    writer = ResultsWriter(Folder.open(tmp_path))
    ended, running = trial_row(number=0), trial_row(number=1, status="running", ended_at=None)

    def written(*rows):
        writer.write_trials(rows)
        table = pd.read_parquet(tmp_path / "trials")
        return {row["number"]: row["status"] for row in table.to_dict("records")}

    assert written(ended, running) == {0: "completed", 1: "running"}
    running["status"] = "paused"
    assert written(running, ended) == {0: "completed", 1: "paused"}
    stopped = running | {"status": "stopped", "ended_at": ended["ended_at"]}
    third = trial_row(number=2, param_lam=3.0)
    assert written(ended, stopped, third) == {0: "completed", 1: "stopped", 2: "completed"}
    assert written(ended | {"status": "failed"}, third) == {0: "failed", 2: "completed"}
    assert written() == {}


def test_write_trials_converts_an_ended_row_once(tmp_path, monkeypatch):
    converted = []
    original = store._storable
    monkeypatch.setattr(
        store, "_storable", lambda value: converted.append(value) or original(value)
    )
    writer = ResultsWriter(Folder.open(tmp_path))
    rows = [trial_row(number=k) for k in range(3)]
    writer.write_trials(rows)
    assert "symmetric-0.4-elr-0002" in converted
    converted.clear()
    writer.write_trials([*rows, trial_row(number=3)])
    assert [v for v in converted if str(v).startswith(STUDY + "-")] == ["symmetric-0.4-elr-0003"]


def test_write_trials_keeps_the_form_of_values(tmp_path):
    row = trial_row(
        param_milestones=(40, 80), param_t_0=10, param_lam=3, versions={"b": "2", "a": "1"}
    )
    ResultsWriter(Folder.open(tmp_path)).write_trials([row, trial_row(number=1)])
    trials = pd.read_parquet(tmp_path / "trials")
    assert trials["param_milestones"][0] == "40 80"
    assert json.loads(trials["versions"][0]) == {"a": "1", "b": "2"}
    schema = pq.read_schema(tmp_path / "trials" / "trials.parquet")
    assert str(schema.field("param_t_0").type) == "int64"
    assert str(schema.field("param_lam").type) == "double"
    assert trials["param_lam"].isna().tolist() == [False, True]
    assert trials["started_at"].dt.tz is not None


@pytest.mark.parametrize("name", ["param_lamm", "val_acc"])
def test_write_trials_refuses_an_unknown_column(tmp_path, name):
    with pytest.raises(ValueError, match=f"unknown trial column '{name}': did you mean"):
        ResultsWriter(Folder.open(tmp_path)).write_trials([trial_row(**{name: 1.0})])


def test_append_epochs_refuses_an_unknown_column(tmp_path):
    with pytest.raises(ValueError, match="unknown epoch column 'val_acc'"):
        ResultsWriter(Folder.open(tmp_path)).append_epochs(STUDY, [epoch_row(TRIAL, 1, val_acc=0)])


def test_undefined_metrics_are_null_in_the_file(tmp_path):
    writer = ResultsWriter(Folder.open(tmp_path))
    writer.append_epochs(STUDY, [epoch_row(TRIAL, 1, val_accuracy=0.5, train_loss=-np.inf)])
    (file,) = (tmp_path / "epochs").glob("*/*")
    (row,) = pq.ParquetFile(file).read().to_pylist()
    assert row["target_accuracy"] is None
    assert row["val_accuracy"] == 0.5
    assert row["train_loss"] == -np.inf


def test_appending_nothing_writes_nothing(tmp_path):
    ResultsWriter(Folder.open(tmp_path)).append_epochs(STUDY, [])
    assert part_files(tmp_path) == []


def test_parts_are_merged_by_32(tmp_path):
    writer = ResultsWriter(Folder.open(tmp_path))
    append_one_by_one(writer, 31)
    assert len(part_files(tmp_path)) == 31
    append_one_by_one(writer, 1, 31)
    assert part_files(tmp_path) == ["part-1-00000032.parquet"]
    append_one_by_one(writer, 34, 32)
    assert [name[:7] for name in part_files(tmp_path)] == ["part-0-"] * 2 + ["part-1-"] * 2
    epochs = pd.read_parquet(tmp_path / "epochs")
    assert sorted(epochs["epoch"]) == list(range(1, 67))
    assert sorted(epochs["val_accuracy"]) == [k / 1000 for k in range(66)]


def test_merges_cascade(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PARTS_PER_LEVEL", 2)
    append_one_by_one(ResultsWriter(Folder.open(tmp_path)), 8)
    assert [name[:7] for name in part_files(tmp_path)] == ["part-3-"]
    assert len(pd.read_parquet(tmp_path / "epochs")) == 8


def test_compact_leaves_one_row_a_key_in_one_file_a_study(tmp_path):
    writer = ResultsWriter(Folder.open(tmp_path))
    append_one_by_one(writer, 3)
    writer.append_epochs(STUDY, [epoch_row(TRIAL, 2, 3, attempt=2, val_accuracy=0.9)])
    writer.append_epochs("other", [epoch_row("other-0000", 1, 4)])
    writer.compact()
    files = part_files(tmp_path)
    assert len(files) == 2
    epochs = pd.read_parquet(tmp_path / "epochs")
    assert not epochs.duplicated(["study", "trial_id", "epoch"]).any()
    assert epochs.set_index(["trial_id", "epoch"])["val_accuracy"][TRIAL, 2] == 0.9
    writer.compact()
    assert part_files(tmp_path) == files


def test_compact_of_one_raw_part_settles_its_repeated_rows(tmp_path):
    writer = ResultsWriter(Folder.open(tmp_path))
    writer.append_epochs(STUDY, [epoch_row(TRIAL, 1, 0), epoch_row(TRIAL, 1, 1, attempt=2)])
    writer.compact()
    assert pd.read_parquet(tmp_path / "epochs")["attempt"].tolist() == [2]


def test_a_new_writer_goes_on_where_a_killed_one_stopped(tmp_path):
    append_one_by_one(ResultsWriter(Folder.open(tmp_path)), 2)
    (study,) = (tmp_path / "epochs").iterdir()
    half = [
        tmp_path / ".sweep.toml.01234567.tmp",
        study / ".part-0-00000002.parquet.01234567.tmp",
    ]
    for file in half:
        file.write_bytes(b"PAR1")
    writer = ResultsWriter(Folder.open(tmp_path))
    assert all(file.exists() for file in half)  # to open it is no write
    writer.remove_leftovers()
    append_one_by_one(writer, 2, 2)
    assert not any(file.exists() for file in half)
    assert part_files(tmp_path) == [f"part-0-0000000{k}.parquet" for k in range(4)]


def test_killed_between_writing_a_merged_part_and_deleting_its_sources(tmp_path, monkeypatch):
    folder = write_results(tmp_path, [trial_row()])
    writer = ResultsWriter(folder)
    append_one_by_one(writer, 31)
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "delete", lambda self, name: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            append_one_by_one(writer, 1, 31)
    assert len(part_files(tmp_path)) == 33
    assert load_results(tmp_path).epochs["epoch"].tolist() == list(range(1, 33))
    writer = ResultsWriter(folder)
    append_one_by_one(writer, 1, 32)
    assert load_results(tmp_path).epochs["epoch"].tolist() == list(range(1, 34))
    writer.compact()
    assert sorted(pd.read_parquet(tmp_path / "epochs")["epoch"]) == list(range(1, 34))


def test_merging_a_damaged_part_names_it(tmp_path):
    append_one_by_one(ResultsWriter(Folder.open(tmp_path)), 2)
    (file, _) = sorted((tmp_path / "epochs").glob("*/*"))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ResultsError, match=f"{file} is damaged"):
        ResultsWriter(Folder.open(tmp_path)).compact()


def test_latest_rows_prefers_attempt_then_arrival():
    rows = [
        epoch_row("b", 1, 0, attempt=1),
        epoch_row("b", 1, 3, attempt=2),
        epoch_row("b", 1, 9, attempt=1),
        epoch_row("a", 2, 5, attempt=1),
        epoch_row("a", 2, 4, attempt=1),
        epoch_row("a", 1, 6, attempt=1),
    ]
    table = store._arrow(rows, store.EPOCH_SCHEMA)
    assert store.latest_rows(table).tolist() == [1, 5, 3]
    assert store.latest_rows(table, ["a"]).tolist() == [5, 3, 1]


def test_schema_documents_every_column():
    names = [column.name for column in (*TRIAL_COLUMNS, *parameter_columns().values())]
    assert len(set(names)) == len(names)
    assert set(METRIC_COLUMNS) <= {column.name for column in EPOCH_COLUMNS}
    every = (*TRIAL_COLUMNS, *EPOCH_COLUMNS, *parameter_columns().values())
    assert all(column.meaning for column in every)


@pytest.mark.parametrize("columns", [TRIAL_COLUMNS, EPOCH_COLUMNS])
def test_readme_documents_the_columns(columns):
    text = (Path(__file__).parents[1] / "analysis" / "README.md").read_text()
    rows = [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.meaning} |" for c in columns]
    assert "\n".join(["| column | dtype | unit | meaning |", "|---|---|---|---|", *rows]) in text


def test_no_flipped_bit_loads_as_another_table(tmp_path):
    """Every table that loads is the one that was written; all else is said to be damaged."""
    write_results(tmp_path, [trial_row(number=n, param_lam=n / 7) for n in range(5)])
    folder, key = Folder.open(tmp_path / "trials"), ("trial_id",)
    schema = trial_schema(["param_lam"])
    whole = folder.read("trials.parquet")
    written = store.read_table(folder, "trials.parquet", schema, key)
    damaged = 0
    for position in range(0, len(whole), 61):
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        folder.write("trials.parquet", bytes(data))
        try:
            table = store.read_table(folder, "trials.parquet", schema, key)
        except ResultsError:
            damaged += 1
        else:
            assert table.equals(written)
    assert damaged > len(whole) / 61 / 4
