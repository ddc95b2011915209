"""Stratified draws: a part of a set in which every class keeps its share."""

import numpy as np

from trainable.dtypes import Ints


def stratified_subset(labels: Ints, size: int, seed: int) -> Ints:
    """Draw ``size`` examples with the classes in the proportions they have in ``labels``.

    Each class gets its share rounded down or up, so that the total is exact: places left over go
    to the largest remainders, at equal ones to the class of the lower number.

    Args:
        labels: int64 ``[N]``.
        size: how many, in ``[0, N]``.
        seed: of the draw; used as it is.

    Returns:
        Ascending positions, int64 ``[size]``.

    Raises:
        ValueError: ``size`` is not in ``[0, N]``.
    """
    if not 0 <= size <= len(labels):
        raise ValueError(f"size = {size} is not in [0, {len(labels)}], the examples there are")
    if size == 0:
        return np.zeros(0, np.int64)
    classes, counts = np.unique(labels, return_counts=True)
    take, remainder = np.divmod(counts * size, len(labels))
    # Stable: at equal remainders the class of the lower number, on every machine.
    take[np.argsort(-remainder, kind="stable")[: size - take.sum()]] += 1
    # By sorting uniform numbers: how numpy shuffles is its own, and may change.
    order = np.argsort(np.random.default_rng(seed).random(len(labels)), kind="stable")
    chosen = [order[labels[order] == c][:n] for c, n in zip(classes, take, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def holdout_size(holdout: float, examples: int) -> int:
    """Examples of a hold-out that is this share of so many."""
    return round(holdout * examples)


def split_holdout(labels_true: Ints, holdout: float, seed: int) -> tuple[Ints, Ints]:
    """Split positions into a training part and a hold-out (:func:`holdout_size`).

    Stratified on the true labels, as in ELR's and DivideMix's 45,000 / 5,000 split.

    Returns:
        ``(train_index, val_index)``, both ascending, together every position once.

    Raises:
        ValueError: one of the two would be empty.
    """
    size = holdout_size(holdout, len(labels_true))
    if not 0 < size < len(labels_true):
        raise ValueError(
            f"holdout = {holdout} of {len(labels_true)} examples leaves {size} for validation"
        )
    val_index = stratified_subset(labels_true, size, seed)
    held_out = np.zeros(len(labels_true), bool)
    held_out[val_index] = True
    return np.flatnonzero(~held_out), val_index
