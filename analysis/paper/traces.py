"""How each kind of trace is drawn on paper: a function for each, in ``KINDS``."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.paper.axes import Floats, Scale
from analysis.paper.marks import (
    PIXEL,
    NoPaperFormError,
    Rgba,
    colour,
    colour_map,
    dashes,
    symbol,
    words,
)

MARKER, LINE = 6, 2
"""Plotly's sizes in pixels where a trace does not say them."""
STEPS = {"hv": "steps-post", "vh": "steps-pre", "hvh": "steps-mid"}
HATCHES = {"/": "////", "\\": "\\\\\\\\", "x": "xxxx", "-": "----", "|": "||||", ".": "...."}


@dataclass
class Panel:
    """The axes that a trace is drawn on."""

    figure: Figure  # what has the axes
    axes: Axes  # where it is drawn
    x: Scale  # what lies where across
    y: Scale  # what lies where upwards
    groups: Sequence[str] = ()
    """The traces that stand side by side, as ``offsetgroup`` tells them apart."""
    room: float = 0.8  # share of the distance between two places that a group fills
    stacked: bool = False  # whether bars stand on each other
    heights: dict[tuple[float, bool], float] = field(default_factory=lambda: defaultdict(float))
    """How high the stacks are by place, below and above zero."""

    def shift(self, trace: Any) -> float:
        """How far from its place a trace lies that stands beside others."""
        if not self.groups:
            return 0.0
        rank = self.groups.index(group(trace))
        return (rank - (len(self.groups) - 1) / 2) * self.room / len(self.groups)


def group(trace: Any) -> str:
    """The name of those that a trace shares its place with."""
    return str(trace.offsetgroup or trace.uid or id(trace))


def draw(panel: Panel, trace: Any, order: int) -> Any:
    """Draw a trace over those of a lower ``order``; returns what a legend shows of it."""
    if trace.type not in KINDS:
        raise NoPaperFormError(f"a trace of type {trace.type}")
    return KINDS[trace.type](panel, trace, order)


def _scatter(panel: Panel, trace: Any, order: int) -> Any:
    x, y = panel.x.at(trace.x or ()), panel.y.at(trace.y or ())
    if trace.orientation == "h":
        y = y + panel.shift(trace)
    elif trace.orientation == "v":
        x = x + panel.shift(trace)
    mode = trace.mode or "lines+markers"
    shown = Line2D([], [], color="none")
    if trace.fill not in (None, "none"):
        return _filled(panel, trace, (x, y), order)
    if "lines" in mode:
        width = LINE if trace.line.width is None else trace.line.width
        style = {
            "color": colour(trace.line.color, trace.opacity),
            "linewidth": PIXEL * width,
            "linestyle": dashes(trace.line.dash, width),
            "zorder": order,
        }
        (shown,) = panel.axes.plot(x, y, drawstyle=STEPS.get(trace.line.shape), **style)
    _errors(panel, trace, (x, y), order)
    if "markers" in mode:
        dots = _dots(panel, trace, (x, y), order)
        shown = _with_marker(shown, trace, dots)
    if "text" in mode:
        _texts(panel, trace, (x, y), order)
    return shown


def _filled(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> Any:
    """A band: the outline goes there and back."""
    if trace.fill != "toself":
        raise NoPaperFormError(f"fill {trace.fill}")
    style: dict[str, Any] = {"color": colour(trace.fillcolor, trace.opacity), "linewidth": 0}
    panel.axes.fill(*points, zorder=order, **style)
    return Patch(**style)


def _errors(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> None:
    for name, bar in (("xerr", trace.error_x), ("yerr", trace.error_y)):
        if bar.array is None or bar.visible is False:
            continue
        upper = np.array(bar.array, dtype=np.float64)
        lower = upper if bar.arrayminus is None else np.array(bar.arrayminus, dtype=np.float64)
        width = PIXEL * (bar.thickness or LINE)
        style: dict[str, Any] = {
            name: [lower, upper],
            "ecolor": colour(bar.color or trace.marker.color or trace.line.color),
            "elinewidth": width,
            "capthick": width,
            "capsize": PIXEL * (MARKER if bar.width is None else bar.width),
        }
        panel.axes.errorbar(*points, fmt="none", zorder=order, **style)


def _dots(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> PathCollection:
    marker = trace.marker
    shape, filled = symbol(marker.symbol)
    sizes = np.array(MARKER if marker.size is None else marker.size, dtype=np.float64)
    opacity = np.prod([v for v in (trace.opacity, marker.opacity) if v is not None])
    settings: dict[str, Any] = {"s": (PIXEL * sizes) ** 2, "marker": shape, "zorder": order}
    if _is_number(marker.color):
        settings |= {"c": np.array(marker.color, dtype=np.float64), "alpha": float(opacity)}
        settings |= {
            "cmap": colour_map(marker.colorscale),
            "vmin": marker.cmin,
            "vmax": marker.cmax,
        }
        inside: Any = None
    else:
        inside = _colours(marker.color, float(opacity))
    edge = inside if marker.line.color is None else colour(marker.line.color)
    width = PIXEL * (marker.line.width or (0 if filled else 1))
    if isinstance(shape, str) and shape in "|_x":
        settings |= {"color": edge, "linewidths": max(width, PIXEL)}
    elif filled:
        settings |= {
            "facecolors": inside,
            "edgecolors": edge if width else "none",
            "linewidths": width,
        }
    else:
        settings |= {"facecolors": "none", "edgecolors": edge, "linewidths": width}
    dots = panel.axes.scatter(*points, **{k: v for k, v in settings.items() if v is not None})
    if _is_number(marker.color) and marker.showscale is not False:
        _scale_beside(panel, dots, marker.colorbar)
    return dots


def _is_number(values: Any) -> bool:
    return isinstance(values, tuple | list | np.ndarray) and not isinstance(values[0], str)


def _colours(value: Any, opacity: float) -> Rgba | list[Rgba]:
    return (
        colour(value, opacity) if isinstance(value, str) else [colour(v, opacity) for v in value]
    )


def _scale_beside(panel: Panel, shown: Any, settings: Any) -> None:
    """The scale of a picture's colours, at its right."""
    suffix = words(settings.ticksuffix)
    form = (lambda value, _: f"{value:g}{suffix}") if suffix else None
    side = panel.figure.colorbar(shown, ax=panel.axes, pad=0.02, aspect=30, format=form)
    side.outline.set_visible(False)
    side.set_label(words(settings.title.text))


def _with_marker(line: Line2D, trace: Any, dots: PathCollection) -> Line2D:
    """The line of a legend with the first marker of the trace on it."""
    shape, filled = symbol(trace.marker.symbol)
    edges, faces = (np.asarray(c) for c in (dots.get_edgecolor(), dots.get_facecolor()))
    edge = next((tuple(colours[0]) for colours in (edges, faces) if len(colours)), "none")
    return Line2D(
        [],
        [],
        color=line.get_color(),
        linewidth=line.get_linewidth(),
        linestyle=line.get_linestyle() if line.get_color() != "none" else "none",
        marker=shape,
        markersize=PIXEL * 8,
        markerfacecolor=tuple(faces[0]) if filled and len(faces) else "none",
        markeredgecolor=edge,
        markeredgewidth=float(np.ravel(dots.get_linewidth())[0]),
    )


ALIGNED = {"left": "right", "center": "center", "right": "left"}
RAISED = {"top": "bottom", "middle": "center", "bottom": "top"}


def _texts(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> None:
    up, _, side = (trace.textposition or "middle center").partition(" ")
    texts = [trace.text] * len(points[0]) if isinstance(trace.text, str) else trace.text
    for x, y, text in zip(*points, texts, strict=True):
        place: dict[str, Any] = {"ha": ALIGNED[side], "va": RAISED[up]}
        panel.axes.text(x, y, words(text), zorder=order, clip_on=True, **place)


def _bar(panel: Panel, trace: Any, order: int) -> Any:
    lying = trace.orientation == "h"
    places = (panel.y if lying else panel.x).at(trace.y if lying else trace.x)
    lengths = (panel.x if lying else panel.y).at(trace.x if lying else trace.y)
    groups = 1 if panel.stacked else max(1, len(panel.groups))
    starts = np.zeros(len(places))
    if panel.stacked:
        for i, (place, length) in enumerate(zip(places, np.nan_to_num(lengths), strict=True)):
            starts[i] = panel.heights[place, length < 0]
            panel.heights[place, length < 0] += length
    else:
        places = places + panel.shift(trace)
    thick, style = panel.room / groups, _filling(trace) | {"linewidth": 0, "zorder": order}
    if lying:
        return panel.axes.barh(places, lengths, thick, left=starts, **style)
    return panel.axes.bar(places, lengths, thick, bottom=starts, **style)


def _filling(trace: Any) -> dict[str, Any]:
    """The look of bars; a pattern stands on nothing."""
    pattern = trace.marker.pattern
    if not pattern.shape:
        return {"facecolor": _colours(trace.marker.color, trace.opacity or 1.0)}
    ink = colour(pattern.fgcolor or trace.marker.color)
    return {"facecolor": "none", "edgecolor": ink, "hatch": HATCHES[pattern.shape]}


def _heatmap(panel: Panel, trace: Any, order: int) -> None:
    z = np.array(trace.z, dtype=np.float64)
    rows, columns = z.shape
    x = panel.x.at(range(columns) if trace.x is None else trace.x)
    y = panel.y.at(range(rows) if trace.y is None else trace.y)
    cells = panel.axes.pcolormesh(
        _edges(x),
        _edges(y),
        np.ma.masked_invalid(z),
        cmap=colour_map(trace.colorscale),
        vmin=trace.zmin,
        vmax=trace.zmax,
        edgecolors="white" if trace.xgap or trace.ygap else "none",
        linewidth=PIXEL * max(trace.xgap or 0, trace.ygap or 0),
        zorder=order,
    )
    if trace.texttemplate:
        for row, column in np.argwhere(np.isfinite(z)):
            text = _templated(trace, row, column)
            place: dict[str, Any] = {"ha": "center", "va": "center", "zorder": order}
            dark = np.dot(cells.to_rgba(z[row, column])[:3], (0.3, 0.59, 0.11)) < 0.5
            place["color"] = "white" if dark else "black"
            panel.axes.text(float(x[column]), float(y[row]), text, **place)
    if trace.showscale is not False:
        _scale_beside(panel, cells, trace.colorbar)


def _templated(trace: Any, row: int, column: int) -> str:
    """What is written into a cell: ``%{z:.1f}`` is its value, ``%{text}`` its text."""

    def value(match: re.Match[str]) -> str:
        values = trace[match[1]]
        return format(values[row][column], match[2] or "")

    return words(re.sub(r"%\{(z|text)(?::([^}]*))?\}", value, trace.texttemplate))


def _edges(centres: Floats) -> Floats:
    """Between neighbours, and as far beyond the ends."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    inner = [(a + b) / 2 for a, b in pairwise(centres)]
    return np.array([2 * centres[0] - inner[0], *inner, 2 * centres[-1] - inner[-1]])


def _contour(panel: Panel, trace: Any, order: int) -> None:
    x, y = panel.x.at(trace.x), panel.y.at(trace.y)
    z = np.ma.masked_invalid(np.array(trace.z, dtype=np.float64))
    settings: dict[str, Any] = {"levels": trace.ncontours or 15, "zorder": order}
    scale = colour_map(trace.colorscale)
    shown = panel.axes.contourf(x, y, z, cmap=scale, alpha=trace.opacity, **settings)
    if trace.line.width:
        ink = colour(trace.line.color or "#000000", trace.opacity)
        panel.axes.contour(x, y, z, colors=[ink], linewidths=PIXEL * trace.line.width, **settings)
    if trace.showscale is not False:
        _scale_beside(panel, shown, trace.colorbar)


KINDS: dict[str, Callable[[Panel, Any, int], Any]] = {
    "scatter": _scatter,
    "bar": _bar,
    "heatmap": _heatmap,
    "contour": _contour,
}
"""What draws a trace of each type that has a form on paper."""
