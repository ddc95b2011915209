"""Which class an asymmetric label error leads to, by what is known about the data set."""

import numpy as np
from numpy.typing import NDArray

from trainable.data import DatasetInfo

RINGS = ("superclass", "contiguous")
"""The rings of five in which asymmetric noise moves classes that have superclasses."""


def class_map(info: DatasetInfo, ring: str = "superclass") -> NDArray[np.int64]:
    """The class that each class of a data set is mistaken for, int64 ``[C]``.

    A class that is never mistaken maps to itself; where nothing is known, each leads to the next.
    Where there are superclasses of five, each class
    leads to the next of its ring, the last to the first. The ring "superclass" is the true
    superclass, in alphabetical order; "contiguous" is five consecutive labels, as in the public
    code behind published numbers: labels are in alphabetical order over all superclasses, so only
    6 of CIFAR-100's 100 transitions stay within one. Without superclasses ``ring`` is not looked
    at.
    """
    classes = np.arange(info.num_classes)
    if info.superclasses:
        return _rings(superclass_of(info) if ring == "superclass" else classes // 5)
    if not info.mistaken_for:
        return np.roll(classes, -1)
    classes[list(info.mistaken_for)] = list(info.mistaken_for.values())
    return classes


def superclass_of(info: DatasetInfo) -> NDArray[np.int64]:
    """The superclass of each class, int64 ``[C]``, numbered in their order."""
    found = {name: i for i, names in enumerate(info.superclasses.values()) for name in names}
    return np.array([found[name] for name in info.class_names], np.int64)


def _rings(group: NDArray[np.int64]) -> NDArray[np.int64]:
    mapped = np.empty_like(group)
    for g in np.unique(group):
        members = np.flatnonzero(group == g)
        mapped[members] = np.roll(members, -1)
    return mapped
