"""From a file to a checked SweepSpec, with one clear line for everything that can be wrong."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from spaces.sweep import SweepSpec
from trainable.catalog import shown, unknown
from trainable.wording import own_words

LIMITS = ("hours", "gpu_hours", "when_out")
"""Keys of ``[budget]`` about time."""


MOST_BYTES = 100_000
"""A larger file is no sweep file: somebody has named the wrong one."""
MOST_LINES = 20
"""Mistakes of a sweep file that are told at once."""


class SpecError(ValueError):
    """What is wrong with a sweep file: a line per mistake, each saying where and what is valid."""


def shipped() -> dict[str, str]:
    """The sweeps that come with the package: name -> TOML text."""
    found = [f for f in files("spaces").joinpath("sweeps").iterdir() if f.name.endswith(".toml")]
    return {f.name.removesuffix(".toml"): f.read_text() for f in sorted(found, key=str)}


def load_sweep(
    source: str, overrides: Sequence[str] = (), *, name: str | None = None
) -> SweepSpec:
    """Read a TOML file or a shipped sweep and check it.

    ``overrides`` are ``key=value`` with dotted keys (``budget.trials=4``, ``noise.0.rates=[0.2]``)
    and TOML values, bare words read as text; ``name`` replaces the sweep's name. Raises SpecError.
    """
    return parse_sweep(_read(source), overrides, name=name, where=source)


def _read(source: str) -> str | bytes:
    # A shipped name goes first: a file of yours is told apart by its ".toml".
    if source in shipped():
        return shipped()[source]
    path = Path(source)
    try:
        if path.suffix == ".toml" or path.is_file():
            return path.read_bytes()
        folder = bool(source) and path.is_dir()
    except (OSError, ValueError) as error:
        raise SpecError(f"{source}: cannot be read: {_reason(error)}") from None
    if folder:
        raise SpecError(
            f"{source}: is a folder, not a sweep file; "
            f"to go on with its sweep: python -m search resume {source}"
        )
    raise SpecError(unknown("sweep", source, [*shipped(), "a path to a .toml file"]))


def parse_sweep(
    text: str | bytes,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    where: str = "sweep",
) -> SweepSpec:
    """The same from TOML, a text or the bytes of a file; ``where`` begins a SpecError's lines."""
    if len(text) > MOST_BYTES:
        raise SpecError(f"{where}: has {len(text):,} bytes, a sweep file {MOST_BYTES:,} at most")
    try:
        # Some editors begin a file with a byte order mark, which TOML does not allow.
        table = tomllib.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SpecError(f"{where}: is no text in UTF-8: byte {error.start}") from None
    except (ValueError, RecursionError) as error:  # a thousand brackets nest too deep
        raise SpecError(f"{where}: is not valid TOML: {_why(error)}") from None
    for override in overrides:
        _override(table, override)
    if name is not None:
        table["name"] = name
    return check_sweep(table, where)


def _why(error: Exception) -> str:
    """What TOML's parser says; of a quote without its second one it names only what comes next."""
    text = str(error)
    ends = ("Illegal character '\\n'", "Unterminated string", "Expected \"'")
    if text.startswith(ends):
        return f"a quote is opened and not closed {text[text.rindex('(') :]}"
    return text


def check_sweep(table: Mapping[str, Any], where: str) -> SweepSpec:
    """The sweep of a table as TOML gives it; ``where`` begins a SpecError's lines."""
    try:
        return SweepSpec.model_validate(table)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        lines = [f"{where}: {_explain(e)}" for e in errors[:MOST_LINES]]
        if len(errors) > MOST_LINES:
            lines.append(f"{where}: and {len(errors) - MOST_LINES} mistakes more")
        raise SpecError("\n".join(dict.fromkeys(lines))) from None


def dump_sweep(spec: SweepSpec) -> str:
    """The sweep as TOML with every default written out; ``parse_sweep`` is the inverse."""
    return tomli_w.dumps(spec.model_dump(mode="json", exclude_none=True))


def differences(old: SweepSpec, new: SweepSpec) -> dict[str, str]:
    """What differs between two sweeps but may not between starts: a line by dotted key.

    Resources decide how fast a sweep is, and ``data.root`` and ``labels_file`` where this machine
    has what it reads, not what it finds; ``[deepen]`` and ``[confirm]`` add to what is there, and
    hours say how much of it is run.
    """
    found = differing(_lasting(old), _lasting(new))
    return {key: f"{key}: {one!r} there, {two!r} here" for key, one, two in found}


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Dotted keys of two tables whose values differ, with both; None stands for no value."""
    one, two = flat(old), flat(new)
    there = {key: (one.get(key), two.get(key)) for key in {**one, **two}}
    return [(key, *values) for key, values in there.items() if values[0] != values[1]]


def _lasting(spec: SweepSpec) -> dict[str, Any]:
    """The sweep without what may change."""
    table = spec.model_dump(mode="json", exclude={"resources", "confirm", "deepen"})
    for key in LIMITS:
        table["budget"].pop(key, None)
    for place in ("root", "labels"):
        table["data"].pop(place, None)
    for noise in table["noise"]:
        noise.pop("labels_file", None)
    return table


def flat(table: Any, prefix: str = "") -> dict[str, Any]:
    """The values in a table by dotted keys; of a list of tables, each by its number from 0."""
    if isinstance(table, Mapping):
        items: Any = table.items()
    elif isinstance(table, list) and any(isinstance(entry, Mapping) for entry in table):
        items = enumerate(table)
    else:
        return {prefix: table}
    return {k: v for name, x in items for k, v in flat(x, f"{prefix}.{name}".strip(".")).items()}


def _override(table: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *path, last = key.strip().split(".")
    try:
        if not separator or not all([*path, last]):
            raise ValueError("is not key=value, such as budget.trials=4")
        place: Any = table
        for step in path:
            place = _enter(place, step)
        if isinstance(place, list):
            _enter(place, last)
            place[int(last)] = _parsed(text)
        elif isinstance(place, dict):
            place[last] = _parsed(text)
        else:
            raise ValueError(f"{'.'.join(path)} is not a table")
    except ValueError as error:
        raise SpecError(f"--set {shown(override)[1:-1]}: {error}") from None


def _enter(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.setdefault(step, {})
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    raise ValueError(f"there is no {step!r} to set")


def _parsed(text: str) -> Any:
    """A TOML value; a bare word is a text, so that names need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith(("[", "{", '"', "'")):
            why = _why(error)
            if re.search(r"\b(True|False|None)\b", text):
                raise ValueError(
                    f"is not valid TOML: {why}; true and false are lower case there, and what "
                    "is to be empty is left out"
                ) from None
            raise ValueError(
                f"is not valid TOML: {why}; texts in it need quotes, and the shell needs "
                'quotes around it all: --set \'losses=["ce", "elr"]\''
            ) from None
        return text.strip()


def _explain(error: Any) -> str:
    """One mistake that pydantic found, as ``where: what``."""
    where = ".".join(str(part) for part in error["loc"])
    given = shown(error.get("input"))
    match error["type"]:
        case "value_error":
            message = own_words(error)
        case "extra_forbidden":
            *path, key = error["loc"]
            where = ".".join(map(str, path))
            message = unknown("key", key, _section(SweepSpec, path).model_fields)
        case "missing":
            message = f"is missing{_HINTS.get(where, '')}"
        case "string_pattern_mismatch":
            message = f"{given} is not a name of letters, digits, '.', '_' and '-', at most 100"
        case "too_short":
            message = f"{given} needs at least one entry"
        case "list_type":
            message = f"{given} is not a list{_HINTS.get(where, '')}"
        case "dict_type" | "model_type":
            table = "[[noise]]" if where.startswith("noise") else f"[{where}]"
            message = f"{given} is not a table: write {table}"
        case _:
            reason = own_words(error).removeprefix("Input should be ")
            message = f"{given} is not {reason}"
    return f"{where}: {message}" if where else message


_HINTS = {"noise": ": write a table [[noise]] with a kind, in double brackets"}


def _section(model: type[BaseModel], path: Sequence[Any]) -> type[BaseModel]:
    """The model that describes the table at ``path``."""
    for step in path:
        if isinstance(step, str):
            # An optional table is a union with None: the model is the class in it.
            annotation = model.model_fields[step].annotation
            model = next(a for a in (*get_args(annotation), annotation) if isinstance(a, type))
    return model


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
