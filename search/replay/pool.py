"""The recorded trials of a study as a finite pool that a study draws its trials from.

A suggestion becomes the nearest configuration of the pool that has not been had yet, and the
sampler is told that one, not the one it asked for. Nearest is by Euclidean distance over the
parameters that the space varies: numbers by their place in [0, 1] between low and high (in the
logarithm where the range is), 1 between different options, 1 where only one of the two has the
parameter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.replay.curves import Curve
from spaces.domains import Choice, Range
from spaces.space import Space
from spaces.sweep import Cell
from trainable.catalog import Value
from trainable.config import TrialConfig
from trainable.dtypes import Floats


class Pool:
    """The recorded trials of one study, each to be had once.

    ``curves`` are all of them, ``size`` is how many, ``taken`` are those handed out, in order,
    and ``left`` the others.
    """

    def __init__(self, space: Space, curves: Sequence[Curve], *, offered: bool = True) -> None:
        """``offered``: a sampler that can choose among given points is given those left."""
        self.offered = offered
        self._domains = space.varies  # what the coordinates are of, in their order
        self._space = space  # the space that the trials are points of
        self.curves = tuple(curves)
        self.left = list(curves)
        self.size = len(curves)
        # The coordinates of what is left, a row each.
        self._places = np.array([self._place(curve.config.parameters) for curve in curves])
        self.taken: list[Curve] = []

    def take(self, values: Mapping[str, Value]) -> TrialConfig:
        """The nearest configuration that is left, now no longer so."""
        gaps = np.minimum(np.abs(self._places - self._place(values)), 1.0)
        index = int(np.argmin((gaps**2).sum(axis=1)))
        self._places = np.delete(self._places, index, axis=0)
        self.taken.append(self.left.pop(index))
        return self.taken[-1].config

    def _place(self, values: Mapping[str, Value]) -> Floats:
        """A point as coordinates: options 2 apart, a missing parameter far from all others."""
        there, _ = self._space.encode(values)
        return np.array(
            [
                _fraction(domain, domain.decode(there[name])) if name in there else -9.0
                for name, domain in self._domains.items()
            ]
        )


def _fraction(domain: Range | Choice, value: Value) -> float:
    if isinstance(domain, Choice):
        return 2.0 * domain.options.index(value)
    low, high, number = domain.low, domain.high, float(value)  # type: ignore[arg-type]
    if domain.log:
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low) if high > low else 0.0


@dataclass(frozen=True)
class PoolCell(Cell):
    """A cell whose trials are those of a pool."""

    pool: Pool  # the recorded trials of the cell's study

    def trial(self, values: Mapping[str, Value], seed: int) -> TrialConfig:
        """See :class:`Cell`."""
        return self.pool.take(values)

    @property
    def points(self) -> Sequence[Mapping[str, Value]] | None:
        """See :class:`Cell`: those of the pool that nobody has had, if it offers them."""
        if not self.pool.offered:
            return None
        return [curve.config.parameters for curve in self.pool.left]

    def planned(self, sampler: str, trials: int) -> int:
        """See :class:`Cell`: no more trials than the pool has."""
        return min(self.pool.size, super().planned(sampler, trials))
