"""What holds for every kind of label noise, and that a seed decides the labels for good."""

import numpy as np
import pytest

from tests.predictions import made_up_predictions
from trainable.catalog import NOISE_KINDS
from trainable.data import Dataset, load_dataset
from trainable.noise import NoiseError, NoisyLabels, corrupt


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def draw(kind: str, digits: Dataset, **changes: object) -> NoisyLabels:
    """Noise of any kind but "human" on the digits."""
    settings: dict[str, object] = {
        "kind": kind,
        "rate": 0.0 if kind == "none" else 0.4,
        "num_classes": 10,
        "seed": 0,
        "dataset": "digits",
        "images": digits.train_images,
        "features": digits.train_images.reshape(-1, 64),
        "probabilities": made_up_predictions(digits.train_labels),
    }
    return corrupt(digits.train_labels, **{**settings, **changes})


DRAWN = [kind for kind in NOISE_KINDS if kind not in ("none", "given", "human")]


@pytest.mark.parametrize("kind", DRAWN)
def test_corrupt_describes_its_labels(kind, digits):
    before = digits.train_labels.copy()
    noisy = draw(kind, digits)
    np.testing.assert_array_equal(digits.train_labels, before)
    assert noisy.labels.dtype == np.int64
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() < 10
    np.testing.assert_array_equal(noisy.is_wrong, noisy.labels != before)
    assert noisy.rate == pytest.approx(noisy.is_wrong.mean())
    for i in range(10):
        shares = np.bincount(noisy.labels[before == i], minlength=10) / (before == i).sum()
        np.testing.assert_allclose(noisy.transition[i], shares)


@pytest.mark.parametrize("kind", DRAWN)
def test_corrupt_same_seed_repeats_and_another_differs(kind, digits):
    first, again, other = (draw(kind, digits, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.fingerprint == again.fingerprint
    if kind != "feature_dependent":  # decided by the reference classifier alone
        assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("kind", "fingerprint"),
    [
        ("none", "d3cfba34fe76f01d"),
        ("symmetric", "185110c3e021f79a"),
        ("asymmetric", "64c5ec844efb84e5"),
        ("feature_dependent", "987467c51c395a45"),
        ("instance_dependent", "33ceaa3f12d32333"),
    ],
)
def test_corrupt_labels_of_a_seed_never_change(kind, fingerprint, digits):
    assert draw(kind, digits, seed=20).fingerprint == fingerprint


@pytest.mark.parametrize("kind", DRAWN)
def test_corrupt_at_rate_zero_leaves_the_labels(kind, digits):
    assert draw(kind, digits, rate=0.0).rate == 0


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_corrupt_rate_out_of_range_is_refused(kind, rate, digits):
    with pytest.raises(NoiseError, match="is not a number in \\[0, 1\\)"):
        draw(kind, digits, rate=rate)


def test_corrupt_rate_that_means_nothing_is_refused(digits):
    with pytest.raises(NoiseError, match="makes no sense"):
        draw("none", digits, rate=0.2)
    with pytest.raises(NoiseError, match="makes no sense"):
        draw("human", digits, rate=0.2, labels_file="x.pt", labels_key="worse_label")


def test_corrupt_unknown_kind_suggests_the_nearest(digits):
    with pytest.raises(ValueError, match="did you mean 'symmetric'"):
        draw("symetric", digits)


@pytest.mark.parametrize(
    "labels", [np.array([0, 10]), np.array([-1, 0]), np.array([0.0, 1.0]), np.zeros((2, 2), int)]
)
def test_corrupt_labels_that_are_none_are_refused(labels):
    with pytest.raises(NoiseError, match="labels"):
        corrupt(labels, kind="symmetric", rate=0.2, num_classes=10, seed=0)


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("locally_concentrated", "features"),
        ("feature_dependent", "probabilities"),
        ("instance_dependent", "images"),
    ],
)
def test_corrupt_without_what_the_kind_needs_is_refused(kind, needed, digits):
    with pytest.raises(NoiseError, match=f"needs {needed}"):
        draw(kind, digits, **{needed: None})
    with pytest.raises(NoiseError, match=f"3 rows of {needed} for 1437 labels"):
        draw(kind, digits, **{needed: np.zeros((3, 10, 8, 8), np.uint8)})


def test_noisy_labels_transition_of_an_absent_class_is_its_own():
    noisy = NoisyLabels.of(np.array([0, 0, 2]), np.array([0, 1, 2]), 4)
    expected = [[0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_array_equal(noisy.transition, expected)
    assert noisy.rate == pytest.approx(1 / 3)


def test_noisy_labels_fingerprint_is_of_the_labels_alone():
    given = np.array([1, 2, 3])
    one = NoisyLabels.of(np.array([0, 2, 3]), given, 10)
    other = NoisyLabels.of(np.array([1, 2, 3]), given.astype(np.int32), 100)
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 16
