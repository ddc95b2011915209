"""The reference classifier: what it says, when it is trained, what it leaves on disk."""

from pathlib import Path

import numpy as np
import pytest

from trainable.data import DataConfig, DataError, Dataset, load_dataset, subset_index
from trainable.noise import make_noise
from trainable.trial import reference_classifier
from trainable.trial.prepare import prepare
from trainable.trial.reference_classifier import reference

DATA = DataConfig("digits", train_examples=300)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def folder(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which the reference of DATA and seed 0 is already trained."""
    folder = tmp_path_factory.mktemp("cache") / "elr-tune" / "references"
    reference(digits, DATA, 0, folder)
    return folder


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a reference was trained")

    monkeypatch.setattr(reference_classifier, "build_trainer", refuse)


def test_reference_knows_the_examples_of_the_subset_in_their_order(digits, folder):
    found = reference(digits, DATA, 0, folder)
    true = digits.train_labels[subset_index(digits, DATA, 0)]
    assert found.probabilities.shape == (300, 10)
    assert found.features.ndim == 2
    assert len(found.features) == 300
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-5)
    assert (found.probabilities.argmax(1) == true).mean() > 0.9


def test_reference_is_trained_once(digits, folder, no_training):
    files = sorted(folder.iterdir())
    first = reference(digits, DATA, 0, folder)
    # Neither the hold-out nor the place of the files has a part in it.
    again = reference(digits, DataConfig("digits", "/data", 0.3, 300), 0, folder)
    np.testing.assert_array_equal(first.features, again.features)
    assert sorted(folder.iterdir()) == files
    assert [file.suffix for file in files] == [".npz"]


@pytest.mark.parametrize(
    ("data", "seed"), [(DATA, 1), (DataConfig("digits", train_examples=200), 0)]
)
def test_reference_of_another_seed_or_subset_is_another(digits, folder, data, seed, no_training):
    with pytest.raises(AssertionError, match="a reference was trained"):
        reference(digits, data, seed, folder)


def test_reference_of_other_images_is_another(digits, folder, no_training):
    turned = Dataset(
        digits.name,
        digits.train_images[..., ::-1],
        digits.train_labels,
        digits.test_images,
        digits.test_labels,
    )
    with pytest.raises(AssertionError, match="a reference was trained"):
        reference(turned, DATA, 0, folder)


def test_reference_trained_again_is_the_same(digits, folder, tmp_path):
    first, again = reference(digits, DATA, 0, folder), reference(digits, DATA, 0, tmp_path)
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    np.testing.assert_array_equal(first.features, again.features)


def test_reference_damaged_file_is_named(digits, folder, tmp_path, no_training):
    (file,) = folder.iterdir()
    damaged = tmp_path / file.name
    for content in (file.read_bytes()[:-100], b"", b"text"):
        damaged.write_bytes(content)
        with pytest.raises(DataError, match=f"{file.name} is damaged"):
            reference(digits, DATA, 0, tmp_path)


@pytest.mark.parametrize("kind", ["feature_dependent", "locally_concentrated"])
def test_prepare_reads_the_reference_in_the_cache(digits, folder, kind, monkeypatch, no_training):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent.parent))
    trial, noisy = prepare(digits, DATA, make_noise(kind, 0.3), 0)
    assert noisy.rate == pytest.approx(0.3, abs=0.05)
    assert len(trial.train_index) == 270


def test_prepare_feature_dependent_mislabels_the_examples_it_is_least_sure_of(
    digits, folder, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent.parent))
    _, noisy = prepare(digits, DATA, make_noise("feature_dependent", 0.2), 0)
    probabilities = np.sort(reference(digits, DATA, 0, folder).probabilities, axis=1)
    margin = probabilities[:, -1] - probabilities[:, -2]
    assert noisy.is_wrong.sum() == 60
    assert margin[noisy.is_wrong].max() < np.median(margin)


@pytest.mark.parametrize("kind", ["feature_dependent", "locally_concentrated"])
def test_prepare_with_stored_labels_or_no_noise_needs_no_reference(
    digits, tmp_path, kind, monkeypatch, no_training
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    true = digits.train_labels[subset_index(digits, DATA, 0)]
    _, stored = prepare(digits, DATA, make_noise(kind, 0.3), 0, given=true)
    _, clean = prepare(digits, DATA, make_noise(kind, 0.0), 0)
    assert stored.rate == clean.rate == 0
