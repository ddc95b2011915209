"""``[data]`` and ``[[noise]]``: tables that stand for one or several settings.

A table names several data sets, or one kind of noise at several rates; the classes that check it
are those of a trial's config, so an option is written down once.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, TypeAlias

from pydantic import PlainSerializer, PlainValidator

from trainable.data import DataConfig, OwnData, data_class, make_data
from trainable.noise import NOISE_KINDS, Noise, make_noise
from trainable.wording import check_known, named, shown


def listed(value: Any) -> Any:
    """A single value as a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def _read_data(table: Any) -> tuple[DataConfig, ...]:
    if isinstance(table, tuple):
        return table
    options = _mapping(table, "[data]")
    # Popped: what is left are the options, checked by the class of each data set.
    names = listed(options.pop("name", "digits"))
    if not names:
        raise ValueError("name = [] needs at least one entry")
    known = [option.name for name in names for option in fields(data_class(name))]
    foreign = {option.name for option in fields(OwnData)}
    check_known("key", [key for key in options if key not in foreign], known)
    return tuple(make_data(name, **options) for name in names)


def _write_data(data: tuple[DataConfig, ...]) -> dict[str, Any]:
    return {**_given(data[0]), "name": [config.name for config in data]}


def _read_noise(table: Any) -> tuple[Noise, ...]:
    if isinstance(table, tuple):
        return table
    options = _mapping(table, "[[noise]]")
    if "kind" not in options:
        raise ValueError(f"kind is missing: one of {', '.join(NOISE_KINDS)}")
    kind, rates = options.pop("kind"), options.pop("rates", [])
    own = named("noise kind", kind, NOISE_KINDS)
    if not isinstance(rates, list):
        raise ValueError(f"rates = {shown(rates)} is not a list such as [0.2, 0.4]")
    rated = own.rated
    if rated and not rates:
        raise ValueError(f"noise kind {kind!r} needs rates, such as rates = [0.2, 0.4]")
    if rates and not rated:
        raise ValueError(f"noise kind {kind!r} takes no rates: leave them out")
    # An option of another kind likewise, from make_noise.
    foreign = {name for cls in NOISE_KINDS.values() for name in cls.options()}
    valid = ["kind", *(["rates"] if rated else []), *own.options()]
    check_known("key", [key for key in options if key not in foreign], valid)
    return tuple(make_noise(kind, rate, **options) for rate in rates or [0.0])


def _write_noise(noises: tuple[Noise, ...]) -> dict[str, Any]:
    table = _given(noises[0])
    del table["rate"]
    return table | ({"rates": [noise.rate for noise in noises]} if noises[0].rated else {})


def _mapping(table: Any, header: str) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ValueError(f"{shown(table)} is not a table: write {header}")
    return {str(key): value for key, value in table.items()}


def _given(config: Any) -> dict[str, Any]:
    """What a config says; TOML has no word for None."""
    return {name: value for name, value in asdict(config).items() if value is not None}


DataTable: TypeAlias = Annotated[
    tuple[DataConfig, ...], PlainValidator(_read_data), PlainSerializer(_write_data)
]
"""``[data]``: a config for every data set that it names, all with its options."""

NoiseTable: TypeAlias = Annotated[
    tuple[Noise, ...], PlainValidator(_read_noise), PlainSerializer(_write_noise)
]
"""A ``[[noise]]``: one kind at each of its rates, all with its options."""
