"""Figures of what came out: accuracy over the epochs, memorisation, speed of convergence.

Each function draws one DataFrame of ``analysis.frames.learning``, titled by ``style.titled``: a
:class:`Chart` for each noise setting, or several. Accuracies are drawn in percent.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.frames.accuracy import BASELINE
from analysis.report.chart import (
    Chart,
    axis,
    by_loss,
    by_setting,
    epochs,
    figure,
    look,
    named_axis,
    plain,
    scatter,
)
from analysis.report.style import in_order, loss_name

TABLE_ROWS = 16
"""Epochs that the table behind a curve lists at most."""

MEMORIZED = {
    "clean_correct": ("clean labels, learned", "Predicted as labelled (%)"),
    "wrong_correct": ("wrong labels, seen through", "Predicted as the true class (%)"),
    "wrong_memorized": ("wrong labels, memorised", "Predicted as the wrong label (%)"),
}
"""What is drawn of ``learning.MEMORIZATION``: what a title and an axis call it."""


def learning_charts(curves: pd.DataFrame) -> list[Chart]:
    """Test accuracy over the epochs: the mean over the seeds, one standard deviation around it."""
    return [
        _over_epochs(title, rows, "test_accuracy", "Test accuracy (%)")
        for title, rows in by_setting(curves.dropna(subset="test_accuracy"))
    ]


def memorization_charts(table: pd.DataFrame) -> list[Chart]:
    """What becomes of clean and of wrong training labels, as figure 1 of ELR shows it."""
    return [
        _over_epochs(f"{title}: {what}", rows.dropna(subset=column), column, measure)
        for title, rows in by_setting(table)
        for column, (what, measure) in MEMORIZED.items()
        if rows[column].notna().any()
    ]


def _over_epochs(title: str, rows: pd.DataFrame, column: str, measure: str) -> Chart:
    traces: list[Any] = []
    ends, cells = {}, {}
    for loss, group in by_loss(rows):
        means = 100 * group.groupby("epoch")[column].agg(["mean", "std"])
        traces += [*_band(loss, means), _mean_line(loss, means)]
        spread = means["std"].map(" ± {:.2f}".format).where(means["std"].notna(), "")
        cells[loss_name(loss)] = means["mean"].map("{:.2f}".format) + spread
        ends[loss_name(loss)] = means["mean"].iloc[-1]
    table = _thin(pd.DataFrame(cells).rename_axis("epoch").fillna("")).reset_index()
    says = f"After the last epoch: {_named_percentages(ends)}."
    return Chart(title, figure(traces, epochs(rows["epoch"].max()), axis(measure)), says, table)


def _named_percentages(values: Mapping[str, float]) -> str:
    """Percentages with their names, or of many only the ends."""
    said = [f"{name} {value:.2f}%" for name, value in sorted(values.items(), key=lambda v: v[1])]
    return ", ".join(said) if len(said) < 5 else f"from {said[0]} to {said[-1]}"


def _mean_line(loss: str, means: pd.DataFrame) -> go.Scatter:
    return scatter(
        look(loss),
        loss_name(loss),
        means.index,
        means["mean"].round(3),
        "epoch %{x}: %{y:.2f}%<extra>%{fullData.name}</extra>",
        mode="markers" if len(means) == 1 else "lines",
        legendgroup=loss,
        line={"width": 2.5},
    )


def _band(loss: str, means: pd.DataFrame) -> list[go.Scatter]:
    """One standard deviation around the mean, where there are several seeds."""
    several = means.dropna()
    if several.empty:
        return []
    upper, lower = several["mean"] + several["std"], several["mean"] - several["std"]
    epochs = several.index.tolist()
    return [
        scatter(
            look(loss),
            f"{loss_name(loss)}, one standard deviation",
            epochs + epochs[::-1],
            upper.round(3).tolist() + lower.round(3).tolist()[::-1],
            mode="lines",
            fill="toself",
            fillcolor=look(loss).light,
            opacity=0.2,
            line={"width": 0},
            legendgroup=loss,
            showlegend=False,
        )
    ]


def _thin(table: pd.DataFrame) -> pd.DataFrame:
    """Evenly spaced rows, at most :data:`TABLE_ROWS`, the last one among them."""
    # Counted from the end, whose row is the one that is read.
    step = -(-len(table) // TABLE_ROWS)
    return table.iloc[::-1].iloc[::step].iloc[::-1]


def convergence_chart(title: str, rows: pd.DataFrame, fraction: float = 0.98) -> Chart:
    """Epochs until the test accuracy comes within ``fraction`` of ELR's best: a mark a seed.

    Of each trial's own best in a setting without ELR (``learning.convergence``).
    """
    against = BASELINE if (rows["reference"] == BASELINE).any() else "own"
    rows = rows[rows["reference"] == against]
    drawn = rows[rows["fraction"] == fraction]
    losses = in_order(drawn["loss"])
    names = [loss_name(loss) for loss in losses]
    traces = [dots for loss, group in by_loss(drawn) for dots in _dots(loss, group["epochs"])]
    plot = figure(
        traces,
        axis("Epochs", range=[0, 1.03 * float(drawn["max_epochs"].max())]),
        named_axis(names),
        showlegend=False,
    )
    said = [f"{loss_name(loss)} {_reached(g['epochs'])}" for loss, g in by_loss(drawn)]
    cells = {
        f"to {of:.0%}": {loss: _reached(g["epochs"]) for loss, g in by_loss(part)}
        for of, part in rows.groupby("fraction")
    }
    behind = pd.DataFrame(cells, index=losses).rename_axis("loss").rename(index=loss_name)
    whose = "ELR's best" if against == BASELINE else "its own best"
    says = f"Epochs to {fraction:.0%} of {whose} accuracy: {'; '.join(said)}."
    return Chart(title, plot, says, behind.reset_index(), 80 + 40 * len(losses))


def _reached(epochs: "pd.Series[float]") -> str:
    """``4.3``: the mean over the seeds, if all of them got there; else how many did."""
    reached = epochs.dropna()
    if len(reached) == len(epochs):
        return f"{reached.mean():.1f}"
    return f"{len(epochs) - len(reached)} of {len(epochs)} seeds never"


def _dots(loss: str, epochs: "pd.Series[float]") -> list[go.Scatter]:
    """A mark for each seed that got there, and a bar at the mean if all did."""
    reached, style, name = epochs.dropna().tolist(), look(loss), loss_name(loss)
    marks: list[tuple[list[Any], dict[str, Any]]] = [
        (reached or [None], {"size": 10, "opacity": 0.6})
    ]
    if len(reached) == len(epochs):
        bar = {"symbol": "line-ns", "size": 20, "line_width": 3, "line_color": style.light}
        marks.append(([sum(reached) / len(reached)], bar))
    hover = "%{x:.1f} epochs<extra>%{y}</extra>"
    return [
        scatter(style, name, x, [plain(name)] * len(x), hover, marker=marker)
        for x, marker in marks
    ]
