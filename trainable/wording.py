"""How messages name what was given, and what would be valid."""

import difflib
from collections.abc import Iterable


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
