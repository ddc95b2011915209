"""From the name of a data set, or the settings of a user's own, to the data set in memory."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trainable.data.dataset import Dataset, TestedOn, channel_statistics
from trainable.data.files import DataError
from trainable.data.own import OwnImages, OwnPart, read_own
from trainable.data.own.pixels import Reading
from trainable.data.sets import DATASETS, DataConfig, DatasetInfo, OwnData, make_data
from trainable.dtypes import Images, Ints
from trainable.parameters import resolved

T = TypeVar("T", bound=np.generic)


def load_dataset(
    data: str | DataConfig, root: str | None = None, *, progress: Reading | None = None
) -> Dataset:
    """Read a data set, downloading it if its files are missing and the network allows.

    Args:
        data: one of ``DATASETS``, or the settings of a trial; "files" alone stands for a user's
            own with every default.
        root: folder of its files, where ``data`` is a name. None: ``elr-tune`` in the user's cache
            folder (``$XDG_CACHE_HOME`` or ``~/.cache``); Fashion-MNIST is then also looked for
            where Debian's package ``dataset-fashion-mnist`` puts it.
        progress: told how far a user's own images are read.

    Raises:
        ValueError: an unknown name.
        DataError: files missing and not to be had, or damaged: one line that names them.
    """
    if isinstance(data, str):
        data = make_data(data, root=root)
    if isinstance(data, OwnData):
        return _load_own(data, progress)
    info = DATASETS[data.name]
    read = resolved(info.summary, "read", info.read)
    try:
        train, test = read(data.root)
    except OSError as error:
        raise DataError(f"cannot read {data.name}: {error}") from error
    return Dataset(data.name, *train, *test)


def _load_own(data: OwnData, progress: Reading | None) -> Dataset:
    """A user's own data set, checked against what the sweep file asks of it."""
    assert data.root is not None
    clean = data.train_labels == "clean"
    own = read_own(data.root, labels=data.labels, clean=clean, size=data.size, progress=progress)
    info = _described(data, own)
    try:
        if own.val is None:
            data.check_sizes(info)
    except ValueError as error:
        raise DataError(f"{data.root}: {error}") from None
    held_out = data.held_out_of(info.train_examples)
    # With fewer images than classes some class would never be validated on.
    if own.val is None and held_out < info.num_classes:
        raise DataError(
            f"{data.root}: holdout = {data.holdout} leaves {held_out} images to validate on, "
            f"fewer than the {info.num_classes} classes"
        )
    val_clean = own.val is not None and data.val_labels == "clean"
    test_images, test_labels, tested_on = _test(data, own)
    # A trial needs some label to train on; ``truth_known`` says that nothing is measured by it.
    true = own.train.given if own.train.true is None else own.train.true
    parts = [own.train] if own.val is None else [own.train, own.val]
    return Dataset(
        name=data.name,
        train_images=_joined([part.images for part in parts]),
        train_labels=_joined([true, *(_best_known(part) for part in parts[1:])]),
        test_images=test_images,
        test_labels=test_labels,
        own=info,
        given=_joined([part.given for part in parts]),
        truth_known=_truth_known(own, val_clean=val_clean),
        val_start=None if own.val is None else len(own.train.given),
        val_clean=val_clean,
        tested_on=tested_on,
        names=tuple(name for part in parts for name in part.names),
        test_names=() if own.test is None else own.test.names,
        notes=own.notes,
    )


def _described(data: OwnData, own: OwnImages) -> DatasetInfo:
    """The entry of a user's own files, filled in from what was read."""
    mean, std = _statistics(own.train.images)
    _, channels, height, width = own.train.images.shape
    pad = min(height, width) // 8 if data.crop_pad is None else data.crop_pad
    return replace(
        DATASETS[data.name],
        shape=(channels, height, width),
        class_names=own.class_names,
        train_examples=len(own.train.given),
        test_examples=0 if own.test is None else len(own.test.given),
        mean=mean,
        std=std,
        crop_pad=pad,
        flip=data.flip,
    )


def _statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel of images scaled to [0, 1], to four decimals.

    A channel that never varies has a standard deviation of 1, which leaves it as it is.
    """
    mean, deviation = channel_statistics(images)
    stds = [round(float(d), 4) for d in deviation / 255]
    return tuple(round(float(m), 4) for m in mean / 255), tuple(d or 1.0 for d in stds)


def _test(data: OwnData, own: OwnImages) -> tuple[Images, Ints, TestedOn]:
    if own.test is None:
        nothing = np.zeros((0, *own.train.images.shape[1:]), np.uint8)
        return nothing, np.zeros(0, np.int64), "holdout"
    known = own.test.true is not None or data.test_labels == "clean"
    return own.test.images, _best_known(own.test), "clean" if known else "given"


def _truth_known(own: OwnImages, *, val_clean: bool) -> bool:
    """Whether every label in the training set and the hold-out has a true one beside it."""
    return own.train.true is not None and (
        own.val is None or val_clean or own.val.true is not None
    )


def _best_known(part: OwnPart) -> Ints:
    return part.given if part.true is None else part.true


def _joined(arrays: list[NDArray[T]]) -> NDArray[T]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
