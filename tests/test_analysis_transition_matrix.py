import json

import numpy as np
import pandas as pd
import pytest

from analysis.frames.transition_matrix import transition_matrix
from analysis.results import ResultsError, load_results
from search.driver.label_book import LabelBook
from tests.recorded import trial_row, write_results
from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.folder.storage import Folder
from trainable.noise import make_noise

STUDY = "symmetric-0.4-elr"


def config(seed: int) -> TrialConfig:
    return TrialConfig.build(
        data=DataConfig("digits"),
        noise=make_noise("symmetric", 0.4),
        loss="elr",
        network="tiny_cnn",
        max_epochs=3,
        seed=seed,
    )


@pytest.fixture
def results(tmp_path):
    """A search on seed 3 and a replicate on seed 4, with the labels that a sweep stores."""
    trials = [
        trial_row(phase=phase, seed=seed, number=number, config=json.dumps(config(seed).as_dict()))
        for phase, seed, number in (("replicate", 4, 1), ("search", 3, 0))
    ]
    write_results(tmp_path, trials)
    book = LabelBook(Folder.open(tmp_path))
    book.add([config(3), config(4)])
    book.write()
    return load_results(tmp_path)


@pytest.mark.parametrize(("seed", "used"), [(None, 3), (3, 3), (4, 4)])
def test_transition_matrix_counts_the_stored_labels(results, tmp_path, seed, used):
    matrix = transition_matrix(results, STUDY, seed)
    labels = pd.read_parquet(tmp_path / "labels" / f"digits-symmetric-0.4-seed{used}.parquet")
    assert (matrix.index.name, matrix.columns.name) == ("true", "given")
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    eights = labels[labels["true"] == 8]
    assert matrix.loc[8, 3] == (eights["given"] == 3).mean()
    assert matrix.loc[8, 8] == pytest.approx(1 - 0.4 * 9 / 10, abs=0.1)


@pytest.mark.parametrize(
    ("study", "seed", "message"),
    [
        ("symmetric-0.4-erl", None, "unknown study 'symmetric-0.4-erl': did you mean"),
        (STUDY, 9, "has no trial with seed 9"),
    ],
)
def test_transition_matrix_of_what_is_not_there(results, study, seed, message):
    with pytest.raises(ResultsError, match=message):
        transition_matrix(results, study, seed)


def test_transition_matrix_whose_file_is_damaged_or_missing(results, tmp_path):
    path = tmp_path / "transitions" / "digits-symmetric-0.4-seed3.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ResultsError, match=rf"{path.name} is damaged"):
        transition_matrix(results, STUDY)
    path.unlink()
    with pytest.raises(ResultsError, match=rf"{path.name} is not there"):
        transition_matrix(results, STUDY)


def test_transition_matrix_of_an_earlier_version_is_found_among_the_labels(results, tmp_path):
    expected = transition_matrix(results, STUDY)
    path = tmp_path / "transitions" / "digits-symmetric-0.4-seed3.parquet"
    path.rename(tmp_path / "labels" / f"{path.stem}-transition.parquet")
    pd.testing.assert_frame_equal(transition_matrix(results, STUDY), expected)
