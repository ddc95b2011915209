"""Figures of one hyperparameter: accuracy over it, and its best values over the noise rate.

Each draws a DataFrame of ``analysis.frames.learning``, titled by ``style.titled``. Accuracies are
drawn in percent. Points carry the trial that they are, so that the page can highlight it.
"""

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from pandas.api.types import is_numeric_dtype

from analysis.amounts import percent, short
from analysis.best import records
from analysis.printed.text import mean_std
from analysis.report.chart import (
    Chart,
    axis,
    by_loss,
    by_setting,
    figure,
    look,
    plain,
    points,
    scatter,
)
from analysis.report.style import INK, loss_name

WIDE = 3
"""Ratio of the largest to the smallest value from which on a scale is logarithmic."""
DODGE = 0.012
"""How far losses stand beside each other, as a share of the axis."""


def response_charts(curve: pd.DataFrame, parameter: str, *, alone: bool) -> list[Chart]:
    """Test accuracy over ``parameter``, as figure 3 of the paper draws it over lambda.

    ``curve``: from ``learning.response_curve``. The trial that the search chose of each loss has a
    larger mark; what is highest on test is not singled out, for no one may choose by that.
    The axis is the same for all settings, and logarithmic where all values are numbers above 0
    and the largest is :data:`WIDE` times the smallest or more.
    ``alone``: nothing else varies in the sweep, so that the points of a loss are one curve.
    """
    xaxis = axis(plain(parameter), **_scale(curve["value"]))
    return [_response(title, rows, xaxis, parameter, alone) for title, rows in by_setting(curve)]


def _scale(values: "pd.Series[Any]") -> dict[str, Any]:
    """Choices in order; numbers above 0 of different sizes on a logarithmic scale."""
    if not is_numeric_dtype(values):
        return {"type": "category", "categoryarray": [plain(v) for v in sorted(set(values))]}
    low, high = values.min(), values.max()
    if not low > 0 or high / low < WIDE:
        return {}
    decades = math.log10(high / low)
    digits, step = ((1, 2, 5), 1) if decades < 2 else ((1,), math.ceil(decades / 6))
    # Plotly's own ticks between decades are single digits without their power.
    ticks = [float(f"{digit}e{power}") for power in range(-12, 13, step) for digit in digits]
    return {
        "type": "log",
        "range": [math.log10(low) - 0.06, math.log10(high) + 0.06],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _response(
    title: str, rows: pd.DataFrame, xaxis: dict[str, Any], parameter: str, alone: bool
) -> Chart:
    traces = [_trial_marks(loss, group, parameter, alone) for loss, group in by_loss(rows)]
    elr = 100 * rows["elr_best"].iloc[0]
    plot = figure(traces, xaxis, axis("Test accuracy (%)"))
    says = f"{len(rows)} trials, {parameter} {_span(rows['value'])}. {_chosen(rows)}"
    if pd.notna(elr):
        _dotted(plot, elr, "ELR as chosen")
        says += _elr_again(rows.iloc[0])
    table = pd.DataFrame(
        {
            "loss": rows["loss"].map(loss_name),
            parameter: rows["value"].map(short),
            "test accuracy (%)": rows["test_accuracy"].map(percent),
            "selection value (%)": rows["selection_value"].map(percent),
            "trial": rows["number"],
            "chosen": rows["chosen"].map({True: "yes", False: ""}),
        }
    )
    return Chart(title, plot, says, table)


def _chosen(rows: pd.DataFrame) -> str:
    """What the search chose of each loss; nothing of one whose choice lacks the parameter."""
    said = [
        f"{loss_name(row['loss'])} at {short(row['value'])}, {percent(row['test_accuracy'])}%"
        for row in records(rows[rows["chosen"]])
    ]
    return f"Chosen: {'; '.join(said)}." if said else ""


def _elr_again(row: "pd.Series[Any]") -> str:
    """The dotted line is one draw: what the same configuration gave on fresh seeds."""
    if not row["elr_seeds"] > 0 or pd.isna(row["elr_again"]):
        return f" The dotted line, ELR as chosen: {percent(row['elr_best'])}%."
    again = mean_std(row["elr_again"], row["elr_again_std"], row["elr_seeds"])
    return (
        f" The dotted line, ELR as chosen: {percent(row['elr_best'])}% here, {again} on fresh "
        "seeds."
    )


def _trial_marks(loss: str, rows: pd.DataFrame, parameter: str, joined: bool) -> go.Scatter:
    sizes = [15 if chosen else 8 for chosen in rows["chosen"]]
    return scatter(
        look(loss),
        loss_name(loss),
        rows["value"].map(_as_drawn),
        points(rows["test_accuracy"]),
        f"%{{text}}, {plain(parameter)} %{{x}}: %{{y:.2f}}%<extra>%{{fullData.name}}</extra>",
        text=[f"trial {number}" for number in rows["number"]],
        trials=rows["trial_id"],
        mode="lines+markers" if joined else "markers",
        marker={"size": sizes, "opacity": 1, "line": {"width": 0}},
    )


def _dotted(plot: go.Figure, level: float, name: str) -> None:
    """A dotted line from edge to edge."""
    hover = "%{y:.2f}%<extra>%{fullData.name}</extra>"
    line = {"dash": "dot", "width": 1.5}
    plot.add_trace(
        scatter(INK, name, [0, 1], [level] * 2, hover, mode="lines", line=line, xaxis="x2")
    )
    # A shape would reach from edge to edge as well, but says nothing under a finger.
    plot.update_layout(xaxis2={"overlaying": "x", "range": [0, 1], "visible": False})


def _as_drawn(value: object) -> object:
    """A number, or text that Plotly shows as it is."""
    return value if isinstance(value, (int, float)) else plain(value)


def best_value_charts(table: pd.DataFrame, parameter: str) -> list[Chart]:
    """The best values of ``parameter`` over the noise rate, for each kind of noise with several.

    ``table``: from ``learning.best_values``. A line joins the trials that the search chose; the
    small marks are the others, their spread.
    """
    return [
        _best_values(str(family), rows, parameter)
        for family, rows in table.groupby("family", sort=False)
        if rows["noise_rate"].nunique() > 1
    ]


def _best_values(family: str, rows: pd.DataFrame, parameter: str) -> Chart:
    room = 100 * (rows["noise_rate"].max() - rows["noise_rate"].min())
    traces, said = [], []
    losses = list(by_loss(rows))
    for place, (loss, group) in enumerate(losses):
        beside = (place - (len(losses) - 1) / 2) * DODGE * room
        best = group[group["rank"] == 1].sort_values("noise_rate")
        traces += [
            _value_marks(loss, group[group["rank"] > 1], beside, mode="markers", showlegend=False),
            _value_marks(loss, best, beside, mode="lines+markers"),
        ]
        said.append(f"{loss_name(loss)} {', '.join(best['value'].map(short))}")
    rates = sorted(set((100 * rows["noise_rate"]).round(2)))
    xaxis = axis("Noise rate (%)", tickvals=rates, ticktext=[f"{rate:g}" for rate in rates])
    plot = figure(traces, xaxis, axis(plain(parameter), **_scale(rows["value"])))
    says = f"Best at {', '.join(f'{rate:g}' for rate in rates)}%: {'; '.join(said)}."
    groups = rows.groupby(["loss", "noise_rate"], sort=False)
    behind = pd.DataFrame(
        [
            {
                "loss": loss_name(str(loss)),
                "noise rate (%)": percent(group["noise_rate"].iloc[0]),
                f"best {parameter}": short(group["value"].iloc[0]),
                "of the best trials": _span(group["value"]),
                "trials": len(group),
                "best (%)": percent(group["selection_value"].max()),
            }
            for (loss, _), group in groups
        ]
    )
    return Chart(f"{family}: best {parameter} over the noise rate", plot, says, behind)


def _span(values: "pd.Series[Any]") -> str:
    """The lowest and the highest number, or every different choice."""
    every = [short(value) for value in sorted(set(values))]
    return f"{every[0]} to {every[-1]}" if is_numeric_dtype(values) else ", ".join(every)


def _value_marks(loss: str, rows: pd.DataFrame, beside: float, **settings: Any) -> go.Scatter:
    best = "lines" in settings["mode"]
    return scatter(
        look(loss),
        loss_name(loss),
        100 * rows["noise_rate"] + beside,
        rows["value"].map(_as_drawn),
        "%{text}<extra>%{fullData.name}</extra>",
        text=[
            f"trial {row['number']}, {plain(short(row['value']))}: "
            f"{percent(row['selection_value'])}%"
            for row in records(rows)
        ],
        trials=rows["trial_id"],
        marker={"size": 12 if best else 6, "opacity": 1 if best else 0.6},
        **settings,
    )
