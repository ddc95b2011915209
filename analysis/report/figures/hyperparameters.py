"""Figures of where the search looked: beta1 against beta2."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState

from analysis.amounts import percent, short
from analysis.best import records
from analysis.report.chart import Chart, axis, figure, points, scatter
from analysis.report.figures.parallel import accuracy, ended, varying
from analysis.report.style import INK, MUTED, Look, loss_name

ENOUGH_FOR_CONTOURS = 8
"""Completed trials from which on contours are drawn between them."""

FEW_LEVELS = 4
"""Different values up to which an axis gives each the same room."""

TABLE_ROWS = 10
"""Trials that the table behind a figure lists at most, the best ones."""


def contour_charts(studies: Mapping[str, optuna.Study], best: pd.DataFrame) -> list[Chart]:
    """Accuracy over beta1 and beta2, for the studies and targets in which both vary."""
    charts = []
    for row in records(best):
        trials = ended(studies[row["study"]])
        pairs = _by_target(trials)
        for target, there in pairs.items():
            title = f"{row['title']}: {loss_name(row['loss'])}"
            title += f", {target}" if len(pairs) > 1 else ""
            charts.append(_contour(title, there, f"{target}.beta1", f"{target}.beta2"))
    return charts


def _by_target(trials: list[FrozenTrial]) -> dict[str, list[FrozenTrial]]:
    """By target that has a beta1 and a beta2 which vary, its trials, if there are several."""
    varied = varying(trials)
    names = [name.removesuffix(".beta1") for name in varied if name.endswith(".beta1")]
    both = [target for target in names if f"{target}.beta2" in varied]
    found = {name: [t for t in trials if f"{name}.beta1" in t.params] for name in both}
    return {name: there for name, there in found.items() if len(there) > 1}


def _contour(title: str, there: list[FrozenTrial], one: str, two: str) -> Chart:
    table = pd.DataFrame(
        {
            "trial": [t.number for t in there],
            "beta1": [float(t.params[one]) for t in there],
            "beta2": [float(t.params[two]) for t in there],
            "accuracy": [accuracy(t) for t in there],
            "trial_id": [t.user_attrs["trial_id"] for t in there],
            "full": [t.state == TrialState.COMPLETE for t in there],
        }
    )
    full, stopped = table[table["full"]], table[~table["full"]]
    levels = sorted(set(table["beta2"]))
    few = len(levels) <= FEW_LEVELS
    traces = [_looked_at(stopped)] if len(stopped) else []
    if len(full) >= ENOUGH_FOR_CONTOURS and not few and _spread(full):
        traces.insert(0, _between(full))
    traces.append(_measured(full))
    if few:
        for trace in traces:
            trace.y = [short(value) for value in trace.y]
    even = {"type": "category", "categoryarray": [short(v) for v in levels]} if few else {}
    plot = figure(traces, axis("beta1"), axis("beta2", **even))
    says = f"{len(full)} trials with their full budget, {len(stopped)} stopped early."
    if len(full):
        top = full.nlargest(1, "accuracy").iloc[0]
        says += f" Highest: {percent(top['accuracy'])}% at beta1 {short(top['beta1'])}, "
        says += f"beta2 {short(top['beta2'])}."
    behind = full.sort_values("accuracy", ascending=False).head(TABLE_ROWS)
    behind = behind.assign(accuracy=behind["accuracy"].map(percent)).drop(
        columns=["full", "trial_id"]
    )
    return Chart(title, plot, says, behind.rename(columns={"accuracy": "accuracy (%)"}))


def _looked_at(trials: pd.DataFrame) -> go.Scatter:
    marker = {"symbol": "x-thin-open", "size": 6}
    return _trial_marks(trials, MUTED, "stopped early", "<extra>stopped early</extra>", marker)


def _measured(trials: pd.DataFrame) -> go.Scatter:
    marker = {
        "color": points(trials["accuracy"]),
        "colorscale": "Viridis",
        "size": 12,
        "line": {"color": INK.light, "width": 1},
        "colorbar": {"thickness": 10, "outlinewidth": 0, "ticksuffix": "%", "nticks": 6},
    }
    return _trial_marks(
        trials, INK, "full budget", ": %{marker.color:.2f}%<extra></extra>", marker
    )


def _trial_marks(
    trials: pd.DataFrame, style: Look, name: str, value: str, marker: dict[str, Any]
) -> go.Scatter:
    return scatter(
        style,
        name,
        trials["beta1"],
        trials["beta2"],
        "beta1 %{x:.4g}, beta2 %{y:.4g}" + value,
        marker=marker,
        trials=trials["trial_id"],
    )


def _spread(trials: pd.DataFrame) -> bool:
    """Whether the trials span an area, not only a line."""
    points = trials[["beta1", "beta2"]].to_numpy()
    # Of points in one line griddata finds no triangles, and raises.
    return int(np.linalg.matrix_rank(points - points.mean(axis=0))) == 2


def _between(trials: pd.DataFrame) -> go.Contour:
    """Contours interpolated between the trials, and nothing outside of them."""
    from scipy.interpolate import griddata  # slow to import, needed here only

    points = trials[["beta1", "beta2"]].to_numpy()
    x, y = (np.linspace(column.min(), column.max(), 40) for column in points.T)
    # Rescaled: beta2 may vary by a hundredth of what beta1 does, and triangles would be slivers.
    z = griddata(
        points, 100 * trials["accuracy"].to_numpy(), tuple(np.meshgrid(x, y)), rescale=True
    )
    return go.Contour(
        x=x.round(4).tolist(),
        y=y.round(4).tolist(),
        z=[[None if np.isnan(v) else round(float(v), 2) for v in line] for line in np.asarray(z)],
        colorscale="Viridis",
        opacity=0.6,
        contours={"coloring": "heatmap"},
        line={"width": 0.5, "color": INK.light},
        showscale=False,
        hoverinfo="skip",
    )
