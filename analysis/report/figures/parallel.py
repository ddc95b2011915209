"""Parallel coordinates: each trial of a study as a line, from what it was to what it reached.

Axes lie below each other. First the hyperparameters, then the accuracy after each epoch at which
trials were stopped, last that after the full budget: a trial is compared with others of its age.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from analysis.amounts import percent
from analysis.best import records
from analysis.printed.text import short
from analysis.report.chart import TRIALS, Chart, axis, figure, look, plain
from analysis.report.style import FAINT, INK, STOPPED_EARLY, TEXT, loss_name

BRUSHED = "parallel"
"""In the ``meta`` of a layout: the page lets readers brush its axes."""
RUNGS = 3
"""Epochs before the last whose accuracies have an axis: those at which most trials stopped."""
TABLE_ROWS = 10
"""Trials that the table behind a figure lists at most, the best ones."""
LABEL = 12
"""Characters above which the name of a choice takes two lines: a phone has room for two such."""
ROOM, BAND = 34, 18
"""Height between two axes, and of the band around one in which lines run straight down, so that
they leave room for the names of choices; in pixels."""
LINE = 14
"""What a second line of such a name adds to both."""


@dataclass(frozen=True)
class Row:
    """An axis: what is written beside it, and below that; where on it trials lie, by number.

    ``places`` are in [0, 1], ``texts`` say them in words, ``choices`` stand on the axis itself.
    """

    name: str
    scale: str
    places: dict[int, float]
    texts: dict[int, str]
    choices: dict[float, str]


def parallel_charts(studies: Mapping[str, optuna.Study], best: pd.DataFrame) -> list[Chart]:
    """A line for each trial through its hyperparameters, down to the accuracy it ended with.

    ``best``: the chosen trial of each study (``best.best_configs``, titled).
    """
    charts = []
    for row in records(best):
        trials = ended(studies[row["study"]])
        if len(trials) > 1 and varying(trials):
            title = f"{row['title']}: {loss_name(row['loss'])}"
            charts.append(_parallel(title, trials, row["trial_id"], look(row["loss"]).light))
    return charts


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ended with an accuracy: the stopped ones, then the others, each by accuracy."""
    states = (TrialState.PRUNED, TrialState.COMPLETE)
    found = [t for t in study.get_trials(states=states) if t.value is not None]
    return sorted(found, key=lambda trial: (trial.state.value == 1, trial.value, -trial.number))


def varying(trials: Iterable[FrozenTrial]) -> dict[str, BaseDistribution]:
    """What varies, in the order of the space."""
    return {name: domain for t in trials for name, domain in t.distributions.items()}


def parameter_name(qualified: str) -> str:
    """``beta1`` of ``adam.beta1``: two branches of a space never meet in one trial."""
    return qualified.rpartition(".")[2]


def accuracy(trial: FrozenTrial) -> float:
    """What a trial ended with, a fraction."""
    return math.nan if trial.value is None else trial.value


def _parallel(title: str, trials: list[FrozenTrial], best: object, colour: str) -> Chart:
    rows = [_parameter(name, domain, trials) for name, domain in varying(trials).items()]
    rows += [row for epoch in _epochs(trials) if (row := _accuracies(epoch, trials)).places]
    two = any(len(text) > LABEL for row in rows for text in row.choices.values())
    between, band = ROOM + BAND + 2 * LINE * two, BAND + LINE * two
    groups: dict[str, list[FrozenTrial]] = {"stopped early": [], "full budget": [], "chosen": []}
    for trial in trials:
        full = "full budget" if trial.state == TrialState.COMPLETE else "stopped early"
        groups["chosen" if trial.user_attrs["trial_id"] == best else full].append(trial)
    looks = [(STOPPED_EARLY.light, 1.0), (INK.light, 1.2), (colour, 3.5)]
    traces = [
        _lines(name, group, rows, band / between, {"color": shade, "width": width})
        for (name, group), (shade, width) in zip(groups.items(), looks, strict=True)
        if group
    ]
    yaxis = axis(
        tickvals=list(range(len(rows))),
        ticktext=[_beside(row) for row in rows],
        range=[len(rows) - 0.5, -0.5],
        gridcolor=FAINT.light,
    )
    labels = [_label(x, y, text) for y, row in enumerate(rows) for x, text in row.choices.items()]
    xaxis = axis(visible=False, range=[-0.02, 1.02])
    plot = figure(traces, xaxis, yaxis, annotations=labels, meta=BRUSHED)
    says = f"{len(trials)} trials."
    for trial in groups["chosen"]:
        chosen = ", ".join(f"{parameter_name(k)} {short(v)}" for k, v in trial.params.items())
        says += f" The chosen one has {chosen}: {percent(accuracy(trial))}%."
    return Chart(title, plot, says, _behind(trials), 40 + between * len(rows))


def _parameter(name: str, domain: BaseDistribution, trials: list[FrozenTrial]) -> Row:
    having = [trial for trial in trials if name in trial.params]
    places = {t.number: _position(t.params[name], domain) for t in having}
    texts = {t.number: f"{parameter_name(name)} {short(t.params[name])}" for t in having}
    if isinstance(domain, CategoricalDistribution):
        choices = {_position(choice, domain): short(choice) for choice in domain.choices}
        return Row(parameter_name(name), "", places, texts, choices)
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    scale = f"{short(low)} to {short(high)}" + (", log" * domain.log)  # type: ignore[attr-defined]
    return Row(parameter_name(name), scale, places, texts, {})


def _position(value: Any, domain: BaseDistribution) -> float:
    """Where a value lies on its axis, from 0 to 1; a choice has the room right of it."""
    if isinstance(domain, CategoricalDistribution):
        return domain.choices.index(value) / len(domain.choices)
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    if high == low:
        return 0.5
    if domain.log:  # type: ignore[attr-defined]
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _epochs(trials: list[FrozenTrial]) -> list[int]:
    """Epochs whose accuracies have an axis: the usual ones of stopped trials, and the last."""
    ends = [(t.state, t.user_attrs["epochs"]) for t in trials]
    full = [epochs for state, epochs in ends if state == TrialState.COMPLETE]
    stopped = Counter(epochs for state, epochs in ends if state == TrialState.PRUNED)
    return sorted({*(epochs for epochs, _ in stopped.most_common(RUNGS)), *full})


def _accuracies(epoch: int, trials: list[FrozenTrial]) -> Row:
    """What trials had reached after ``epoch``; of those that ended there, their last value."""
    values = {t.number: t.intermediate_values.get(epoch, math.nan) for t in trials}
    values |= {t.number: accuracy(t) for t in trials if t.user_attrs["epochs"] == epoch}
    values = {number: value for number, value in values.items() if not math.isnan(value)}
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    places = {n: (v - low) / (high - low) if high > low else 0.5 for n, v in values.items()}
    texts = {n: f"{percent(v)}% after epoch {epoch}" for n, v in values.items()}
    return Row(f"after epoch {epoch}", f"{percent(low)} to {percent(high)}%", places, texts, {})


def _lines(
    name: str, trials: list[FrozenTrial], rows: list[Row], band: float, line: dict[str, Any]
) -> go.Scatter:
    """The lines of several trials in one trace, straight through each band, a gap at the end."""
    points: list[tuple[float | None, float | None, str, object]] = []
    for trial in trials:
        own = trial.user_attrs["trial_id"]
        for y, row in enumerate(rows):
            if trial.number in row.places:
                text = f"trial {trial.number}: {row.texts[trial.number]}"
                x = row.places[trial.number]
                points += [(x, y + side * band / 2, text, own) for side in (-1, 1)]
        points.append((None, None, "", None))
    across, down, texts, own_trials = zip(*points, strict=True)
    return go.Scatter(
        x=across,
        y=down,
        text=[plain(text) for text in texts],
        customdata=own_trials,
        meta=TRIALS,
        mode="lines",
        name=name,
        line=line,
        hovertemplate="%{text}<extra></extra>",
    )


def _beside(row: Row) -> str:
    scale = f'<br><span style="font-size:11px">{plain(row.scale)}</span>' if row.scale else ""
    return plain(row.name) + scale


def _label(x: float, row: int, text: str) -> dict[str, Any]:
    """Small text right of a choice; the last word of a long name goes below the others."""
    head, underscore, tail = text.rpartition("_") if len(text) > LABEL else ("", "", text)
    lines = [head + underscore, tail] if head else [tail]
    return {
        "x": x,
        "y": row,
        "text": "<br>".join(map(plain, lines)),
        "showarrow": False,
        "xanchor": "left",
        "xshift": 4,
        "yanchor": "middle" if head else "bottom",  # the axis runs below it, or between its lines
        "align": "left",
        "font": {"size": 11, "color": TEXT.light},
        "borderpad": 0,
    }


def _behind(trials: list[FrozenTrial]) -> pd.DataFrame:
    """The best trials, those with their full budget first."""
    rows = [
        {
            "trial": trial.number,
            **{parameter_name(n): short(trial.params.get(n, "")) for n in varying(trials)},
            "accuracy (%)": percent(accuracy(trial)),
            "after epochs": trial.user_attrs["epochs"],
            "ended": "full budget" if trial.state == TrialState.COMPLETE else "stopped early",
        }
        for trial in trials[: -TABLE_ROWS - 1 : -1]
    ]
    return pd.DataFrame(rows)
