"""What becomes of each class: a matrix of labels or predictions, and accuracy by class."""

import pandas as pd
import plotly.graph_objects as go

from analysis.amounts import percent
from analysis.report.chart import (
    Chart,
    axis,
    by_loss,
    figure,
    look,
    named_axis,
    plain,
    points,
    scatter,
)
from analysis.report.style import CARD, INK, SAVED, SPENT, loss_name

CELL, ROOM, TALLEST = 26, 120, 720
"""Height of a class and of all around the classes, and of the whole at most, in pixels."""
WRITTEN = 12
"""Classes up to which a cell has room for its number."""
SHOWN_CLASSES = 20
"""Classes that a figure of accuracies shows at most: those that do worst."""
TABLE_ROWS = 40
"""Pairs of different classes that the table behind a large matrix lists, the largest first."""


def class_charts(
    noise: pd.DataFrame, confused: pd.DataFrame, accuracy: pd.DataFrame
) -> list[Chart]:
    """For each noise setting its labels, what the best network takes images for, and how well.

    Titled rows of ``classes.noise_matrices``, ``classes.confusions``, ``classes.class_accuracy``.
    """
    tables = ((noise, _noise), (confused, _confusion), (accuracy, _accuracy))
    titles = dict.fromkeys(title for table, _ in tables for title in table["title"])
    return [
        draw(str(title), rows)
        for title in titles
        for table, draw in tables
        if len(rows := table[table["title"] == title])
    ]


def _noise(title: str, rows: pd.DataFrame) -> Chart:
    names = ("True class", "Label given")
    return _matrix(f"{title}: labels given", rows, names, "labels are wrong")


def _confusion(title: str, rows: pd.DataFrame) -> Chart:
    name, names = loss_name(rows["loss"].iloc[0]), ("Test label", "Predicted")
    return _matrix(f"{title}: predicted by {name}", rows, names, "test images are mistaken")


def _outside(rows: pd.DataFrame) -> tuple[float, str]:
    """Mean share outside of the diagonal, and the largest pair there in words."""
    classes = rows["classes"].iloc[0]
    outside = rows[(rows["true"] != rows["other"]) & (rows["share"] > 0)]
    if outside.empty:
        return 0.0, ""
    top = outside.nlargest(1, "share").iloc[0]
    pair = f"{classes[top['true']]} as {classes[top['other']]} ({percent(top['share'])}%)"
    return float(outside["share"].sum()) / len(classes), pair


def _matrix(title: str, rows: pd.DataFrame, names: tuple[str, str], what: str) -> Chart:
    """``names``: of what lies down and across; ``what``: happens outside of the diagonal."""
    wrong, first = _outside(rows)
    says = f"{percent(wrong)}% of a class's {what} on average"
    says += f", most often {first}." if first else "."
    classes = list(rows["classes"].iloc[0])
    shares = rows.pivot(index="true", columns="other", values="share")
    hover = f"{names[0].lower()} %{{y}}, {names[1].lower()} %{{x}}: %{{z:.1f}}%<extra></extra>"
    plot = heat(classes, (100 * shares).round(2), hover, *names)
    if len(classes) <= WRITTEN:
        written = {"size": 11, "color": INK.light}
        pale = [[0, CARD.light], [1, SAVED.light]]  # so that numbers can be read on all of it
        plot.update_traces(texttemplate="%{z:.0f}", textfont=written, colorscale=pale)
        cells = {name: shares[label].map(percent).tolist() for label, name in enumerate(classes)}
        table = pd.DataFrame({names[0].lower(): classes, **cells})
    else:
        pairs = rows[rows["true"] != rows["other"]].nlargest(TABLE_ROWS, "share")
        table = pd.DataFrame(
            {
                names[0].lower(): [classes[label] for label in pairs["true"]],
                names[1].lower(): [classes[label] for label in pairs["other"]],
                "share (%)": pairs["share"].map(percent).tolist(),
            }
        )
    return Chart(title, plot, says, table, height(len(classes)))


def heat(
    classes: list[str], values: pd.DataFrame, hover: str, down: str, across: str
) -> go.Figure:
    """A matrix as a picture, the first class at the top left; ``down`` names its rows.

    ``values`` [C, C]: the darker, the higher.
    """
    names, gap = [plain(name) for name in classes], 1 if len(classes) <= SHOWN_CLASSES else 0
    picture = go.Heatmap(
        x=names,
        y=names,
        z=values.to_numpy().tolist(),
        colorscale=[[0, CARD.light], [1, SPENT.light]],
        showscale=False,
        xgap=gap,
        ygap=gap,
        hovertemplate=hover,
    )
    yaxis = axis(down, type="category", autorange="reversed")
    return figure([picture], axis(across, type="category"), yaxis)


def height(classes: int) -> int:
    """How high a matrix is drawn, in pixels."""
    return min(TALLEST, ROOM + CELL * classes)


def _accuracy(title: str, rows: pd.DataFrame) -> Chart:
    rows = rows.dropna(subset="accuracy")
    means = rows.groupby(["label", "name"], sort=True)["accuracy"].mean()
    worst = means.nsmallest(SHOWN_CLASSES).index
    shown = [name for label, name in means.index if (label, name) in worst]
    drawn = rows[rows["name"].isin(shown)]
    traces, said = [], []
    cells = {"class": [name for _, name in means.index]}
    for loss, group in by_loss(rows):
        found = group.groupby(["label", "name"], sort=True)["accuracy"].agg(["mean", "std"])
        found = found.reindex(means.index)
        text = found["mean"].map(percent)
        spread = found["std"].map(percent).radd(" ± ").where(found["std"].notna(), "")
        cells[f"{loss_name(loss)} (%)"] = (text + spread).tolist()
        lowest = found.reset_index().nsmallest(1, "mean").iloc[0]
        said.append(f"{loss_name(loss)} {lowest['name']}, {percent(lowest['mean'])}%")
    for loss, group in by_loss(drawn):
        each = group.groupby("name", sort=False)["accuracy"].mean()
        hover = "%{y}: %{x:.2f}%<extra>%{fullData.name}</extra>"
        names = [plain(name) for name in each.index]
        marker = {"size": 9}
        traces.append(
            scatter(look(loss), loss_name(loss), points(each), names, hover, marker=marker)
        )
    part = f", the {len(shown)} of {len(means)} that do worst" if len(shown) < len(means) else ""
    plot = figure(traces, axis("Test accuracy (%)"), named_axis(shown))
    says = f"Lowest: {'; '.join(said)}."
    name = f"{title}: accuracy per class{part}"
    return Chart(name, plot, says, pd.DataFrame(cells), height(len(shown)))
