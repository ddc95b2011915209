"""How messages name what was given, and what would be valid."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def named(what: str, name: object, table: Mapping[str, T]) -> T:
    """The entry of that name. Raises ValueError, which lists the valid names, if there is none."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(unknown(what, name, table))
    return table[name]


def check_known(what: str, names: Iterable[str], valid: Iterable[str]) -> None:
    """Raises ValueError, which lists the valid names, if one of ``names`` is none of them."""
    valid = list(valid)
    for name in names:
        if name not in valid:
            raise ValueError(unknown(what, name, valid))


def unknown(what: str, name: object, valid: Iterable[str]) -> str:
    """The message for an unknown name: ``unknown loss 'elrr': did you mean 'elr'? valid: …``."""
    names = list(valid)
    near = _nearest(shown(name).strip("'\""), names)
    hint = f"did you mean {near}? " if near else ""
    return f"unknown {what} {shown(name)}: {hint}valid: {', '.join(names) or 'none'}"


def own_words(mistake: Mapping[str, Any]) -> str:
    """What a check of ours said, of a mistake as pydantic lists it."""
    return str(mistake["msg"]).removeprefix("Value error, ")


def _nearest(given: str, names: list[str]) -> str:
    """What was meant, by its letters and digits alone: the same, close, or how it begins."""
    # A shell takes a list's quotes away: --set losses=[ce, elr] arrives as one word.
    listed = [name.strip() for name in given.split(",")]
    if len(listed) > 1 and set(listed) <= set(names):
        return "[" + ", ".join(f'"{name}"' for name in listed) + "]"
    # Reversed: of two names with the same letters the first stays.
    plain = {_letters(name): name for name in reversed(names)}
    wanted = _letters(given)
    near = difflib.get_close_matches(wanted, plain, n=1)
    if not near and len(wanted) > 1:
        near = [name for name in reversed(plain) if name.startswith(wanted)][:1]
    return repr(plain[near[0]]) if near else ""


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.casefold())


def shown(value: object) -> str:
    """``value`` as a message shows it: on one line, and cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write out whole numbers of thousands of digits
        return "a number of thousands of digits"
    except RecursionError:
        return "tables in tables, too deep to show"
    return text if len(text) <= 80 else f"{text[:79]}…"
