"""What was understood of a user's own images: for ``plan``, before anything is trained."""

from collections.abc import Iterator

import numpy as np

from analysis.amounts import percent
from trainable.data import Dataset, OwnData
from trainable.data.own.found import some

CLASSES, NAMES = 20, 10
"""How many of each are listed."""


def understood(dataset: Dataset, data: OwnData) -> list[tuple[str, str]]:
    """Facts by their names: counts a class and split, sizes, labels, some files."""
    info = dataset.info
    channels, height, width = info.shape
    colour = "grey" if channels == 1 else "colour"
    counts = ", ".join(f"{len(labels):,} {split}" for split, labels in _splits(dataset))
    return [
        ("images", f"{counts}; {width} x {height} pixels, {colour}"),
        ("classes", f"{info.num_classes}: {some(_class_counts(dataset), CLASSES)}"),
        *_subset(data),
        ("training labels", _training_labels(dataset)),
        ("hold-out", _holdout(dataset, data)),
        ("test set", _TESTED[dataset.tested_on]),
        ("augmentation", _augmented(dataset) if data.augment else "none: augment = false"),
        *(("such as" if i == 0 else "", line) for i, line in enumerate(_sample_files(dataset))),
    ]


_TESTED = {
    "clean": "its labels are taken as right",
    "given": "its labels are as given, not known to be right: every output says so",
    "holdout": "none: the hold-out stands in for it, and every output says so",
}


def _augmented(dataset: Dataset) -> str:
    flips = "flips" if dataset.info.flip else "no flips"
    return f"{flips}, crops after padding {dataset.info.crop_pad}"


def _given_labels(dataset: Dataset) -> np.ndarray:
    return dataset.train_labels if dataset.given is None else dataset.given


def _splits(dataset: Dataset) -> Iterator[tuple[str, np.ndarray]]:
    given, end = _given_labels(dataset), dataset.val_start
    yield "training", given[:end]
    if end is not None:
        yield "hold-out", given[end:]
    if dataset.tested_on != "holdout":
        yield "test", dataset.test_labels


def _class_counts(dataset: Dataset) -> Iterator[str]:
    """``cat (400 training, 100 test)``."""
    names = dataset.info.class_names
    counted = [(s, np.bincount(labels, minlength=len(names))) for s, labels in _splits(dataset)]
    for label, name in enumerate(names):
        yield f"{name} ({', '.join(f'{counts[label]:,} {split}' for split, counts in counted)})"


def _training_labels(dataset: Dataset) -> str:
    if not dataset.truth_known:
        return "as given; nobody knows the true ones, so memorisation is not measured"
    wrong = (_given_labels(dataset) != dataset.train_labels)[: dataset.val_start]
    if not wrong.any():
        return "all of them true"
    return f"as given and true ones known: {wrong.sum():,} ({percent(wrong.mean())}%) are wrong"


def _subset(data: OwnData) -> list[tuple[str, str]]:
    if data.train_examples is None:
        return []
    return [
        ("of these", f"{data.train_examples:,} training images, with the classes in proportion")
    ]


def _holdout(dataset: Dataset, data: OwnData) -> str:
    if dataset.val_start is None:
        return f"{percent(data.holdout)}% of the training images, with the same labels"
    stated = "stated to be clean" if dataset.val_clean else "as given"
    return f"a split of its own, its labels {stated}"


def _sample_files(dataset: Dataset) -> list[str]:
    """File names spread over the training set, each with its label."""
    # Unique, as a small set has fewer files than are asked for.
    rows = np.unique(np.linspace(0, len(dataset.names) - 1, NAMES).astype(int))
    given = _given_labels(dataset)
    return [f"{dataset.names[row]}: {dataset.info.class_names[given[row]]}" for row in rows]
