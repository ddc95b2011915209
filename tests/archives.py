"""Small data sets in the file formats of the real ones, for tests.

The images are a pattern per class with noise over it, so a small network learns them.
"""

import gzip
import hashlib
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10, CIFAR100


@dataclass(frozen=True)
class SmallSet:
    """What a reader must find: images ``[N, channels, H, W]`` and labels ``[N]``."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def small_set(classes: int, shape: tuple[int, int, int], train: int, test: int) -> SmallSet:
    """Images of ``shape`` whose labels go round the classes, shuffled."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(40, 216, (classes, *shape))
    labels = [rng.permutation(np.arange(n) % classes) for n in (train, test)]
    images = [
        (patterns[y] + rng.integers(-40, 40, (len(y), *shape))).astype(np.uint8) for y in labels
    ]
    return SmallSet(images[0], labels[0], images[1], labels[1])


def write_cifar10(root: Path, train: int = 500, test: int = 100) -> SmallSet:
    """CIFAR-10's pickled batches under ``root``, a fifth of the training set in each."""
    small = small_set(10, (3, 32, 32), train, test)
    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    parts = np.array_split(np.arange(train), 5)
    for number, part in enumerate(parts, start=1):
        images, labels = small.train_images[part], small.train_labels[part]
        _write_batch(folder / f"data_batch_{number}", images, {"labels": labels.tolist()})
    _write_batch(folder / "test_batch", small.test_images, {"labels": small.test_labels.tolist()})
    _dump(folder / "batches.meta", {"label_names": [f"class {c}" for c in range(10)]})
    return small


def write_cifar100(root: Path, train: int = 1000, test: int = 200) -> SmallSet:
    """CIFAR-100's pickled files under ``root``."""
    small = small_set(100, (3, 32, 32), train, test)
    folder = root / CIFAR100.base_folder
    folder.mkdir(parents=True)
    for name, images, labels in (
        ("train", small.train_images, small.train_labels),
        ("test", small.test_images, small.test_labels),
    ):
        keys = {"fine_labels": labels.tolist(), "coarse_labels": (labels // 5).tolist()}
        _write_batch(folder / name, images, keys)
    _dump(folder / "meta", {"fine_label_names": [f"class {c}" for c in range(100)]})
    return small


def write_fashion_mnist(
    folder: Path, train: int = 200, test: int = 50, packed: bool = True
) -> SmallSet:
    """Fashion-MNIST's four idx files in ``folder``, ``.gz`` or unpacked."""
    small = small_set(10, (1, 28, 28), train, test)
    folder.mkdir(parents=True, exist_ok=True)
    for part, images, labels in (
        ("train", small.train_images, small.train_labels),
        ("t10k", small.test_images, small.test_labels),
    ):
        write_idx(folder / f"{part}-images-idx3-ubyte", images[:, 0], packed)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels.astype(np.uint8), packed)
    return small


def write_idx(path: Path, values: NDArray[np.uint8], packed: bool = True) -> None:
    """``values`` as an idx file of bytes, with ``.gz`` added to the name if ``packed``."""
    header = (0x800 + values.ndim).to_bytes(4, "big")
    content = header + np.array(values.shape, ">i4").tobytes() + values.tobytes()
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def accept_files(
    monkeypatch: pytest.MonkeyPatch, source: type[CIFAR10] | type[CIFAR100], root: Path
) -> None:
    """Put the checksums of the files under ``root`` in place of torchvision's own."""
    folder = root / source.base_folder
    for name in ("train_list", "test_list"):
        files = [[file, _md5(folder / file)] for file, _ in getattr(source, name)]
        monkeypatch.setattr(source, name, files)
    meta = {**source.meta, "md5": _md5(folder / source.meta["filename"])}
    monkeypatch.setattr(source, "meta", meta)


def pack_cifar(
    monkeypatch: pytest.MonkeyPatch,
    source: type[CIFAR10] | type[CIFAR100],
    root: Path,
    target: Path,
) -> None:
    """Pack the files under ``root`` as the published .tar.gz in ``target``, checksums accepted."""
    accept_files(monkeypatch, source, root)
    target.mkdir(parents=True)
    with tarfile.open(target / source.filename, "w:gz") as tar:
        tar.add(root / source.base_folder, arcname=source.base_folder)
    monkeypatch.setattr(source, "tgz_md5", _md5(target / source.filename))


def _write_batch(path: Path, images: NDArray[np.uint8], labels: dict[str, list[int]]) -> None:
    _dump(path, {"data": images.reshape(len(images), -1), **labels})


def _dump(path: Path, content: dict[str, object]) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))  # the published ones come of Python 2


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
