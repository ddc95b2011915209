"""What each kind of label noise does to labels, against counts worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.predictions import made_up_predictions
from trainable.data import DATASETS, Dataset, load_dataset
from trainable.noise import NoiseError, NoisyLabels, corrupt, instance_dependent
from trainable.noise.class_maps import class_map, superclass_of

TEN = np.repeat(np.arange(10), 1000)
HUNDRED = np.repeat(np.arange(100), 100)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def draw(
    kind: str, labels: np.ndarray, rate: float, classes: int, **options: object
) -> NoisyLabels:
    return corrupt(labels, kind=kind, rate=rate, num_classes=classes, seed=0, **options)


# Symmetric


@given(
    n=st.integers(1, 300),
    rate=st.floats(0, 0.999),
    classes=st.integers(2, 12),
    seed=st.integers(0, 2**62),
)
def test_symmetric_exclusive_makes_exactly_the_rate_wrong(n, rate, classes, seed):
    labels = np.arange(n) % classes
    noisy = corrupt(
        labels, kind="symmetric", rate=rate, num_classes=classes, seed=seed, include_true=False
    )
    assert noisy.is_wrong.sum() == round(rate * n)


def test_symmetric_redraws_from_all_classes():
    noisy = corrupt(TEN, kind="symmetric", rate=0.4, num_classes=10, seed=0)
    assert noisy.is_wrong.sum() < 4000
    np.testing.assert_allclose(noisy.transition.diagonal(), 1 - 0.4 * 0.9, atol=0.06)
    off_diagonal = noisy.transition[~np.eye(10, dtype=bool)]
    np.testing.assert_allclose(off_diagonal, 0.04, atol=0.03)
    assert noisy.rate == pytest.approx(0.36, abs=0.005)


def test_symmetric_exclusive_spreads_over_the_other_classes():
    noisy = corrupt(TEN, kind="symmetric", rate=0.4, num_classes=10, seed=0, include_true=False)
    assert noisy.rate == 0.4
    np.testing.assert_allclose(noisy.transition.diagonal(), 0.6, atol=0.06)
    off_diagonal = noisy.transition[~np.eye(10, dtype=bool)]
    np.testing.assert_allclose(off_diagonal, 0.4 / 9, atol=0.03)


def test_symmetric_lower_rate_makes_a_part_of_the_same_examples_wrong():
    low, high = (
        corrupt(TEN, kind="symmetric", rate=rate, num_classes=10, seed=0, include_true=False)
        for rate in (0.2, 0.4)
    )
    assert high.is_wrong[low.is_wrong].all()


# Asymmetric


def asymmetric(labels: np.ndarray, dataset: str, rate: float = 0.3, **options: object):
    classes = 100 if dataset == "cifar100" else 10
    return corrupt(
        labels,
        kind="asymmetric",
        rate=rate,
        num_classes=classes,
        seed=0,
        dataset=dataset,
        **options,
    )


def test_asymmetric_cifar10_follows_the_published_map():
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    expected = np.eye(10)
    for source, target in (
        ("truck", "automobile"),
        ("bird", "airplane"),
        ("deer", "horse"),
        ("cat", "dog"),
        ("dog", "cat"),
    ):
        row = expected[names.index(source)]
        row[names.index(source)], row[names.index(target)] = 0.7, 0.3
    noisy = asymmetric(TEN, "cifar10")
    np.testing.assert_allclose(noisy.transition, expected, atol=1e-12)
    assert noisy.rate == pytest.approx(0.15)


@pytest.mark.parametrize("dataset", ["digits", "fashion_mnist", "cifar10"])
def test_asymmetric_of_ten_classes_makes_half_the_rate_wrong(dataset):
    noisy = asymmetric(TEN, dataset)
    assert noisy.rate == pytest.approx(0.15)
    assert sorted(noisy.transition.diagonal()) == pytest.approx([0.7] * 5 + [1.0] * 5)


def test_asymmetric_rounds_in_each_class():
    labels = np.repeat([2, 4, 9], [3, 7, 12])  # of 0.3: 0.9, 2.1 and 3.6 examples
    noisy = asymmetric(labels, "cifar10")
    assert [noisy.is_wrong[labels == c].sum() for c in (2, 4, 9)] == [1, 2, 4]


def test_asymmetric_sequential_turns_some_cats_back():
    noisy = asymmetric(np.repeat(np.arange(10), 20_000), "cifar10", legacy_sequential=True)
    cat, dog = 3, 5
    assert noisy.transition[cat, dog] == pytest.approx(0.3 * 0.7, abs=0.01)
    assert noisy.transition[cat, cat] == pytest.approx(0.7 + 0.3 * 0.3, abs=0.01)
    assert noisy.transition[dog, cat] == pytest.approx(0.3, abs=0.01)


def test_asymmetric_cifar100_stays_within_the_superclass():
    noisy = asymmetric(HUNDRED, "cifar100")
    assert noisy.rate == pytest.approx(0.3)
    np.testing.assert_allclose(noisy.transition.diagonal(), 0.7)
    coarse = superclass_of(DATASETS["cifar100"])
    np.testing.assert_array_equal(coarse[noisy.labels], coarse[HUNDRED])


def test_asymmetric_cifar100_contiguous_leaves_the_superclass_94_times_in_100():
    mapped = class_map(DATASETS["cifar100"], "contiguous")
    np.testing.assert_array_equal(mapped[:5], [1, 2, 3, 4, 0])
    coarse = superclass_of(DATASETS["cifar100"])
    assert (coarse[mapped] == coarse).sum() == 6
    noisy = asymmetric(HUNDRED, "cifar100", ring="contiguous")
    assert noisy.rate == pytest.approx(0.3)
    np.testing.assert_array_equal(noisy.labels[noisy.is_wrong], mapped[HUNDRED[noisy.is_wrong]])


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (None, {}, "needs the data set's name"),
        ("digits", {"legacy_sequential": True}, "legacy_sequential is for cifar10"),
        ("cifar10", {"ring": "contiguous"}, "ring = 'contiguous' is for cifar100"),
        ("cifar10", {"ring": "round"}, "unknown ring 'round'"),
        ("cifar100", {}, "has 100 classes, not 10"),
        ("imagenet", {}, "unknown data set 'imagenet'"),
    ],
)
def test_asymmetric_that_is_not_defined_is_refused(dataset, options, message):
    with pytest.raises(ValueError, match=message):
        corrupt(
            TEN, kind="asymmetric", rate=0.3, num_classes=10, seed=0, dataset=dataset, **options
        )


def test_asymmetric_unknown_ring_is_refused():
    with pytest.raises(ValueError, match="unknown ring 'circle'"):
        asymmetric(HUNDRED, "cifar100", ring="circle")


# Locally concentrated


def islands(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes, each of 20 far-apart islands: ten of 9 examples, then ten of 5."""
    sizes = np.array([9] * 10 + [5] * 10)
    centres = np.random.default_rng(seed).permutation(40)[:, None] * np.array([[100.0, -70.0]])
    island = np.repeat(np.arange(40), np.tile(sizes, 2))
    jitter = np.random.default_rng(seed + 1).random((len(island), 2))
    return island, centres[island] + jitter


def test_locally_concentrated_takes_whole_clusters_largest_first():
    island, features = islands()
    labels = island // 20
    noisy = draw("locally_concentrated", labels, 0.4, 3, features=features)
    # 140 examples a class, budget 56: six islands of 9 make 54, and no island fits into 2.
    for label in (0, 1):
        wrong = island[(labels == label) & noisy.is_wrong]
        whole, counts = np.unique(wrong, return_counts=True)
        assert list(counts) == [9] * 6
        for one in whole:
            assert len(set(noisy.labels[island == one])) == 1
    assert noisy.rate == pytest.approx(108 / 280)


def test_locally_concentrated_fills_up_with_smaller_clusters():
    island, features = islands()
    # A budget of 50: five islands of 9 and one of 5.
    noisy = draw("locally_concentrated", island // 20, 0.36, 3, features=features)
    assert noisy.is_wrong.sum() == 100


def test_locally_concentrated_small_and_equal_classes_are_no_trouble():
    labels = np.array([0] * 12 + [1] * 3 + [2] * 8)
    features = np.where(labels[:, None] == 2, 0.0, np.arange(23)[:, None])
    noisy = draw("locally_concentrated", labels, 0.7, 4, features=features)
    for label in (0, 1, 2):
        assert noisy.is_wrong[labels == label].mean() <= 0.7


def test_locally_concentrated_features_that_are_no_numbers_are_refused():
    with pytest.raises(NoiseError, match="NaN"):
        draw("locally_concentrated", np.arange(10), 0.2, 10, features=np.full((10, 2), np.nan))


# Feature dependent


def test_feature_dependent_takes_the_smallest_margins_across_the_boundary():
    probabilities = np.array(
        [
            [0.50, 0.45, 0.05],  # margin 0.05, second class 1
            [0.80, 0.05, 0.15],  # 0.65, 2
            [0.48, 0.50, 0.02],  # 0.02, but its second class is the true one
            [0.30, 0.60, 0.10],  # 0.30, likewise
            [0.25, 0.15, 0.60],  # 0.35, 0
            [0.34, 0.00, 0.66],  # 0.32, 0
        ]
    )
    labels = np.array([0, 0, 0, 0, 2, 2])
    noisy = draw("feature_dependent", labels, 0.33, 3, probabilities=probabilities)
    np.testing.assert_array_equal(noisy.labels, [1, 0, 0, 0, 2, 0])


def test_feature_dependent_sure_predictions_are_ranked_by_the_runner_up():
    probabilities = np.array([[1.0, 1e-30, 1e-25], [1.0, 1e-20, 0.0], [1.0, 0.0, 1e-22]])
    noisy = draw("feature_dependent", np.zeros(3, np.int64), 0.34, 3, probabilities=probabilities)
    np.testing.assert_array_equal(noisy.labels, [0, 1, 0])


@given(n=st.integers(10, 200), rate=st.floats(0, 0.8), seed=st.integers(0, 1000))
def test_feature_dependent_makes_exactly_the_rate_wrong(n, rate, seed):
    labels = np.arange(n) % 10
    votes = made_up_predictions(labels, seed)
    votes[np.arange(n), labels] += 1000  # right everywhere
    noisy = draw("feature_dependent", labels, rate, 10, probabilities=votes)
    assert noisy.is_wrong.sum() == round(rate * n)


def test_feature_dependent_more_than_can_be_wrong_is_refused():
    probabilities = np.tile([0.4, 0.6], (10, 1))  # class 0 is second everywhere
    with pytest.raises(NoiseError, match="only 5 examples"):
        draw("feature_dependent", np.arange(10) % 2, 0.8, 2, probabilities=probabilities)


def test_feature_dependent_probabilities_of_another_shape_are_refused():
    with pytest.raises(NoiseError, match=r"probabilities are \(10, 3\), not \[10, 10\]"):
        draw("feature_dependent", np.arange(10), 0.2, 10, probabilities=np.ones((10, 3)))


# Instance dependent


@pytest.mark.parametrize("rate", [0.2, 0.4, 0.6])
def test_instance_dependent_realises_about_the_rate(rate, digits):
    noisy = draw("instance_dependent", digits.train_labels, rate, 10, images=digits.train_images)
    assert noisy.rate == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 1437))


def test_instance_dependent_equal_images_go_to_equal_classes(digits):
    # The softmax is nearly one-hot: copies of one image that flip nearly all agree.
    images = np.repeat(digits.train_images[:40], 50, axis=0)
    labels = np.repeat(digits.train_labels[:40], 50)
    noisy = draw("instance_dependent", labels, 0.5, 10, images=images)
    agreement = []
    for image in range(40):
        rows = slice(50 * image, 50 * image + 50)
        wrong = noisy.labels[rows][noisy.is_wrong[rows]]
        agreement.append(np.bincount(wrong).max() / len(wrong))
    assert np.mean(agreement) > 0.75  # 1/9 = 0.11 if pixels had no say
    assert len(set(noisy.labels[noisy.is_wrong])) == 10


def test_instance_dependent_scores_do_not_depend_on_the_order_of_sums(digits):
    pixels = digits.train_images.reshape(-1, 1, 64)
    weights = np.random.default_rng(0).standard_normal((1, 64, 10))
    mean, deviation = np.array([77.7]), np.array([95.8])
    shuffled = np.random.default_rng(1).permutation(64)
    straight = instance_dependent._scores(pixels, mean, deviation, weights)
    turned = instance_dependent._scores(
        pixels[:, :, shuffled], mean, deviation, weights[:, shuffled]
    )
    np.testing.assert_array_equal(straight, turned)
    standardised = (pixels[:, 0] - 77.7) / 95.8
    np.testing.assert_allclose(straight, standardised @ weights[0], atol=1e-2)


@pytest.mark.parametrize("images", [np.zeros((10, 64), np.uint8), np.zeros((10, 1, 8, 8))])
def test_instance_dependent_images_of_another_kind_are_refused(images):
    with pytest.raises(NoiseError, match="not uint8"):
        draw("instance_dependent", np.arange(10), 0.2, 10, images=images)


def test_instance_dependent_one_colour_is_no_trouble():
    noisy = draw(
        "instance_dependent", TEN[::10], 0.4, 10, images=np.full((1000, 1, 2, 2), 7, np.uint8)
    )
    assert noisy.rate == pytest.approx(0.4, abs=0.07)
