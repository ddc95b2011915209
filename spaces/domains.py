"""What one parameter varies over: a range, a choice, or nothing (a fixed value)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainable.catalog import Value

Encoded: TypeAlias = bool | int | float | str | None
"""A value as Optuna stores it: tuples become text."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both inclusive.

    ``log``: uniform in the logarithm. ``step``: multiples of it above ``low``. ``whole``: integers
    only. Raises ValueError for a range upside down, or a logarithm of something not positive.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low:g} is not above 0, as log = true needs")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step = {self.step:g} is not above 0")

    @property
    def distribution(self) -> BaseDistribution:
        """The same as an Optuna distribution."""
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=step)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def encode(self, value: Value) -> Encoded:
        """``value`` as Optuna stores it."""
        return value  # type: ignore[return-value]

    def decode(self, value: Encoded) -> Value:
        """The inverse of :meth:`encode`."""
        return value

    def nearest(self, value: Value) -> Value:
        """``value``, moved into the range if it lies outside (None: the low end)."""
        number = self.low if value is None else min(max(float(value), self.low), self.high)  # type: ignore[arg-type]
        if self.step is not None:
            steps = round((number - self.low) / self.step)
            number = min(self.low + steps * self.step, self.high)
        return round(number) if self.whole else number

    def at(self, fraction: float) -> Value:
        """The value that lies ``fraction`` in [0, 1) of the way from low to high."""
        if self.log:
            number = self.low * (self.high / self.low) ** fraction
        elif self.whole:
            number = math.floor(self.low + fraction * (self.high - self.low + 1))
        else:
            number = self.low + fraction * (self.high - self.low)
        return self.nearest(number)

    def points(self) -> tuple[Value, ...]:
        """All values, for a grid. Raises ValueError for a continuous range."""
        step = self.step or (1 if self.whole else None)
        if step is None:
            raise ValueError("a grid needs `choice = […]` or a `step`, not a continuous range")
        count = int((self.high - self.low) / step + 1e-9) + 1
        values = [self.low + i * step for i in range(count)]
        return tuple(int(v) for v in values) if self.whole else tuple(values)


@dataclass(frozen=True)
class Choice:
    """One of ``options``, none nearer to another. Raises ValueError if there are none or twins."""

    options: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("choice = [] leaves nothing to choose")
        if len(set(map(repr, self.options))) != len(self.options):
            raise ValueError(f"choice = {list(self.options)} names an option twice")

    @property
    def distribution(self) -> BaseDistribution:
        """The same as an Optuna distribution."""
        return CategoricalDistribution([self.encode(option) for option in self.options])

    def encode(self, value: Value) -> Encoded:
        """``value`` as Optuna stores it: lists as text."""
        return " ".join(map(str, value)) if isinstance(value, tuple) else value

    def decode(self, value: Encoded) -> Value:
        """The inverse of :meth:`encode`."""
        return next(option for option in self.options if self.encode(option) == value)

    def nearest(self, value: Value) -> Value:
        """``value`` if it is an option; else the closest number, or the first option."""
        if value in self.options:
            return value
        numbers = [o for o in self.options if isinstance(o, int | float)]
        if numbers and isinstance(value, int | float):
            return min(numbers, key=lambda option: abs(option - value))
        return self.options[0]

    def at(self, fraction: float) -> Value:
        """The option that ``fraction`` in [0, 1) falls on."""
        return self.options[int(fraction * len(self.options))]

    def points(self) -> tuple[Value, ...]:
        """All values, for a grid."""
        return self.options


@dataclass(frozen=True)
class Fixed:
    """Always ``value``: nothing for a sampler to choose."""

    value: Value


Domain: TypeAlias = Range | Choice | Fixed

Pick: TypeAlias = Callable[[str, str, "Range | Choice"], Value]
"""Chooses a value, given the parameter's plain name, its qualified name and its domain."""
