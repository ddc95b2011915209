"""Consoles that show text from a results folder, and nothing that a terminal would obey."""

import os
import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and newline: an escape begins with ESC, or with one of C1."""


def disarmed(text: str) -> str:
    """The text with a mark in the place of every control character."""
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


PIPE_WIDTH = 400
"""Columns of what is no terminal: no row of a table is folded there."""


class SafeConsole(Console):
    """A console that prints names and errors as they are, without the escapes hidden in them.

    ``width`` is the terminal's, or :data:`PIPE_WIDTH` where there is none and none is given.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        said = settings.get("width") or os.environ.get("COLUMNS", "").isdigit()
        if not self.is_terminal and not said:
            self.width = PIPE_WIDTH

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """See :class:`rich.console.Console`; what rich itself draws with stays."""
        for segment in super().render(renderable, options):
            # What rich itself asks of the terminal is in control segments; text is never trusted.
            yield segment if segment.control else segment._replace(text=disarmed(segment.text))


def csv_text(table: Any) -> str:
    """A DataFrame as CSV none of whose texts a spreadsheet takes for a formula."""
    return str(table.map(_no_formula).to_csv(index=False))


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # These start a formula, which a spreadsheet would run when the file is opened.
    return "'" * value.startswith(("=", "+", "-", "@", "\t", "\r")) + disarmed(value)
