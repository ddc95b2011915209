"""Images as arrays in one ``.npz`` file, as Keras has them.

``x_train``, ``y_train`` and, each pair optional, ``x_test``, ``y_test``, ``x_val``, ``y_val``:
images uint8 ``[N, H, W]``, ``[N, H, W, C]`` or ``[N, C, H, W]`` with 1, 3 or 4 channels, labels
whole numbers or class names ``[N]`` or ``[N, 1]``; ``class_names`` optional.
"""

import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainable.data.files import DataError
from trainable.data.own.found import EncodedImage, Found, FoundPart, numbered
from trainable.dtypes import Images
from trainable.folder.storage import Folder, PathInfo

LAYOUT = (
    "x_train uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with y_train, and if there are any "
    "x_test, y_test, x_val, y_val, class_names"
)
_CHANNELS = (1, 3, 4)


def read_arrays(root: Folder, entry: PathInfo) -> Found:
    """Read images and labels of every split from an ``.npz`` file.

    Raises:
        DataError: a damaged file, or arrays that are not as above; the message names the array.
    """
    where = f"{root}/{entry.path}".rstrip("/")
    arrays = _load(root, entry, where)
    pairs = {
        split: (f"x_{split}", f"y_{split}")
        for split in ("train", "val", "test")
        if f"x_{split}" in arrays or f"y_{split}" in arrays
    }
    lacking = [k for pair in ({"train": ("x_train", "y_train")} | pairs).values() for k in pair]
    lacking = [key for key in lacking if key not in arrays]
    if lacking:
        have = ", ".join(arrays) or "nothing"
        raise DataError(f"{where} lacks {', '.join(lacking)} (it has {have}): valid is {LAYOUT}")
    labels = {split: _labels(where, y, arrays[y]) for split, (_, y) in pairs.items()}
    given = arrays.get("class_names", np.array(()))
    names = tuple(map(str, given.tolist())) if given.ndim == 1 else ()
    class_names, numbers = numbered(where, labels, names)
    parts = {}
    for split, (x, y) in pairs.items():
        images = _images(where, x, arrays[x])
        if len(images) != len(numbers[split]):
            raise DataError(f"{where}: {len(images)} images in {x}, {len(numbers[split])} in {y}")
        rows = tuple(f"{split}[{row}]" for row in range(len(images)))
        parts[split] = FoundPart(rows, numbers[split], partial(_encoded, where, x, images))
    return Found(where, parts, class_names, (entry,))


def _load(root: Folder, entry: PathInfo, where: str) -> dict[str, NDArray[Any]]:
    try:
        with root.stream(entry.path) as stream, np.load(stream, allow_pickle=False) as content:
            if isinstance(content, np.lib.npyio.NpzFile):
                return {str(key): content[key] for key in content.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = (
            "holds Python objects" if "Object array" in str(error) else "is no whole .npz file"
        )
        raise DataError(f"{where} {reason}: valid is {LAYOUT}") from error
    raise DataError(f"{where} is one array, not several by name: valid is {LAYOUT}")


def _images(where: str, key: str, images: NDArray[Any]) -> Images:
    """The array with its channels last, or without."""
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise DataError(f"{where}: {key} is {images.dtype} {images.shape}: valid is {LAYOUT}")
    if images.ndim == 3:
        return images
    # Channels last first: an array that could be read both ways is Keras'.
    if images.shape[3] in _CHANNELS:
        return images
    if images.shape[1] in _CHANNELS:
        return images.transpose(0, 2, 3, 1)
    raise DataError(f"{where}: {key} {images.shape} has not 1, 3 or 4 channels: valid is {LAYOUT}")


def _labels(where: str, key: str, labels: NDArray[Any]) -> list[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise DataError(
            f"{where}: {key} is {labels.dtype} {labels.shape}: "
            "valid are whole numbers or class names, [N] or [N, 1]"
        )
    return list(labels.tolist())


def _encoded(where: str, key: str, images: Images) -> Iterator[EncodedImage]:
    for row, image in enumerate(images):
        yield f"{where}: {key}[{row}]", _pixels(image)


def _pixels(image: Images) -> Callable[[], Images]:
    return lambda: image
