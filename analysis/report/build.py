"""The report as one HTML page that needs nothing but itself."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import plotly.offline
from markupsafe import Markup

from analysis.frames.evidence import alerts
from analysis.frames.overview import overview
from analysis.printed.paper_table import grids
from analysis.report import cards, origin
from analysis.report.chart import TRIALS, Chart
from analysis.report.contents import Section, figure_sections
from analysis.report.legend import legend
from analysis.report.page import Sheet, templates
from analysis.report.style import dark_colours, judged_on, noise_names
from analysis.report.trial_table import trial_table
from analysis.results import Results
from trainable.folder import layout

SHOWN = 9
"""Figures of a section that show at once; the others are folded."""


def build_report(results: Results, now: datetime | None = None, *, in_folder: bool = True) -> str:
    """The whole page, as of ``now``.

    ``in_folder``: it will lie in the results folder, so that it may link to what lies there.

    Raises ResultsError if trials were selected on the test set and must not have been.
    """
    sections = figure_sections(results)
    best = overview(results)
    trials = trial_table(results)
    return (
        templates()
        .get_template("page.html")
        .render(
            name=results.name,
            headline=cards.headline(results),
            headnotes=cards.headnotes(results, best),
            cards=cards.cards(results, best),
            judged_on=judged_on(results),
            sections=[with_ids(section, results.name) for section in sections],
            shown=SHOWN,
            grids=grids(results),
            doubted=layout.doubted_pages(results.folder) if in_folder else [],
            noise_names=noise_names(results.trials),
            failures=origin.failures(results),
            provenance=origin.provenance(results),
            sweep_file=origin.sweep_file(results),
            now=now or datetime.now(UTC),
            trials=trials,
            figures=stored(sections, trials.opened, alerts(results)),
            plotly=Markup(plotly.offline.get_plotlyjs()),
        )
    )


def with_ids(section: Section, sweep: str) -> dict[str, Any]:
    """A section for a template: each chart with its id, the file it is saved as, legend, table."""
    names = zip(section.charts, section.file_names(sweep), strict=True)
    charts = [_for_template(_id(section, i), *named) for i, named in enumerate(names)]
    return vars(section) | {"charts": charts}


def _for_template(name: str, chart: Chart, file: str) -> dict[str, Any]:
    sheet = Sheet(chart.table, chart.title)
    return vars(chart) | {"id": name, "file": file, "legend": legend(chart.plot), "sheet": sheet}


def _id(section: Section, number: int) -> str:
    return f"{section.name}-{number}"


def stored(
    sections: list[Section], trials: list[dict[str, Any]], against: Sequence[str]
) -> Markup:
    """The figures for the page's script, as JSON that no text in it can end.

    ``trials``: ``trial_table.Trials.opened``; ``against``: what must stand in every saved file.
    """
    places = {trial["title"]: place for place, trial in enumerate(trials)}
    plots = {
        _id(section, i): _linked(json.loads(chart.plot.to_json()), places)
        for section in sections
        for i, chart in enumerate(section.charts)
    }
    stored = {"figures": plots, "dark": dark_colours(), "trials": trials, "alerts": against}
    # As it is, "</script>" in the name of a sweep would end the script around it.
    text = json.dumps(stored, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _linked(plot: dict[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    """A figure whose points name their trials by the rows of the table of all trials."""
    for trace in plot["data"]:
        if trace.get("meta") == TRIALS:
            trace["customdata"] = [places.get(trial) for trial in trace["customdata"]]
    return plot
