import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis.store import ResultsError
from search.driver.label_book import LabelBook
from spaces.sweep_file import parse_sweep
from trainable.config import labels_name
from trainable.folder.storage import Folder

SPEC = """
name = "labels"
losses = ["ce", "elr"]
network = "tiny_cnn"
data.name = "digits"
data.train_examples = 200
[[noise]]
kind = "symmetric"
rates = [0.2, 0.4]
[budget]
max_epochs = 2
grace_epochs = 1
"""


@pytest.fixture
def configs():
    return [cell.trial(cell.reference, seed=0) for cell in parse_sweep(SPEC).cells()]


@pytest.fixture
def folder(tmp_path):
    return Folder.open(tmp_path)


def stored(configs, folder):
    book = LabelBook(folder)
    book.add(configs)
    book.write()
    return book


def test_add_draws_the_labels_of_each_noise_setting_once(configs, folder):
    book = LabelBook(folder)
    book.add(configs)
    assert sorted(book.noisy) == ["digits-symmetric-0.2-seed0", "digits-symmetric-0.4-seed0"]
    assert not folder.names()
    book.write()
    for place in ("labels", "transitions"):
        assert (folder / place).names() == [f"{key}.parquet" for key in sorted(book.noisy)]


def test_stored_labels_are_read_by_pandas_alone(configs, folder, tmp_path):
    book = stored(configs, folder)
    key = labels_name(configs[0])
    table = pd.read_parquet(tmp_path / "labels" / f"{key}.parquet")
    assert len(table) == 200
    wrong = (table["given"] != table["true"]).mean()
    assert wrong == book.describe(configs[0])["realised_rate"]


def test_transition_matrix_is_recorded_with_the_labels(configs, folder, tmp_path):
    stored(configs, folder)
    key = labels_name(configs[0])
    labels = pd.read_parquet(tmp_path / "labels" / f"{key}.parquet")
    matrix = pd.read_parquet(tmp_path / "transitions" / f"{key}.parquet")
    expected = pd.crosstab(labels["true"], labels["given"], normalize="index")
    pd.testing.assert_frame_equal(matrix, expected.reindex(columns=range(10), fill_value=0.0))


def test_transition_matrix_is_that_of_the_stored_labels(configs, folder, tmp_path):
    stored(configs, folder)
    key = labels_name(configs[0])
    path = tmp_path / "labels" / f"{key}.parquet"
    table = pd.read_parquet(path)
    table.assign(given=(table["true"] + 1) % 10).to_parquet(path)
    stored(configs, folder)
    matrix = pd.read_parquet(tmp_path / "transitions" / f"{key}.parquet")
    np.testing.assert_array_equal(matrix, np.roll(np.eye(10), 1, axis=1))


def test_stored_labels_win_over_drawing_again(configs, folder, tmp_path):
    """As on a machine whose generator or reference classifier differs."""
    stored(configs, folder)
    path = tmp_path / "labels" / f"{labels_name(configs[0])}.parquet"
    table = pd.read_parquet(path)
    table["given"] = (table["true"] + 1) % 10
    table.to_parquet(path)
    again = LabelBook(folder)
    again.add(configs)
    assert again.describe(configs[0])["realised_rate"] == 1.0


def test_labels_that_are_there_stay_and_a_matrix_beside_them_moves(configs, folder, tmp_path):
    """As an earlier version left it: pandas would read the folder of labels with the matrices."""
    stored(configs, folder)
    key = labels_name(configs[0])
    labels, transitions = tmp_path / "labels", tmp_path / "transitions"
    before = (labels / f"{key}.parquet").stat().st_mtime_ns
    (transitions / f"{key}.parquet").rename(labels / f"{key}-transition.parquet")
    stored(configs, folder)
    assert (labels / f"{key}.parquet").stat().st_mtime_ns == before
    assert (transitions / f"{key}.parquet").exists()
    everything = pd.read_parquet(labels)
    assert list(everything.columns) == ["index", "true", "given"]
    assert len(everything) == 400


def test_another_seed_has_other_labels(configs, folder):
    other = dataclasses.replace(configs[0], seed=1)
    book = LabelBook(folder)
    book.add([configs[0], other])
    one, two = (book.noisy[labels_name(c)] for c in (configs[0], other))
    assert one.fingerprint != two.fingerprint
    assert not np.array_equal(one.labels, two.labels)


def test_damaged_labels_are_named(configs, folder, tmp_path):
    stored(configs, folder)
    path = tmp_path / "labels" / f"{labels_name(configs[0])}.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ResultsError, match=rf"{path.name} is damaged"):
        LabelBook(folder).add(configs)


def test_labels_of_other_images_are_refused(configs, folder, tmp_path):
    stored(configs, folder)
    path = tmp_path / "labels" / f"{labels_name(configs[0])}.parquet"
    pd.read_parquet(path).assign(index=0).to_parquet(path)
    with pytest.raises(ResultsError, match="labels of other images"):
        LabelBook(folder).add(configs)
