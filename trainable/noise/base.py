"""What a kind of noise is: its options, its names, and how it draws given labels for true ones."""

from abc import abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass

from trainable.data import DATASETS, DatasetInfo
from trainable.data.sets import STRICT
from trainable.dtypes import Floats, Ints


class NoiseError(ValueError):
    """Noise that cannot be made as asked: one line that says what is missing or impossible."""


@dataclass(frozen=True)
class Draw:
    """What given labels are drawn from.

    Attributes:
        true: true labels, int64 ``[N]``.
        num_classes: C.
        rng: the generator; nothing else is random.
        dataset: what is known about the data set; None: nothing.
        index: positions of the labels in the training set, int64 ``[N]``; None: they are all.
        images: uint8 ``[N, channels, height, width]``.
        features: of a reference classifier, ``[N, F]``.
        probabilities: of a reference classifier, ``[N, C]``.
        given: labels as they are, int64 ``[N]``; None: only noise makes some.
    """

    true: Ints
    num_classes: int
    rng: np.random.Generator
    dataset: DatasetInfo | None = None
    index: Ints | None = None
    images: NDArray[np.uint8] | None = None
    features: NDArray[np.floating] | None = None
    probabilities: NDArray[np.floating] | None = None
    given: Ints | None = None

    def rows(self, name: str) -> NDArray[Any]:
        """The array ``name``. Raises NoiseError if it is not given with a row for each label."""
        array: NDArray[Any] | None = getattr(self, name)
        if array is None:
            raise NoiseError(f"this kind of noise needs {name} [N, …], which are not given")
        if len(array) != len(self.true):
            raise NoiseError(f"{len(array)} rows of {name} for {len(self.true)} labels")
        return array


@checked_dataclass(frozen=True, config=STRICT)
class Noise:
    """How given labels differ from true ones: the base of every kind.

    A kind is a subclass with its ``kind``, a :attr:`summary`, the options it reads as fields, and
    :meth:`given`; ``trainable.noise.kinds`` lists them. ``rate`` in [0, 1) means what the kind
    says it means.
    """

    summary: ClassVar[str]
    """What it is, in a few words."""
    rated: ClassVar[bool] = True
    """Whether it has a rate; else the labels themselves decide how many are wrong."""
    needs_truth: ClassVar[bool] = True
    """Whether it is drawn over true labels."""
    looks_at: ClassVar[tuple[str, ...]] = ()
    """The arrays of :class:`Draw` that it reads at a rate above 0."""

    rate: float = 0.0
    kind: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate = {self.rate} is not a number in [0, 1)")
        if self.rate and not self.rated:
            raise ValueError(
                f"rate = {self.rate} makes no sense with noise kind {self.kind!r}: leave it out"
            )

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The options of this kind alone, with their defaults."""
        own = {field.name: field.default for field in fields(cls)}
        return {name: own[name] for name in own if name not in ("kind", "rate")}

    @abstractmethod
    def given(self, draw: Draw) -> Ints:
        """Given labels, int64 ``[N]``; ``draw.true`` is not changed. Raises NoiseError."""

    def check_fits(self, dataset: str, info: DatasetInfo) -> None:
        """Raises ValueError where the noise is not made for this data set."""

    @property
    def needs_classifier(self) -> bool:
        """Whether a reference classifier is trained before it is drawn."""
        return self.rate > 0 and not {"features", "probabilities"}.isdisjoint(self.looks_at)

    @property
    def words(self) -> tuple[str, ...]:
        """The options that are not as usual, in a word each."""
        return ()

    @property
    def setting(self) -> str:
        """A short name for folders, studies and tables: ``symmetric-0.4``."""
        return "-".join([self.kind, *self.words, *([f"{self.rate:g}"] if self.rated else [])])

    @property
    def family(self) -> str:
        """What settings of several rates have in common, in words: ``symmetric, exclusive``."""
        return ", ".join([self.kind.replace("_", " "), *self.words])

    @property
    def label(self) -> str:
        """The setting as a person reads it: ``symmetric, exclusive, 40%``."""
        return f"{self.family}, {100 * self.rate:g}%" if self.rated else self.family


def having(fact: str) -> str:
    """The data sets of which ``fact``, a field of their entry, holds, for a message."""
    return " and ".join(name for name, info in DATASETS.items() if getattr(info, fact))


def choose(members: Ints, rate: float, uniform: Floats) -> Ints:
    """``round(rate * n)`` of the n ``members``: those with the smallest of N uniform numbers."""
    # Of numbers for all N: the generator moves on alike, however many members there are.
    order = np.argsort(uniform[members], kind="stable")
    return members[order[: round(rate * len(members))]]
