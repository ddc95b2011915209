"""Reading the data sets' files, as their authors publish them.

=============  =================================================================================
digits         embedded in scikit-learn; its 0 … 16 become 0 … 255 by ``(255 x + 8) // 16``
               (rounded), split 1,437 / 360 by class with one fixed seed, the same everywhere
fashion_mnist  the four idx files, ``.gz`` or unpacked, in ``root`` or where torchvision puts
               them (``root`` is above ``FashionMNIST/raw``, or is ``FashionMNIST``); ``root``
               unset: also where Debian's package puts them;
               labels checked against their SHA-256, as MNIST's files have the same names
cifar10, -100  ``root/cifar-10-batches-py`` and ``root/cifar-100-python``, by torchvision, every
               file checked against its md5
=============  =================================================================================

Missing files are downloaded by torchvision, into a ``root`` that is there: one that is not may be
a slip of the pen. A file that is there but damaged is never replaced behind the user's back: it
is named in the error.
"""

import gzip
import hashlib
import math
import os
import queue
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

from trainable.data.sets import DATASETS
from trainable.data.splits import stratified_subset
from trainable.seeds import derive_seed

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

Part: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images ``[N, channels, height, width]`` and labels ``[N]`` of a training or a test set."""

ANSWER_SECONDS = 10.0
"""How long the server of a data set may take to answer."""

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
_IDX_IMAGES, _IDX_LABELS = 0x803, 0x801
_FASHION_LABELS = {
    "train": (60_000, "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7"),
    "test": (10_000, "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"),
}
"""How many labels are published, and their SHA-256."""


class DataError(ValueError):
    """A data set's files are missing, damaged or too small: one line that says which and where."""


def cache_folder() -> Path:
    """The user's cache folder for data and derived files; not created here.

    Raises DataError for a user without a home.
    """
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "elr-tune"
    return _expanded("~/.cache") / "elr-tune"


def _folder(root: str | None) -> Path:
    return cache_folder() if root is None else _expanded(root)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path} is nowhere: this user has no home: set HOME") from error


def read_digits(root: str | None = None) -> tuple[Part, Part]:
    """scikit-learn's digits, split into training and test set with a fixed seed."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = ((digits.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    # A seed of its own, never the trial's: the test set is the same in every sweep.
    test = stratified_subset(labels, DATASETS["digits"].test_examples, derive_seed(0, "digits"))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return (images[train], labels[train]), (images[test], labels[test])


def read_cifar10(root: str | None = None) -> tuple[Part, Part]:
    """CIFAR-10 through torchvision."""
    from torchvision.datasets import CIFAR10

    return _read_cifar(CIFAR10, root)


def read_cifar100(root: str | None = None) -> tuple[Part, Part]:
    """CIFAR-100 with its 100 fine labels, through torchvision."""
    from torchvision.datasets import CIFAR100

    return _read_cifar(CIFAR100, root)


def _read_cifar(source: "type[CIFAR10]", root: str | None) -> tuple[Part, Part]:
    folder = _folder(root)
    files = [*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]
    missing = _missing(folder / source.base_folder, files)
    if missing:
        _check_level(folder, source.base_folder, missing)
        _check_there(root, folder)
        # torchvision unpacks an archive that is there without asking the network.
        packed = (folder / source.filename).is_file()
        _download(
            lambda: source(str(folder), download=True),
            None if packed else source.url,
            folder / source.base_folder,
            missing,
        )
    return _part(source(str(folder), train=True)), _part(source(str(folder), train=False))


def _missing(folder: Path, files: list[list[str]]) -> list[str]:
    """Names of the files that are not there. Raises DataError for a damaged one."""
    from torchvision.datasets.utils import check_integrity

    missing = [name for name, _ in files if not (folder / name).is_file()]
    for name, md5 in files:
        if name not in missing and not check_integrity(folder / name, md5):
            raise DataError(
                f"{folder / name} is damaged, or different data: its md5 is not {md5}; delete it "
                'and it will be fetched again, or read your own images as data set "files"'
            )
    return missing


def _check_level(folder: Path, base_folder: str, missing: list[str]) -> None:
    """Before anything is fetched: the files may lie one folder further up or down."""
    if folder.name == base_folder or any((folder / name).is_file() for name in missing):
        raise DataError(
            f"{folder} is one level too deep: give the folder that {base_folder} is in"
        )
    below = sorted(folder.glob(f"*/{base_folder}"))
    if below:
        raise DataError(f"{folder} is one level too high: give {below[0].parent}")


def _check_there(root: str | None, folder: Path) -> None:
    """Before anything is fetched: the user named a folder, and means it."""
    if root is not None and not folder.is_dir():
        raise DataError(
            f"root: {folder} is not there: make that folder to have the data set downloaded into "
            f"it, or leave root out, which means {cache_folder()}"
        )


def _download(
    fetch: Callable[[], object], url: str | None, folder: Path, missing: list[str]
) -> None:
    """``url``: what the first file comes from; None if nothing needs the network."""
    try:
        if url is not None:
            _check_answers(url)
        fetch()
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{folder} lacks {', '.join(missing)}, and downloading failed "
            f"({' '.join(str(error).split())}): put the files there or name their folder as root"
        ) from error


def _check_answers(url: str) -> None:
    """Raise OSError unless a server answers in time: without a network that may take minutes.

    It is asked in a thread, as no limit holds for looking up its name.
    """
    answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            # As torchvision will ask: a server may turn Python's own name away.
            head = Request(url, method="HEAD", headers={"User-Agent": "pytorch/vision"})
            urlopen(head, timeout=ANSWER_SECONDS).close()
        except HTTPError:
            answer.put(None)  # an answer, whatever it says
        except Exception as error:  # a network fails in many ways
            answer.put(error)
        else:
            answer.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answer.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        error = TimeoutError(f"timed out after {ANSWER_SECONDS:g} s")
    if error is not None:
        raise OSError(f"{urlsplit(url).hostname} does not answer: {error}") from error


def _part(source: "CIFAR10") -> Part:
    images = np.ascontiguousarray(source.data.transpose(0, 3, 1, 2))
    return images, np.asarray(source.targets, np.int64)


def read_fashion_mnist(root: str | None = None) -> tuple[Part, Part]:
    """Fashion-MNIST from idx files, downloaded by torchvision if there are none."""
    from torchvision.datasets import FashionMNIST

    names = [Path(name).stem for name, _ in FashionMNIST.resources]
    home = _folder(root)
    raw = home / "FashionMNIST" / "raw"
    # A folder that the user names is the only place looked in: other files may be other data.
    folders = [home, home / "raw", raw, *([] if root is not None else [DEBIAN_FASHION_MNIST])]
    found = next((f for f in folders if all(_idx_file(f, name) for name in names)), None)
    if found is None:
        _check_there(root, home)
        missing = [f"{name}.gz" for name in names if not _idx_file(raw, name)]
        url = f"{FashionMNIST.mirrors[0]}{missing[0]}"
        _download(lambda: FashionMNIST(str(home), download=True), url, raw, missing)
    folder = found or raw
    images, labels, test_images, test_labels = (_read_idx(folder, name) for name in names)
    return (
        _fashion_part(images, labels, folder, "train"),
        _fashion_part(test_images, test_labels, folder, "test"),
    )


def _fashion_part(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], folder: Path, part: str
) -> Part:
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(f"{folder}: images {images.shape} and labels {labels.shape} do not match")
    if len(labels) and labels.max() > 9:
        raise DataError(f"{folder}: label {labels.max()}, but Fashion-MNIST has classes 0 to 9")
    count, digest = _FASHION_LABELS[part]
    # A smaller file is somebody's own cut, which cannot be checked.
    if len(labels) == count and hashlib.sha256(labels.tobytes()).hexdigest() != digest:
        raise DataError(
            f"{folder}: its {count:,} {part} labels are not Fashion-MNIST's; MNIST's files have "
            "the same names"
        )
    return images[:, None], labels.astype(np.int64)


def _idx_file(folder: Path, name: str) -> Path | None:
    """The packed file, whose checksum finds damage, before the unpacked one."""
    candidates = (folder / f"{name}.gz", folder / name)
    return next((path for path in candidates if path.is_file()), None)


def _read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """An idx file of bytes: magic number, sizes (big-endian int32 each), then the values.

    Raises DataError naming a file that is no such thing or cut short.
    """
    path = _idx_file(folder, name)
    if path is None:
        raise DataError(f"{folder} lacks {name}.gz")
    try:
        packed = path.read_bytes()
        content = bytearray(gzip.decompress(packed) if path.suffix == ".gz" else packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    magic = int.from_bytes(content[:4], "big")
    if magic not in (_IDX_IMAGES, _IDX_LABELS):
        raise DataError(f"{path} is not an idx file of bytes: it starts with {magic:#x}")
    header = 4 + 4 * (magic & 0xFF)
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4))
    if len(content) - header != math.prod(shape):
        raise DataError(f"{path} is damaged: {len(content) - header} bytes for shape {shape}")
    # Of a bytearray, so that the values are writable, as those of the other data sets are.
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
