import shutil
import threading

import pandas as pd
import pytest

from analysis import results as results_module
from analysis import store
from analysis.results import ResultsError, ResultsWarning, load_results, once
from analysis.schema import EPOCH_COLUMNS, TRIAL_COLUMNS
from analysis.store import ResultsWriter
from tests.recorded import epoch_row, trial_row, write_results
from trainable.folder import layout
from trainable.folder.storage import Folder, StorageError

ELR, CE = "symmetric-0.4-elr", "symmetric-0.4-ce"


@pytest.fixture
def folder(tmp_path):
    trials = [
        trial_row(ELR, 1, status="running", param_lam=2.0),
        trial_row(CE, 0, loss="ce"),
        trial_row(ELR, 0, param_lam=3.0),
        trial_row(ELR, 2, phase="replicate", trial_id="again", source_trial_id=f"{ELR}-0000"),
    ]
    epochs = [
        epoch_row(f"{ELR}-0001", 1, 3, val_accuracy=0.3),
        epoch_row(f"{ELR}-0000", 2, 1, val_accuracy=0.2),
        epoch_row(f"{ELR}-0000", 1, 0, val_accuracy=0.1),
        epoch_row(f"{ELR}-0000", 2, 4, attempt=2, val_accuracy=0.25),
        epoch_row(f"{CE}-0000", 1, 2, val_accuracy=0.5),
    ]
    write_results(tmp_path / "sweep", trials, epochs, spec='name = "s"\n[search]\nsampler="tpe"')
    return tmp_path / "sweep"


def test_load_results_sorts_and_types_the_tables(folder):
    results = load_results(folder)
    trials, epochs = results.trials, results.epochs
    assert trials["trial_id"].tolist() == [f"{CE}-0000", f"{ELR}-0000", f"{ELR}-0001", "again"]
    assert list(epochs.columns) == [column.name for column in EPOCH_COLUMNS]
    assert set(trials.columns) == {*(column.name for column in TRIAL_COLUMNS), "param_lam"}
    assert isinstance(epochs["study"].dtype, pd.CategoricalDtype)
    assert isinstance(epochs["trial_id"].dtype, pd.CategoricalDtype)
    assert isinstance(trials["noise"].dtype, pd.CategoricalDtype)
    assert str(trials["started_at"].dtype) == "datetime64[us, UTC]"
    assert epochs["val_accuracy"].tolist() == [0.5, 0.1, 0.25, 0.3]
    assert epochs["target_accuracy"].isna().all()
    assert results.spec == {"name": "s", "search": {"sampler": "tpe"}}
    assert results.provenance == {"git_sha": "abc1234"}
    assert results.folder == Folder.open(folder)


def test_an_argument_is_computed_once_however_it_is_given(folder):
    computed = []

    @once
    def ranked(results, k=1, *, confirmed=False):
        computed.append((k, confirmed))
        return results.trials.head(k)

    results = load_results(folder)
    tables = [ranked(results), ranked(results, 1), ranked(results, k=1, confirmed=False)]
    assert computed == [(1, False)]
    pd.testing.assert_frame_equal(tables[0], tables[2])
    tables[0]["test_accuracy"] = 0.0
    pd.testing.assert_frame_equal(tables[1], ranked(results))
    ranked(results, confirmed=True)
    assert computed == [(1, False), (1, True)]


def test_tables_merge_on_trial_id(folder):
    results = load_results(folder)
    merged = results.epochs.merge(results.trials[["trial_id", "param_lam"]], on="trial_id")
    assert merged["param_lam"].tolist()[1:] == [3.0, 3.0, 2.0]


def test_running_while_a_trial_has_not_ended(folder):
    assert load_results(folder).running
    assert not load_results(folder, studies=[CE]).running


def test_load_results_of_some_studies_and_columns(folder, monkeypatch):
    read = []
    original = Folder.read
    monkeypatch.setattr(Folder, "read", lambda f, n: read.append(f"{f}/{n}") or original(f, n))
    results = load_results(folder, studies=[ELR], columns=["val_accuracy"])
    assert list(results.epochs.columns) == ["study", "trial_id", "epoch", "val_accuracy"]
    assert results.epochs["val_accuracy"].tolist() == [0.1, 0.25, 0.3]
    assert set(results.trials["study"]) == {ELR}
    assert not any(CE in name for name in read)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"studies": ["symmetric-0.4-el"]}, f"unknown study .*did you mean '{ELR}'"),
        ({"columns": ["val_acc"]}, "unknown epoch column 'val_acc': did you mean 'val_acc"),
    ],
)
def test_load_results_refuses_unknown_names(folder, arguments, message):
    with pytest.raises(ResultsError, match=message):
        load_results(folder, **arguments)


def test_a_sweep_that_has_just_begun_is_empty_but_typed(tmp_path):
    Folder.open(tmp_path).write("sweep.toml", b'name = "x"')
    results = load_results(tmp_path)
    assert results.trials.empty
    assert results.epochs.empty
    assert not results.running
    assert results.provenance == {}
    assert list(results.epochs.columns) == [column.name for column in EPOCH_COLUMNS]
    assert isinstance(results.trials["study"].dtype, pd.CategoricalDtype)


def test_epochs_ahead_of_the_trials_table_are_kept(folder):
    ResultsWriter(Folder.open(folder)).append_epochs(ELR, [epoch_row("new", 1, 9)])
    epochs = load_results(folder).epochs
    assert epochs["trial_id"].tolist()[-1] == "new"
    assert epochs["study"].tolist()[-1] == ELR


def test_no_results_is_a_clear_error(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ResultsError, match=rf"^{tmp_path} holds no results: neither sweep.toml"):
        load_results(tmp_path)
    with pytest.raises(ResultsError, match="holds no results"):
        load_results(tmp_path / "nowhere")
    with pytest.raises((ResultsError, StorageError), match=r"notes\.txt"):
        load_results(tmp_path / "notes.txt")


def test_the_folder_above_names_the_sweeps_in_it(folder):
    with pytest.raises(ResultsError, match="not the results of one sweep, but holds some: sweep"):
        load_results(folder.parent)


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_part_cut_short_is_named_or_left_out(folder, keep):
    (part,) = folder.glob("epochs/*elr/*")
    part.write_bytes(part.read_bytes()[:keep])
    with pytest.raises(ResultsError, match=f"^{part} is damaged: "):
        load_results(folder)
    with pytest.warns(ResultsWarning, match=f"left out: {part} is damaged"):
        results = load_results(folder, strict=False)
    assert set(results.epochs["study"]) == {CE}
    assert len(results.trials) == 4


def test_damaged_bytes_in_the_middle_are_named(folder):
    (part,) = folder.glob("epochs/*elr/*")
    data = bytearray(part.read_bytes())
    data[4:60] = bytes(56)
    part.write_bytes(data)
    with pytest.raises(ResultsError, match=f"^{part} is damaged: "):
        load_results(folder)


def test_a_damaged_trials_table_is_named_or_left_out(folder):
    file = folder / "trials" / "trials.parquet"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ResultsError, match=f"^{file} is damaged"):
        load_results(folder)
    with pytest.warns(ResultsWarning):
        results = load_results(folder, strict=False)
    assert results.trials.empty
    assert len(results.epochs) == 4


def test_a_foreign_parquet_file_is_named(folder):
    (part,) = folder.glob("epochs/*elr/*")
    pd.DataFrame({"x": [1]}).to_parquet(part)
    with pytest.raises(ResultsError, match=f"{part} is no table of results: no 'trial_id'"):
        load_results(folder)


@pytest.mark.parametrize("name", ["sweep.toml", "provenance.json"])
def test_a_damaged_text_file_is_named(folder, name):
    (folder / name).write_bytes(b"\xff = [")
    with pytest.raises(ResultsError, match=f"{folder / name} is damaged"):
        load_results(folder)
    with pytest.warns(ResultsWarning, match=f"left out: {folder / name} is damaged"):
        results = load_results(folder, strict=False)
    assert (results.spec, results.provenance)[name == "provenance.json"] == {}
    assert len(results.trials)


def test_a_text_file_that_is_no_table_is_damaged(folder):
    (folder / "provenance.json").write_text("[1]")
    with pytest.raises(ResultsError, match=r"provenance.json is damaged: no table of names"):
        load_results(folder)


def test_columns_that_an_older_file_lacks_are_undefined(folder):
    file = folder / "trials" / "trials.parquet"
    pd.read_parquet(file).drop(columns=["repeated_epochs"]).to_parquet(file)
    (part,) = folder.glob("epochs/*elr/*")
    pd.read_parquet(part, partitioning=None).drop(columns=["clipped"]).to_parquet(part)
    results = load_results(folder)
    assert results.trials["repeated_epochs"].isna().all()
    assert results.epochs["clipped"].isna().all()


def test_only_a_study_merged_while_it_is_read_is_read_again(folder, monkeypatch):
    monkeypatch.setattr(store, "PARTS_PER_LEVEL", 2)
    writer = ResultsWriter(Folder.open(folder))
    rows = [epoch_row(f"{ELR}-0001", 2, 5, val_accuracy=0.4)]
    original, read = Folder.read, []

    def read_and_merge(place, name):
        read.append(f"{place}/{name}")
        content = original(place, name)
        if layout.partition(ELR) in str(place) and rows:
            writer.append_epochs(ELR, [rows.pop()])
        return content

    monkeypatch.setattr(Folder, "read", read_and_merge)
    epochs = load_results(folder).epochs
    assert epochs["val_accuracy"].tolist() == [0.5, 0.1, 0.25, 0.3, 0.4]
    assert not list(folder.glob(f"epochs/*{ELR}/part-0-*"))
    assert len([name for name in read if layout.partition(CE) in name]) == 1


def test_a_listing_that_missed_a_merged_part_is_noticed(folder, monkeypatch):
    before = load_results(folder).epochs
    ResultsWriter(Folder.open(folder)).compact()
    listings = iter([[], []])
    original = layout.part_keys
    monkeypatch.setattr(layout, "part_keys", lambda place: next(listings, original(place)))
    pd.testing.assert_frame_equal(load_results(folder).epochs, before)


def test_a_study_that_never_settles_is_an_error_after_half_a_minute(folder, monkeypatch):
    original = layout.part_keys
    unsettled = layout.partition(ELR)
    monkeypatch.setattr(
        layout, "part_keys", lambda at: [*original(at), *[(0, 9)] * (unsettled in str(at))]
    )
    pauses = []
    monkeypatch.setattr(results_module.time, "sleep", pauses.append)
    with pytest.raises(ResultsError, match=f"{unsettled} changes faster than it can be read"):
        load_results(folder)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert 25 < sum(pauses) < 35


def test_a_copied_folder_loads_the_same(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "elsewhere")
    pd.testing.assert_frame_equal(
        load_results(folder).epochs, load_results(tmp_path / "elsewhere").epochs
    )


def test_a_reader_beside_a_busy_writer_sees_every_epoch_once(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PARTS_PER_LEVEL", 3)
    folder = write_results(tmp_path, [trial_row(ELR, 0, status="running")])
    writer = ResultsWriter(folder)

    def write():
        for epoch in range(1, 61):
            writer.append_epochs(ELR, [epoch_row(f"{ELR}-0000", epoch, epoch)])
        writer.compact()

    thread = threading.Thread(target=write)
    thread.start()
    counts = []
    while thread.is_alive():
        epochs = load_results(tmp_path).epochs["epoch"].tolist()
        assert epochs == list(range(1, len(epochs) + 1))
        counts.append(len(epochs))
    thread.join()
    assert counts == sorted(counts)
    assert len(load_results(tmp_path).epochs) == 60


def test_a_reader_beside_the_end_of_a_sweep_sees_every_epoch_once(tmp_path):
    studies = [f"symmetric-{rate}-elr" for rate in range(12)]
    trials = [trial_row(study, 0) for study in studies]
    folder = write_results(tmp_path, trials)
    writer = ResultsWriter(folder)
    for epoch in range(1, 16):
        for study in studies:
            writer.append_epochs(study, [epoch_row(f"{study}-0000", epoch, epoch)])
    thread = threading.Thread(target=writer.compact)
    thread.start()
    for _ in iter(thread.is_alive, False):
        epochs = load_results(tmp_path).epochs
        assert epochs.groupby("study", observed=False)["epoch"].agg(list).tolist() == (
            [list(range(1, 16))] * len(studies)
        )
    thread.join()
