"""Plotly's words, colours, dashes and symbols, as matplotlib has them."""

import html
import re
from typing import Any

from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.path import Path

PIXEL = 0.75
"""Points in a CSS pixel, Plotly's unit of length."""

DASHES: dict[str, tuple[float, ...]] = {
    "dot": (1, 1),
    "dash": (3, 3),
    "longdash": (5, 5),
    "dashdot": (3, 1, 1, 1),
    "longdashdot": (5, 2, 1, 2),
}
"""Lengths on and off, in widths of the line (three pixels of a thinner one)."""

SYMBOLS: dict[str, Any] = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "x": "X",
    "x-thin": "x",
    "star": "*",
    "pentagon": "p",
    "hexagram": (6, 1, 0),
    "hourglass": Path([(-1, 1), (1, 1), (-1, -1), (1, -1), (-1, 1)], closed=True),
    "bowtie": Path([(-1, 1), (-1, -1), (1, 1), (1, -1), (-1, 1)], closed=True),
    "line-ns": "|",
    "line-ew": "_",
}


class NoPaperFormError(Exception):
    """A figure has something that is not drawn on paper; the message says what."""


def words(markup: str | None) -> str:
    """Plotly's text without its markup: ``<br>`` is a new line, ``&lt;`` a sign."""
    lines = re.sub(r"<br\s*/?>", "\n", markup or "")
    return html.unescape(re.sub(r"<[^<>]+>", "", lines))


def colour_map(scale: Any) -> LinearSegmentedColormap:
    """A colour scale of Plotly's: pairs of a place from 0 to 1 and a colour."""
    return LinearSegmentedColormap.from_list("", [(place, to_rgba(c)) for place, c in scale])


def dashes(dash: str | None, width: float) -> Any:
    """A line style for a line ``width`` pixels wide."""
    if dash in (None, "solid"):
        return "solid"
    if dash in DASHES:
        # Plotly scales the dashes of its names with the line, but of thin ones not below 3 pixels.
        lengths = [max(width, 3.0) * length for length in DASHES[dash]]
    else:
        lengths = [float(n) for n in re.findall(r"[\d.]+", str(dash))]
    return (0, tuple(PIXEL * length for length in lengths))


def symbol(name: str | None) -> tuple[Any, bool]:
    """A marker, and whether it is filled."""
    plain = (name or "circle").removesuffix("-open")
    if plain not in SYMBOLS:
        raise NoPaperFormError(f"marker {name!r}")
    return SYMBOLS[plain], plain == name or not name
