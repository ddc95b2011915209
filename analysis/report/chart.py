"""What every figure of the report has: a title, words, a table, and one look per loss."""

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.report.style import INK, Look, in_order, looks

TRIALS = "trials"
"""In the ``meta`` of a trace whose ``customdata`` names the trial of each point: the page links
them with all other points of the same trial."""


@dataclass(frozen=True)
class Chart:
    """One figure of the report."""

    title: str  # what tells it from the other charts of its section
    plot: go.Figure  # in the colours of a light page
    says: str  # the figure in words, for those who cannot see it
    table: pd.DataFrame  # the data that it draws, ready to be printed
    height: int = 320  # in CSS pixels
    choice: str = ""
    """The page shows the charts of a section that have the same one, and lets the reader choose
    which; empty: no such choice."""


def plain(text: object) -> str:
    """Text that Plotly shows as it is: it would read markup in it otherwise."""
    return html.escape(str(text), quote=False)


def axis(title: str = "", **settings: Any) -> dict[str, Any]:
    """An axis that keeps still under a finger and makes room for its labels."""
    # Without a standoff Plotly puts the title where it runs through long labels.
    named = {"text": title, "standoff": 8}
    return {"title": named, "fixedrange": True, "automargin": True, **settings}


def epochs(last: int) -> dict[str, Any]:
    """A horizontal axis of whole epochs."""
    return axis("Epoch", dtick=1) if last < 10 else axis("Epoch")


def named_axis(names: Sequence[str]) -> dict[str, Any]:
    """A vertical axis of ``names`` from top to bottom, each with the same room."""
    order = [plain(name) for name in reversed(names)]
    return axis(type="category", categoryarray=order, range=[-0.6, len(order) - 0.4])


def figure(
    traces: list[Any], xaxis: dict[str, Any], yaxis: dict[str, Any], **layout: Any
) -> go.Figure:
    """A figure with its legend above it."""
    left = 56 if yaxis["title"]["text"] else 8
    below = 48 if xaxis["title"]["text"] else 16
    # No template: its colours are none that the page knows how to darken.
    whole = {
        "template": "none",
        "dragmode": False,
        "hovermode": "closest",
        "margin": {"l": left, "r": 16, "t": 12, "b": below},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": xaxis,
        "yaxis": yaxis,
    }
    return go.Figure(traces, whole | layout)


def look(loss: str) -> Look:
    """The look of a loss; ink for one that has none of its own."""
    return looks().get(loss, INK)


def scatter(
    style: Look,
    name: str,
    x: Iterable[Any],
    y: Iterable[Any],
    hover: str = "",
    *,
    mode: str = "markers",
    trials: Iterable[str | None] | None = None,
    **settings: Any,
) -> go.Scatter:
    """Points or a line in a look; without ``hover`` nothing is said of a point under a finger.

    ``trials``: the trial that each point is of (:data:`TRIALS`). ``settings`` are Plotly's; those
    of ``line`` and ``marker`` go over the look's.
    """
    line = {"color": style.light, "dash": style.dash} | settings.pop("line", {})
    marker = {"color": style.light, "symbol": style.symbol} | settings.pop("marker", {})
    told: dict[str, Any] = {"hovertemplate": hover} if hover else {"hoverinfo": "skip"}
    given = {"mode": mode, "name": plain(name), **told, **settings}
    given |= {} if trials is None else {"customdata": list(trials), "meta": TRIALS}
    given |= {"line": line} if "lines" in mode else {}
    given |= {"marker": marker} if "markers" in mode else {}
    # Lists: Plotly writes arrays as base64, which neither page nor matplotlib would look into.
    return go.Scatter(x=list(x), y=list(y), **given)


def points(fractions: "pd.Series[float]") -> list[float]:
    """Fractions in percent, rounded to what a figure can show."""
    return list((100 * fractions).round(3))


def by_setting(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each noise setting, under its title."""
    for title, group in table.groupby("title", sort=False):
        yield str(title), group


def by_loss(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each loss, in the papers' order."""
    for loss in in_order(table["loss"]):
        yield loss, table[table["loss"] == loss]
