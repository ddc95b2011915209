"""Data sets read from files in the real formats, whole, missing and damaged."""

import gzip
import hashlib
import socket
import threading
from urllib.error import URLError

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100, FashionMNIST

from tests.archives import (
    SmallSet,
    accept_files,
    pack_cifar,
    write_cifar10,
    write_cifar100,
    write_fashion_mnist,
    write_idx,
)
from trainable.catalog import DATASETS
from trainable.data import DataError, Dataset, load_dataset
from trainable.data import files as dataset_files


def assert_holds(dataset: Dataset, small: SmallSet) -> None:
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        read, written = getattr(dataset, part), getattr(small, part)
        assert read.dtype == written.dtype
        assert read.flags.c_contiguous
        assert read.flags.writeable
        np.testing.assert_array_equal(read, written)


def offline(*args: object, **kwargs: object) -> None:
    raise URLError("no network")


@pytest.fixture
def _no_network(monkeypatch):
    monkeypatch.setattr(dataset_files, "urlopen", offline)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


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
@pytest.mark.usefixtures("_no_network")
def test_load_dataset_missing_files_offline_names_folder_and_files(tmp_path, name, folder, file):
    with pytest.raises(DataError) as caught:
        load_dataset(name, str(tmp_path))
    message = str(caught.value)
    assert str(tmp_path / folder) in message
    assert file in message
    assert "no network" in message
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def silent_server():
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_load_dataset_waits_for_an_answer_no_longer_than_the_limit(
    tmp_path, monkeypatch, silent_server
):
    monkeypatch.setattr(CIFAR10, "url", silent_server)
    monkeypatch.setattr(dataset_files, "ANSWER_SECONDS", 0.2)
    with pytest.raises(DataError, match=r"127\.0\.0\.1 does not answer: .*timed out"):
        load_dataset("cifar10", str(tmp_path))


def test_load_dataset_gives_up_on_a_name_that_nobody_resolves(tmp_path, monkeypatch):
    """No limit of a socket's holds for the resolver: it may hang on for a minute."""
    over = threading.Event()
    monkeypatch.setattr(dataset_files, "urlopen", lambda *_, **__: over.wait())
    monkeypatch.setattr(dataset_files, "ANSWER_SECONDS", 0.2)
    with pytest.raises(DataError, match=r"www\.cs\.toronto\.edu does not answer: timed out"):
        load_dataset("cifar10", str(tmp_path))
    over.set()


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_load_dataset_root_that_is_not_there_is_said_and_not_made(tmp_path, name):
    with pytest.raises(DataError, match=r"root: .*/dtaa is not there: make that folder to have"):
        load_dataset(name, str(tmp_path / "dtaa"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("home/cifar-10-batches-py", "cifar-10-batches-py is one level too deep: give the folder"),
        ("", "is one level too high: give .*home"),
    ],
)
def test_load_dataset_cifar_a_level_off_is_said_before_anything_is_fetched(
    tmp_path, root, message
):
    write_cifar10(tmp_path / "home")
    with pytest.raises(DataError, match=message):
        load_dataset("cifar10", str(tmp_path / root))


def test_load_dataset_cifar_too_deep_and_incomplete_is_said(tmp_path):
    write_cifar10(tmp_path)
    deep = tmp_path / CIFAR10.base_folder
    (deep / "data_batch_4").unlink()
    with pytest.raises(DataError, match="is one level too deep"):
        load_dataset("cifar10", str(deep))


def test_load_dataset_fashion_mnist_is_found_at_every_level_of_torchvision_s(tmp_path):
    small = write_fashion_mnist(tmp_path / "FashionMNIST" / "raw")
    for root in ("", "FashionMNIST", "FashionMNIST/raw"):
        assert_holds(load_dataset("fashion_mnist", str(tmp_path / root)), small)


def test_load_dataset_damaged_batch_is_named_and_kept(tmp_path, monkeypatch):
    write_cifar10(tmp_path)
    accept_files(monkeypatch, CIFAR10, tmp_path)
    batch = tmp_path / CIFAR10.base_folder / "data_batch_2"
    batch.write_bytes(batch.read_bytes()[:-1] + b"?")
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(DataError, match=r"data_batch_2 is damaged, or different data.*\"files\""):
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>not found</html>", "is not an idx file"),
        (b"", "is not an idx file"),
        (b"\x00\x00\x08\x01\x00", "is damaged: -3 bytes"),
    ],
)
def test_load_dataset_fashion_mnist_something_else_is_named(tmp_path, content, message):
    write_fashion_mnist(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=f"{path} {message}"):
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


@pytest.mark.parametrize("packed", [True, False])
def test_load_dataset_fashion_mnist_of_other_labels_is_refused(tmp_path, packed):
    """As many images as there are, and the names are right: MNIST's, say."""
    write_fashion_mnist(tmp_path, test=10_000, packed=packed)
    with pytest.raises(DataError) as caught:
        load_dataset("fashion_mnist", str(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}: its 10,000 test labels are not Fashion-MNIST's; "
        "MNIST's files have the same names"
    )


@pytest.mark.skipif(
    not dataset_files.DEBIAN_FASHION_MNIST.exists(), reason="needs Debian's dataset-fashion-mnist"
)
def test_load_dataset_fashion_mnist_as_published():
    dataset = load_dataset("fashion_mnist", str(dataset_files.DEBIAN_FASHION_MNIST))
    assert dataset.train_images.shape == (60_000, 1, 28, 28)
    assert dataset.train_labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert np.bincount(dataset.test_labels).tolist() == [1000] * 10


def test_load_dataset_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")


def test_load_dataset_root_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    small = write_fashion_mnist(tmp_path / "data")
    assert_holds(load_dataset("fashion_mnist", "~/data"), small)


def test_load_dataset_unreadable_file_is_one_clear_line(tmp_path, monkeypatch):
    def refuse(path: str, md5: str) -> bool:
        raise PermissionError(13, "Permission denied", path)

    write_cifar10(tmp_path)
    monkeypatch.setattr("torchvision.datasets.utils.check_integrity", refuse)
    with pytest.raises(DataError, match=r"cannot read cifar10: .*data_batch_1"):
        load_dataset("cifar10", str(tmp_path))
