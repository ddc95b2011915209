"""The search space of one study: parameters, some of them there only under a condition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from spaces.domains import MAX_GRID, Choice, Domain, Encoded, Fixed, Pick, Range
from trainable.catalog import Value


@dataclass(frozen=True)
class Group:
    """The parameters of one owner: the loss, the optimiser, a target or a schedule."""

    owner: str  # its name
    domains: Mapping[str, Domain]  # what each parameter varies over
    condition: tuple[str, str] | None = None
    """(name, value): they exist only while that parameter has that value, a schedule's own only
    under this schedule; None: always."""

    def qualified(self, name: str) -> str:
        """The parameter's name in Optuna: ``lam``, but ``cosine_warm_restarts.t_0``.

        Two branches may have a parameter of one name over different ranges; Optuna must not mix
        them up. The results have the plain name, since only one branch exists in a trial.
        """
        return f"{self.owner}.{name}" if self.condition else name


@dataclass(frozen=True)
class Space:
    """A conditional search space; a group may only depend on parameters of groups before it."""

    groups: tuple[Group, ...]  # in the order in which they are chosen

    def domain(self, name: str) -> Domain:
        """What a parameter that every trial has varies over. Raises KeyError if there is none."""
        return {n: d for g in self.groups if not g.condition for n, d in g.domains.items()}[name]

    def walk(self, pick: Pick) -> dict[str, Value]:
        """One point: fixed values as they are, the others as ``pick`` chooses, in order."""
        values: dict[str, Value] = {}
        for group in self.groups:
            if group.condition and values.get(group.condition[0]) != group.condition[1]:
                continue
            for name, domain in group.domains.items():
                if isinstance(domain, Fixed):
                    values[name] = domain.value
                else:
                    values[name] = pick(name, group.qualified(name), domain)
        return values

    def suggest(
        self, trial: optuna.Trial, given: Mapping[str, Value] = MappingProxyType({})
    ) -> dict[str, Value]:
        """A point suggested by Optuna, as {plain name: value}.

        ``given``: values by qualified name, for which it is not asked.
        """
        return self.walk(
            lambda _, qualified, domain: (
                given[qualified]
                if qualified in given
                else domain.decode(_suggest(trial, qualified, domain.distribution))
            )
        )

    def nearest(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The point of the space closest to ``values``, by qualified or plain name.

        A parameter that ``values`` lack is at its low end.
        """
        return self.walk(
            lambda name, qualified, domain: domain.nearest(values.get(qualified, values.get(name)))
        )

    def at(self, fractions: Mapping[str, float]) -> dict[str, Value]:
        """The point at ``fractions`` in [0, 1), by qualified name, of every varying parameter."""
        return self.walk(lambda _, qualified, domain: domain.at(fractions[qualified]))

    def encode(
        self, values: Mapping[str, Value]
    ) -> tuple[dict[str, Encoded], dict[str, BaseDistribution]]:
        """A point as Optuna's parameters and distributions. Raises KeyError if one is missing."""
        parameters: dict[str, Encoded] = {}
        distributions: dict[str, BaseDistribution] = {}

        def collect(name: str, qualified: str, domain: Range | Choice) -> Value:
            # By its plain name: of two branches that have one of this name a trial has one alone.
            parameters[qualified] = domain.encode(values[name])
            distributions[qualified] = domain.distribution
            return values[name]

        self.walk(collect)
        return parameters, distributions

    def grid(self) -> Iterator[dict[str, Value]]:
        """Every point, first parameter slowest.

        Raises ValueError for a continuous range, and past ``MAX_GRID`` points.
        """
        for number, point in enumerate(_points(self.groups, {})):
            if number == MAX_GRID:
                raise ValueError(f"the grid has more than {MAX_GRID:,} points")
            yield point

    @property
    def priors(self) -> list[str]:
        """The parameters with a prior, by qualified name."""
        return [name for name, domain in self.varies.items() if domain.prior is not None]

    @property
    def varies(self) -> dict[str, Range | Choice]:
        """The parameters that are not fixed, by qualified name."""
        return {
            group.qualified(name): domain
            for group in self.groups
            for name, domain in group.domains.items()
            if not isinstance(domain, Fixed)
        }


def _points(groups: tuple[Group, ...], values: dict[str, Value]) -> Iterator[dict[str, Value]]:
    if not groups:
        yield values
        return
    group, rest = groups[0], groups[1:]
    if group.condition and values.get(group.condition[0]) != group.condition[1]:
        yield from _points(rest, values)
        return
    for chosen in _combinations(list(group.domains.items())):
        yield from _points(rest, {**values, **chosen})


def _combinations(domains: list[tuple[str, Domain]]) -> Iterator[dict[str, Value]]:
    if not domains:
        yield {}
        return
    (name, domain), rest = domains[0], domains[1:]
    try:
        options = (domain.value,) if isinstance(domain, Fixed) else domain.points()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    for value in options:
        for others in _combinations(rest):
            yield {name: value, **others}


def _suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Encoded:
    # Through suggest_…, not from the sampler: so a trial has it on record as Optuna's own do.
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    d = distribution
    suggest = trial.suggest_int if isinstance(d, IntDistribution) else trial.suggest_float
    value: Encoded = suggest(name, d.low, d.high, step=d.step, log=d.log)  # type: ignore[attr-defined]
    return value
