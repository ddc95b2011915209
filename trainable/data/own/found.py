"""What is found in a user's files: first where the images are, then the images themselves."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from trainable.data.files import DataError
from trainable.dtypes import Images, Ints
from trainable.folder.storage import PathInfo

EncodedImage: TypeAlias = tuple[str, Callable[[], "bytes | Images"]]
"""An image's name, and what fetches its file or, from an array, its pixels ``[H, W(, C)]``."""

SPLITS = {
    "train": "train",
    "test": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
"""The names that a split's folder or file may start with, and the split each stands for."""

UNKNOWN = -1
"""In place of a label that the files do not give."""


@dataclass(frozen=True)
class OwnPart:
    """The images of one split, in the order of their files' paths or of their rows."""

    images: Images
    """uint8 ``[N, channels, height, width]``, 1 or 3 channels, C-contiguous."""
    given: Ints
    """The labels as they are, int64 ``[N]`` in ``[0, number of classes)``."""
    true: Ints | None
    """The true labels, alike; None where nobody knows them."""
    names: tuple[str, ...]
    """``[N]``, each once: ``train/cat/1.png``, or ``train[7]`` for a row without a path."""


@dataclass(frozen=True)
class OwnImages:
    """A user's own data set; the parts agree in channels, height and width."""

    train: OwnPart  # the training images
    val: OwnPart | None
    """The split named val, valid or validation."""
    test: OwnPart | None  # the split named test; None: there is none
    class_names: tuple[str, ...]
    """By label; every class has a training image."""
    notes: tuple[str, ...]
    """Sentences for whoever owns the images: duplicates, mixed sizes."""


@dataclass(frozen=True)
class FoundPart:
    """A split whose images are still in their files."""

    names: tuple[str, ...]
    """As in :class:`OwnPart`."""
    labels: Ints
    """int64 ``[N]``, :data:`UNKNOWN` where the files do not say."""
    encoded: Callable[[], Iterator[EncodedImage]]
    """The images in the order of ``names``, from the start at each call."""


@dataclass(frozen=True)
class Found:
    """All that a reader knows before it has looked at a pixel."""

    where: str
    """The root, for messages."""
    parts: dict[str, FoundPart]
    """By split: train, val, test."""
    class_names: tuple[str, ...]
    """By label; empty where only a labels file can say."""
    files: tuple[PathInfo, ...]
    """All files that pixels come from."""


def some(names: Iterable[object], limit: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - limit:,} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more


def labelled(values: list[str | None], class_names: tuple[str, ...]) -> Ints:
    """The number of each class name; :data:`UNKNOWN` for None."""
    number = {name: label for label, name in enumerate(class_names)}
    return np.array([UNKNOWN if v is None else number[v] for v in values], np.int64)


def numbered(
    where: str, labels: dict[str, list[Any]], class_names: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, Ints]]:
    """The names of the classes, and the labels' numbers.

    Args:
        where: the files, for messages.
        labels: by split; None where the files do not say.
        class_names: by label; empty: the labels themselves say.

    Raises:
        DataError: labels that are neither whole numbers nor names throughout, or no class.
    """
    values = {value for found in labels.values() for value in found if value is not None}
    kinds = {type(value) for value in values}
    if kinds <= {str}:
        class_names = class_names or tuple(sorted(values))
        if other := values - set(class_names):
            raise DataError(
                f"{where}: label {min(other)!r} is none of the classes {some(class_names)}"
            )
        return class_names, {
            split: labelled(found, class_names) for split, found in labels.items()
        }
    if kinds != {int}:
        words = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{where}: labels are {words}: valid are whole numbers or class names")
    count = len(class_names) or max(values) + 1
    if wrong := sorted(value for value in values if not 0 <= value < count):
        raise DataError(f"{where}: label {wrong[0]} is not in 0 … {count - 1}")
    numbers = {
        split: np.array([UNKNOWN if v is None else v for v in found], np.int64)
        for split, found in labels.items()
    }
    return class_names or tuple(map(str, range(count))), numbers


def by_split(names: Iterable[str], where: str) -> dict[str, list[str]]:
    """Names of folders or files by the split that each begins with; others are left out.

    Raises DataError where two spellings of one split are there.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        word = split_word(name)
        if word is not None:
            found.setdefault(SPLITS[word], {}).setdefault(word, []).append(name)
    for spellings in found.values():
        if len(spellings) > 1:
            raise DataError(
                f"{where} has {' and '.join(sorted(spellings))}: only one may be there"
            )
    return {split: sorted(*spellings.values()) for split, spellings in found.items()}


def split_word(name: str) -> str | None:
    """The word of :data:`SPLITS` that a name is or begins with, as ``train`` of ``train-00``."""
    lower = name.lower()
    for word in SPLITS:
        if lower.startswith(word) and not lower[len(word) :][:1].isalpha():
            return word
    return None
