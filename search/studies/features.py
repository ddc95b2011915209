"""What a model over studies sees of a trial: numbers that mean the same in every study."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from search.studies.belief import Belief
from spaces.domains import Choice
from spaces.sweep import Cell
from trainable.catalog import Value
from trainable.dtypes import Floats

T = TypeVar("T")
ABSENT = -1.0
"""The column of a number that a trial or a study lacks; the trees split it off."""


class LabelStatistics(NamedTuple):
    """What a model over studies sees of the labels that the noise made, beside its rate."""

    wrong: float
    """Share of wrong labels in [0, 1], the mean over the true classes."""
    concentration: float
    """The chance that two wrong labels of one class agree: 1 where each class is taken for one
    other, 1 / (C - 1) where for all others alike; 0 without wrong labels."""

    @classmethod
    def of(cls, transition: Floats) -> "LabelStatistics":
        """Those of a realised transition matrix [C, C], rows summing to 1."""
        wrong = transition * (1 - np.eye(len(transition)))
        leaving = wrong.sum(1)
        agree = np.square(wrong).sum() / np.square(leaving).sum() if leaving.any() else 0.0
        return cls(float(leaving.mean()), float(agree))


class Features:
    """Points of one study's space, as fractions of its ranges and as columns for the model.

    Fractions [n, parameters] are in the order of ``cell.space.varies``, in [0, 1), NaN where a
    point lacks the parameter. Columns [n, C] are the same for every study of the sweep: a fraction
    for each numeric parameter that any of them varies, an indicator for each option, then the
    study's coordinates: data set, network, loss, kind and rate of its noise and, once
    :meth:`labelled`, how its labels came out. ``choices`` [parameters] says which are not numeric.
    """

    def __init__(self, cell: Cell, cells: Sequence[Cell]) -> None:
        self.study = cell.study  # its name
        self._space = cell.space  # what its points are points of
        self._domains = cell.space.varies  # the ranges and choices that fractions are of
        self.belief = Belief(cell.space)  # where the user believes that the best lies
        # Which parameters are not numeric, [parameters].
        self.choices = np.array([isinstance(d, Choice) for d in self._domains.values()], bool)
        varied = [varies for other in cells for varies in other.space.varies.items()]
        # The columns of the model, in this order: numeric parameters,
        self._numeric = _unique(name for name, d in varied if not isinstance(d, Choice))
        # (choice, option) pairs,
        self._options = _unique(
            (name, repr(o)) for name, d in varied if isinstance(d, Choice) for o in d.options
        )
        # where the study is in the grid,
        self._coordinates = _coordinates(cell, cells)
        # and how its labels came out; empty until told.
        self._labels: Floats = np.empty(0)

    def labelled(self, labels: LabelStatistics | None) -> None:
        """Take in how the labels of the study came out, which is known once they are drawn.

        Either all studies of a model are told or none, so that their columns stay the same; None:
        nobody knows of this one.
        """
        known = (ABSENT, ABSENT) if labels is None else labels
        self._labels = np.array(known)

    def uniform(self, rng: np.random.Generator, count: int) -> Floats:
        """Points [count, parameters] from the whole space, with parameters they do not need."""
        return rng.random((count, len(self._domains)))

    def at(self, fractions: Floats) -> dict[str, Value]:
        """The point of the space at ``fractions`` [parameters]."""
        # Of parameters that the point lacks: nothing is made of them.
        there = np.nan_to_num(fractions, nan=0.0)
        return self._space.at(dict(zip(self._domains, map(float, there), strict=True)))

    def place(self, values: Mapping[str, Value]) -> Floats:
        """The fractions [parameters] of a point; the inverse of :meth:`at`."""
        there, _ = self._space.encode(values)
        return np.array(
            [
                domain.fraction(domain.decode(there[name])) if name in there else math.nan
                for name, domain in self._domains.items()
            ],
            dtype=np.float64,
        )

    def columns(self, fractions: Floats) -> Floats:
        """What the model sees of ``fractions`` [n, parameters]: columns [n, C]."""
        there = dict(zip(self._domains, self.present(fractions).T, strict=True))
        missing = np.full(len(fractions), math.nan)
        numeric = [np.nan_to_num(there.get(n, missing), nan=ABSENT) for n in self._numeric]
        options = []
        for name, option in self._options:
            domain = self._domains.get(name)
            if isinstance(domain, Choice) and option in map(repr, domain.options):
                index = [repr(o) for o in domain.options].index(option)
                options.append(np.floor(there[name] * len(domain.options)) == index)
            else:
                options.append(np.zeros(len(fractions), bool))
        coordinates = np.tile([*self._coordinates, *self._labels], (len(fractions), 1))
        return np.column_stack([*numeric, *options, coordinates]).astype(np.float64)

    def present(self, fractions: Floats) -> Floats:
        """``fractions`` with NaN for the parameters whose condition does not hold."""
        present = fractions.copy()
        place = {name: i for i, name in enumerate(self._domains)}
        for group in self._space.groups:
            # Under a parent that does not vary a group is always there, or never.
            if not group.condition or group.condition[0] not in place:
                continue
            parent, value = group.condition
            domain = self._domains[parent]
            if not isinstance(domain, Choice):
                continue
            option = np.floor(present[:, place[parent]] * len(domain.options))
            absent = option != domain.options.index(value)
            for name in group.domains:
                if (column := place.get(group.qualified(name))) is not None:
                    present[absent, column] = math.nan
        return present


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))


def _coordinates(cell: Cell, cells: Sequence[Cell]) -> Floats:
    """Where a study is in the grid: an indicator for each name, and the rate of its noise."""

    def names(of: Cell) -> tuple[str, ...]:
        return of.data.name, of.network, of.loss, of.noise.kind

    # With the axis: a data set and a network may bear one name.
    known = dict.fromkeys((axis, n) for other in cells for axis, n in enumerate(names(other)))
    mine = set(enumerate(names(cell)))
    return np.array([*(float(name in mine) for name in known), cell.noise.rate])
