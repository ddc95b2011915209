"""How each kind of trace is drawn on paper: a function for each, in ``KINDS``."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.paper.axes import Scale
from analysis.paper.marks import PIXEL, NoPaperFormError, colour_map, dashes, symbol, words
from trainable.dtypes import Floats

MARKER, LINE, LEVELS = 6, 2, 15
"""Plotly's sizes in pixels and its number of contours, where a trace does not say them."""
STEPS = {"hv": "steps-post"}
"""Plotly's shapes of a line that is not straight, as matplotlib has them."""
HATCHES = {"/": "////", "x": "xxxx"}
"""Plotly's patterns of a bar: matplotlib draws the more lines, the more signs there are."""


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
    ends: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    """How far the stacks reach, by place."""

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
    mode = trace.mode or "lines+markers"
    if "text" in mode:
        raise NoPaperFormError("texts at points")
    if trace.error_y.array is not None:
        raise NoPaperFormError("error bars that stand")
    shown = Line2D([], [], color="none")
    # A band has an outline, of which no line or marker is drawn.
    if trace.fill not in (None, "none"):
        return _filled(panel, trace, (x, y), order)
    if "lines" in mode:
        width = LINE if trace.line.width is None else trace.line.width
        style = {
            "color": to_rgba(trace.line.color, trace.opacity),
            "linewidth": PIXEL * width,
            "linestyle": dashes(trace.line.dash, width),
            "zorder": order,
        }
        (shown,) = panel.axes.plot(x, y, drawstyle=STEPS.get(trace.line.shape), **style)
    _errors(panel, trace, (x, y), order)
    if "markers" in mode:
        dots = _dots(panel, trace, (x, y), order)
        shown = _with_marker(shown, trace, dots)
    return shown


def _filled(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> Any:
    """A band: the outline goes there and back."""
    if trace.fill != "toself":
        raise NoPaperFormError(f"fill {trace.fill}")
    style: dict[str, Any] = {"color": to_rgba(trace.fillcolor, trace.opacity), "linewidth": 0}
    panel.axes.fill(*points, zorder=order, **style)
    return Patch(**style)


def _errors(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> None:
    bar = trace.error_x
    if bar.array is None:
        return
    panel.axes.errorbar(
        *points,
        xerr=np.array(bar.array, dtype=np.float64),
        fmt="none",
        zorder=order,
        ecolor=to_rgba(bar.color),
        elinewidth=PIXEL * bar.thickness,
        capthick=PIXEL * bar.thickness,
        capsize=PIXEL * bar.width,
    )


def _dots(panel: Panel, trace: Any, points: tuple[Floats, Floats], order: int) -> PathCollection:
    marker = trace.marker
    shape, filled = symbol(marker.symbol)
    sizes = np.array(MARKER if marker.size is None else marker.size, dtype=np.float64)
    opacity = np.prod([v for v in (trace.opacity, marker.opacity) if v is not None])
    # Plotly gives diameters in pixels, matplotlib takes areas in points.
    settings: dict[str, Any] = {"s": (PIXEL * sizes) ** 2, "marker": shape, "zorder": order}
    by_value = not isinstance(marker.color, str)
    if by_value:
        settings |= {"c": np.array(marker.color, dtype=np.float64), "alpha": float(opacity)}
        settings["cmap"] = colour_map(marker.colorscale)
        inside: Any = None
    else:
        inside = to_rgba(marker.color, float(opacity))
    edge = inside if marker.line.color is None else to_rgba(marker.line.color)
    width = PIXEL * (marker.line.width or (0 if filled else 1))
    # These markers are lines alone: matplotlib draws them in the colour of an edge, not a face.
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
    if by_value:
        suffix = words(marker.colorbar.ticksuffix)
        form = ticker.FuncFormatter(lambda value, _: f"{value:g}{suffix}")
        side = panel.figure.colorbar(dots, ax=panel.axes, pad=0.02, aspect=30, format=form)
        side.outline.set_visible(False)
    return dots


def _with_marker(line: Line2D, trace: Any, dots: PathCollection) -> Line2D:
    """The line of a legend with the first marker of the trace on it."""
    shape, filled = symbol(trace.marker.symbol)
    edges, faces = (np.asarray(c) for c in (dots.get_edgecolor(), dots.get_facecolor()))
    # Of values in colours there is no edge colour: the first face stands for all.
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


def _bar(panel: Panel, trace: Any, order: int) -> Any:
    if trace.orientation != "h":
        raise NoPaperFormError("a bar that stands")
    places, lengths = panel.y.at(trace.y), panel.x.at(trace.x)
    thick, starts = panel.room, np.zeros(len(places))
    if panel.stacked:
        for i, (place, length) in enumerate(zip(places, np.nan_to_num(lengths), strict=True)):
            starts[i] = panel.ends[place]
            panel.ends[place] += length
    else:
        places, thick = places + panel.shift(trace), panel.room / max(1, len(panel.groups))
    style = _filling(trace) | {"linewidth": 0, "zorder": order}
    return panel.axes.barh(places, lengths, thick, left=starts, **style)


def _filling(trace: Any) -> dict[str, Any]:
    """The look of bars; a pattern stands on nothing."""
    pattern = trace.marker.pattern
    if not pattern.shape:
        return {"facecolor": to_rgba(trace.marker.color)}
    ink, hatch = to_rgba(pattern.fgcolor), HATCHES[pattern.shape]
    return {"facecolor": "none", "edgecolor": ink, "hatch": hatch}


def _heatmap(panel: Panel, trace: Any, order: int) -> None:
    x, y, z = panel.x.at(trace.x), panel.y.at(trace.y), np.array(trace.z, dtype=np.float64)
    panel.axes.pcolormesh(
        _edges(x),
        _edges(y),
        np.ma.masked_invalid(z),
        cmap=colour_map(trace.colorscale),
        # Plotly's gap between cells is a frame around each of them here.
        edgecolors="white" if trace.xgap else "none",
        linewidth=PIXEL * (trace.xgap or 0),
        zorder=order,
    )
    if trace.texttemplate:
        # Plotly's %{z:.0f} is Python's {z:.0f}.
        written = trace.texttemplate.replace("%{", "{")
        for row, column in np.argwhere(np.isfinite(z)):
            text = written.format(z=z[row, column])
            style: dict[str, Any] = {"ha": "center", "va": "center", "color": "black"}
            panel.axes.text(float(x[column]), float(y[row]), text, zorder=order, **style)


def _edges(centres: Floats) -> Floats:
    """Between neighbours, and as far beyond the ends."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    inner = [(a + b) / 2 for a, b in pairwise(centres)]
    return np.array([2 * centres[0] - inner[0], *inner, 2 * centres[-1] - inner[-1]])


def _contour(panel: Panel, trace: Any, order: int) -> None:
    x, y = panel.x.at(trace.x), panel.y.at(trace.y)
    z = np.ma.masked_invalid(np.array(trace.z, dtype=np.float64))
    settings: dict[str, Any] = {"levels": LEVELS, "zorder": order}
    scale, ink = colour_map(trace.colorscale), to_rgba(trace.line.color, trace.opacity)
    panel.axes.contourf(x, y, z, cmap=scale, alpha=trace.opacity, **settings)
    panel.axes.contour(x, y, z, colors=[ink], linewidths=PIXEL * trace.line.width, **settings)


KINDS: dict[str, Callable[[Panel, Any, int], Any]] = {
    "scatter": _scatter,
    "bar": _bar,
    "heatmap": _heatmap,
    "contour": _contour,
}
"""What draws a trace of each type that has a form on paper."""
