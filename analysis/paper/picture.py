"""One figure of Plotly's as a picture for a paper: its size, axes, legend, and the file."""

import base64
import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import plotly.graph_objects as go
from fontTools import subset
from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from analysis.paper.axes import Scale
from analysis.paper.marks import PIXEL, NoPaperFormError, dashes, words
from analysis.paper.traces import Panel, draw, group
from analysis.report.style import FAINT, INK, LOST

COLUMNS = {1: 336, 2: 696}
"""Widths of one and of two columns of a paper, in CSS pixels: 3.5 and 7.25 inches."""
PIXELS_PER_INCH = 96
PNG_SCALE = 4
"""Dots of a PNG in a CSS pixel."""
FONT = "DejaVu Sans"
"""matplotlib brings it: a file looks the same wherever it is made."""
STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 7.5,
    "text.parse_math": False,
    "text.color": INK.light,
    "axes.labelcolor": INK.light,
    "axes.edgecolor": FAINT.light,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.xmargin": 0.03,
    "axes.formatter.useoffset": False,
    "grid.color": "#e7eaee",
    "grid.linewidth": 0.6,
    "xtick.color": FAINT.light,
    "ytick.color": FAINT.light,
    "xtick.labelcolor": INK.light,
    "ytick.labelcolor": INK.light,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handlelength": 2.4,
    "legend.borderpad": 0,
    "hatch.linewidth": 0.6,
    "lines.scale_dashes": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "elr-tune",
}


def picture(
    plot: go.Figure, height: int, how: str, columns: int = 1, alerts: Sequence[str] = ()
) -> bytes:
    """The file of a figure: on white, its fonts embedded, the same bytes for the same figure.

    Args:
        plot: a figure of the report.
        height: of the figure without its legend, in CSS pixels.
        how: ``pdf``, ``svg`` or ``png``.
        columns: of a paper, 1 or 2.
        alerts: what a reader must not miss, a line each below the figure, which grows by them.

    Raises:
        NoPaperFormError: the figure has something that is not drawn on paper.
    """
    figure, sink = drawn(plot, height, columns, alerts), BytesIO()
    with mpl.rc_context(STYLE):
        # A date would make other bytes each time.
        undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(how)
        figure.savefig(sink, format=how, dpi=PNG_SCALE * PIXELS_PER_INCH, metadata=undated)
    data = sink.getvalue()
    return _with_font(data.decode()).encode() if how == "svg" else data


@mpl.rc_context(STYLE)
def drawn(plot: go.Figure, height: int, columns: int = 1, alerts: Sequence[str] = ()) -> Figure:
    """The figure as matplotlib has it; arguments as of :func:`picture`.

    It is changed and saved inside ``matplotlib.rc_context(STYLE)``, as :func:`picture` does:
    matplotlib looks up its settings again when it draws.
    """
    size = (COLUMNS[columns] / PIXELS_PER_INCH, height / PIXELS_PER_INCH)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    # A figure made without pyplot has no canvas that could measure its texts.
    FigureCanvasAgg(figure)
    panels = _panels(plot, figure)
    entries = []
    # Above the grid and the lines of shapes, which are at 2 and below.
    for order, trace in enumerate(plot.data, start=3):
        shown = draw(panels[_axes_of(trace)], trace, order)
        if trace.name and trace.showlegend is not False and shown is not None:
            entries.append((trace.legendrank or 0, words(trace.name), shown))
    for panel in panels.values():
        panel.x.apply(panel.axes, "x")
        panel.y.apply(panel.axes, "y")
    for shape in plot.layout.shapes:
        _upright_line(panels["x", "y"], shape)
    for note in plot.layout.annotations:
        _note(panels["x", "y"], note)
    entries.sort(key=lambda entry: entry[0])
    if entries and plot.layout.showlegend is not False:
        _legend(figure, [(name, shown) for _, name, shown in entries])
    # Numbers along an axis are thinned by matplotlib itself, names are not.
    if panels["x", "y"].x.names:
        _turn_long_names(figure, panels["x", "y"].axes)
    if alerts:
        _foot(figure, alerts)
    return figure


def _axes_of(trace: Any) -> tuple[str, str]:
    return trace.xaxis or "x", trace.yaxis or "y"


def _panels(plot: go.Figure, figure: Figure) -> dict[tuple[str, str], Panel]:
    """What the traces are drawn on: one pair of axes, and others that lie over it."""
    layout = plot.layout
    if any(not hasattr(trace, "xaxis") for trace in plot.data):
        kinds = sorted({trace.type for trace in plot.data if not hasattr(trace, "xaxis")})
        raise NoPaperFormError(f"a trace of type {', '.join(kinds)}")
    scales = {
        name: Scale(layout[f"{name[0]}axis{name[1:]}"], _values(plot.data, name))
        for name in {"x", "y", *(name for trace in plot.data for name in _axes_of(trace))}
    }
    main = figure.add_subplot()
    panels = {}
    for x, y in {("x", "y"), *map(_axes_of, plot.data)}:
        panels[x, y] = Panel(figure, _over(main, scales, x, y), scales[x], scales[y])
        _side_by_side(panels[x, y], layout, [t for t in plot.data if _axes_of(t) == (x, y)])
    return panels


def _over(main: Axes, scales: dict[str, Scale], x: str, y: str) -> Axes:
    """The main axes, or others on the same place with one axis of their own."""
    if (x, y) == ("x", "y"):
        return main
    own = [name for name in (x, y) if name not in ("x", "y")]
    if len(own) > 1 or scales[own[0]].settings.overlaying is None:
        raise NoPaperFormError("several panels")
    over = main.twiny() if own[0] == x else main.twinx()
    # One grid is enough.
    over.grid(visible=False)
    return over


def _values(traces: Iterable[Any], name: str) -> list[Any]:
    """All that is drawn on an axis."""
    values: list[Any] = []
    for trace in traces:
        if name in _axes_of(trace):
            given = trace[name[0]]
            values += [] if given is None else list(given)
    return values


def _side_by_side(panel: Panel, layout: Any, traces: list[Any]) -> None:
    """Bars beside or on each other, and points beside each other."""
    bars = [trace for trace in traces if trace.type == "bar"]
    gap = layout.bargap if bars else layout.scattergap
    panel.room = 1 - (0.2 if gap is None else gap)
    panel.stacked = layout.barmode in ("stack", "relative")
    beside = bars or (traces if layout.scattermode == "group" else [])
    beside = [trace for trace in beside if trace.type == "bar" or trace.orientation]
    panel.groups = list(dict.fromkeys(group(trace) for trace in beside))


def _upright_line(panel: Panel, shape: Any) -> None:
    """A line from the lower to the upper edge, as Plotly's ``add_vline`` puts it there."""
    if (shape.type, shape.yref) != ("line", "y domain"):
        raise NoPaperFormError(f"a shape of type {shape.type}")
    (x,), line = panel.x.at([shape.x0]), shape.line
    style = {"linewidth": PIXEL * line.width, "linestyle": dashes(line.dash, line.width)}
    panel.axes.axvline(x, color=to_rgba(line.color), zorder=2, **style)


def _note(panel: Panel, note: Any) -> None:
    (x,), (y,) = panel.x.at([note.x]), panel.y.at([note.y])
    panel.axes.annotate(
        words(note.text),
        (x, y),
        xytext=(PIXEL * (note.xshift or 0), 0),
        textcoords="offset points",
        ha=note.xanchor or "center",
        va="bottom" if note.yanchor == "bottom" else "center",
        rotation=-(note.textangle or 0),  # Plotly turns clockwise
        color=to_rgba(note.font.color or INK.light),
        zorder=1000,
        annotation_clip=False,
    )


def _legend(figure: Figure, entries: list[tuple[str, Any]]) -> None:
    """Above the axes, in as many columns as the width has room for; the figure grows by it."""
    names, shown = zip(*entries, strict=True)
    width, height = figure.get_size_inches()
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(shown, names, loc="outside upper left", ncols=columns)
        extent = legend.get_window_extent()
        if extent.width <= figure.bbox.width or columns == 1:
            figure.set_size_inches(width, height + extent.height / figure.dpi)
            return
        # Too wide: one column fewer.
        legend.remove()


def _foot(figure: Figure, alerts: Sequence[str]) -> None:
    """Below everything, in lines as wide as the figure, which grows by them."""
    style = {"x": 0.01, "ha": "left", "fontsize": 6.5, "color": LOST.light}
    shown = figure.supxlabel("\n".join(alerts), wrap=True, **style)
    width, height = figure.get_size_inches()
    padding = 2 * mpl.rcParams["figure.constrained_layout.h_pad"]
    taken = shown.get_window_extent().height / figure.dpi + padding
    figure.set_size_inches(width, height + taken)


def _turn_long_names(figure: Figure, axes: Axes) -> None:
    """Names below the axes that would run into each other stand upright."""
    # Only now is it known where the names lie.
    figure.draw_without_rendering()
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    if any(a.x1 > b.x0 for a, b in pairwise(boxes) if a.x0 < b.x0):
        axes.tick_params(axis="x", labelrotation=90)


def _with_font(svg: str) -> str:
    """The picture with those characters of its font that it writes."""
    # The time of writing would make other bytes each time.
    font = TTFont(font_manager.findfont(FONT), recalcTimestamp=False)
    options = subset.Options()
    options.drop_tables += ["FFTM", "GDEF", "GPOS", "GSUB"]  # slow, and not needed for labels
    subsetter = subset.Subsetter(options)
    subsetter.populate(text="".join(re.findall(r"<text[^>]*>([^<]*)", svg)))
    subsetter.subset(font)
    font.flavor = "woff"
    sink = BytesIO()
    font.save(sink)
    data = base64.b64encode(sink.getvalue()).decode()
    face = f"@font-face{{font-family:'{FONT}';src:url(data:font/woff;base64,{data})}}"
    return svg.replace('<style type="text/css">', f'<style type="text/css">{face}', 1)
