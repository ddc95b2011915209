"""Wrong labels, drawn so that the same seed gives the same labels on every machine.

:func:`corrupt` turns true labels into given ones. What ``rate`` means depends on the kind, and
papers differ, so the realised rate and transition matrix are part of the answer:

====================  ===========================================  =======================
kind                  what happens                                 realised rate
====================  ===========================================  =======================
none                  nothing                                      0
symmetric             ``round(rate N)`` labels redrawn from all    about rate (C - 1) / C
symmetric, exclusive  ... from the others (include_true = false)   rate, exactly
asymmetric            ``round(rate n)`` of each class of the map   rate / 2; CIFAR-100 rate
locally_concentrated  whole clusters of each class                 at most rate
feature_dependent     ``round(rate N)`` nearest a boundary         rate, exactly
instance_dependent    each by its own TruncNorm(rate, 0.1, 0, 1)   about rate
human                 CIFAR-N's labels                             the file's
====================  ===========================================  =======================

"Exactly" is within the rounding to whole examples. The kinds are in :mod:`trainable.noise.kinds`
and :mod:`trainable.noise.human`, the class maps in :mod:`trainable.noise.class_maps`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from trainable.catalog import unknown
from trainable.config import derive_seed
from trainable.noise.human import human
from trainable.noise.kinds import (
    Draw,
    NoiseError,
    Options,
    asymmetric,
    feature_dependent,
    instance_dependent,
    locally_concentrated,
    symmetric,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

__all__ = ["KINDS", "NoiseError", "NoisyLabels", "Options", "corrupt"]

KINDS: dict[str, Callable[[Draw], Ints]] = {
    "none": lambda draw: draw.true.copy(),
    "symmetric": symmetric,
    "asymmetric": asymmetric,
    "locally_concentrated": locally_concentrated,
    "feature_dependent": feature_dependent,
    "instance_dependent": instance_dependent,
    "human": human,
}


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
        true, given = _checked(true, num_classes), _checked(given, num_classes)
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


def corrupt(
    labels: Ints,
    *,
    kind: str,
    num_classes: int,
    seed: int,
    rate: float = 0.0,
    **options: Unpack[Options],
) -> NoisyLabels:
    """Draw given labels for the true ``labels``. At rate 0 every kind but "human" leaves them.

    Args:
        labels: true labels, integers ``[N]`` in ``[0, num_classes)``; not changed.
        kind: one of ``NOISE_KINDS``.
        num_classes: C.
        seed: any integer; the draw uses ``derive_seed(seed, "noise")``.
        rate: in [0, 1), what the kind says it means. Not for "human", whose files have theirs.
        **options: what only some kinds read, :class:`trainable.noise.kinds.Options`.

    Raises:
        ValueError: an unknown kind, data set or ring.
        NoiseError: a rate outside [0, 1), something the kind needs is missing or does not fit.
    """
    if kind not in KINDS:
        raise ValueError(unknown("noise kind", kind, KINDS))
    if not 0 <= rate < 1:
        raise NoiseError(f"rate = {rate} is not a number in [0, 1)")
    if kind in ("none", "human") and rate:
        raise NoiseError(f"rate = {rate} makes no sense with noise kind {kind!r}: leave it out")
    true = _checked(labels, num_classes)
    rng = np.random.default_rng(derive_seed(seed, "noise"))
    draw = Draw(true, kind, rate, num_classes, rng, **options)
    given = KINDS["none" if rate == 0 and kind != "human" else kind](draw)
    return NoisyLabels.of(true, given, num_classes)


def _checked(labels: Ints, num_classes: int) -> Ints:
    """The labels as an int64 vector. Raises NoiseError if they are anything else."""
    labels = np.ascontiguousarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise NoiseError(f"labels are {labels.dtype} {labels.shape}, not one row of integers")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise NoiseError(f"labels in [{labels.min()}, {labels.max()}], not [0, {num_classes})")
    return labels.astype(np.int64, copy=False)
