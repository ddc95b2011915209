"""Normalisation, and the part of a data set that a trial sees."""

import numpy as np
import pytest

from tests.archives import small_set
from trainable.catalog import DATASETS
from trainable.data import (
    DataConfig,
    DataError,
    Dataset,
    load_dataset,
    subset_index,
)
from trainable.data import files as dataset_files
from trainable.noise import NoiseError, NoisyLabels, make_noise
from trainable.trial.prepare import prepare, trial_data


def small_cifar10(train: int = 200) -> Dataset:
    small = small_set(10, (3, 32, 32), train, 20)
    return Dataset(
        "cifar10",
        small.train_images,
        small.train_labels,
        small.test_images,
        small.test_labels,
    )


@pytest.mark.parametrize("name", DATASETS)
def test_normalisation_has_one_pair_a_channel(name):
    info = DATASETS[name]
    assert len(info.mean) == len(info.std) == info.shape[0]
    assert all(0 < value < 1 for value in info.mean + info.std)


def test_normalisation_of_digits_is_measured():
    digits = load_dataset("digits")
    scaled = digits.train_images / 255
    assert digits.info.mean[0] == pytest.approx(scaled.mean(), abs=5e-5)
    assert digits.info.std[0] == pytest.approx(scaled.std(), abs=5e-5)


def test_normalisation_of_fashion_mnist_is_measured():
    if not dataset_files.DEBIAN_FASHION_MNIST.is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    fashion = load_dataset("fashion_mnist")
    scaled = fashion.train_images / 255
    assert fashion.info.mean[0] == pytest.approx(scaled.mean(), abs=5e-5)
    assert fashion.info.std[0] == pytest.approx(scaled.std(), abs=5e-5)


def test_prepare_gives_each_example_its_own_labels():
    dataset = small_cifar10()
    trial, noisy = prepare(dataset, DataConfig("cifar10"), make_noise("symmetric", 0.4), 3)
    assert trial.images is dataset.train_images
    assert len(trial.val_index) == 20
    index = np.concatenate([trial.train_index, trial.val_index])
    np.testing.assert_array_equal(np.sort(index), np.arange(200))
    for part in ("train", "val"):
        positions = getattr(trial, f"{part}_index")
        true, given = getattr(trial, f"{part}_true"), getattr(trial, f"{part}_given")
        np.testing.assert_array_equal(true, dataset.train_labels[positions])
        np.testing.assert_array_equal(given, noisy.labels[positions])
    np.testing.assert_array_equal(trial.transition, noisy.transition)


def test_prepare_holds_out_equal_numbers_of_each_true_class():
    trial, _ = prepare(small_cifar10(), DataConfig("cifar10"), make_noise("symmetric", 0.4), 3)
    np.testing.assert_array_equal(np.bincount(trial.val_true), np.full(10, 2))


def test_prepare_makes_the_hold_out_as_noisy_as_the_training_part():
    dataset = small_cifar10(train=4000)
    noise = make_noise("symmetric", 0.5, include_true=False)
    trial, _ = prepare(dataset, DataConfig("cifar10", holdout=0.5), noise, 0)
    assert (trial.val_given != trial.val_true).mean() == pytest.approx(0.5, abs=0.04)
    assert (trial.train_given != trial.train_true).mean() == pytest.approx(0.5, abs=0.04)


def test_prepare_subset_is_drawn_before_the_noise():
    dataset = small_cifar10()
    config = DataConfig("cifar10", train_examples=100)
    trial, noisy = prepare(dataset, config, make_noise("symmetric", 0.4, include_true=False), 3)
    assert len(trial.train_index) + len(trial.val_index) == len(noisy.labels) == 100
    assert noisy.is_wrong.sum() == 40
    index = np.sort(np.concatenate([trial.train_index, trial.val_index]))
    np.testing.assert_array_equal(index, subset_index(dataset, config, 3))


def test_prepare_same_seed_repeats_and_another_differs():
    dataset, config = small_cifar10(), DataConfig("cifar10", train_examples=100)
    noise = make_noise("symmetric", 0.4)
    first, again, other = (prepare(dataset, config, noise, seed)[0] for seed in (1, 1, 2))
    for name in ("train_index", "train_given", "val_index", "val_given"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


def test_prepare_with_stored_labels_draws_none():
    dataset, config = small_cifar10(), DataConfig("cifar10")
    drawn, noisy = prepare(dataset, config, make_noise("symmetric", 0.4), 3)
    stored, same = prepare(dataset, config, make_noise("none"), 3, given=noisy.labels)
    np.testing.assert_array_equal(stored.train_given, drawn.train_given)
    assert same.fingerprint == noisy.fingerprint
    assert same.rate == noisy.rate


def test_prepare_with_stored_labels_of_another_number_is_refused():
    with pytest.raises(NoiseError, match="7 given labels for 200 examples"):
        prepare(
            small_cifar10(),
            DataConfig("cifar10"),
            make_noise("none"),
            3,
            given=np.zeros(7, np.int64),
        )


def test_prepare_more_examples_than_the_files_hold_is_refused():
    config = DataConfig("cifar10", train_examples=300)
    with pytest.raises(DataError, match="train_examples = 300, but cifar10 has 200"):
        prepare(small_cifar10(), config, make_noise("none"), 0)


def test_trial_data_labels_of_another_subset_are_refused():
    labels = NoisyLabels.of(np.arange(10), np.arange(10), 10)
    with pytest.raises(ValueError, match="10 labels given for 200 examples"):
        trial_data(small_cifar10(), DataConfig("cifar10"), labels, 0)
