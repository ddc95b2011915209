"""Figures of where the search looked: all hyperparameters of a study, and beta1 against beta2."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from analysis.amounts import percent
from analysis.best import records
from analysis.printed.text import short
from analysis.report.chart import Chart, axis, figure, look, plain, points, scatter
from analysis.report.style import CARD, FAINT, INK, MUTED, loss_name

ENOUGH_TRIALS = 8
"""Completed trials from which on contours are drawn between them."""

FEW_LEVELS = 4
"""Different values up to which an axis gives each the same room."""

TABLE_ROWS = 10
"""Trials that the table behind a figure lists at most, the best ones."""

ROW_HEIGHT = 46
LABEL = 13
"""Characters above which the name of a choice takes two lines: a phone has room for two such."""


def parallel_charts(studies: Mapping[str, optuna.Study], best: pd.DataFrame) -> list[Chart]:
    """A line for each trial through its hyperparameters, down to the accuracy it ended with.

    ``best``: the chosen trial of each study (``best.best_configs``, named).
    """
    charts = []
    for row in records(best):
        trials = _ended(studies[row["study"]])
        if len(trials) > 1 and _axes(trials):
            title = f"{row['title']}: {loss_name(row['loss'])}"
            charts.append(_parallel(title, trials, row["trial_id"], look(row["loss"]).light))
    return charts


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended with an accuracy: the stopped ones, then the others, each by accuracy."""
    states = (TrialState.PRUNED, TrialState.COMPLETE)
    ended = [t for t in study.get_trials(states=states) if t.value is not None]
    return sorted(ended, key=lambda trial: (trial.state.value == 1, trial.value, -trial.number))


def _axes(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """What varies, in the order of the space."""
    return {name: domain for t in trials for name, domain in t.distributions.items()}


def _parallel(title: str, trials: list[FrozenTrial], best: object, colour: str) -> Chart:
    axes = _axes(trials)
    values = [_value(trial) for trial in trials]
    low, high = min(values), max(values)
    groups: dict[str, list[FrozenTrial]] = {"stopped early": [], "full budget": [], "chosen": []}
    for trial in trials:
        full = "full budget" if trial.state == TrialState.COMPLETE else "stopped early"
        groups["chosen" if trial.user_attrs["trial_id"] == best else full].append(trial)
    looks = [(FAINT.light, 1.0), (MUTED.light, 1.5), (colour, 3.5)]
    traces = [
        _lines(name, group, axes, (low, high), {"color": shade, "width": width})
        for (name, group), (shade, width) in zip(groups.items(), looks, strict=True)
        if group
    ]
    rows = [*map(parameter_name, axes), "accuracy"]
    yaxis = axis(
        tickvals=list(range(len(rows))),
        ticktext=[plain(row) for row in rows],
        range=[len(rows) - 0.45, -0.15],
        gridcolor=FAINT.light,
    )
    marks = [_marks(domain) for domain in axes.values()]
    marks.append({0.0: f"{percent(low)}%", 1.0: f"{percent(high)}%"})
    labels = [_label(x, y, text) for y, mark in enumerate(marks) for x, text in mark.items()]
    xaxis = axis(visible=False, range=[-0.04, 1.04])
    plot = figure(traces, xaxis, yaxis, annotations=labels)
    says = f"{len(trials)} trials."
    for trial in groups["chosen"]:
        chosen = ", ".join(f"{parameter_name(k)} {short(v)}" for k, v in trial.params.items())
        says += f" The chosen one has {chosen}: {percent(_value(trial))}%."
    return Chart(title, plot, says, _behind(trials, axes), 70 + ROW_HEIGHT * len(rows))


def _lines(
    name: str,
    trials: list[FrozenTrial],
    axes: Mapping[str, BaseDistribution],
    accuracies: tuple[float, float],
    line: dict[str, Any],
) -> go.Scatter:
    """The lines of several trials in one trace, a gap after each."""
    points: list[tuple[float | None, int | None, str]] = []
    for trial in trials:
        label = f"trial {trial.number}: "
        for row, (axis_name, domain) in enumerate(axes.items()):
            if axis_name in trial.params:
                value = trial.params[axis_name]
                text = f"{label}{parameter_name(axis_name)} {short(value)}"
                points.append((_position(value, domain), row, text))
        end = _value(trial)
        low, high = accuracies
        place = (end - low) / (high - low) if high > low else 0.5
        points += [(place, len(axes), f"{label}accuracy {percent(end)}%"), (None, None, "")]
    x, y, texts = zip(*points, strict=True)
    return go.Scatter(
        x=x,
        y=y,
        text=[plain(text) for text in texts],
        mode="lines",
        name=name,
        line=line,
        hovertemplate="%{text}<extra></extra>",
    )


def _position(value: Any, domain: BaseDistribution) -> float:
    """Where a value lies on its axis, from 0 to 1."""
    if isinstance(domain, CategoricalDistribution):
        last = len(domain.choices) - 1
        return domain.choices.index(value) / last if last else 0.5
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    if high == low:
        return 0.5
    if domain.log:  # type: ignore[attr-defined]
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _marks(domain: BaseDistribution) -> dict[float, str]:
    """What is written along an axis: its ends, or all of its choices."""
    if isinstance(domain, CategoricalDistribution):
        return {_position(choice, domain): short(choice) for choice in domain.choices}
    return {_position(end, domain): short(end) for end in (domain.low, domain.high)}  # type: ignore[attr-defined]


def _label(x: float, row: int, text: str) -> dict[str, Any]:
    """Small text below the line of a row; the last word of a long name goes below the others."""
    head, underscore, tail = text.rpartition("_") if len(text) > LABEL else ("", "", text)
    lines = [head + underscore, tail] if head else [tail]
    return {
        "x": x,
        "y": row,
        "text": "<br>".join(map(plain, lines)),
        "showarrow": False,
        "yanchor": "top",
        "yshift": -2,
        "align": "right" if x == 1 else "left",
        "xanchor": "left" if x == 0 else "right" if x == 1 else "center",
        "font": {"size": 11, "color": MUTED.light},
        "bgcolor": CARD.light,
        "borderpad": 0,
    }


def _behind(trials: list[FrozenTrial], axes: Mapping[str, BaseDistribution]) -> pd.DataFrame:
    """The best trials, those with their full budget first."""
    rows = [
        {
            "trial": trial.number,
            **{parameter_name(name): short(trial.params.get(name, "")) for name in axes},
            "accuracy (%)": percent(_value(trial)),
            "ended": "full budget" if trial.state == TrialState.COMPLETE else "stopped early",
        }
        for trial in trials[: -TABLE_ROWS - 1 : -1]
    ]
    return pd.DataFrame(rows)


def contour_charts(studies: Mapping[str, optuna.Study], best: pd.DataFrame) -> list[Chart]:
    """Accuracy over beta1 and beta2, for the studies in which both vary."""
    charts = []
    for row in records(best):
        trials = _ended(studies[row["study"]])
        names = {parameter_name(name): name for name in _axes(trials)}
        if {"beta1", "beta2"} <= names.keys():
            title = f"{row['title']}: {loss_name(row['loss'])}"
            charts.append(_contour(title, trials, names["beta1"], names["beta2"]))
    return charts


def _contour(title: str, trials: list[FrozenTrial], one: str, two: str) -> Chart:
    there = [t for t in trials if one in t.params and two in t.params]
    table = pd.DataFrame(
        {
            "trial": [t.number for t in there],
            "beta1": [float(t.params[one]) for t in there],
            "beta2": [float(t.params[two]) for t in there],
            "accuracy": [_value(t) for t in there],
            "full": [t.state == TrialState.COMPLETE for t in there],
        }
    )
    full, stopped = table[table["full"]], table[~table["full"]]
    levels = sorted(set(table["beta2"]))
    few = len(levels) <= FEW_LEVELS
    traces = [_looked_at(stopped)] if len(stopped) else []
    if len(full) >= ENOUGH_TRIALS and not few and _spread(full):
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
        says += f" Highest: {percent(top['accuracy'])}% at beta1 {top['beta1']:.3g}, "
        says += f"beta2 {top['beta2']:.4g}."
    behind = full.sort_values("accuracy", ascending=False).head(TABLE_ROWS)
    behind = behind.assign(accuracy=behind["accuracy"].map(percent)).drop(columns="full")
    return Chart(title, plot, says, behind.rename(columns={"accuracy": "accuracy (%)"}))


def _looked_at(trials: pd.DataFrame) -> go.Scatter:
    hover = "beta1 %{x:.3g}, beta2 %{y:.4g}<extra>stopped early</extra>"
    marker = {"symbol": "x-thin-open", "size": 6}
    return scatter(MUTED, "stopped early", trials["beta1"], trials["beta2"], hover, marker=marker)


def _measured(trials: pd.DataFrame) -> go.Scatter:
    hover = "beta1 %{x:.3g}, beta2 %{y:.4g}: %{marker.color:.2f}%<extra></extra>"
    marker = {
        "color": points(trials["accuracy"]),
        "colorscale": "Viridis",
        "size": 12,
        "line": {"color": INK.light, "width": 1},
        "colorbar": {"thickness": 10, "outlinewidth": 0, "ticksuffix": "%", "nticks": 6},
    }
    return scatter(INK, "full budget", trials["beta1"], trials["beta2"], hover, marker=marker)


def _spread(trials: pd.DataFrame) -> bool:
    """Whether the trials span an area, not only a line."""
    points = trials[["beta1", "beta2"]].to_numpy()
    return int(np.linalg.matrix_rank(points - points.mean(axis=0))) == 2


def _between(trials: pd.DataFrame) -> go.Contour:
    """Contours interpolated between the trials, and nothing outside of them."""
    from scipy.interpolate import griddata  # slow to import, needed here only

    points = trials[["beta1", "beta2"]].to_numpy()
    x, y = (np.linspace(column.min(), column.max(), 40) for column in points.T)
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


def parameter_name(qualified: str) -> str:
    """``beta1`` of ``adam.beta1``: two branches of a space never meet in one trial."""
    return qualified.rpartition(".")[2]


def _value(trial: FrozenTrial) -> float:
    """The accuracy a trial ended with, a fraction."""
    return math.nan if trial.value is None else trial.value
