"""The whole sweep in one figure: test accuracy of every method under every noise setting."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.amounts import percent
from analysis.printed.text import mean_std
from analysis.report.chart import Chart, axis, by_loss, figure, look, plain, points, scatter
from analysis.report.style import MUTED, loss_name, sentence

ROW_HEIGHT, METHOD_HEIGHT = 26, 15


def accuracy_charts(table: pd.DataFrame, names: Mapping[str, str]) -> list[Chart]:
    """A figure for each data set and network of ``accuracy.accuracy_table``.

    ``names``: of its noise settings, from ``style.noise_names``.
    """
    groups = table.groupby(["dataset", "model"], sort=True)
    return [
        _accuracy(f"{data}, {model}", rows, names)
        for (data, model), rows in groups
        if rows["test"].notna().any()
    ]


def _accuracy(title: str, rows: pd.DataFrame, names: Mapping[str, str]) -> Chart:
    rows = rows.assign(setting=[sentence(names[noise]) for noise in rows["noise"]])
    own = rows[rows["study"].notna()]
    drawn = own.dropna(subset="test")
    settings = list(dict.fromkeys(drawn["setting"]))
    printed = drawn[drawn["published"].notna()]
    traces = [_measured(loss, group) for loss, group in by_loss(drawn)]
    traces += [_published(loss, group) for loss, group in by_loss(printed)]
    if len(printed):
        traces.append(_legend_entry())
    plot = figure(
        traces,
        axis("Test accuracy (%)", range=accuracy_range(drawn, drawn["published"])),
        # Reversed: Plotly would put the first setting at the bottom.
        axis(categoryarray=[plain(name) for name in settings], autorange="reversed"),
        scattermode="group",
        scattergap=0.35,
    )
    behind = pd.DataFrame(
        {
            "noise": own["setting"],
            "method": own["loss"].map(loss_name),
            "test accuracy (%)": [
                mean_std(*values)
                for values in own[["test", "test_std", "n", "diverged"]].itertuples(index=False)
            ],
            "published (%)": own["published"].map(percent),
        }
    )
    says = "Marks are means over the seeds, whiskers one standard deviation."
    if (drawn["n"] == 1).any():
        says += " A mark without whiskers is a single trial."
    if len(printed):
        otherwise = any(printed["differs_in"].dropna())
        says += " Open marks are what papers print for the same method"
        says += ", under another protocol: see below." if otherwise else "."
    height = 90 + len(settings) * (ROW_HEIGHT + METHOD_HEIGHT * drawn["loss"].nunique())
    return Chart(f"Test accuracy: {title}", plot, says, behind, height)


def accuracy_range(rows: pd.DataFrame, *others: "pd.Series[float]") -> list[float]:
    """All marks and whiskers, and other accuracies, with a little room; in percent."""
    spread = rows["test_std"].fillna(0)
    low = min((rows["test"] - spread).min(), *(other.min() for other in others), np.inf)
    high = max((rows["test"] + spread).max(), *(other.max() for other in others), -np.inf)
    room = 0.05 * (high - low) + 0.005
    return [100 * (low - room), 100 * (high + room)]


def _measured(loss: str, rows: pd.DataFrame) -> go.Scatter:
    spread = {
        "type": "data",
        "array": points(rows["test_std"].fillna(0)),
        "thickness": 1.5,
        "width": 4,
        "color": look(loss).light,
    }
    return _mark(loss, loss_name(loss), rows["test"], rows["setting"], error_x=spread)


def _published(loss: str, rows: pd.DataFrame) -> go.Scatter:
    name, symbol = f"{loss_name(loss)}, published", f"{look(loss).symbol}-open"
    return _mark(loss, name, rows["published"], rows["setting"], symbol, showlegend=False)


def _mark(
    loss: str,
    name: str,
    accuracies: "pd.Series[float]",
    settings: "pd.Series[str]",
    symbol: str = "",
    **others: Any,
) -> go.Scatter:
    return scatter(
        look(loss),
        name,
        points(accuracies),
        settings.map(plain),
        "%{x:.2f}%<extra>%{fullData.name}</extra>",
        marker={"size": 10, "symbol": symbol or look(loss).symbol},
        orientation="h",
        offsetgroup=loss,
        **others,
    )


def _legend_entry() -> go.Scatter:
    """What the legend says about open marks: there is one of them for each method."""
    marker = {"symbol": "circle-open", "size": 10}
    return scatter(MUTED, "published", [None], [None], marker=marker)
