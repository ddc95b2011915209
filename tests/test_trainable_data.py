"""Data sets read from files in the real formats, and the parts of them that trials see."""

import gzip
import hashlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

from tests.archives import (
    SmallSet,
    accept_files,
    pack_cifar,
    small_set,
    write_cifar10,
    write_cifar100,
    write_fashion_mnist,
    write_idx,
)
from trainable import dataset_files
from trainable.catalog import DATASETS
from trainable.config import DataConfig, NoiseConfig
from trainable.data import (
    DataError,
    Dataset,
    load_dataset,
    normalisation,
    split_holdout,
    stratified_subset,
    subset_index,
    trial_data,
)
from trainable.noise import NoiseError, NoisyLabels
from trainable.prepare import prepare


def assert_holds(dataset: Dataset, small: SmallSet) -> None:
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        read, written = getattr(dataset, part), getattr(small, part)
        assert read.dtype == written.dtype
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read, written)


def offline(*args: object, **kwargs: object) -> None:
    raise URLError("no network")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def small_cifar10(train: int = 200) -> Dataset:
    small = small_set(10, (3, 32, 32), train, 20)
    return Dataset(
        "cifar10",
        small.train_images,
        small.train_labels,
        small.test_images,
        small.test_labels,
    )


# Reading files


def test_load_dataset_digits_has_the_catalogue_s_shape(digits):
    info = DATASETS["digits"]
    assert digits.train_images.shape == (info.train_examples, 1, 8, 8)
    assert digits.test_images.shape == (info.test_examples, 1, 8, 8)
    assert digits.train_images.dtype == np.uint8
    assert digits.train_labels.dtype == np.int64
    assert digits.num_classes == 10


def test_load_dataset_digits_scales_sixteenths_to_bytes(digits):
    expected = {round(255 * x / 16 + 1e-9) for x in range(17)}
    assert set(np.unique(digits.train_images)) == expected


def test_load_dataset_digits_splits_all_digits_by_class(digits):
    from sklearn.datasets import load_digits

    labels = np.concatenate([digits.train_labels, digits.test_labels])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(load_digits().target))
    share = np.bincount(digits.test_labels) / np.bincount(labels)
    np.testing.assert_allclose(share, 360 / 1797, atol=1 / 174)


def test_load_dataset_digits_never_changes(digits):
    content = [digits.train_images, digits.train_labels, digits.test_images, digits.test_labels]
    digest = hashlib.sha256(b"".join(a.astype("<i8").tobytes() for a in content)).hexdigest()
    assert digest[:16] == "24ed006b49271042"


def test_load_dataset_cifar10_reads_the_pickled_batches(tmp_path, monkeypatch):
    small = write_cifar10(tmp_path)
    accept_files(monkeypatch, CIFAR10, tmp_path)
    assert_holds(load_dataset("cifar10", str(tmp_path)), small)


def test_load_dataset_cifar100_reads_the_fine_labels(tmp_path, monkeypatch):
    small = write_cifar100(tmp_path)
    accept_files(monkeypatch, CIFAR100, tmp_path)
    assert_holds(load_dataset("cifar100", str(tmp_path)), small)


def test_load_dataset_without_root_reads_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    small = write_cifar10(tmp_path / "elr-tune")
    accept_files(monkeypatch, CIFAR10, tmp_path / "elr-tune")
    assert_holds(load_dataset("cifar10"), small)


def test_load_dataset_unpacks_an_archive_that_is_there(tmp_path, monkeypatch):
    small = write_cifar10(tmp_path / "published")
    pack_cifar(monkeypatch, CIFAR10, tmp_path / "published", tmp_path / "mine")
    assert_holds(load_dataset("cifar10", str(tmp_path / "mine")), small)


@pytest.mark.parametrize(
    ("name", "folder", "file"),
    [
        ("cifar10", "cifar-10-batches-py", "data_batch_3"),
        ("cifar100", "cifar-100-python", "train"),
        ("fashion_mnist", "FashionMNIST/raw", "t10k-labels-idx1-ubyte.gz"),
    ],
)
def test_load_dataset_missing_files_offline_names_folder_and_files(
    tmp_path, monkeypatch, name, folder, file
):
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    with pytest.raises(DataError) as caught:
        load_dataset(name, str(tmp_path))
    message = str(caught.value)
    assert str(tmp_path / folder) in message
    assert file in message
    assert "no network" in message
    assert "\n" not in message


def test_load_dataset_damaged_batch_is_named_and_kept(tmp_path, monkeypatch):
    write_cifar10(tmp_path)
    accept_files(monkeypatch, CIFAR10, tmp_path)
    batch = tmp_path / CIFAR10.base_folder / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-1] + b"?")
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(DataError, match=r"data_batch_2 is damaged"):
        load_dataset("cifar10", str(tmp_path))
    assert batch.exists()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", [".", "FashionMNIST/raw"])
def test_load_dataset_fashion_mnist_reads_idx_files(tmp_path, folder, packed):
    small = write_fashion_mnist(tmp_path / folder, packed=packed)
    assert_holds(load_dataset("fashion_mnist", str(tmp_path)), small)


def test_load_dataset_fashion_mnist_reads_as_torchvision_does(tmp_path):
    write_fashion_mnist(tmp_path / "FashionMNIST" / "raw", packed=False)
    ours = load_dataset("fashion_mnist", str(tmp_path))
    theirs = FashionMNIST(str(tmp_path), train=False)
    np.testing.assert_array_equal(ours.test_images[:, 0], theirs.data.numpy())
    np.testing.assert_array_equal(ours.test_labels, theirs.targets.numpy())


def test_load_dataset_fashion_mnist_without_root_finds_debian_s(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr(dataset_files, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    small = write_fashion_mnist(tmp_path / "debian")
    assert_holds(load_dataset("fashion_mnist"), small)


def test_load_dataset_fashion_mnist_cut_short_is_named(tmp_path):
    write_fashion_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is damaged"):
        load_dataset("fashion_mnist", str(tmp_path))


def test_load_dataset_fashion_mnist_unpacked_cut_short_is_named(tmp_path):
    write_fashion_mnist(tmp_path, packed=False)
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte is damaged: 49 bytes"):
        load_dataset("fashion_mnist", str(tmp_path))


def test_load_dataset_fashion_mnist_something_else_is_named(tmp_path):
    write_fashion_mnist(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"<html>not found</html>"))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz is not an idx file"):
        load_dataset("fashion_mnist", str(tmp_path))


def test_load_dataset_fashion_mnist_unequal_counts_are_refused(tmp_path):
    write_fashion_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(7, np.uint8))
    with pytest.raises(DataError, match="do not match"):
        load_dataset("fashion_mnist", str(tmp_path))


def test_load_dataset_fashion_mnist_unknown_class_is_refused(tmp_path):
    write_fashion_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.full(200, 10, np.uint8))
    with pytest.raises(DataError, match="label 10"):
        load_dataset("fashion_mnist", str(tmp_path))


def test_load_dataset_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")


# Normalisation


@pytest.mark.parametrize("name", DATASETS)
def test_normalisation_has_one_pair_a_channel(name):
    mean, deviation = normalisation(name)
    assert len(mean) == len(deviation) == DATASETS[name].channels
    assert all(0 < value < 1 for value in mean + deviation)


def test_normalisation_of_digits_is_measured(digits):
    mean, deviation = normalisation("digits")
    scaled = digits.train_images / 255
    assert mean[0] == pytest.approx(scaled.mean(), abs=5e-5)
    assert deviation[0] == pytest.approx(scaled.std(), abs=5e-5)


def test_normalisation_of_fashion_mnist_is_measured():
    if not dataset_files.DEBIAN_FASHION_MNIST.is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    scaled = load_dataset("fashion_mnist").train_images / 255
    mean, deviation = normalisation("fashion_mnist")
    assert mean[0] == pytest.approx(scaled.mean(), abs=5e-5)
    assert deviation[0] == pytest.approx(scaled.std(), abs=5e-5)


def test_normalisation_unknown_name_is_refused():
    with pytest.raises(ValueError, match="unknown data set 'mnist'"):
        normalisation("mnist")


# Stratified draws

label_lists = st.lists(st.integers(0, 6), min_size=2, max_size=200)


@given(labels=label_lists, share=st.floats(0, 1), seed=st.integers(0, 2**62))
def test_stratified_subset_keeps_every_class_s_share(labels, share, seed):
    labels = np.array(labels)
    size = int(share * len(labels))
    subset = stratified_subset(labels, size, seed)
    assert len(subset) == len(np.unique(subset)) == size
    assert (np.diff(subset) > 0).all()
    exact = np.bincount(labels) * size / len(labels)
    assert (abs(np.bincount(labels[subset], minlength=len(exact)) - exact) < 1).all()


@given(labels=label_lists, holdout=st.floats(0.01, 0.99), seed=st.integers(0, 2**62))
def test_split_holdout_takes_every_position_once(labels, holdout, seed):
    labels = np.array(labels)
    size = round(holdout * len(labels))
    if not 0 < size < len(labels):
        with pytest.raises(ValueError, match="holdout"):
            split_holdout(labels, holdout, seed)
        return
    train, val = split_holdout(labels, holdout, seed)
    assert len(val) == size
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))


def test_stratified_subset_differs_by_seed_only():
    labels = np.arange(100) % 10
    first, again, other = (stratified_subset(labels, 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("size", [-1, 11])
def test_stratified_subset_of_impossible_size_is_refused(size):
    with pytest.raises(ValueError, match=f"size = {size} is not in \\[0, 10\\]"):
        stratified_subset(np.zeros(10, np.int64), size, 0)


# What a trial sees


def test_prepare_gives_each_example_its_own_labels():
    dataset = small_cifar10()
    trial, noisy = prepare(dataset, DataConfig("cifar10"), NoiseConfig("symmetric", 0.4), 3)
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
    trial, _ = prepare(small_cifar10(), DataConfig("cifar10"), NoiseConfig("symmetric", 0.4), 3)
    np.testing.assert_array_equal(np.bincount(trial.val_true), np.full(10, 2))


def test_prepare_makes_the_hold_out_as_noisy_as_the_training_part():
    dataset = small_cifar10(train=4000)
    noise = NoiseConfig("symmetric", 0.5, include_true=False)
    trial, _ = prepare(dataset, DataConfig("cifar10", holdout=0.5), noise, 0)
    assert (trial.val_given != trial.val_true).mean() == pytest.approx(0.5, abs=0.04)
    assert (trial.train_given != trial.train_true).mean() == pytest.approx(0.5, abs=0.04)


def test_prepare_subset_is_drawn_before_the_noise():
    dataset = small_cifar10()
    config = DataConfig("cifar10", train_examples=100)
    trial, noisy = prepare(dataset, config, NoiseConfig("symmetric", 0.4, include_true=False), 3)
    assert len(trial.train_index) + len(trial.val_index) == len(noisy.labels) == 100
    assert noisy.is_wrong.sum() == 40
    index = np.sort(np.concatenate([trial.train_index, trial.val_index]))
    np.testing.assert_array_equal(index, subset_index(dataset, config, 3))


def test_prepare_same_seed_repeats_and_another_differs():
    dataset, config = small_cifar10(), DataConfig("cifar10", train_examples=100)
    noise = NoiseConfig("symmetric", 0.4)
    first, again, other = (prepare(dataset, config, noise, seed)[0] for seed in (1, 1, 2))
    for name in ("train_index", "train_given", "val_index", "val_given"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert (getattr(first, name) != getattr(other, name)).any()


def test_prepare_with_stored_labels_draws_none():
    dataset, config = small_cifar10(), DataConfig("cifar10")
    drawn, noisy = prepare(dataset, config, NoiseConfig("symmetric", 0.4), 3)
    stored, same = prepare(dataset, config, NoiseConfig("none"), 3, given=noisy.labels)
    np.testing.assert_array_equal(stored.train_given, drawn.train_given)
    assert same.fingerprint == noisy.fingerprint
    assert same.rate == noisy.rate


def test_prepare_with_stored_labels_of_another_number_is_refused():
    with pytest.raises(NoiseError, match="7 given labels for 200 examples"):
        prepare(
            small_cifar10(),
            DataConfig("cifar10"),
            NoiseConfig("none"),
            3,
            given=np.zeros(7, np.int64),
        )


def test_prepare_more_examples_than_the_files_hold_is_refused():
    config = DataConfig("cifar10", train_examples=300)
    with pytest.raises(DataError, match="train_examples = 300, but cifar10 has 200"):
        prepare(small_cifar10(), config, NoiseConfig("none"), 0)


def test_trial_data_labels_of_another_subset_are_refused():
    labels = NoisyLabels.of(np.arange(10), np.arange(10), 10)
    with pytest.raises(ValueError, match="10 labels given for 200 examples"):
        trial_data(small_cifar10(), DataConfig("cifar10"), labels, 0)


def test_data_error_is_a_value_error(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(ValueError, match="cifar-10-batches-py"):
        load_dataset("cifar10", str(tmp_path))
