"""What a hyperparameter is, and the entry that it belongs to: all of one name in one place."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, TypeAlias

from trainable.wording import check_known, shown, unknown

Value: TypeAlias = bool | int | float | str | tuple[int, ...] | None

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What may become part of a file name: no separator, nothing hidden, not too long."""

Setting: TypeAlias = tuple[Value, int | None]
"""A value, and the budget in epochs that it is set for, if any."""

LARGEST = 2**53
"""Largest size of a number: up to here floats, and every file format, hold whole ones exactly."""


def from_json(values: Mapping[str, Any]) -> dict[str, Value]:
    """Values by parameter as JSON gives them, its lists as the tuples that they were."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def resolved(of: str, field: str, path: str) -> Callable[..., Any]:
    """What ``path``, ``module:name`` in a field of the entry ``of``, leads to; else ValueError."""
    try:
        found: Callable[..., Any] = resolve_name(path)
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"{of!r}: {field} = {path!r} is no module:name: {error}") from error
    return found


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter: its default, what values make sense, and which are worth searching."""

    default: Value  # its value where nobody says otherwise
    meaning: str  # for the docs and messages
    kind: type = float
    """The Python type; ``tuple`` stands for increasing whole numbers."""
    low: float | None = None
    """Smallest valid number, itself valid unless ``open_low``; None: no bound."""
    high: float | None = None  # largest valid number, itself valid unless ``open_high``
    open_low: bool = False  # whether ``low`` itself is invalid
    open_high: bool = False  # whether ``high`` itself is invalid
    options: Collection[Value] | None = None
    """The values of a categorical one: a table of entries stands for the names in it."""
    optional: bool = False
    """Whether it may have no value (None)."""
    in_epochs: bool = False
    """Whether values are epochs of a budget: what a reference sets is scaled to other budgets."""
    search: Mapping[str, Any] | None = None
    """What presets search, in the words of a sweep file: ``{"low": 0.5, "high": 0.95}``,
    ``{"choice": [1, 2]}``; None: nothing."""

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
            if value not in tuple(self.options):
                raise ValueError(unknown(name, value, map(str, self.options)))
            return value
        if self.kind is tuple:
            return self._check_tuple(value, error)
        if self.kind in (bool, str):
            if not isinstance(value, self.kind):
                raise error
            return value
        # To Python True is a 1; in a sweep file it is a mistake.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise error
        # Also refuses NaN and infinity, which TOML can write.
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
class Reference:
    """What one source sets, by parameter: of the entry itself, or of what it is trained with."""

    source: str
    """Who says so; where another source says otherwise, that too."""
    values: Mapping[str, Value]  # what it sets, by parameter
    dataset: str | None = None
    """The data set it is set for; None: any."""
    classes: int | None = None
    """The number of classes it is set for: what was set for CIFAR-100 serves every data set of
    about as many; None: any."""
    noise_kind: str | None = None  # the kind of noise it is set for; None: any
    epochs: int | None = None
    """The budget that values ``in_epochs`` are epochs of."""

    def holds(self, dataset: str, classes: int, noise_kind: str) -> bool:
        """Whether it speaks of this data set, of so many classes, with this kind of noise."""
        asked = ((self.dataset, dataset), (self.classes, classes), (self.noise_kind, noise_kind))
        return all(own is None or own == given for own, given in asked)


@dataclass(frozen=True)
class Entry:
    """One name, and all that is to be said about it: whatever lists names walks the entries."""

    summary: str  # what it is, in a few words
    source: str = ""  # the paper; empty: common knowledge
    parameters: Mapping[str, Parameter] = field(default_factory=dict)  # its own, by name
    references: tuple[Reference, ...] = ()
    """What sources set that is not the default. Of two that hold, the later one counts."""
    build: str = ""
    """``module:name`` of what makes the member, imported when it is first made: entries are read
    on machines without torch."""
    revision: int = 1
    """Counts what the name has stood for: a trial of an earlier one is another trial."""

    def builder(self) -> Callable[..., Any]:
        """What makes the member. Raises ValueError if ``build`` leads to nothing."""
        return resolved(self.summary, "build", self.build)

    def complete(self, owner: str, given: Mapping[str, Value]) -> dict[str, Value]:
        """Defaults overlaid with ``given``, each checked. Raises ValueError on a bad one."""
        check_known(f"parameter of {owner}", given, self.parameters)
        return {
            name: parameter.check(name, given[name]) if name in given else parameter.default
            for name, parameter in self.parameters.items()
        }

    def referenced(self, dataset: str, classes: int, noise_kind: str) -> dict[str, Setting]:
        """What the sources set for a data set and a kind of noise, by parameter."""
        return {
            name: (value, reference.epochs)
            for reference in self.references
            if reference.holds(dataset, classes, noise_kind)
            for name, value in reference.values.items()
        }
