"""How each kind of noise draws its labels.

A function here takes a :class:`Draw` and returns the given labels, int64 ``[N]``. Labels are made
of the generator's uniform and normal numbers by sorting, comparing and exact arithmetic, so that
no processor or linear algebra library decides one; the one softmax (``instance_dependent``) could
only matter to a uniform number that falls on its last digit. The two kinds that read a reference
classifier inherit what its floats differ by between machines
(:mod:`trainable.trial.reference_classifier`).
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from trainable.noise.class_maps import class_map

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CLUSTERS_PER_CLASS = 20
EXAMPLES_PER_CLUSTER = 5
FLIP_RATE_DEVIATION = 0.1
_WEIGHT_STEPS = 2**16


class NoiseError(ValueError):
    """Noise that cannot be made as asked: one line that says what is missing or impossible."""


class Options(TypedDict, total=False):
    """Arguments of ``corrupt`` that only some kinds read.

    * asymmetric: ``dataset``, the name that the class map goes by; ``ring`` ("superclass", the
      default, or "contiguous") on cifar100; ``legacy_sequential`` (default false) on cifar10
    * symmetric: ``include_true`` (default true), redraw from all classes, the true one among them
    * instance_dependent: ``images``, uint8 ``[N, channels, height, width]``
    * locally_concentrated: ``features`` of a reference classifier, ``[N, F]``
    * feature_dependent: ``probabilities`` of a reference classifier, ``[N, C]``
    * human: ``labels_file``, path of a CIFAR-N file; ``labels_key``, the label set in it;
      ``index``, its rows that the labels stand for, int64 ``[N]`` (default: all)
    """

    dataset: str | None
    include_true: bool
    ring: str
    legacy_sequential: bool
    images: NDArray[np.uint8] | None
    features: NDArray[np.floating] | None
    probabilities: NDArray[np.floating] | None
    labels_file: str | None
    labels_key: str | None
    index: Ints | None


@dataclass(frozen=True)
class Draw:
    """What a kind draws from: true labels int64 ``[N]`` and :class:`Options`."""

    true: Ints
    kind: str
    rate: float
    num_classes: int
    rng: np.random.Generator
    dataset: str | None = None
    include_true: bool = True
    ring: str = "superclass"
    legacy_sequential: bool = False
    images: NDArray[np.uint8] | None = None
    features: NDArray[np.floating] | None = None
    probabilities: NDArray[np.floating] | None = None
    labels_file: str | None = None
    labels_key: str | None = None
    index: Ints | None = None

    def rows(self, name: str) -> NDArray[Any]:
        """The array ``name``. Raises NoiseError if it is not given with a row for each label."""
        array: NDArray[Any] | None = getattr(self, name)
        if array is None:
            raise NoiseError(f"noise kind {self.kind!r} needs {name} [N, …], which are not given")
        if len(array) != len(self.true):
            raise NoiseError(f"{len(array)} rows of {name} for {len(self.true)} labels")
        return array


def symmetric(draw: Draw) -> Ints:
    """Redraw the labels of exactly ``round(rate * N)`` examples, uniformly.

    Over all classes, so that one redrawn label in C stays true (ELR, DivideMix): the realised rate
    is ``rate (C - 1) / C``. With ``include_true`` false over the other classes (Patrini et al.,
    Wang et al.): the realised rate is ``rate``.
    """
    true, classes = draw.true, draw.num_classes
    given = true.copy()
    chosen = _choose(np.arange(len(true)), draw.rate, draw.rng.random(len(true)))
    uniform = draw.rng.random(len(chosen))
    if draw.include_true:
        given[chosen] = np.floor(uniform * classes)
    else:
        steps = 1 + np.floor(uniform * (classes - 1)).astype(np.int64)
        given[chosen] = (true[chosen] + steps) % classes
    return given


def asymmetric(draw: Draw) -> Ints:
    """Move exactly ``round(rate * n)`` of the n examples of each class along the class map.

    Which class leads where: :mod:`trainable.noise.class_maps`. Every class moves by its true
    labels. ``legacy_sequential`` moves the classes one after the other by the labels of the
    moment, as ELR's code does: on CIFAR-10 cats that have become dogs may turn back with the dogs,
    and only ``rate (1 - rate)`` of the cats end as dogs.
    """
    mapped = _class_map(draw)
    given = draw.true.copy()
    for label in np.flatnonzero(mapped != np.arange(len(mapped))):
        source = given if draw.legacy_sequential else draw.true
        uniform = draw.rng.random(len(source))
        given[_choose(np.flatnonzero(source == label), draw.rate, uniform)] = mapped[label]
    return given


def locally_concentrated(draw: Draw) -> Ints:
    """Give whole clusters of a class to other classes (Algan & Ulusoy 2020, arXiv 2003.10471).

    k-means finds 20 clusters of each class in ``features`` (one for every 5 examples where a class
    has fewer than 100). From the largest down, each cluster that still fits into the class's
    budget of ``round(rate * n)`` examples goes, all of it, to one class drawn uniformly among the
    others. The realised rate is at most ``rate``, and below it by what no cluster fits into.
    """
    features = draw.rows("features").astype(np.float64).reshape(len(draw.true), -1)
    if not np.isfinite(features).all():
        raise NoiseError("features hold NaN or infinite values")
    given = draw.true.copy()
    for label in range(draw.num_classes):
        members = np.flatnonzero(draw.true == label)
        budget = round(draw.rate * len(members))
        for cluster in _clusters(features[members]):
            step = 1 + int(draw.rng.random() * (draw.num_classes - 1))
            if len(cluster) <= budget:
                given[members[cluster]] = (label + step) % draw.num_classes
                budget -= len(cluster)
    return given


def feature_dependent(draw: Draw) -> Ints:
    """Move exactly ``round(rate * N)`` examples across the boundary they are nearest to.

    Examples are taken by the margin between the two largest of their ``probabilities``, smallest
    first, and get the second most likely class (Algan & Ulusoy 2020, arXiv 2003.10471). One whose
    second most likely class is the true one would not be wrong and is passed over.
    """
    probabilities = draw.rows("probabilities").astype(np.float64)
    if probabilities.shape != (len(draw.true), draw.num_classes):
        raise NoiseError(
            f"probabilities are {probabilities.shape}, not [{len(draw.true)}, {draw.num_classes}]"
        )
    ranked = np.argsort(-probabilities, axis=1, kind="stable")
    first, second = np.take_along_axis(probabilities, ranked[:, :2], axis=1).T
    # Sure predictions tie at a margin of 1 in floating point: the larger runner-up goes first.
    order = np.lexsort((-second, first - second))
    order = order[ranked[order, 1] != draw.true[order]]
    wanted = round(draw.rate * len(draw.true))
    if wanted > len(order):
        raise NoiseError(
            f"rate = {draw.rate} asks for {wanted} wrong labels, but only {len(order)} examples "
            "have a second most likely class that is not their true one"
        )
    given = draw.true.copy()
    given[order[:wanted]] = ranked[order[:wanted], 1]
    return given


def instance_dependent(draw: Draw) -> Ints:
    """Flip each example at its own rate, to a class its pixels choose (Xia et al. 2020).

    Algorithm 2 of arXiv 2006.07836: the flip rate is ``TruncNorm(rate, 0.1, [0, 1])``, whose mean
    is above ``rate`` near 0; the wrong class is drawn from ``softmax(x W_y)`` over the classes
    other than y, ``W_y [S, C]`` of standard normals for each class y. Pixels x ``[S]`` are
    standardised per channel over ``images``. The softmax is sharp (largest probability on average
    0.87 on digits, 0.97 on Fashion-MNIST): the wrong class is nearly a function of the image.
    """
    images = draw.rows("images")
    if images.dtype != np.uint8 or images.ndim != 4:
        raise NoiseError(f"images are {images.dtype} {images.shape}, not uint8 [N, C, H, W]")
    given = draw.true.copy()
    flips = draw.rng.random(len(given)) < _flip_rates(draw.rate, draw.rng.random(len(given)))
    uniform = draw.rng.random(len(given))
    pixels = images.reshape(*images.shape[:2], -1)
    mean, deviation = _pixel_statistics(pixels)
    for label in range(draw.num_classes):
        weights = draw.rng.standard_normal((*pixels.shape[1:], draw.num_classes))
        members = np.flatnonzero(flips & (draw.true == label))
        scores = _scores(pixels[members], mean, deviation, weights)
        scores[:, label] = -np.inf
        share = np.cumsum(np.exp(scores - scores.max(1, keepdims=True)), axis=1)
        given[members] = (uniform[members, None] * share[:, -1:] >= share).sum(1)
    return given


def _class_map(draw: Draw) -> Ints:
    """The class map of the draw's data set. Raises NoiseError for options it does not have."""
    if draw.dataset is None:
        raise NoiseError("noise kind 'asymmetric' needs the data set's name for its class map")
    if draw.legacy_sequential and draw.dataset != "cifar10":
        raise NoiseError(f"legacy_sequential is defined for cifar10, not {draw.dataset}")
    if draw.ring != "superclass" and draw.dataset != "cifar100":
        raise NoiseError(f"ring = {draw.ring!r} is defined for cifar100, not {draw.dataset}")
    mapped = class_map(draw.dataset, draw.ring)
    if len(mapped) != draw.num_classes:
        raise NoiseError(f"{draw.dataset} has {len(mapped)} classes, not {draw.num_classes}")
    return mapped


def _choose(members: Ints, rate: float, uniform: Floats) -> Ints:
    """``round(rate * n)`` of the n ``members``: those with the smallest of N uniform numbers."""
    order = np.argsort(uniform[members], kind="stable")
    return members[order[: round(rate * len(members))]]


def _clusters(features: Floats) -> list[Ints]:
    """Positions in each k-means cluster, largest cluster first."""
    from sklearn.cluster import KMeans

    if len(features) == 0:
        return []
    wanted = min(CLUSTERS_PER_CLASS, max(1, len(features) // EXAMPLES_PER_CLUSTER))
    wanted = min(wanted, len(np.unique(features, axis=0)))
    cluster = KMeans(wanted, n_init=1, random_state=0).fit_predict(features)
    members = [np.flatnonzero(cluster == c) for c in range(wanted)]
    return sorted(members, key=len, reverse=True)


def _flip_rates(rate: float, uniform: Floats) -> Floats:
    """TruncNorm(rate, 0.1, [0, 1]) by inverting its distribution function at ``uniform``."""
    normal = NormalDist(rate, FLIP_RATE_DEVIATION)
    low, high = normal.cdf(0.0), normal.cdf(1.0)
    return np.array([normal.inv_cdf(low + u * (high - low)) for u in uniform.tolist()])


def _pixel_statistics(pixels: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Mean and standard deviation ``[channels]`` of ``pixels [N, channels, S]``, from counts."""
    values = np.arange(256)
    counts = np.stack([np.bincount(c.ravel(), minlength=256) for c in pixels.swapaxes(0, 1)])
    total = counts.sum(1)
    mean = counts @ values / total
    deviation = np.sqrt(counts @ values**2 / total - mean**2)
    return mean, np.where(deviation > 0, deviation, 1.0)


def _scores(pixels: NDArray[np.uint8], mean: Floats, deviation: Floats, weights: Floats) -> Floats:
    """``x W_y [n, C]`` for standardised ``pixels [n, channels, S]``, ``weights [channels, S, C]``.

    Pixels are whole numbers and weights are rounded to multiples of 2^-16, so the products add up
    exactly in float64, whatever the order in which a linear algebra library adds them.
    """
    scores = np.zeros((len(pixels), weights.shape[-1]))
    for channel, channel_weights in enumerate(np.round(weights * _WEIGHT_STEPS) / _WEIGHT_STEPS):
        exact = pixels[:, channel].astype(np.float64) @ channel_weights
        scores += (exact - mean[channel] * channel_weights.sum(0)) / deviation[channel]
    return scores
