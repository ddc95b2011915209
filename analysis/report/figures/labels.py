"""Which classes the doubtful labels are between."""

import pandas as pd
import plotly.graph_objects as go

from analysis.report.chart import Chart, axis, by_setting, figure, plain
from analysis.report.style import CARD, SPENT, loss_name

CELL, ROOM, TALLEST = 26, 120, 720
"""Height of a class and of all around the classes, and of the whole at most, in pixels."""


def doubt_charts(table: pd.DataFrame) -> list[Chart]:
    """How many labels of a class are perhaps of which other (``label_errors.doubted_pairs``)."""
    return [_doubts(title, rows) for title, rows in by_setting(table)]


def _doubts(title: str, rows: pd.DataFrame) -> Chart:
    names = list(rows["classes"].iloc[0])
    counts = rows.pivot_table("labels", "given", "proposed", aggfunc="sum", fill_value=0)
    counts = counts.reindex(index=range(len(names)), columns=range(len(names)), fill_value=0)
    labels = [plain(name) for name in names]
    heat = go.Heatmap(
        x=labels,
        y=labels,
        z=counts.to_numpy().tolist(),
        colorscale=[[0, CARD.light], [1, SPENT.light]],
        showscale=False,
        xgap=1,
        ygap=1,
        hovertemplate="given %{y}, perhaps %{x}: %{z} labels<extra></extra>",
    )
    yaxis = axis("Given", type="category", autorange="reversed")
    plot = figure([heat], axis("Perhaps", type="category"), yaxis)
    pairs = rows[rows["labels"] > 0].sort_values("labels", ascending=False, kind="stable")
    behind = pd.DataFrame(
        {
            "given": [names[label] for label in pairs["given"]],
            "perhaps": [names[label] for label in pairs["proposed"]],
            "labels": pairs["labels"].to_numpy(),
        }
    )
    first = rows.iloc[0]
    says = (
        f"{loss_name(first['loss'])} doubts {pairs['labels'].sum():,} of {first['examples']:,} "
        "training labels"
    )
    if len(behind):
        given, perhaps, labels_ = behind.iloc[0]
        says += f", most often {given}, perhaps {perhaps} ({labels_:,})"
    height = min(TALLEST, ROOM + CELL * len(names))
    return Chart(title, plot, f"{says}.", behind, height)
