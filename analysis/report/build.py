"""The report as one HTML page that needs nothing but itself."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from string import Template

import pandas as pd
import plotly.offline

from analysis.frames.overview import overview
from analysis.printed.tables import Cell, Grid, grids
from analysis.report import cards, origin
from analysis.report.chart import Chart
from analysis.report.contents import Section, figure_sections
from analysis.report.legend import legend
from analysis.report.page import Markup, join, paragraph, scrolling, table, tag
from analysis.report.style import dark_colours, judged_on, noise_names
from analysis.results import Results

SHOWN = 9
"""Figures of a section that show at once; the others are folded."""


def build_report(results: Results, now: datetime | None = None) -> str:
    """The whole page, as of ``now``.

    Raises ResultsError if trials were selected on the test set and must not have been.
    """
    sections = figure_sections(results)
    charts = {f"{s.name}-{i}": chart for s in sections for i, chart in enumerate(s.charts)}
    return Template(_file("page.html")).substitute(
        title=join([_name(results)]),
        css=_file("page.css"),
        body=_body(results, sections, now or datetime.now(UTC)),
        figures=_stored(charts),
        plotly=plotly.offline.get_plotlyjs(),
        script=_file("page.js"),
    )


def _file(name: str) -> str:
    return files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def _name(results: Results) -> str:
    return str(results.spec.get("name", "sweep"))


def _stored(charts: dict[str, Chart]) -> Markup:
    """The figures for the page's script, as JSON that no text in it can end."""
    plots = {name: json.loads(chart.plot.to_json()) for name, chart in charts.items()}
    text = json.dumps({"figures": plots, "dark": dark_colours()}, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def _body(results: Results, sections: list[Section], now: datetime) -> Markup:
    best = overview(results)
    names = noise_names(results.trials)
    below = {"accuracy": join(_grid(grid, names) for grid in grids(results))}
    parts = [
        ("summary", "Best configurations", _summary(results, best)),
        *((s.name, s.title, join([_figures(s), below.get(s.name, "")])) for s in sections),
        ("failures", "Failures", origin.failures(results)),
        ("provenance", "Provenance", origin.provenance(results)),
    ]
    head = [
        tag("h1", _name(results)),
        tag("p", cards.headline(results)),
        cards.marks(results, best),
    ]
    links = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in parts]
    foot = f"Written {now:%Y-%m-%d %H:%M} UTC. In commands, DIR is the folder of this file."
    return join(
        [
            tag("header", *head),
            tag("nav", tag("ul", *links), aria_label="Contents"),
            tag("main", *(_section(*part) for part in parts), id="main"),
            tag("footer", tag("p", foot)),
        ]
    )


def _section(name: str, title: str, content: Markup) -> Markup:
    heading = f"{name}-title"
    return tag("section", tag("h2", title, id=heading), content, id=name, aria_labelledby=heading)


def _summary(results: Results, best: pd.DataFrame) -> Markup:
    if best.empty:
        return paragraph("Filled by the first trial that uses its full budget.", "missing")
    rule = (
        "For each noise setting the loss and configuration with the highest accuracy on the "
        f"{judged_on(results)}. Differences are of test accuracy, paired by seed, with a 95% "
        "interval, not corrected for several comparisons."
    )
    return join([paragraph(rule, "intro"), cards.cards(results, best)])


def _grid(grid: Grid, names: Mapping[str, str]) -> Markup:
    head = tag(
        "tr",
        tag("th", "Method", scope="col"),
        *(tag("th", names[name], scope="col") for name in grid.header),
    )
    blocks = [
        ("This sweep", grid.measured),
        ("Difference to ELR, in points", grid.differences),
        ("Published", grid.published),
    ]
    body = [
        tag(
            "tbody",
            tag("tr", tag("th", name, scope="rowgroup", colspan=str(len(grid.header) + 1))),
            *(tag("tr", tag("th", m, scope="row"), *map(_cell, cells)) for m, cells in lines),
        )
        for name, lines in blocks
        if lines
    ]
    whole = tag("table", tag("caption", grid.title), tag("thead", head), *body)
    return join([scrolling(whole, grid.title), *(paragraph(n, "says") for n in grid.notes)])


def _cell(cell: Cell) -> Markup:
    number, bracket, rest = cell.text.replace("-", "−").partition("[")
    interval = tag("small", bracket + rest) if bracket else ""
    return tag("td", number, interval, class_="best" if cell.bold else "")


def _figures(section: Section) -> Markup:
    intro = paragraph(section.intro, "intro")
    if not section.charts:
        return join([intro, paragraph(section.missing, "missing")])
    charts = [_figure(f"{section.name}-{i}", chart) for i, chart in enumerate(section.charts)]
    shown, rest = charts[:SHOWN], charts[SHOWN:]
    more = tag("details", tag("summary", f"{len(rest)} more"), _gallery(rest), class_="more")
    return join([intro, _gallery(shown), more if rest else ""])


def _gallery(charts: list[Markup]) -> Markup:
    return tag("div", *charts, class_="charts")


def _figure(name: str, chart: Chart) -> Markup:
    caption = tag(
        "figcaption",
        tag("h3", chart.title),
        tag("p", chart.says, class_="says"),
        legend(chart.plot),
    )
    drawing = tag(
        "div",
        id=name,
        class_="chart",
        role="img",
        aria_label=f"{chart.title}. {chart.says}",
        style=f"height: {chart.height}px",
    )
    of_what = tag("span", f" of {chart.title}", class_="hidden")
    data = tag("details", tag("summary", "Data", of_what), table(chart.table, chart.title))
    return tag("figure", caption, drawing, data)
