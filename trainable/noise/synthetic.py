"""The kinds of noise that are drawn: by class, by cluster, by nearness to a boundary.

Labels are made of the generator's uniform and normal numbers by sorting, comparing and exact
arithmetic, so that no processor or linear algebra library decides one; the one softmax
(``instance_dependent``) could only matter to a uniform number that falls on its last digit. The
two kinds that read a reference classifier inherit what its floats differ by between machines
(:mod:`trainable.trial.reference_classifier`).
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass

from trainable.data import DatasetInfo
from trainable.data.sets import STRICT
from trainable.dtypes import Floats, Ints
from trainable.noise.base import Draw, Noise, NoiseError, choose, having
from trainable.noise.class_maps import RINGS, class_map
from trainable.wording import unknown

CLUSTERS_PER_CLASS = 20
EXAMPLES_PER_CLUSTER = 5


@dataclass(frozen=True, config=STRICT)
class NoNoise(Noise):
    """Labels as they are."""

    summary: ClassVar[str] = "labels as they are"
    rated: ClassVar[bool] = False

    kind: Literal["none"] = "none"

    def given(self, draw: Draw) -> Ints:
        """A copy of the true labels."""
        return draw.true.copy()

    @property
    def family(self) -> str:
        """In words."""
        return "no noise"


@dataclass(frozen=True, config=STRICT)
class Given(Noise):
    """The labels of a user's own files, wrong where they are wrong."""

    summary: ClassVar[str] = "your own labels as they are"
    rated: ClassVar[bool] = False
    needs_truth: ClassVar[bool] = False

    kind: Literal["given"] = "given"

    def check_fits(self, dataset: str, info: DatasetInfo) -> None:
        """Published data sets have true labels only."""
        if info.read:
            raise ValueError(f"noise kind 'given' is for data set 'files', not {dataset!r}")

    def given(self, draw: Draw) -> Ints:
        """A copy of what the files have."""
        return draw.rows("given").copy()

    @property
    def family(self) -> str:
        """In words."""
        return "labels as given"


@dataclass(frozen=True, config=STRICT)
class Symmetric(Noise):
    """Redraw the labels of exactly ``round(rate * N)`` examples, uniformly.

    Over all classes, so that one redrawn label in C stays true (ELR, DivideMix): the realised rate
    is ``rate (C - 1) / C``. With ``include_true`` false over the other classes (Patrini et al.,
    Wang et al.): the realised rate is ``rate``.
    """

    summary: ClassVar[str] = "round(rate N) examples redrawn uniformly from all classes"

    kind: Literal["symmetric"] = "symmetric"
    include_true: bool = True

    def given(self, draw: Draw) -> Ints:
        """See the class."""
        true, classes = draw.true, draw.num_classes
        given = true.copy()
        chosen = choose(np.arange(len(true)), self.rate, draw.rng.random(len(true)))
        uniform = draw.rng.random(len(chosen))
        if self.include_true:
            given[chosen] = np.floor(uniform * classes)
        else:
            # 1 to C - 1 classes further on: every other class alike, the true one never.
            steps = 1 + np.floor(uniform * (classes - 1)).astype(np.int64)
            given[chosen] = (true[chosen] + steps) % classes
        return given

    @property
    def words(self) -> tuple[str, ...]:
        """``exclusive`` without the true class."""
        return () if self.include_true else ("exclusive",)


@dataclass(frozen=True, config=STRICT)
class Asymmetric(Noise):
    """Move exactly ``round(rate * n)`` of the n examples of each class along the class map.

    Which class leads where: :mod:`trainable.noise.class_maps`; ``ring`` ("superclass" or
    "contiguous") decides where there are superclasses. Every class moves by its true labels.
    ``legacy_sequential`` (CIFAR-10) moves the classes one after the other by the labels of the
    moment, as ELR's code does: cats that have become dogs may turn back with the dogs, and only
    ``rate (1 - rate)`` of the cats end as dogs. ``map`` (class name -> class name) takes the place
    of the data set's class map; classes left out stay.
    """

    summary: ClassVar[str] = "a share `rate` of each class of a map moves to one similar class"

    kind: Literal["asymmetric"] = "asymmetric"
    ring: str = "superclass"
    legacy_sequential: bool = False
    map: dict[str, str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ring not in RINGS:
            raise ValueError(unknown("ring", self.ring, RINGS))
        if self.map is not None and (self.ring != "superclass" or not self.map):
            raise ValueError("map moves at least one class, and goes without a ring")

    def check_fits(self, dataset: str, info: DatasetInfo) -> None:
        """Rings are for superclasses, ELR's order is for ELR's data set."""
        if self.ring != "superclass" and not info.superclasses:
            raise ValueError(
                f"ring = {self.ring!r} is for {having('superclasses')}, not {dataset}"
            )
        if self.legacy_sequential and not info.legacy_sequential:
            known = having("legacy_sequential")
            raise ValueError(f"legacy_sequential is for {known}, not {dataset}")
        if info.class_names:
            self._mapped(info)

    def given(self, draw: Draw) -> Ints:
        """See the class."""
        if draw.dataset is None:
            raise NoiseError("noise kind 'asymmetric' needs the data set's name for its class map")
        mapped = self._mapped(draw.dataset)
        if len(mapped) != draw.num_classes:
            raise NoiseError(f"the data set has {len(mapped)} classes, not {draw.num_classes}")
        given = draw.true.copy()
        for label in np.flatnonzero(mapped != np.arange(len(mapped))):
            source = given if self.legacy_sequential else draw.true
            uniform = draw.rng.random(len(source))
            moved = choose(np.flatnonzero(source == label), self.rate, uniform)
            given[moved] = mapped[label]
        return given

    def _mapped(self, info: DatasetInfo) -> Ints:
        """Where each class leads. Raises NoiseError for a name of ``map`` that is no class."""
        if self.map is None:
            return class_map(info, self.ring)
        number = {name: label for label, name in enumerate(info.class_names)}
        for name in (*self.map, *self.map.values()):
            if name not in number:
                raise NoiseError(unknown("class in map", name, info.class_names))
        mapped = np.arange(info.num_classes)
        for name, other in self.map.items():
            mapped[number[name]] = number[other]
        return mapped

    @property
    def words(self) -> tuple[str, ...]:
        """The ring if it is not the usual one, and ``sequential``."""
        ring = () if self.ring == "superclass" else (self.ring,)
        own = () if self.map is None else ("map",)
        return (*ring, *own, *(("sequential",) if self.legacy_sequential else ()))


@dataclass(frozen=True, config=STRICT)
class LocallyConcentrated(Noise):
    """Give whole clusters of a class to other classes (Algan & Ulusoy 2020, arXiv 2003.10471).

    k-means finds 20 clusters of each class in ``features`` (one for every 5 examples where a class
    has fewer than 100). From the largest down, each cluster that still fits into the class's
    budget of ``round(rate * n)`` examples goes, all of it, to one class drawn uniformly among the
    others. The realised rate is at most ``rate``, and below it by what no cluster fits into.
    """

    summary: ClassVar[str] = "whole clusters of a class take one other class"
    looks_at: ClassVar[tuple[str, ...]] = ("features",)

    kind: Literal["locally_concentrated"] = "locally_concentrated"

    def given(self, draw: Draw) -> Ints:
        """See the class."""
        features = draw.rows("features").astype(np.float64).reshape(len(draw.true), -1)
        if not np.isfinite(features).all():
            raise NoiseError("features hold NaN or infinite values")
        given = draw.true.copy()
        for label in range(draw.num_classes):
            members = np.flatnonzero(draw.true == label)
            budget = round(self.rate * len(members))
            for cluster in _clusters(features[members]):
                # Drawn for a cluster that does not fit, too: later draws do not depend on sizes.
                step = 1 + int(draw.rng.random() * (draw.num_classes - 1))
                if len(cluster) <= budget:
                    given[members[cluster]] = (label + step) % draw.num_classes
                    budget -= len(cluster)
        return given


@dataclass(frozen=True, config=STRICT)
class FeatureDependent(Noise):
    """Move exactly ``round(rate * N)`` examples across the boundary they are nearest to.

    Examples are taken by the margin between the two largest of their ``probabilities``, smallest
    first, and get the second most likely class (Algan & Ulusoy 2020, arXiv 2003.10471). One whose
    second most likely class is the true one would not be wrong and is passed over.
    """

    summary: ClassVar[str] = "examples nearest a decision boundary take the class across it"
    looks_at: ClassVar[tuple[str, ...]] = ("probabilities",)

    kind: Literal["feature_dependent"] = "feature_dependent"

    def given(self, draw: Draw) -> Ints:
        """See the class."""
        probabilities = draw.rows("probabilities").astype(np.float64)
        if probabilities.shape != (len(draw.true), draw.num_classes):
            raise NoiseError(
                f"probabilities are {probabilities.shape}, not "
                f"[{len(draw.true)}, {draw.num_classes}]"
            )
        ranked = np.argsort(-probabilities, axis=1, kind="stable")
        first, second = np.take_along_axis(probabilities, ranked[:, :2], axis=1).T
        # Sure predictions tie at a margin of 1 in floating point: the larger runner-up goes first.
        order = np.lexsort((-second, first - second))
        order = order[ranked[order, 1] != draw.true[order]]
        wanted = round(self.rate * len(draw.true))
        if wanted > len(order):
            raise NoiseError(
                f"rate = {self.rate} asks for {wanted} wrong labels, but only {len(order)} "
                "examples have a second most likely class that is not their true one"
            )
        given = draw.true.copy()
        given[order[:wanted]] = ranked[order[:wanted], 1]
        return given


def _clusters(features: Floats) -> list[Ints]:
    """Positions in each k-means cluster, largest cluster first."""
    from sklearn.cluster import KMeans

    if len(features) == 0:
        return []
    wanted = min(CLUSTERS_PER_CLASS, max(1, len(features) // EXAMPLES_PER_CLUSTER))
    # k-means warns of more clusters than different points.
    wanted = min(wanted, len(np.unique(features, axis=0)))
    # A fixed seed, not the trial's: which cluster goes is drawn, where they are is not.
    cluster = KMeans(wanted, n_init=1, random_state=0).fit_predict(features)
    members = [np.flatnonzero(cluster == c) for c in range(wanted)]
    return sorted(members, key=len, reverse=True)
