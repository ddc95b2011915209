"""The data sets, and the part of one that a trial sees.

==============  =================================  ==========================================
name            images, training and test          augmentation while training
==============  =================================  ==========================================
digits          1 x 8 x 8, 1,437 + 360             none
fashion_mnist   1 x 28 x 28, 60,000 + 10,000       random crop after zero-padding 2, flip
cifar10, -100   3 x 32 x 32, 50,000 + 10,000       random crop after padding 4, flip
==============  =================================  ==========================================

Flips are horizontal, of one image in two; a mirrored digit is no digit any more, so digits have
none; nor has a trial with ``augment = False``. Images stay uint8 until they are on the device,
where they are scaled to [0, 1] and normalised with :func:`normalisation`.
:mod:`trainable.data.files` says where the files are and how they are read,
:mod:`trainable.noise.class_maps` which classes asymmetric noise confuses. Nothing is drawn from a
global generator: every function that draws takes a seed.

A trial's data are made in three steps (:func:`trainable.trial.prepare.prepare` does them all): a
stratified subset if one is asked for, noise over all of it, then a split into a training part
and a hold-out. So the hold-out's labels carry the same noise as the training labels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainable.catalog import DATASETS, unknown
from trainable.config import DataConfig, derive_seed
from trainable.data.files import READERS, DataError
from trainable.data.splits import split_holdout, stratified_subset
from trainable.noise import NoisyLabels

Images = NDArray[np.uint8]
Ints = NDArray[np.int64]

__all__ = [
    "DataError",
    "Dataset",
    "TrialData",
    "load_dataset",
    "normalisation",
    "split_holdout",
    "stratified_subset",
    "subset_index",
    "trial_data",
]

_NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": ((0.3045,), (0.3755,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


@dataclass(frozen=True)
class Dataset:
    """A data set with its true labels, as its files hold it, in their order.

    All arrays are C-contiguous. Images are uint8 ``[N, channels, height, width]``, labels int64
    ``[N]`` in ``[0, num_classes)``.
    """

    name: str
    train_images: Images
    train_labels: Ints
    test_images: Images
    test_labels: Ints

    @property
    def num_classes(self) -> int:
        """Number of classes, also where a small file misses some."""
        return DATASETS[self.name].num_classes


@dataclass(frozen=True)
class TrialData:
    """Everything one trial reads.

    ``images`` are all training images of the data set, uint8 ``[N, channels, height, width]``:
    one array shared by the trials of a node, never copied here, possibly read-only. A trial's own
    part is two lists of positions in it, with the labels in the same order:

    * ``train_index [n]``: the examples trained on. ``train_given [n]`` are the (noisy) labels the
      loss sees, ``train_true [n]`` the true ones, read only to measure memorisation. A loss that
      keeps state per example counts them ``0 … n - 1`` in this order.
    * ``val_index [v]``: the hold-out. ``val_given [v]`` carry the same noise, and selection reads
      these only; ``val_true [v]`` are kept for analysis and must never be selected on.

    ``test_images [M, …]`` and ``test_labels [M]`` are the clean test set. ``transition [C, C]``
    (float64, row = true class, rows sum to 1) is the realised share of each given class over
    training part and hold-out together. Positions are ascending; all integers are int64.
    """

    dataset: str
    num_classes: int
    images: Images
    train_index: Ints
    train_given: Ints
    train_true: Ints
    val_index: Ints
    val_given: Ints
    val_true: Ints
    test_images: Images
    test_labels: Ints
    transition: NDArray[np.float64]


def load_dataset(name: str, root: str | None = None) -> Dataset:
    """Read a data set, downloading it if its files are missing and the network allows.

    Args:
        name: one of ``DATASETS``.
        root: folder of its files. None: ``elr-tune`` in the user's cache folder
            (``$XDG_CACHE_HOME`` or ``~/.cache``); Fashion-MNIST is then also looked for where
            Debian's package ``dataset-fashion-mnist`` puts it.

    Raises:
        ValueError: an unknown name.
        DataError: files missing and not to be had, or damaged: one line that names them.
    """
    if name not in DATASETS:
        raise ValueError(unknown("data set", name, DATASETS))
    try:
        train, test = READERS[name](root)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error}") from error
    return Dataset(name, *train, *test)


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of the training images scaled to [0, 1].

    Over all pixels of all training images: ``x = images / 255; x.mean((0, 2, 3)),
    x.std((0, 2, 3))``, to four decimals. For CIFAR these are the figures published everywhere,
    with the standard deviation over pixels; ELR's code divides CIFAR-10 by 0.2023, 0.1994, 0.2010,
    which is the mean over images of each image's own deviation.

    Raises:
        ValueError: an unknown name.
    """
    if name not in _NORMALISATION:
        raise ValueError(unknown("data set", name, _NORMALISATION))
    return _NORMALISATION[name]


def subset_index(dataset: Dataset, config: DataConfig, seed: int) -> Ints:
    """Positions of the training examples a trial with ``seed`` uses, before the split.

    Raises:
        DataError: the files hold fewer examples than ``config.train_examples``.
    """
    available = len(dataset.train_labels)
    if config.train_examples is None:
        return np.arange(available)
    if config.train_examples > available:
        raise DataError(
            f"train_examples = {config.train_examples}, but {dataset.name} has {available}"
        )
    seed = derive_seed(seed, "subset")
    return stratified_subset(dataset.train_labels, config.train_examples, seed)


def trial_data(
    dataset: Dataset, config: DataConfig, noisy_labels: NoisyLabels, seed: int
) -> TrialData:
    """Split a data set with its noisy labels into what the trial with ``seed`` reads.

    Args:
        dataset: the whole data set.
        config: subset and hold-out.
        noisy_labels: of the examples in ``subset_index(dataset, config, seed)``, in that order.
        seed: the trial's; the split is drawn from ``derive_seed(seed, "split")``.

    Raises:
        ValueError: the labels are not as many as the examples.
    """
    subset = subset_index(dataset, config, seed)
    if len(noisy_labels.labels) != len(subset):
        raise ValueError(f"{len(noisy_labels.labels)} labels given for {len(subset)} examples")
    true = dataset.train_labels[subset]
    train, val = split_holdout(true, config.holdout, derive_seed(seed, "split"))
    return TrialData(
        dataset=dataset.name,
        num_classes=dataset.num_classes,
        images=dataset.train_images,
        train_index=subset[train],
        train_given=noisy_labels.labels[train],
        train_true=true[train],
        val_index=subset[val],
        val_given=noisy_labels.labels[val],
        val_true=true[val],
        test_images=dataset.test_images,
        test_labels=dataset.test_labels,
        transition=noisy_labels.transition,
    )
