"""A figure of a replay: how far the choice is from the best, over the epochs spent."""

import os
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from analysis.paper.picture import picture
from analysis.report.chart import axis, figure
from analysis.report.style import PALETTE
from search.replay.replay import Run
from search.replay.summary import of
from spaces.sweep_file import SpecError
from trainable.folder.storage import Folder

FORMATS = ("pdf", "png", "svg")
SOLID = next(place for place, look in enumerate(PALETTE) if look.dash == "solid")
"""The look of the first strategy; the others follow."""


def write_regret(runs: Sequence[Run], path: str) -> None:
    """Draw the mean regret of every strategy, in points, into a PDF, SVG or PNG file.

    A line ends where all of its runs have chosen the best of every pool, or the first of them has
    used its pools up. ``path`` may be a URI. Raises SpecError for a file of another kind,
    StorageError where it cannot be written.
    """
    how = check_figure(path)
    parent, name = os.path.split(path)
    Folder.open(parent or ".").write(name, picture(regret_plot(runs), 340, how, 2))


def check_figure(path: str) -> str:
    """What kind of file ``path`` is to be. Raises SpecError for one that cannot be drawn."""
    how = os.path.splitext(path)[1].removeprefix(".")
    if how not in FORMATS:
        raise SpecError(f"--figure {path}: valid endings: {', '.join(FORMATS)}")
    return how


def regret_plot(runs: Sequence[Run]) -> go.Figure:
    """The figure: a line a strategy."""
    traces = []
    for place, name in enumerate(dict.fromkeys(run.strategy for run in runs)):
        mine, look = of(runs, name), PALETTE[(SOLID - place) % len(PALETTE)]
        length = min(len(run.path) for run in mine)
        mean = 100 * np.mean([run.path[:length] for run in mine], axis=0)
        traces.append(
            go.Scatter(
                x=[budgets * mine[0].budget for budgets in range(1, length + 1)],
                y=[float(value) or None for value in mean],
                name=name,
                mode="lines",
                line={"color": look.light, "dash": look.dash, "width": 2},
            )
        )
    # Where the best was had at once there is nothing that a logarithmic axis could show.
    any_left = any(value is not None for trace in traces for value in trace.y)
    return figure(
        traces,
        axis("Epochs of the whole sweep"),
        axis("Regret of the choice (points)", type="log" if any_left else "linear"),
    )
