"""Labels given by people: CIFAR-10N and CIFAR-100N (Wei et al. 2022, arXiv 2110.12088).

Their authors offer ``CIFAR-10_human.pt`` (``aggre_label``, ``worse_label``, ``random_label1`` to
``random_label3``; wrong .0901, .4021, .1723, .1812, .1764) and ``CIFAR-100_human.pt``
(``noisy_label``; wrong .4020) under CC BY-NC 4.0: users bring their own copy. The rows are in the
order of torchvision's training set. Each file also has the ``clean_label`` of every row, which is
compared with the data set's, so a file in another order is found out. The authors offer the same
labels in the order of tensorflow_datasets too, as ``CIFAR-10_human_ordered.npy``, which that
package has its users turn into a CSV: neither is read, and the message says why.

The files are pickles of numpy arrays. They are read by torch's ``weights_only`` unpickler, which
builds nothing but tensors, plain containers and the numpy constructors named here.
"""

import _codecs
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from trainable.data import DatasetInfo
from trainable.data.sets import STRICT
from trainable.dtypes import Ints
from trainable.noise.base import Draw, Noise, NoiseError, having
from trainable.parameters import NAME
from trainable.wording import unknown

LABEL_KEYS = (
    "aggre_label",
    "worse_label",
    "random_label1",
    "random_label2",
    "random_label3",
    "noisy_label",
)
NPY = b"\x93NUMPY"
"""The first bytes of a ``.npy`` file."""
IN_ANOTHER_ORDER = (
    "in another order, such as that of tensorflow_datasets; needed is the authors' "
    "CIFAR-10_human.pt or CIFAR-100_human.pt, whose rows are in torchvision's"
)


@dataclass(frozen=True, config=STRICT)
class Human(Noise):
    """The labels of the set ``labels_key`` in the CIFAR-N file ``labels_file``."""

    summary: ClassVar[str] = "CIFAR-N: labels given by people, from the user's own file"
    rated: ClassVar[bool] = False

    kind: Literal["human"] = "human"
    labels_file: str = Field(kw_only=True)
    labels_key: str = Field(kw_only=True, pattern=NAME)

    def check_fits(self, dataset: str, info: DatasetInfo) -> None:
        """Such files are of few data sets."""
        if not info.human_labels:
            known = having("human_labels")
            raise ValueError(f"noise kind {self.kind!r} is for {known}, not {dataset}")

    def given(self, draw: Draw) -> Ints:
        """The file's labels, rows ``draw.index``."""
        path = Path(self.labels_file).expanduser()
        arrays = read_label_file(path)
        if self.labels_key not in LABEL_KEYS or self.labels_key not in arrays:
            valid = [key for key in LABEL_KEYS if key in arrays]
            raise NoiseError(unknown(f"labels_key in {path}", self.labels_key, valid))
        given = _rows(path, arrays[self.labels_key], draw)
        if "clean_label" in arrays:
            _check_order(path, _rows(path, arrays["clean_label"], draw), draw.true)
        return given

    @property
    def setting(self) -> str:
        """``human-worse_label``."""
        return f"human-{self.labels_key}"

    @property
    def family(self) -> str:
        """In words."""
        return f"human labels, {self.labels_key}"


def read_label_file(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of a CIFAR-N file by name; nothing in the file is executed.

    Raises:
        NoiseError: no such file, or it is not a pickle of numpy arrays and nothing else.
    """
    import torch

    if not path.is_file():
        raise NoiseError(f"{path} is not there: labels_file must name a CIFAR-N file of yours")
    _check_form(path)
    try:
        with torch.serialization.safe_globals(_numpy_constructors()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can fail in any way
        raise NoiseError(
            f"{path} is damaged or no file of label arrays ({type(error).__name__}): "
            "fetch CIFAR-N's file again"
        ) from error
    if not isinstance(content, dict):
        raise NoiseError(f"{path} holds a {type(content).__name__}, not label arrays by name")
    return {str(name): np.asarray(values) for name, values in content.items()}


def _check_form(path: Path) -> None:
    """Raise NoiseError for the other forms in which CIFAR-N's labels go round."""
    try:
        with path.open("rb") as file:
            is_npy = file.read(len(NPY)) == NPY
    except OSError as error:
        raise NoiseError(f"cannot read {path}: {error.strerror}") from error
    if is_npy or path.suffix == ".csv":
        raise NoiseError(
            f"{path} is {'a numpy' if is_npy else 'a CSV'} file: in that form CIFAR-N's labels "
            f"are {IN_ANOTHER_ORDER}"
        )


def _check_order(path: Path, clean: Ints, true: Ints) -> None:
    """Raise NoiseError unless the true labels of the file are those of the data set."""
    differ = int((clean != true).sum())
    if not differ:
        return
    same_labels = np.array_equal(np.sort(clean), np.sort(true))
    raise NoiseError(
        f"{path}: clean_label differs from the data set's labels in {differ} of {len(true)} "
        f"rows: the file is {IN_ANOTHER_ORDER if same_labels else 'of another data set'}"
    )


def _rows(path: Path, labels: NDArray[np.generic], draw: Draw) -> Ints:
    """The rows of ``labels`` that belong to the examples drawn for."""
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise NoiseError(
            f"{path}: labels are {labels.dtype} {labels.shape}, not one row of integers"
        )
    if draw.index is None:
        if len(labels) != len(draw.true):
            raise NoiseError(f"{path} has {len(labels)} labels for {len(draw.true)} examples")
        return labels.astype(np.int64)
    if len(draw.index) and draw.index.max() >= len(labels):
        raise NoiseError(f"{path} has {len(labels)} labels, but row {draw.index.max()} is needed")
    return labels[draw.index].astype(np.int64)


def _numpy_constructors() -> list[Any]:
    """What unpickles an array, under its names in numpy 1 and numpy 2."""
    # Private in both versions of numpy, and the only thing that makes an array in a pickle.
    reconstruct = np.empty(0).__reduce__()[0]
    types = [np.dtype(code).__class__ for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")]
    return [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        *types,
        _codecs.encode,
    ]
