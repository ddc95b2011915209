"""A data set in memory, and the part of one that a trial sees.

Images stay uint8 until they are on the device, where they are scaled to [0, 1] and normalised.
Nothing is drawn from a global generator: every function that draws takes a seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainable.data.files import DataError
from trainable.data.sets import DATASETS, DataConfig, DatasetInfo
from trainable.data.splits import stratified_subset
from trainable.parameters import unknown
from trainable.seeds import derive_seed

Images = NDArray[np.uint8]
Ints = NDArray[np.int64]


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
    def info(self) -> DatasetInfo:
        """All that is known about the data set."""
        return DATASETS[self.name]

    @property
    def num_classes(self) -> int:
        """Number of classes, also where a small file misses some."""
        return self.info.num_classes


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
    training part and hold-out together. ``info`` is what is known about the data set. Positions
    are ascending; all integers are int64.
    """

    info: DatasetInfo
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

    @property
    def num_classes(self) -> int:
        """C."""
        return self.info.num_classes


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
        train, test = DATASETS[name].read(root)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error}") from error
    return Dataset(name, *train, *test)


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
