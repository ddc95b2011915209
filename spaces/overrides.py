"""Reading ``[space]``: ranges, choices and fixed values that a sweep puts over its preset.

A name stands for the parameter of every owner in the sweep that has it; a table named after an
owner (a loss, a target, a schedule or ``optimiser``) speaks for that owner alone::

    [space]
    preset = "default"
    lam = { low = 0.5, high = 10.0, log = true }
    lr_schedule = { choice = ["multistep", "cosine"] }
    [space.multistep]
    gamma = 0.1
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spaces.domains import Choice, Domain, Fixed, Range
from spaces.presets import OPTIMISER_OWNER, PRESETS, Domains, owners
from trainable.catalog import (
    LOSSES,
    OPTIMISER,
    SCHEDULES,
    TARGETS,
    Parameter,
    Value,
    unknown,
)

_RANGE_KEYS = ("low", "high", "log", "step")


def parse_space(table: Mapping[str, Any], losses: Sequence[str], preset: str) -> Domains:
    """``[space]`` without its ``preset`` key, as domains by owner.

    Raises ValueError for a name that nothing in the sweep has, a value out of its range, a range
    upside down, or a name that means different things for two losses of the sweep.
    """
    every = {owner: p for loss in losses for owner, p in owners(loss).items()}
    scoped = {k: v for k, v in table.items() if k in every and isinstance(v, Mapping)}
    plain = {k: v for k, v in table.items() if k not in scoped}
    active = _active(every, plain, scoped, losses, preset)
    result: dict[str, dict[str, Domain]] = {owner: {} for owner in active}
    for name, value in plain.items():
        for owner in _owners_of(name, active, every):
            result[owner][name] = parse_domain(name, value, active[owner][name])
    for owner, values in scoped.items():
        if owner not in active:
            raise ValueError(f"[space.{owner}]: no study of this sweep uses {owner!r}")
        for name, value in values.items():
            if name not in active[owner]:
                raise ValueError(unknown(f"parameter of {owner}", name, active[owner]))
            result[owner][name] = parse_domain(f"{owner}.{name}", value, active[owner][name])
    return result


def parse_domain(name: str, value: Any, parameter: Parameter) -> Domain:
    """One entry: a fixed value, ``{ low, high, log, step }`` or ``{ choice = […] }``."""
    if not isinstance(value, Mapping):
        return Fixed(parameter.check(name, _tupled(value)))
    if "choice" in value:
        _only(name, value, ("choice",))
        if not isinstance(value["choice"], list | tuple):
            raise ValueError(f"{name}: choice = {value['choice']!r} is not a list")
        options = tuple(parameter.check(name, _tupled(option)) for option in value["choice"])
        return _named(name, Choice, options)
    _only(name, value, _RANGE_KEYS)
    if not {"low", "high"} <= set(value):
        raise ValueError(f"{name}: a range needs low and high, or write {{ choice = […] }}")
    if parameter.kind not in (int, float) or parameter.options is not None:
        raise ValueError(f"{name}: a range makes no sense for {parameter.valid}; use choice = […]")
    low, high = (parameter.check(name, value[key]) for key in ("low", "high"))
    log, step = value.get("log", False), value.get("step")
    if not isinstance(log, bool):
        raise ValueError(f"{name}: log = {log!r} is not true or false")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float)):
        raise ValueError(f"{name}: step = {step!r} is not a number")
    return _named(name, Range, low, high, log, step, parameter.kind is int)


def _active(
    every: Mapping[str, Mapping[str, Parameter]],
    plain: Mapping[str, Any],
    scoped: Mapping[str, Any],
    losses: Sequence[str],
    preset: str,
) -> dict[str, Mapping[str, Parameter]]:
    """The owners that a trial of this sweep can have: not every target, not every schedule."""
    branches: set[str] = set()
    if preset not in PRESETS:
        raise ValueError(unknown("preset", preset, PRESETS))
    for owner, name in [(OPTIMISER_OWNER, "lr_schedule"), *((loss, "target") for loss in losses)]:
        if name not in every[owner]:
            continue
        parameter = every[owner][name]
        given = scoped.get(owner, {}).get(name, plain.get(name))
        default = PRESETS[preset].domains.get(owner, {}).get(name, Fixed(parameter.default))
        domain = default if given is None else parse_domain(name, given, parameter)
        options = domain.options if isinstance(domain, Choice) else (domain.value,)  # type: ignore[union-attr]
        branches |= set(map(str, options))
    always = {OPTIMISER_OWNER, *losses}
    return {o: p for o, p in every.items() if o in always | branches}


def _owners_of(
    name: str,
    active: Mapping[str, Mapping[str, Parameter]],
    every: Mapping[str, Mapping[str, Parameter]],
) -> list[str]:
    found = [owner for owner, parameters in active.items() if name in parameters]
    if not found:
        idle = [owner for owner, parameters in every.items() if name in parameters]
        if idle:
            raise ValueError(
                f"{name} belongs to {' and '.join(idle)}, which this sweep never uses"
            )
        known = [n for parameters in active.values() for n in parameters]
        everywhere = {
            n
            for e in (*LOSSES.values(), *TARGETS.values(), *SCHEDULES.values(), OPTIMISER)
            for n in e.parameters
        }
        if name in everywhere:
            raise ValueError(f"{name}: no loss of this sweep has this parameter")
        raise ValueError(unknown("parameter", name, dict.fromkeys(known)))
    meanings = {active[owner][name].meaning for owner in found if owner in LOSSES}
    if len(meanings) > 1:
        tables = " or ".join(f"[space.{owner}]" for owner in found if owner in LOSSES)
        raise ValueError(f"{name} means different things here; write it under {tables}")
    return found


def _only(name: str, value: Mapping[str, Any], valid: Sequence[str]) -> None:
    for key in value:
        if key not in valid:
            raise ValueError(f"{name}: {unknown('key', key, valid)}")


def _named(name: str, kind: type[Choice] | type[Range], *arguments: Any) -> Domain:
    try:
        return kind(*arguments)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _tupled(value: Any) -> Value:
    return tuple(value) if isinstance(value, list) else value
