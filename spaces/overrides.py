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

from spaces.domains import DOMAIN_KEYS, Domain, Fixed, parse_domain
from spaces.presets import OPTIMISER_OWNER, PRESETS, Domains, all_owners, options, owners
from trainable.catalog import Parameter, shown, unknown
from trainable.wording import check_known

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
    known = all_owners()
    every = {owner: e.parameters for loss in losses for owner, e in owners(loss).items()}
    every |= {network: known[network].parameters for network in networks}
    scoped = {name: value for name, value in table.items() if name in known}
    plain = {name: value for name, value in table.items() if name not in known}
    for owner, values in scoped.items():
        if not isinstance(values, Mapping):
            raise ValueError(f"{owner} = {shown(values)} is not a table; write [space.{owner}]")
    branches = _branches(every, plain, scoped, losses, preset)
    # What no trial can have is refused below, though the sweep's losses know it.
    used = {OPTIMISER_OWNER, *losses, *networks, *branches}
    active = {owner: parameters for owner, parameters in every.items() if owner in used}
    result: dict[str, dict[str, Domain]] = {owner: {} for owner in active}
    for name, value in plain.items():
        found = {owner: active[owner][name] for owner in _owners_of(name, value, active, every)}
        # A message names the owner only where owners allow different values.
        alike = len({parameter.valid for parameter in found.values()}) == 1
        for owner, parameter in found.items():
            # The owner's own table speaks for it.
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
    check_known(f"parameter of {owner}", values, active[owner])
    return {
        name: parse_domain(f"{owner}.{name}", value, active[owner][name])
        for name, value in values.items()
    }


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
        domain = PRESETS[preset].domain(owner, name, parameter) or Fixed(parameter.default)
        given = scoped.get(owner, {}).get(name, plain.get(name))
        found |= set(options(domain if given is None else parse_domain(name, given, parameter)))
    return found


def _owners_of(name: str, value: Any, active: Owned, every: Owned) -> list[str]:
    """Who in this sweep has a parameter of this name. Raises ValueError if nobody has."""
    found = [owner for owner, parameters in active.items() if name in parameters]
    # "beta" of a loss and of a target, say: one range for both would be an accident.
    if len({active[owner][name].meaning for owner in found}) > 1:
        tables = " or ".join(f"[space.{owner}]" for owner in found)
        raise ValueError(f"{name} means different things here; write it under {tables}")
    if found:
        return found
    idle = [owner for owner, parameters in every.items() if name in parameters]
    if idle:
        raise ValueError(f"{name} belongs to {', '.join(idle)}: this sweep never uses it")
    owning = [owner for owner, entry in all_owners().items() if name in entry.parameters]
    if owning:
        raise ValueError(f"{name} belongs to {', '.join(owning)}: nothing in this sweep has it")
    if isinstance(value, Mapping) and not set(DOMAIN_KEYS) & set(value):
        raise ValueError(unknown("table [space]", name, active))
    known = dict.fromkeys(n for parameters in active.values() for n in parameters)
    raise ValueError(unknown("parameter", name, known))
