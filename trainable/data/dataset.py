"""A data set in memory, and the part of one that a trial sees.

Images stay uint8 until they are on the device, where they are scaled to [0, 1] and normalised.
Nothing is drawn from a global generator: every function that draws takes a seed.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainable.data.files import DataError
from trainable.data.sets import DATASETS, DataConfig, DatasetInfo
from trainable.data.splits import stratified_subset
from trainable.dtypes import Images, Ints
from trainable.seeds import derive_seed

TestedOn: TypeAlias = Literal["clean", "given", "holdout"]
"""What accuracies called test are measured on: right labels of a test set, the labels that it has,
or the hold-out for want of a test set."""


@dataclass(frozen=True)
class Dataset:
    """A data set with its labels, as its files hold it, in their order.

    All arrays are C-contiguous. Images are uint8 ``[N, channels, height, width]``, labels int64
    ``[N]`` in ``[0, num_classes)``. What follows ``test_labels`` is about a user's own files.

    Attributes:
        name: that of its entry.
        train_images: with those of a hold-out that is a split of its own at their end.
        train_labels: the true ones; where nobody knows them the given ones.
        test_images: for the test; without a test set those of the hold-out, if that is a split of
            its own, else none.
        test_labels: as ``tested_on`` says.
        own: what was read of it; None: the entry says it.
        given: the labels as they are, ``[N]``; None: noise makes them.
        truth_known: whether ``train_labels`` are true.
        val_start: position of the first image of a hold-out that is a split; None: it is drawn.
        val_clean: whether the labels of that hold-out are stated to be right.
        tested_on: right labels, the labels given, or, without a test set, the hold-out.
        names: of the training images, ``[N]``.
        test_names: of the test images.
        notes: sentences about what was read.
    """

    name: str
    train_images: Images
    train_labels: Ints
    test_images: Images
    test_labels: Ints
    own: DatasetInfo | None = None
    given: Ints | None = None
    truth_known: bool = True
    val_start: int | None = None
    val_clean: bool = False
    tested_on: TestedOn = "clean"
    names: tuple[str, ...] = ()
    test_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def info(self) -> DatasetInfo:
        """All that is known about the data set."""
        return DATASETS[self.name] if self.own is None else self.own

    @property
    def num_classes(self) -> int:
        """Number of classes, also where a small file misses some."""
        return self.info.num_classes

    def held_out(self, config: DataConfig) -> int:
        """Examples of the hold-out: a split of its own, or a share of the training set."""
        if self.val_start is not None:
            return len(self.train_labels) - self.val_start
        return config.held_out_of(self.info.train_examples)


@dataclass(frozen=True)
class TrialData:
    """Everything one trial reads.

    A trial's own part of the images is two lists of positions, ascending, with the labels in the
    same order. All integers are int64. Where the truth is not known, true labels are the given
    ones, and nothing may be measured by them.
    """

    info: DatasetInfo  # what is known about the data set
    images: Images
    """All training images of the data set, uint8 ``[N, channels, height, width]``: one array
    shared by the trials of a node, never copied here, possibly read-only."""
    train_index: Ints
    """``[n]``: the examples trained on. A loss that keeps state per example counts them ``0 … n -
    1`` in this order."""
    train_given: Ints  # ``[n]``: the (noisy) labels that the loss sees
    train_true: Ints  # ``[n]``: the true ones, read only to measure memorisation
    val_index: Ints  # ``[v]``: the hold-out
    val_given: Ints
    """``[v]``: labels with the same noise, or a user's own that are stated to be right; selection
    reads these only."""
    val_true: Ints  # ``[v]``: kept for analysis, never to be selected on
    test_images: Images  # ``[M, …]``: the test set; without one, the hold-out again
    test_labels: Ints  # ``[M]``, in the order of ``test_images``
    transition: NDArray[np.float64]
    """``[C, C]``, row = true class, rows sum to 1: the realised share of each given class over
    training part and hold-out together."""
    truth_known: bool = True  # whether the true labels are true

    @property
    def num_classes(self) -> int:
        """C."""
        return self.info.num_classes


def channel_statistics(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation ``[channels]`` of uint8 ``images [N, channels, …]``.

    From the counts of the 256 values, so in whole numbers: the same on every machine.
    """
    values = np.arange(256)
    counts = np.stack([np.bincount(c.ravel(), minlength=256) for c in images.swapaxes(0, 1)])
    total = counts.sum(1)
    mean = counts @ values / total
    return mean, np.sqrt(counts @ values**2 / total - mean**2)


def subset_index(dataset: Dataset, config: DataConfig, seed: int) -> Ints:
    """Positions of the training examples a trial with ``seed`` uses, before the split.

    Raises:
        DataError: the files hold fewer examples than ``config.train_examples``.
    """
    available = len(dataset.train_labels)
    if config.train_examples is None:
        return np.arange(available)
    if dataset.val_start is not None:
        # A hold-out that is a split of its own is never made smaller.
        available = dataset.val_start
    if config.train_examples > available:
        raise DataError(
            f"train_examples = {config.train_examples}, but {dataset.name} has {available}"
        )
    # Of the labels before any noise is drawn: every noise setting has the same subset.
    seed = derive_seed(seed, "subset")
    chosen = stratified_subset(dataset.train_labels[:available], config.train_examples, seed)
    return np.concatenate([chosen, np.arange(available, len(dataset.train_labels))])
