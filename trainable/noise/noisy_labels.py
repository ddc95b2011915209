"""Wrong labels, drawn so that the same seed gives the same labels on every machine.

:func:`corrupt` turns true labels into given ones. What ``rate`` means depends on the kind, and
papers differ, so the realised rate and transition matrix are part of the answer:

====================  ===========================================  =======================
kind                  what happens                                 realised rate
====================  ===========================================  =======================
none                  nothing                                      0
given                 nothing: a user's own labels                 the files'
symmetric             ``round(rate N)`` labels redrawn from all    about rate (C - 1) / C
symmetric, exclusive  ... from the others (include_true = false)   rate, exactly
asymmetric            ``round(rate n)`` of each class of the map   rate / 2; CIFAR-100 rate
locally_concentrated  whole clusters of each class                 at most rate
feature_dependent     ``round(rate N)`` nearest a boundary         rate, exactly
instance_dependent    each by its own TruncNorm(rate, 0.1, 0, 1)   about rate
human                 CIFAR-N's labels                             the file's
====================  ===========================================  =======================

"Exactly" is within the rounding to whole examples. The kinds are listed in
:mod:`trainable.noise.kinds`, the class maps explained in :mod:`trainable.noise.class_maps`.
"""

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from trainable.data import DATASETS, DatasetInfo
from trainable.dtypes import Floats, Ints
from trainable.noise.base import Draw, Noise, NoiseError
from trainable.noise.human import Human
from trainable.noise.kinds import make_noise
from trainable.seeds import derive_seed
from trainable.wording import named, own_words


@dataclass(frozen=True)
class NoisyLabels:
    """Given labels, and how they differ from the true ones."""

    labels: Ints  # the given ones, int64 ``[N]``
    is_wrong: NDArray[np.bool_]  # ``[N]``: whether the given label is not the true one
    rate: float  # realised share of wrong labels, in [0, 1]
    transition: Floats
    """Float64 ``[C, C]``: realised share of given class j among examples of true class i (rows sum
    to 1; a class without examples keeps its own)."""
    fingerprint: str  # 16 hex digits of the labels' SHA-256

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


def draw_labels(
    noise: Noise,
    true: Ints,
    *,
    num_classes: int,
    seed: int,
    dataset: DatasetInfo | None = None,
    **looks: Any,
) -> NoisyLabels:
    """Draw given labels for ``true`` ones. At rate 0 every kind that has a rate leaves them.

    Args:
        noise: the kind with its options.
        true: integers ``[N]`` in ``[0, num_classes)``; not changed.
        num_classes: C.
        seed: any integer; the draw uses ``derive_seed(seed, "noise")``.
        dataset: what is known about the data set, for its class map.
        **looks: the arrays of :class:`Draw` that the kind reads.

    Raises:
        NoiseError: something the kind needs is missing or does not fit.
    """
    true = _checked(true, num_classes)
    rng = np.random.default_rng(derive_seed(seed, "noise"))
    # Before anything is asked for: at rate 0 no kind needs images or a classifier.
    if noise.rated and noise.rate == 0:
        return NoisyLabels.of(true, true.copy(), num_classes)
    given = noise.given(Draw(true, num_classes, rng, dataset, **looks))
    return NoisyLabels.of(true, given, num_classes)


def corrupt(
    labels: Ints,
    *,
    kind: str,
    num_classes: int,
    seed: int,
    rate: float = 0.0,
    dataset: str | None = None,
    **options: Any,
) -> NoisyLabels:
    """Draw given labels for the true ``labels``, everything named: :func:`draw_labels` for people.

    Args:
        labels: true labels, integers ``[N]`` in ``[0, num_classes)``; not changed.
        kind: one of ``NOISE_KINDS``.
        num_classes: C.
        seed: any integer.
        rate: in [0, 1), what the kind says it means. Not for "human", whose files have theirs.
        dataset: name of the data set, whose class map "asymmetric" takes.
        **options: those of the kind's class (``include_true``, ``ring``, …), and the arrays of
            :class:`trainable.noise.base.Draw` that it reads (``images``, ``features``, …).

    Raises:
        ValueError: an unknown kind, data set or option.
        NoiseError: a rate outside [0, 1), something the kind needs is missing or does not fit.
    """
    arrays = {field.name for field in fields(Draw) if field.default is None} & options.keys()
    looks = {name: options.pop(name) for name in arrays}
    info = None if dataset is None else named("data set", dataset, DATASETS)
    try:
        noise = make_noise(kind, rate, **options)
    except ValidationError as error:
        raise NoiseError(_first_mistake(error)) from None
    # CIFAR-N's kind of file can be anybody's own.
    if dataset is not None and info is not None and not isinstance(noise, Human):
        try:
            noise.check_fits(dataset, info)
        except ValueError as error:
            raise NoiseError(str(error)) from None
    return draw_labels(noise, labels, num_classes=num_classes, seed=seed, dataset=info, **looks)


def _first_mistake(error: ValidationError) -> str:
    """What pydantic found first, in one line."""
    mistake = error.errors(include_url=False)[0]
    where = ".".join(map(str, mistake["loc"]))
    if mistake["type"] == "missing":
        return f"{where} is missing"
    message = own_words(mistake)
    return f"{where}: {message}" if where else message


def _checked(labels: Ints, num_classes: int) -> Ints:
    """The labels as an int64 vector. Raises NoiseError if they are anything else."""
    labels = np.ascontiguousarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise NoiseError(f"labels are {labels.dtype} {labels.shape}, not one row of integers")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise NoiseError(f"labels in [{labels.min()}, {labels.max()}], not [0, {num_classes})")
    return labels.astype(np.int64, copy=False)
