"""Reading ``[space]``: ranges, choices and fixed values that a sweep puts over its preset.

A name stands for the parameter of every owner in the sweep that has it; a table named after an
owner (a loss, a target, a schedule, a network or ``optimiser``) speaks for that owner alone, and
wins::

    [space]
    preset = "default"
    lam = { low = 0.5, high = 10.0, log = true }
    lr_schedule = { choice = ["multistep", "cosine"] }
    [space.multistep]
    gamma = 0.1
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from spaces.domains import Choice, Domain, Fixed, Range
from spaces.presets import ALL_OWNERS, OPTIMISER_OWNER, PRESETS, Domains, options, owners
from trainable.catalog import Parameter, Value, shown, unknown
from trainable.config import ONE_DECAY

NONE = "none"
"""How a sweep file writes that an optional parameter has no value: TOML has no word for it."""

_RANGE_KEYS = ("low", "high", "log", "step")
_DOMAIN_KEYS = {*_RANGE_KEYS, "choice"}
Owned: TypeAlias = Mapping[str, Mapping[str, Parameter]]
"""Parameters by owner, then by name."""


def parse_space(
    table: Mapping[str, Any], losses: Sequence[str], networks: Sequence[str], preset: str
) -> Domains:
    """``[space]`` without its ``preset`` key, as domains by owner.

    Raises ValueError for a name that nothing in the sweep has, a value out of its range, a range
    upside down, or a name that means different things for two owners in the sweep.
    """
    if preset not in PRESETS:
        raise ValueError(unknown("preset", preset, PRESETS))
    every = {owner: p for loss in losses for owner, p in owners(loss).items()}
    every |= {network: ALL_OWNERS[network] for network in networks}
    scoped = {name: value for name, value in table.items() if name in ALL_OWNERS}
    plain = {name: value for name, value in table.items() if name not in ALL_OWNERS}
    for owner, values in scoped.items():
        if not isinstance(values, Mapping):
            raise ValueError(f"{owner} = {shown(values)} is not a table; write [space.{owner}]")
    branches = _branches(every, plain, scoped, losses, preset)
    used = {OPTIMISER_OWNER, *losses, *networks, *branches}
    active = {owner: parameters for owner, parameters in every.items() if owner in used}
    result: dict[str, dict[str, Domain]] = {owner: {} for owner in active}
    for name, value in plain.items():
        found = {owner: active[owner][name] for owner in _owners_of(name, value, active, every)}
        alike = len({parameter.valid for parameter in found.values()}) == 1
        for owner, parameter in found.items():
            if name in scoped.get(owner, {}):
                continue
            label = name if alike else f"{owner}.{name}"
            result[owner][name] = parse_domain(label, value, parameter)
    for owner, values in scoped.items():
        result.setdefault(owner, {}).update(_parse_scoped(owner, values, active))
    return result


def _parse_scoped(owner: str, values: Mapping[str, Any], active: Owned) -> dict[str, Domain]:
    if owner not in active:
        raise ValueError(f"[space.{owner}]: no study of this sweep uses {owner!r}")
    for name in values:
        if name not in active[owner]:
            if (owner, name) == ("adam_literal", "beta2"):
                raise ValueError(f"{owner}.{name}: {ONE_DECAY}")
            raise ValueError(unknown(f"parameter of {owner}", name, active[owner]))
    return {
        name: parse_domain(f"{owner}.{name}", value, active[owner][name])
        for name, value in values.items()
    }


def parse_domain(name: str, value: Any, parameter: Parameter) -> Domain:
    """One entry: a fixed value, ``{ low, high, log, step }`` or ``{ choice = […] }``."""
    if not isinstance(value, Mapping):
        return Fixed(_value(name, value, parameter))
    if "choice" in value:
        _only(name, value, ("choice",))
        if not isinstance(value["choice"], list | tuple):
            raise ValueError(f"{name}: choice = {shown(value['choice'])} is not a list")
        choices = tuple(_value(name, option, parameter) for option in value["choice"])
        return _single(_named(name, Choice, choices))
    _only(name, value, _RANGE_KEYS)
    if not {"low", "high"} <= set(value):
        raise ValueError(f"{name}: a range needs low and high, or write {{ choice = […] }}")
    if parameter.kind not in (int, float) or parameter.options is not None:
        raise ValueError(f"{name}: a range makes no sense for {parameter.valid}; use choice = […]")
    low, high = (parameter.check(f"{name}: {key}", value[key]) for key in ("low", "high"))
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool):
        raise ValueError(f"{name}: log = {shown(log)} is not true or false")
    if step is not None:
        step = Parameter(None, "", low=0.0, open_low=True).check(f"{name}: step", step)
    return _single(_named(name, Range, low, high, log, step, parameter.kind is int))


def _value(name: str, value: Any, parameter: Parameter) -> Value:
    if value == NONE and parameter.optional:
        return None
    return parameter.check(name, tuple(value) if isinstance(value, list) else value)


def _single(domain: Range | Choice) -> Domain:
    """What leaves nothing to choose is no dimension of a search."""
    if isinstance(domain, Choice):
        return Fixed(domain.options[0]) if len(domain.options) == 1 else domain
    return Fixed(domain.low) if domain.low == domain.high else domain


def _branches(
    every: Owned,
    plain: Mapping[str, Any],
    scoped: Mapping[str, Mapping[str, Any]],
    losses: Sequence[str],
    preset: str,
) -> set[str]:
    """The targets and schedules that a trial of this sweep can have."""
    found: set[str] = set()
    for owner, name in [(OPTIMISER_OWNER, "lr_schedule"), *((loss, "target") for loss in losses)]:
        if name not in every[owner]:
            continue
        parameter = every[owner][name]
        domain = PRESETS[preset].domains.get(owner, {}).get(name, Fixed(parameter.default))
        given = scoped.get(owner, {}).get(name, plain.get(name))
        found |= set(options(domain if given is None else parse_domain(name, given, parameter)))
    return found


def _owners_of(name: str, value: Any, active: Owned, every: Owned) -> list[str]:
    """Who in this sweep has a parameter of this name. Raises ValueError if nobody has."""
    found = [owner for owner, parameters in active.items() if name in parameters]
    if len({active[owner][name].meaning for owner in found}) > 1:
        tables = " or ".join(f"[space.{owner}]" for owner in found)
        raise ValueError(f"{name} means different things here; write it under {tables}")
    if found:
        return found
    idle = [owner for owner, parameters in every.items() if name in parameters]
    if name == "beta2" and "adam_literal" in active:
        raise ValueError(f"{name}: {ONE_DECAY}")
    if idle:
        raise ValueError(f"{name} belongs to {', '.join(idle)}: this sweep never uses it")
    owning = [owner for owner, parameters in ALL_OWNERS.items() if name in parameters]
    if owning:
        raise ValueError(f"{name} belongs to {', '.join(owning)}: nothing in this sweep has it")
    if isinstance(value, Mapping) and not _DOMAIN_KEYS & set(value):
        raise ValueError(unknown("table [space]", name, active))
    known = dict.fromkeys(n for parameters in active.values() for n in parameters)
    raise ValueError(unknown("parameter", name, known))


def _only(name: str, value: Mapping[str, Any], valid: Sequence[str]) -> None:
    for key in value:
        if key not in valid:
            raise ValueError(f"{name}: {unknown('key', key, valid)}")


def _named(name: str, kind: type[Choice] | type[Range], *arguments: Any) -> Range | Choice:
    try:
        return kind(*arguments)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
