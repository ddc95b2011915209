"""What a hyperparameter is: its reference value, its valid range, and the entry it belongs to."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = bool | int | float | str | tuple[int, ...] | None

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What may become part of a file name: no separator, nothing hidden, not too long."""

LARGEST = 2**53
"""Largest size of a number: up to here floats, and every file format, hold whole ones exactly."""


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter: its reference value and what values make sense.

    ``low`` and ``high`` are inclusive unless ``open_low`` / ``open_high``; ``options`` lists the
    values of a categorical one. ``kind`` is the Python type, ``tuple`` standing for whole numbers.
    """

    default: Value
    meaning: str
    kind: type = float
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    options: tuple[Value, ...] | None = None
    optional: bool = False

    @property
    def valid(self) -> str:
        """The rule in words, for messages: ``a number in [0, 1)``."""
        if self.options is not None:
            return "one of " + ", ".join(map(str, self.options))
        if self.kind is tuple:
            return "an increasing list of whole numbers above 0"
        noun = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}[
            self.kind
        ]
        if self.kind in (bool, str):
            return noun
        left = "(" if self.open_low or self.low is None else "["
        right = ")" if self.open_high or self.high is None else "]"
        low = "-inf" if self.low is None else f"{self.low:g}"
        high = "inf" if self.high is None else f"{self.high:g}"
        return f"{noun} in {left}{low}, {high}{right}"

    def check(self, name: str, value: Value) -> Value:
        """Return ``value`` in its own type. Raises ValueError naming value and rule."""
        error = ValueError(f"{name} = {shown(value)} is not {self.valid}")
        if value is None:
            if self.optional:
                return None
            raise error
        if self.options is not None:
            if value not in self.options:
                raise ValueError(unknown(name, value, map(str, self.options)))
            return value
        if self.kind is tuple:
            return self._check_tuple(value, error)
        if self.kind in (bool, str):
            if not isinstance(value, self.kind):
                raise error
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise error
        if not -LARGEST <= value <= LARGEST:
            raise ValueError(f"{name} = {shown(value)} is not a finite number below 2^53")
        if not self._inside(value):
            raise error
        if self.kind is int and value != int(value):
            raise error
        return int(value) if self.kind is int else float(value)

    def _inside(self, value: float) -> bool:
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below

    @staticmethod
    def _check_tuple(value: Value, error: ValueError) -> tuple[int, ...]:
        if not isinstance(value, tuple | list) or not value:
            raise error
        whole = all(
            isinstance(v, int) and not isinstance(v, bool) and 0 < v <= LARGEST for v in value
        )
        if not whole or list(value) != sorted(set(value)):
            raise error
        return tuple(value)


@dataclass(frozen=True)
class Entry:
    """One named member of a table: what it is, where it comes from, what it takes.

    ``revision`` counts what the name has stood for: a trial of an earlier one is another trial.
    """

    summary: str
    source: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    revision: int = 1

    def complete(self, owner: str, given: Mapping[str, Value]) -> dict[str, Value]:
        """Defaults overlaid with ``given``, each checked. Raises ValueError on a bad one."""
        for name in given:
            if name not in self.parameters:
                raise ValueError(unknown(f"parameter of {owner}", name, self.parameters))
        return {
            name: parameter.check(name, given[name]) if name in given else parameter.default
            for name, parameter in self.parameters.items()
        }


def unknown(what: str, name: object, valid: Iterable[str]) -> str:
    """The message for an unknown name: ``unknown loss 'elrr': did you mean 'elr'? valid: …``."""
    names = list(valid)
    near = difflib.get_close_matches(shown(name).strip("'\""), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {what} {shown(name)}: {hint}valid: {', '.join(names) or 'none'}"


def shown(value: object) -> str:
    """``value`` as a message shows it: on one line, and cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out whole numbers of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:79]}…"
