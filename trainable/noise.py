"""Wrong labels, drawn so that the same seed gives the same labels on every machine.

:func:`corrupt` turns true labels into given ones.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainable.catalog import NOISE_KINDS, unknown
from trainable.config import derive_seed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class NoiseError(ValueError):
    """Noise that cannot be made as asked: one line that says what is missing or impossible."""


@dataclass(frozen=True)
class NoisyLabels:
    """Given labels, and how they differ from the true ones.

    ``labels`` int64 ``[N]``; ``is_wrong`` bool ``[N]``: the given label is not the true one;
    ``rate``: realised share of wrong labels in [0, 1]; ``transition`` float64 ``[C, C]``: realised
    share of given class j among examples of true class i (rows sum to 1; a class without
    examples keeps its own); ``fingerprint``: 16 hex digits of the labels' SHA-256.
    """

    labels: Ints
    is_wrong: NDArray[np.bool_]
    rate: float
    transition: Floats
    fingerprint: str

    @classmethod
    def of(cls, true: Ints, given: Ints, num_classes: int) -> "NoisyLabels":
        """Describe labels that are already there, such as a stored study's.

        Raises:
            NoiseError: another number of labels, or a label outside ``[0, num_classes)``.
        """
        true, given = check_labels(true, num_classes), check_labels(given, num_classes)
        if len(true) != len(given):
            raise NoiseError(f"{len(given)} given labels for {len(true)} examples")
        wrong = given != true
        counts = np.bincount(true * num_classes + given, minlength=num_classes**2)
        counts = counts.reshape(num_classes, num_classes)
        counts += np.diag(counts.sum(1) == 0)
        return cls(
            labels=given,
            is_wrong=wrong,
            rate=float(wrong.mean()) if len(wrong) else 0.0,
            transition=counts / counts.sum(1, keepdims=True),
            fingerprint=hashlib.sha256(given.astype("<i8").tobytes()).hexdigest()[:16],
        )


def check_labels(labels: Ints, num_classes: int) -> Ints:
    """The labels as a C-contiguous int64 vector. Raises NoiseError if they are anything else."""
    labels = np.ascontiguousarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise NoiseError(f"labels are {labels.dtype} {labels.shape}, not one row of integers")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise NoiseError(f"labels in [{labels.min()}, {labels.max()}], not [0, {num_classes})")
    return labels.astype(np.int64, copy=False)


def corrupt(
    labels: Ints,
    *,
    kind: str,
    rate: float = 0.0,
    num_classes: int,
    seed: int,
    include_true: bool = True,
) -> NoisyLabels:
    """Draw given labels for the true ``labels [N]``."""
    if kind not in NOISE_KINDS:
        raise ValueError(unknown("noise kind", kind, NOISE_KINDS))
    if not 0 <= rate < 1:
        raise NoiseError(f"rate = {rate} is not a number in [0, 1)")
    true = check_labels(labels, num_classes)
    rng = np.random.default_rng(derive_seed(seed, "noise"))
    given = true.copy()
    if kind == "symmetric":
        given = _symmetric(true, rate, num_classes, rng, include_true)
    elif kind != "none":
        raise NotImplementedError(kind)
    return NoisyLabels.of(true, given, num_classes)


def _symmetric(
    true: Ints, rate: float, num_classes: int, rng: np.random.Generator, include_true: bool
) -> Ints:
    given = true.copy()
    chosen = np.argsort(rng.random(len(true)), kind="stable")[: round(rate * len(true))]
    draws = rng.random(len(chosen))
    if include_true:
        given[chosen] = (draws * num_classes).astype(np.int64)
    else:
        steps = 1 + (draws * (num_classes - 1)).astype(np.int64)
        given[chosen] = (true[chosen] + steps) % num_classes
    return given
