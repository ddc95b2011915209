"""Figures of single trials: all curves of a study, the best so far, hold-out against test."""

import pandas as pd
import plotly.graph_objects as go

from analysis.amounts import correlation, percent
from analysis.report.chart import (
    Chart,
    axis,
    by_loss,
    by_setting,
    epochs,
    figure,
    look,
    points,
    scatter,
)
from analysis.report.style import FAINT, INK, STOPPED_EARLY, Look, loss_name
from analysis.schema import STOPPED


def curve_charts(table: pd.DataFrame) -> list[Chart]:
    """Every trial of a study over its epochs; where lines end early are the rungs.

    ``table``: titled rows of ``learning.search_curves``.
    """
    charts = []
    for title, setting in by_setting(table):
        for loss, rows in by_loss(setting):
            charts.append(_curve_chart(f"{title}: {loss_name(loss)}", rows, look(loss)))
    return charts


def _curve_chart(title: str, rows: pd.DataFrame, style: Look) -> Chart:
    rows = rows.sort_values(["number", "epoch"])
    ends = rows.groupby("number").tail(1)
    stopped = set(ends.loc[ends["status"] == STOPPED, "number"])
    rungs = sorted(set(ends.loc[ends["number"].isin(stopped), "epoch"]))
    groups = [
        ("stopped early", rows[rows["number"].isin(stopped)], STOPPED_EARLY, 1),
        ("trained on", rows[~rows["number"].isin(stopped) & ~rows["chosen"]], INK, 1),
        ("chosen", rows[rows["chosen"]], style, 3),
    ]
    traces = [
        _joined(name, part, shade, width) for name, part, shade, width in groups if len(part)
    ]
    plot = figure(traces, epochs(rows["epoch"].max()), axis("Selection metric (%)"))
    for rung in rungs:
        plot.add_vline(rung, line={"color": FAINT.light, "dash": "dot", "width": 1})
    said = ", ".join(map(str, rungs))
    says = f"{len(ends)} trials, {len(stopped)} of them stopped early"
    says += f", at epochs {said}." if rungs else "."
    behind = pd.DataFrame(
        {
            "trial": ends["number"],
            "ended": ends["status"],
            "epochs": ends["epoch"],
            "last value (%)": ends["value"].map(percent),
        }
    )
    return Chart(title, plot, says, behind.reset_index(drop=True))


def _joined(name: str, rows: pd.DataFrame, style: Look, width: int) -> go.Scatter:
    """The curves of several trials in one trace, a gap after each."""
    x: list[float | None] = []
    y: list[float | None] = []
    labels: list[str] = []
    trials: list[str | None] = []
    for number, curve in rows.groupby("number"):
        x += [*curve["epoch"], None]
        y += [*points(curve["value"]), None]
        labels += [f"trial {number}"] * (len(curve) + 1)
        trials += [*curve["trial_id"], None]
    hover = "%{text}, epoch %{x}: %{y:.2f}%<extra></extra>"
    line = {"width": width, "dash": "solid"}
    return scatter(style, name, x, y, hover, mode="lines", line=line, text=labels, trials=trials)


def progress_charts(table: pd.DataFrame) -> list[Chart]:
    """The best value so far over all epochs that the sweep has trained, and over its hours.

    ``table``: titled rows of ``learning.best_so_far``.
    """
    charts = []
    measures = {"spent": "Epochs, of all trials of the study", "hours": "Hours since the start"}
    for title, rows in by_setting(table):
        for column, measure in measures.items():
            what = "epochs" if column == "spent" else "wall-clock"
            charts.append(_progress(f"{title}: over {what}", rows, column, measure))
    return charts


def _progress(title: str, rows: pd.DataFrame, column: str, measure: str) -> Chart:
    traces, said = [], []
    steps = rows.drop_duplicates(["loss", "best"])
    for loss, group in by_loss(rows):
        hover = "%{x:.4g}: %{y:.2f}%<extra>%{fullData.name}</extra>"
        name = loss_name(loss)
        x, y = group[column], points(group["best"])
        traces.append(scatter(look(loss), name, x, y, hover, mode="lines", line={"shape": "hv"}))
        said.append(f"{name} {percent(group['best'].iloc[-1])}%")
    behind = pd.DataFrame(
        {
            "loss": steps["loss"].map(loss_name),
            "epochs": steps["spent"],
            "hours": steps["hours"].map("{:.3f}".format),
            "best so far (%)": steps["best"].map(percent),
        }
    )
    plot = figure(traces, axis(measure), axis("Best so far (%)"))
    return Chart(title, plot, f"In the end: {', '.join(said)}.", behind.tail(40))


def agreement_charts(table: pd.DataFrame, judged_on: str) -> list[Chart]:
    """The metric that selects against test: a mark for each trial with its full budget.

    ``table``: titled rows of ``results.trials`` with ``rank_correlation`` of
    ``effort.selection_gap``.
    """
    return [_agreement(title, rows, judged_on) for title, rows in by_setting(table)]


def _agreement(title: str, rows: pd.DataFrame, judged_on: str) -> Chart:
    traces, said, unknown = [], [], []
    for loss, group in by_loss(rows):
        hover = "%{text}: %{x:.2f}%, test %{y:.2f}%<extra>%{fullData.name}</extra>"
        x, y = points(group["selection_value"]), points(group["test_accuracy"])
        labels = [f"trial {number}" for number in group["number"]]
        own, marker = group["trial_id"], {"size": 9}
        name = loss_name(loss)
        traces.append(
            scatter(look(loss), name, x, y, hover, text=labels, marker=marker, trials=own)
        )
        rank = group["rank_correlation"].iloc[0]
        if pd.isna(rank):
            unknown.append(name)
        else:
            said.append(f"{name} {correlation(rank)}")
    plot = figure(traces, axis(f"Accuracy on the {judged_on} (%)"), axis("Test accuracy (%)"))
    behind = pd.DataFrame(
        {
            "loss": rows["loss"].map(loss_name),
            "trial": rows["number"],
            f"{judged_on} (%)": rows["selection_value"].map(percent),
            "test (%)": rows["test_accuracy"].map(percent),
        }
    )
    says = [f"Rank correlation: {', '.join(said)}."] if said else []
    says += [f"Too few trials for a rank correlation: {', '.join(unknown)}."] if unknown else []
    return Chart(title, plot, " ".join(says), behind)
