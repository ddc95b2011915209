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

from analysis.amounts import percent, short
from analysis.best import records
from analysis.report.chart import Chart, axis, figure, look, plain, scatter
from analysis.report.style import FAINT, INK, STOPPED_EARLY, TEXT, Look, loss_name

BRUSHED = "parallel"
"""In the ``meta`` of a layout: the page lets readers brush its axes."""
RUNGS = 3
"""Epochs before the last whose accuracies have an axis: those at which most trials stopped."""
TABLE_ROWS = 10
"""Trials that the table behind a figure lists at most, the best ones."""
LABEL = 12
"""Characters above which the name of a choice takes two lines."""
WIDTH = 28
"""Characters along an axis on a phone: names of choices that need more stand upright."""
ROOM, BAND = 34, 18
"""Height between two axes, and of the band around one in which lines run straight down, so that
they leave room for the names of choices; in pixels."""
LINE = 14
"""What a second line of such a name adds to both."""
LETTER = 7
"""Height of a letter of a name that stands upright."""
UPRIGHT = 3
"""Axes whose room one with upright names takes."""


@dataclass(frozen=True)
class Level:
    """One level of a figure: an axis, and the trials on it by their numbers."""

    name: str  # written beside it
    scale: str  # written below the name: the range
    places: dict[int, float]  # where on it a trial lies, in [0, 1]
    texts: dict[int, str]  # that place in words
    choices: dict[float, str]  # names that stand on the axis itself, by their places

    @property
    def upright(self) -> bool:
        """Whether the names of choices have no room beside each other."""
        longest = max((len(line) for c in self.choices.values() for line in _broken(c)), default=0)
        return longest * len(self.choices) > WIDTH


def parallel_charts(studies: Mapping[str, optuna.Study], best: pd.DataFrame) -> list[Chart]:
    """A line for each trial through its hyperparameters, down to the accuracy it ended with.

    ``best``: the chosen trial of each study (``best.best_configs``, titled).
    """
    charts = []
    for row in records(best):
        trials = ended(studies[row["study"]])
        if len(trials) > 1 and varying(trials):
            title = f"{row['title']}: {loss_name(row['loss'])}"
            charts.append(_parallel(title, trials, row["trial_id"], look(row["loss"])))
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


def _parallel(title: str, trials: list[FrozenTrial], best: object, style: Look) -> Chart:
    levels = _parameter_levels(trials)
    levels += [
        level
        for epoch in _epochs_with_axis(trials)
        if (level := _accuracy_level(epoch, trials)).places
    ]
    flat = [text for level in levels if not level.upright for text in level.choices.values()]
    two = any(len(_broken(text)) > 1 for text in flat)
    between, band = ROOM + BAND + 2 * LINE * two, BAND + LINE * two
    bands = [_height(level) if level.upright else band for level in levels]
    downs = _downs(levels)
    groups: dict[str, list[FrozenTrial]] = {"stopped early": [], "full budget": [], "chosen": []}
    for trial in trials:
        full = "full budget" if trial.state == TrialState.COMPLETE else "stopped early"
        groups["chosen" if trial.user_attrs["trial_id"] == best else full].append(trial)
    placed = [
        (level, down, height / between)
        for level, down, height in zip(levels, downs, bands, strict=True)
    ]
    looks = [(STOPPED_EARLY, 1.0), (INK, 1.2), (style, 3.5)]
    traces = [
        _polylines(name, group, placed, shade, width)
        for (name, group), (shade, width) in zip(groups.items(), looks, strict=True)
        if group
    ]
    yaxis = axis(
        tickvals=downs,
        ticktext=[_beside(level) for level in levels],
        range=[downs[-1] + 0.5, -0.5],
        gridcolor=FAINT.light,
    )
    labels = [
        _label(x, down, text, upright=level.upright)
        for level, down in zip(levels, downs, strict=True)
        for x, text in level.choices.items()
    ]
    xaxis = axis(visible=False, range=[-0.02, 1.02])
    plot = figure(traces, xaxis, yaxis, annotations=labels, meta=BRUSHED)
    says = f"{len(trials)} trials."
    for trial in groups["chosen"]:
        chosen = ", ".join(f"{parameter_name(k)} {short(v)}" for k, v in trial.params.items())
        says += f" The chosen one has {chosen}: {percent(accuracy(trial))}%."
    return Chart(title, plot, says, _behind(trials), 40 + between * (downs[-1] + 1))


def _parameter_levels(trials: list[FrozenTrial]) -> list[Level]:
    """An axis a parameter; those of several branches share one where name and domain agree.

    ``adam.eps`` and ``amsgrad.eps`` are the same to a reader, and no trial has both.
    """
    shared: dict[tuple[str, BaseDistribution], list[str]] = {}
    for name, domain in varying(trials).items():
        shared.setdefault((parameter_name(name), domain), []).append(name)
    times = Counter(name for name, _ in shared)
    return [
        _parameter_level(_called(name, branches, times[name]), branches, domain, trials)
        for (name, domain), branches in shared.items()
    ]


def _called(name: str, branches: list[str], axes: int) -> str:
    """A name, and its branch where another axis has the same name."""
    alone = axes > 1 and len(branches) == 1
    return f"{name} ({branches[0].rpartition('.')[0]})" if alone else name


def _parameter_level(
    name: str, branches: list[str], domain: BaseDistribution, trials: list[FrozenTrial]
) -> Level:
    values = {t.number: t.params[b] for t in trials for b in branches if b in t.params}
    places = {number: _position(value, domain) for number, value in values.items()}
    texts = {number: f"{name} {short(value)}" for number, value in values.items()}
    if isinstance(domain, CategoricalDistribution):
        choices = {_position(choice, domain): short(choice) for choice in domain.choices}
        return Level(name, "", places, texts, choices)
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    scale = f"{short(low)} to {short(high)}" + (", log" * domain.log)  # type: ignore[attr-defined]
    return Level(name, scale, places, texts, {})


def _position(value: Any, domain: BaseDistribution) -> float:
    """Where a value lies on its axis, from 0 to 1; a choice has the room right of it."""
    if isinstance(domain, CategoricalDistribution):
        # At the left end of its share of the axis, where its name starts too.
        return domain.choices.index(value) / len(domain.choices)
    low, high = domain.low, domain.high  # type: ignore[attr-defined]
    if high == low:
        return 0.5
    if domain.log:  # type: ignore[attr-defined]
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _epochs_with_axis(trials: list[FrozenTrial]) -> list[int]:
    """Epochs whose accuracies have an axis: the usual ones of stopped trials, and the last."""
    ends = [(t.state, t.user_attrs["epochs"]) for t in trials]
    full = [epochs for state, epochs in ends if state == TrialState.COMPLETE]
    stopped = Counter(epochs for state, epochs in ends if state == TrialState.PRUNED)
    return sorted({*(epochs for epochs, _ in stopped.most_common(RUNGS)), *full})


def _accuracy_level(epoch: int, trials: list[FrozenTrial]) -> Level:
    """What trials had reached after ``epoch``; of those that ended there, their last value."""
    values = {t.number: t.intermediate_values.get(epoch, math.nan) for t in trials}
    values |= {t.number: accuracy(t) for t in trials if t.user_attrs["epochs"] == epoch}
    values = {number: value for number, value in values.items() if not math.isnan(value)}
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    places = {n: (v - low) / (high - low) if high > low else 0.5 for n, v in values.items()}
    texts = {n: f"{percent(v)}% after epoch {epoch}" for n, v in values.items()}
    return Level(f"after epoch {epoch}", f"{percent(low)} to {percent(high)}%", places, texts, {})


def _downs(levels: list[Level]) -> list[int]:
    """Where each axis stands, from above: at whole numbers, as the page's brushes take them."""
    found, free = list[int](), 0
    for level in levels:
        room = UPRIGHT if level.upright else 1
        found.append(free + room // 2)
        free += room
    return found


def _height(level: Level) -> int:
    """Of the band of an axis with upright names, in pixels."""
    return LETTER * max(len(line) for text in level.choices.values() for line in _broken(text))


def _polylines(
    name: str,
    trials: list[FrozenTrial],
    placed: list[tuple[Level, int, float]],
    style: Look,
    width: float,
) -> go.Scatter:
    """The lines of several trials in one trace, straight through each band, a gap at the end.

    ``placed``: axes, each with its place and the height of its band.
    """
    points: list[tuple[float | None, float | None, str, str | None]] = []
    for trial in trials:
        own = trial.user_attrs["trial_id"]
        for level, down, band in placed:
            if trial.number in level.places:
                text = f"trial {trial.number}: {level.texts[trial.number]}"
                x = level.places[trial.number]
                # The point between is what the page's brushes look for on the axis.
                points += [(x, down + side * band / 2, text, own) for side in (-1, 0, 1)]
        points.append((None, None, "", None))
    across, heights, texts, own_trials = zip(*points, strict=True)
    return scatter(
        style,
        name,
        across,
        heights,
        "%{text}<extra></extra>",
        text=[plain(text) for text in texts],
        trials=own_trials,
        mode="lines",
        line={"width": width, "dash": "solid"},
    )


def _beside(level: Level) -> str:
    scale = f'<br><span style="font-size:11px">{plain(level.scale)}</span>' if level.scale else ""
    return plain(level.name) + scale


def _broken(text: str) -> list[str]:
    """The lines of a choice's name: the last word of a long one has its own."""
    head, underscore, tail = text.rpartition("_") if len(text) > LABEL else ("", "", text)
    return [head + underscore, tail] if head else [tail]


def _label(x: float, down: int, text: str, *, upright: bool = False) -> dict[str, Any]:
    """Small text right of a choice, ``upright`` where it would run into the next."""
    lines = _broken(text)
    # The axis runs below a single line, or between the lines.
    flat = {"yanchor": "middle" if len(lines) > 1 else "bottom"}
    return {
        "x": x,
        "y": down,
        "text": "<br>".join(map(plain, lines)),
        "showarrow": False,
        "xanchor": "left",
        "xshift": 4,
        "align": "left",
        "font": {"size": 11, "color": TEXT.light},
        "borderpad": 0,
        **({"yanchor": "middle", "textangle": -90} if upright else flat),
    }


def _behind(trials: list[FrozenTrial]) -> pd.DataFrame:
    """The best trials, those with their full budget first."""
    rows = [
        {
            "trial": trial.number,
            **dict.fromkeys(map(parameter_name, varying(trials)), ""),
            **{parameter_name(name): short(value) for name, value in trial.params.items()},
            "accuracy (%)": percent(accuracy(trial)),
            "after epochs": trial.user_attrs["epochs"],
            "ended": "full budget" if trial.state == TrialState.COMPLETE else "stopped early",
        }
        for trial in trials[: -TABLE_ROWS - 1 : -1]
    ]
    return pd.DataFrame(rows)
