"""What a results folder may not have lost or changed for its sweep to go on."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.results import ResultsError, load_results, recorded_config
from search.driver.label_book import LabelBook
from search.driver.recorder import Recorder
from search.driver.restore import restore
from search.studies.round_robin import Sweep
from spaces.sweep_file import parse_sweep
from tests.recorded import SWEEP, record_sweep


@pytest.fixture
def folder(tmp_path):
    return record_sweep(tmp_path / "recorded", SWEEP.replace("trials = 12", "trials = 4"))


def go_on(folder, *overrides):
    """Restore the sweep as its file says now, or as it would with ``overrides``."""
    spec = parse_sweep(folder.read("sweep.toml"), overrides)
    sweep = Sweep.build(spec)
    recorder = Recorder(sweep, folder, lambda trial: {})
    restore(sweep, recorder, load_results(folder))
    recorder.close()
    return sweep


def trials_of(folder):
    return plain(f"{folder.location}/trials/trials.parquet")


def plain(path):
    """A file's table, as somebody else's program would write it again: without our checksum."""
    return pq.ParquetFile(path).read().replace_schema_metadata(None)


def put(folder, table):
    pq.write_table(table, f"{folder.location}/trials/trials.parquet")


def test_recorded_sweep_goes_on_as_it_is(folder):
    assert sum(trial.ended for trial in go_on(folder).trials) == 24


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=7", "was run with seed = 0, but sweep.toml says 7"),
        ("budget.max_epochs=30", "was run with max_epochs = 20, but sweep.toml says 30"),
        ("data.holdout=0.2", "was run with data.holdout = 0.1, but sweep.toml says 0.2"),
        (
            "network=small_cnn",
            "was run with network = 'tiny_cnn', but sweep.toml says 'small_cnn'",
        ),
    ],
)
def test_edited_sweep_file_is_refused_with_the_difference(folder, override, message):
    with pytest.raises(ResultsError, match=message):
        go_on(folder, override)


def test_sweep_file_with_a_longer_search_goes_on(folder):
    sweep = go_on(folder, "budget.trials=6")
    assert sweep.planned == 36
    assert not sweep.finished


def test_row_lost_from_the_table_is_an_error(folder):
    table = trials_of(folder)
    put(folder, table.slice(0, len(table) - 1))
    lost = table["trial_id"][-1].as_py()
    with pytest.raises(ResultsError, match=rf"trials\.parquet has lost trial {lost}"):
        go_on(folder)


def test_tables_lost_beside_checkpoints_are_an_error(folder):
    (folder / "checkpoints" / "symmetric-0.4-ce-0000").write("epoch-00003.pt", b"")
    folder.delete("trials")
    folder.delete("epochs")
    with pytest.raises(ResultsError, match=r"is gone, and trial symmetric-0\.4-ce-0000 has check"):
        go_on(folder)


def test_trial_twice_in_the_table_is_an_error(folder):
    table = trials_of(folder)
    put(folder, pa.concat_tables([table, table.slice(2, 1)]))
    with pytest.raises(ResultsError, match=rf"has trial {table['trial_id'][2]} twice"):
        go_on(folder)


@pytest.mark.parametrize("column", ["attempt", "epochs", "config"])
def test_trials_without_a_column_that_is_built_upon_are_an_error(folder, column):
    put(folder, trials_of(folder).drop_columns([column]))
    with pytest.raises(
        ResultsError, match=f"trials.parquet is no table of results: no '{column}'"
    ):
        go_on(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "no json",
        lambda text: "[1, 2]",
        lambda text: "[" * 100_000,
        lambda text: json.dumps(json.loads(text) | {"sharpness": 0.5}),
        lambda text: json.dumps(json.loads(text) | {"loss_parameters": None}),
    ],
    ids=["garbage", "list", "deep", "newer", "null"],
)
def test_config_that_cannot_be_read_is_an_error_that_names_the_trial(folder, change):
    table = trials_of(folder)
    configs = table["config"].to_pylist()
    configs[5] = change(configs[5])
    place = table.column_names.index("config")
    put(folder, table.set_column(place, "config", pa.array(configs)))
    named = f"the config of trial {table['trial_id'][5]}: not a config that this version reads"
    with pytest.raises(ResultsError, match=named):
        go_on(folder)


def test_epochs_without_their_loss_are_an_error_and_no_divergence(folder):
    part = (folder / "epochs" / "study=symmetric-0.4-ce").names()[0]
    path = f"{folder.location}/epochs/study=symmetric-0.4-ce/{part}"
    pq.write_table(plain(path).drop_columns(["train_loss"]), path)
    with pytest.raises(ResultsError, match=f"{part} is no table of results: no 'train_loss'"):
        go_on(folder)


def test_columns_of_a_later_version_stay_when_this_one_writes(folder):
    table = trials_of(folder)
    energy = pa.array([float(i) for i in range(len(table))])
    put(folder, table.append_column("energy", energy))
    path = (folder / "epochs" / "study=symmetric-0.4-ce").names()[0]
    path = f"{folder.location}/epochs/study=symmetric-0.4-ce/{path}"
    epochs = plain(path)
    pq.write_table(epochs.append_column("watts", pa.array([1.5] * len(epochs))), path)
    spec = parse_sweep(folder.read("sweep.toml"))
    sweep = Sweep.build(spec)
    recorder = Recorder(sweep, folder, lambda trial: {})
    restore(sweep, recorder, load_results(folder))
    recorder.close(compact=True)
    written = trials_of(folder).to_pandas().set_index("trial_id")["energy"]
    expected = pd.Series(energy.to_pylist(), index=table["trial_id"].to_pylist())
    assert written.sort_index().to_dict() == expected.sort_index().to_dict()
    assert set(pd.read_parquet(path.rpartition("/")[0])["watts"]) == {1.5}


def test_labels_that_changed_since_a_trial_was_trained_on_them_are_refused(folder):
    spec = parse_sweep(folder.read("sweep.toml"))
    configs = [cell.trial(cell.reference, spec.seed) for cell in spec.cells()]
    book = LabelBook(folder)
    book.add(configs)
    book.write()
    table = trials_of(folder)
    prints = {cell.study: book.describe(c)["labels_fingerprint"] for cell, c in
              zip(spec.cells(), configs, strict=True)}  # fmt: skip
    place = table.column_names.index("labels_fingerprint")
    column = pa.array([prints[study] for study in table["study"].to_pylist()])
    put(folder, table.set_column(place, "labels_fingerprint", column))
    recorded = {
        str(row["trial_id"]): recorded_config(folder, row)
        for row in load_results(folder).trials.to_dict("records")
    }
    book.check(load_results(folder), recorded)
    name = next(n for n in (folder / "labels").names() if "0.6" in n)
    path = f"{folder.location}/labels/{name}"
    labels = pd.read_parquet(path)
    labels.loc[3, "given"] = (labels.loc[3, "given"] + 1) % 10
    labels.to_parquet(path)
    altered = LabelBook(folder)
    altered.add(configs)
    with pytest.raises(ResultsError, match=rf"labels/{name} has changed since trial"):
        altered.check(load_results(folder), recorded)
