"""A figure's legend for the page: it folds there, where Plotly's would push the figure down."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from analysis.report.style import dark_colours

SYMBOLS: dict[str, str] = {
    "circle": "M15 1.5a4.5 4.5 0 1 0 .01 0z",
    "square": "M10.5 1.5h9v9h-9z",
    "diamond": "M15 0l5 6-5 6-5-6z",
    "triangle-up": "M15 1l5 9.5h-10z",
    "triangle-down": "M15 11l5-9.5h-10z",
    "cross": "M13 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "x": "M12 1l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z",
    "x-thin": "M12 3l6 6m0-6l-6 6",
    "star": "M15 0l1.6 4.2 4.4.2-3.4 2.8 1.2 4.3-3.8-2.4-3.8 2.4 1.2-4.3L9 4.4l4.4-.2z",
    "pentagon": "M15 .5l5.2 3.8-2 6.2h-6.4l-2-6.2z",
    "hexagram": "M15 0l5 9h-10zM15 12l5-9h-10z",
    "hourglass": "M10.5 1h9l-9 10h9z",
    "bowtie": "M10 1.5v9l10-9v9z",
}
"""Outlines of the markers, in a box 30 wide and 12 high."""

DASHES: dict[str, str] = {
    "solid": "",
    "dot": "2 3",
    "dash": "7 4",
    "longdash": "11 4",
    "dashdot": "7 3 2 3",
    "longdashdot": "11 3 2 3",
}
BAR = '<path d="M3 1h24v10h-24z" fill="{}" stroke="currentColor"/>'
PATTERNS: dict[str, str] = {
    "/": '<path d="M7 11l10-10M14 11l10-10" stroke="currentColor" stroke-width="2"/>',
    "x": '<path d="M5 1l10 10M15 1l10 10M5 11l10-10M15 11l10-10" stroke="currentColor"/>',
}
"""What fills a bar that is not plain."""


@dataclass(frozen=True)
class Swatch:
    """A picture of 30 by 12 pixels."""

    shapes: Markup  # SVG, in ``currentColor``
    light: str  # its colour on a light page
    dark: str  # its colour on a dark page


def legend(plot: go.Figure) -> list[tuple[Markup, Swatch]]:
    """The name of each named trace, which is HTML in Plotly, and how it is drawn."""
    if plot.layout.showlegend is False:
        return []
    named = [trace for trace in plot.data if trace.name and trace.showlegend is not False]
    named.sort(key=lambda trace: trace.legendrank or 0)
    return [(Markup(trace.name), _swatch(trace)) for trace in named]


def line(dash: str, width: float) -> str:
    """A line across the box, in a dash of Plotly's."""
    array = DASHES.get(dash, dash.replace("px", ""))
    return (
        f'<path d="M0 6h30" stroke="currentColor" stroke-width="{width}" '
        f'stroke-dasharray="{array}"/>'
    )


def swatch(shapes: str, colour: str) -> Swatch:
    """Shapes in the colour that the page has for ``colour``."""
    return Swatch(Markup(shapes), colour, dark_colours().get(colour, colour))


def _swatch(trace: Any) -> Swatch:
    if trace.type == "bar":
        pattern = trace.marker.pattern
        shapes = BAR.format("none" if pattern.shape else "currentColor")
        shapes += PATTERNS.get(pattern.shape, "")
        return swatch(shapes, pattern.fgcolor if pattern.shape else trace.marker.color)
    shapes = ""
    if "lines" in trace.mode:
        shapes += line(trace.line.dash or "solid", trace.line.width or 2)
    if "markers" in trace.mode:
        shapes += _marker(trace.marker.symbol or "circle")
    return swatch(shapes, trace.line.color or trace.marker.color)


def _marker(symbol: str) -> str:
    fill = "none" if symbol.endswith("open") else "currentColor"
    outline = SYMBOLS[symbol.removesuffix("-open")]
    return f'<path d="{outline}" fill="{fill}" stroke="currentColor"/>'
