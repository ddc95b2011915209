"""The report as one HTML page that needs nothing but itself."""

import json
from datetime import UTC, datetime
from typing import Any

import plotly.offline
from markupsafe import Markup

from analysis.frames.overview import overview
from analysis.printed.paper_table import grids
from analysis.report import cards, origin
from analysis.report.chart import Chart
from analysis.report.contents import Section, figure_sections
from analysis.report.legend import legend
from analysis.report.page import Sheet, templates
from analysis.report.style import dark_colours, judged_on, noise_names
from analysis.report.trial_table import Trials, trial_table
from analysis.results import Results

SHOWN = 9
"""Figures of a section that show at once; the others are folded."""


def build_report(results: Results, now: datetime | None = None) -> str:
    """The whole page, as of ``now``.

    Raises ResultsError if trials were selected on the test set and must not have been.
    """
    sections = figure_sections(results)
    best = overview(results)
    trials = trial_table(results)
    return (
        templates()
        .get_template("page.html")
        .render(
            name=str(results.spec.get("name", "sweep")),
            headline=cards.headline(results),
            marks=cards.marks(results, best),
            cards=cards.cards(results, best),
            judged_on=judged_on(results),
            sections=[_section(section) for section in sections],
            shown=SHOWN,
            grids=grids(results),
            noise_names=noise_names(results.trials),
            failures=origin.failures(results),
            provenance=origin.provenance(results),
            sweep_file=origin.sweep_file(results),
            now=now or datetime.now(UTC),
            trials=trials,
            figures=_stored(sections, trials),
            plotly=Markup(plotly.offline.get_plotlyjs()),
        )
    )


def _section(section: Section) -> dict[str, Any]:
    charts = [_shown(_id(section, i), chart) for i, chart in enumerate(section.charts)]
    return vars(section) | {"charts": charts}


def _shown(name: str, chart: Chart) -> dict[str, Any]:
    sheet = Sheet(chart.table, chart.title)
    return vars(chart) | {"id": name, "legend": legend(chart.plot), "sheet": sheet}


def _id(section: Section, number: int) -> str:
    return f"{section.name}-{number}"


def _stored(sections: list[Section], trials: Trials) -> Markup:
    """The figures for the page's script, as JSON that no text in it can end."""
    plots = {
        _id(section, i): json.loads(chart.plot.to_json())
        for section in sections
        for i, chart in enumerate(section.charts)
    }
    stored = {"figures": plots, "dark": dark_colours(), "trials": trials.opened}
    text = json.dumps(stored, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
