"""What one parameter varies over: a range, a choice, or nothing (a fixed value)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainable.catalog import Parameter, Value, shown
from trainable.wording import check_known

T = TypeVar("T")

Encoded: TypeAlias = bool | int | float | str | None
"""A value as Optuna stores it: tuples become text."""

NONE = "none"
"""How a sweep file writes that an optional parameter has no value: TOML has no word for it."""

PRIOR = "prior"
RANGE_KEYS = ("low", "high", "log", "step", PRIOR)
CHOICE_KEYS = ("choice", PRIOR)
DOMAIN_KEYS = (*RANGE_KEYS, "choice")

MAX_STEPS = 1_000_000
MAX_GRID = 10_000
"""Most values of a stepped range, and most points of a grid."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both inclusive.

    ``log``: uniform in the logarithm. ``step``: only ``low`` plus multiples of it, ``high`` among
    them. ``whole``: integers only. ``prior``: where the user believes that the best lies; ranges
    that differ in nothing else are equal, as they have the same values. Raises ValueError for a
    range upside down, a logarithm of something not positive, a step that misses ``high``, or a
    prior outside.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False
    prior: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"low = {self.low:g} is above high = {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low:g} is not above 0, as log = true needs")
        if self.step is not None:
            self._check_step(self.step)
        if self.prior is not None and not self.low <= self.prior <= self.high:
            raise ValueError(
                f"prior = {self.prior:g} is not between low = {self.low:g} and "
                f"high = {self.high:g}"
            )

    def _check_step(self, step: float) -> None:
        if self.log:
            raise ValueError("log and step exclude each other")
        if not step > 0 or (self.whole and step != int(step)):
            kind = "whole number" if self.whole else "number"
            raise ValueError(f"step = {step:g} is not a {kind} above 0")
        if (self.high - self.low) / step > MAX_STEPS:
            raise ValueError(f"step = {step:g} makes more than {MAX_STEPS:,} values")
        last = self._step(self._steps)
        if last != self.high:
            raise ValueError(
                f"high = {self.high:g} is not low plus a multiple of step = {step:g}; "
                f"the last one below is {last:g}"
            )

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
        """The inverse of :meth:`encode`. Optuna's multiples of a step carry binary noise."""
        return value if self.step is None else self.nearest(value)

    def nearest(self, value: Value) -> Value:
        """``value``, moved into the range if it lies outside (None: the low end)."""
        number = self.low if value is None else min(max(float(value), self.low), self.high)  # type: ignore[arg-type]
        if self.step is not None:
            return self._step(round((number - self.low) / self.step))
        return round(number) if self.whole else number

    def at(self, fraction: float) -> Value:
        """The value that lies ``fraction`` in [0, 1) of the way from low to high.

        Equal shares of [0, 1) go to the values of a stepped or whole range, unless it is ``log``.
        """
        if self.log:
            return self.nearest(self.low * (self.high / self.low) ** fraction)
        if self.step is not None or self.whole:
            return self._step(math.floor(fraction * (self._steps + 1)))
        return self.nearest(self.low + fraction * (self.high - self.low))

    def fraction(self, value: Value) -> float:
        """Where ``value`` lies between low and high, in [0, 1); :meth:`at` gives it back."""
        low, high, number = self.low, self.high, float(value)  # type: ignore[arg-type]
        if not high > low:
            return 0.0
        if self.log:
            part = math.log(number / low) / math.log(high / low)
        elif self.step is not None or self.whole:
            part = ((number - low) / (self.step or 1) + 0.5) / (self._steps + 1)
        else:
            part = (number - low) / (high - low)
        # Below 1, which would be past the last step of a stepped range.
        return min(max(part, 0.0), math.nextafter(1.0, 0.0))

    def points(self) -> tuple[Value, ...]:
        """All values, for a grid. Raises ValueError for a continuous range or too many."""
        if self.step is None and not self.whole:
            raise ValueError("a grid needs `choice = […]` or a `step`, not a continuous range")
        if self._steps >= MAX_GRID:
            raise ValueError(f"{self._steps + 1:,} values are too many for a grid")
        return tuple(self._step(i) for i in range(self._steps + 1))

    @property
    def believed(self) -> Value:
        """The value that the prior names, None without one; of a stepped range the nearest."""
        return None if self.prior is None else self.nearest(self.prior)

    @property
    def _steps(self) -> int:
        """Steps from low to high."""
        return int((self._exact(self.high) - self._exact(self.low)) // self._exact(self.step or 1))

    def _step(self, number: int) -> float:
        """The value ``number`` steps above low, free of the noise of binary fractions."""
        value = self._exact(self.low) + number * self._exact(self.step or 1)
        return int(value) if self.whole else float(value)

    @staticmethod
    def _exact(number: float) -> Decimal:
        # In the decimals that were written: a binary 0.1 is no tenth, and steps would miss high.
        return Decimal(str(number))


@dataclass(frozen=True)
class Choice:
    """One of ``options``, none nearer to another.

    ``prior``: the index of the one that the user believes to be the best; choices that differ in
    nothing else are equal. Raises ValueError if there are no options, or twins.
    """

    options: tuple[Value, ...]
    prior: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("choice = [] leaves nothing to choose")
        # By how they are written: to Python, 1 and True are equal.
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
        # A choice of an earlier sweep may be gone; then some option has to stand for it.
        if value in self.options:
            return value
        numbers = [o for o in self.options if isinstance(o, int | float)]
        if numbers and isinstance(value, int | float):
            return min(numbers, key=lambda option: abs(option - value))
        return self.options[0]

    def at(self, fraction: float) -> Value:
        """The option that ``fraction`` in [0, 1) falls on."""
        return self.options[int(fraction * len(self.options))]

    def fraction(self, value: Value) -> float:
        """The middle of the part of [0, 1) that falls on ``value``."""
        return (self.options.index(value) + 0.5) / len(self.options)

    def points(self) -> tuple[Value, ...]:
        """All values, for a grid."""
        return self.options

    @property
    def believed(self) -> Value:
        """The option that the prior names, None without one."""
        return None if self.prior is None else self.options[self.prior]


@dataclass(frozen=True)
class Fixed:
    """Always ``value``: nothing for a sampler to choose."""

    value: Value


Domain: TypeAlias = Range | Choice | Fixed

Pick: TypeAlias = Callable[[str, str, "Range | Choice"], Value]
"""Chooses a value, given the parameter's plain name, its qualified name and its domain."""


def parse_domain(name: str, value: Any, parameter: Parameter) -> Domain:
    """One entry: a fixed value, ``{ low, high, log, step }`` or ``{ choice = […] }``.

    Either table may have a ``prior``. Raises ValueError.
    """
    if not isinstance(value, Mapping):
        return Fixed(_value(name, value, parameter))
    if "choice" in value:
        _named(name, check_known, "key", value, CHOICE_KEYS)
        if not isinstance(value["choice"], list | tuple):
            raise ValueError(f"{name}: choice = {shown(value['choice'])} is not a list")
        choices = tuple(_value(name, option, parameter) for option in value["choice"])
        return _single(_named(name, Choice, choices, _option(name, value, choices, parameter)))
    _named(name, check_known, "key", value, RANGE_KEYS)
    if not {"low", "high"} <= set(value):
        raise ValueError(f"{name}: a range needs low and high, or write {{ choice = […] }}")
    if parameter.kind not in (int, float) or parameter.options is not None:
        raise ValueError(f"{name}: a range makes no sense for {parameter.valid}; use choice = […]")
    # Ends are valid values themselves, so that all between them are.
    low, high = (parameter.check(f"{name}: {key}", value[key]) for key in ("low", "high"))
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool):
        raise ValueError(f"{name}: log = {shown(log)} is not true or false")
    if step is not None:
        step = Parameter(None, "", low=0.0, open_low=True).check(f"{name}: step", step)
    prior = parameter.check(f"{name}: {PRIOR}", value[PRIOR]) if PRIOR in value else None
    return _single(_named(name, Range, low, high, log, step, parameter.kind is int, prior))


def _option(
    name: str, value: Mapping[str, Any], choices: Sequence[Value], parameter: Parameter
) -> int | None:
    """Which of the ``choices`` the prior names."""
    if PRIOR not in value:
        return None
    prior = repr(_value(f"{name}: {PRIOR}", value[PRIOR], parameter))
    written = [repr(option) for option in choices]
    if prior not in written:
        raise ValueError(f"{name}: prior = {shown(value[PRIOR])} is not one of its choices")
    return written.index(prior)


def _value(name: str, value: Any, parameter: Parameter) -> Value:
    if value == NONE and parameter.optional:
        return None
    return parameter.check(name, tuple(value) if isinstance(value, list) else value)


def _single(domain: Range | Choice) -> Domain:
    """What leaves nothing to choose is no dimension of a search."""
    if isinstance(domain, Choice):
        return Fixed(domain.options[0]) if len(domain.options) == 1 else domain
    return Fixed(domain.low) if domain.low == domain.high else domain


def _named(name: str, function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
