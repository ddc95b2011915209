"""Figures of how the search went: who survived, what mattered, what it cost, and its luck."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from analysis.amounts import correlation, percent, signed_points
from analysis.best import records
from analysis.frames.effort import EPOCH_COUNTS
from analysis.frames.survival import COUNTS, UNFINISHED
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
    points,
    scatter,
)
from analysis.report.figures.parallel import parameter_name
from analysis.report.style import INK, LOST, SAVED, SPENT, in_order, loss_name, sentence
from analysis.schema import COMPLETED, DIVERGED, FAILED, STOPPED

BAR, ROOM = 34, 110
"""Height of a bar and of all around the bars, in pixels."""


def survival_chart(title: str, rows: pd.DataFrame) -> Chart:
    """Share of the search trials that train on, over the epochs (``survival.survival``)."""
    traces, said = list[go.Scatter](), []
    for rank, (loss, group) in enumerate(by_loss(rows)):
        hover = "epoch %{x}: %{customdata} trials, %{y:.0f}%<extra>%{fullData.name}</extra>"
        traces.append(
            scatter(
                look(loss),
                loss_name(loss),
                group["epoch"],
                points(group["share"]),
                hover,
                mode="lines",
                line={"shape": "hv"},
                customdata=group["trials"].tolist(),
                legendrank=rank,
            )
        )
        said.append(f"{loss_name(loss)} {_fate(group.iloc[-1])}")
    yaxis = axis("Trials still training (%)", range=[0, 104])
    plot = figure(traces[::-1], epochs(rows["epoch"].max()), yaxis)  # dashes over solid lines
    # Only where the number falls: a row for every epoch would be long and say nothing.
    steps = rows[rows["trials"] != rows.groupby("loss")["trials"].shift(-1)]
    behind = pd.DataFrame(
        {
            "loss": steps["loss"].map(loss_name),
            "until epoch": steps["epoch"],
            **{name: steps[name] for name in COUNTS},
            "share (%)": steps["share"].map(percent),
        }
    )
    says = f"Trained to the end, of the trials that have ended: {', '.join(said)}."
    return Chart(title, plot, says, behind)


def _fate(last: "pd.Series[Any]") -> str:
    """``3 of 12 (1 diverged)``, from the row of the last epoch."""
    ended = last[["trials", STOPPED, DIVERGED, FAILED]].sum()
    names = {DIVERGED: "diverged", FAILED: "failed", UNFINISHED: "still running"}
    others = [f"{last[name]} {said}" for name, said in names.items() if last[name]]
    return f"{last['trials']} of {ended}" + (f" ({', '.join(others)})" if others else "")


def importance_chart(title: str, rows: pd.DataFrame) -> Chart:
    """Which hyperparameters the accuracy depends on (``studies.importances``)."""
    rows = rows.assign(parameter=rows["parameter"].map(parameter_name))
    order = rows.groupby("parameter")["importance"].max().sort_values().index.tolist()
    traces, said = [], []
    for loss, group in by_loss(rows):
        traces.append(
            go.Bar(
                y=group["parameter"].map(plain).tolist(),
                x=(100 * group["importance"]).round(2).tolist(),
                orientation="h",
                name=plain(loss_name(loss)),
                marker={"color": look(loss).light},
                hovertemplate="%{y}: %{x:.0f}%<extra>%{fullData.name}</extra>",
            )
        )
        top = group.nlargest(1, "importance").iloc[0]
        said.append(
            f"{loss_name(loss)} {top['parameter']} ({100 * top['importance']:.0f}%, of "
            f"{top['trials']} trials)"
        )
    share = axis("Share of the differences in accuracy (%)")
    plot = figure(traces, share, named_axis(order[::-1]), bargap=0.3)
    behind = pd.DataFrame(
        {
            "loss": rows["loss"].map(loss_name),
            "parameter": rows["parameter"],
            "importance (%)": rows["importance"].map(percent),
            "completed trials": rows["trials"],
        }
    )
    height = ROOM + 30 + 12 * len(rows) + 12 * len(order)
    return Chart(title, plot, f"Most important: {', '.join(said)}.", behind, height)


def budget_chart(title: str, rows: pd.DataFrame) -> Chart:
    """Epochs trained, saved and lost (``effort.budget``)."""
    sums = rows.groupby("loss")[EPOCH_COUNTS].sum().loc[in_order(rows["loss"])]
    useful = sums["epochs"] - sums["failed_epochs"]
    bars = [
        ("trained", useful, SPENT, {"shape": ""}),
        (
            "saved by early stopping",
            sums["saved_epochs"],
            SAVED,
            {"shape": "/", "fgcolor": SPENT.light},
        ),
        (
            "lost to failures and restarts",
            sums["lost_epochs"],
            LOST,
            {"shape": "x", "fgcolor": LOST.light},
        ),
    ]
    names = [loss_name(loss) for loss in sums.index]
    traces = [
        go.Bar(
            y=[plain(name) for name in names],
            x=values.tolist(),
            orientation="h",
            name=name,
            marker={"color": style.light, "pattern": pattern},
            hovertemplate="%{x} epochs " + name + "<extra>%{y}</extra>",
        )
        for name, values, style, pattern in bars
        if values.sum()
    ]
    plot = figure(traces, axis("Epochs"), named_axis(names), barmode="stack", bargap=0.35)
    says = (
        f"{sums['epochs'].sum():,} epochs trained in {rows['hours'].sum():.2f} trial hours, "
        f"{sums['saved_epochs'].sum():,} saved, {sums['lost_epochs'].sum():,} lost."
    )
    behind = pd.DataFrame(
        {
            "loss": rows["loss"].map(loss_name),
            "phase": rows["phase"].astype("str"),
            **{name: rows[name] for name in ("trials", COMPLETED, STOPPED, DIVERGED, FAILED)},
            **{name.replace("_", " "): rows[name] for name in EPOCH_COUNTS},
            "hours": rows["hours"].map("{:.2f}".format),
            "saved hours": rows["saved_hours"].map("{:.2f}".format),
        }
    )
    return Chart(title, plot, says, behind, ROOM + 20 + BAR * len(names))


def gap_charts(table: pd.DataFrame, judged_on: str, tested_on: str) -> list[Chart]:
    """What the search promised against what fresh seeds gave (``effort.selection_gap``).

    ``judged_on`` and ``tested_on``: in words (``style.judged_on``, ``evidence.test_name``).
    Studies without replicates are there if it is known how far their hold-out can be trusted.
    """
    table = table.dropna(subset=["replicated_value", "rank_correlation"], how="all")
    agreement = f"rank correlation of {judged_on} and {tested_on}"
    return [_gap(title, rows, agreement) for title, rows in by_setting(table)]


def _gap(title: str, rows: pd.DataFrame, agreement: str) -> Chart:
    names = rows["loss"].map(loss_name).tolist()
    traces = [*_bridges(rows), *_end_marks(rows)]
    plot = figure(traces, axis("Accuracy (%)"), named_axis(names))
    behind = pd.DataFrame(
        {
            "loss": names,
            "in the search (%)": rows["selection_value"].map(percent).tolist(),
            "again (%)": rows["replicated_value"].map(percent).tolist(),
            "seeds": rows["replicates"].tolist(),
            "diverged": rows["replicates_diverged"].tolist(),
            agreement: rows["rank_correlation"].map(correlation).tolist(),
            "of trials": rows["trials"].tolist(),
        }
    )
    return Chart(title, plot, _luck(rows, agreement), behind, ROOM + 20 + BAR * len(names))


def _luck(rows: pd.DataFrame, agreement: str) -> str:
    again, ranked = rows.dropna(subset="gap"), rows.dropna(subset="rank_correlation")
    gaps = [f"{loss_name(row['loss'])} {signed_points(-row['gap'])}" for row in records(again)]
    ranks = [
        f"{loss_name(row['loss'])} {correlation(row['rank_correlation'])} ({row['trials']} trials)"
        for row in records(ranked)
    ]
    alone = [loss_name(loss) for loss in rows["loss"][rows["gap"].isna()]]
    said = [
        ("From the search to fresh seeds, in points", gaps),
        ("Not run on fresh seeds", alone),
        (sentence(agreement), ranks),
    ]
    return " ".join(f"{what}: {', '.join(values)}." for what, values in said if values)


def _bridges(rows: pd.DataFrame) -> list[go.Scatter]:
    """A line for each loss, from the search's value to the mean over fresh seeds."""
    return [
        scatter(
            SPENT,
            "",
            [round(100 * row["selection_value"], 3), round(100 * row["replicated_value"], 3)],
            [plain(loss_name(row["loss"]))] * 2,
            mode="lines",
            line={"width": 2},
            showlegend=False,
        )
        for row in records(rows.dropna(subset="gap"))
    ]


def _end_marks(rows: pd.DataFrame) -> list[go.Scatter]:
    """What was seen first, open, and what came again, filled."""
    first = {"symbol": "circle-open", "size": 11, "line_width": 2}
    ends = [
        ("selection_value", "in the search", INK, first),
        ("replicated_value", "again, mean over fresh seeds", SPENT, {"size": 11}),
    ]
    hover = "%{x:.2f}%<extra>%{fullData.name}</extra>"
    return [
        scatter(
            style,
            name,
            points(drawn[column]),
            [plain(loss_name(loss)) for loss in drawn["loss"]],
            hover,
            marker=mark,
        )
        for column, name, style, mark in ends
        if len(drawn := rows.dropna(subset=column))
    ]
