"""Charts as files for a paper: valid, complete, and with the data where it says."""

import re
import xml.etree.ElementTree as ET
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.colors import to_hex, to_rgba
from PIL import Image
from pypdf import PdfReader
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.frames.evidence import LEAK, RUNNING
from analysis.paper.export import write_figures
from analysis.paper.marks import NoPaperFormError, symbol, words
from analysis.paper.picture import COLUMNS, STYLE, drawn, picture
from analysis.report.build import build_report
from analysis.report.chart import Chart, axis, figure, named_axis, scatter
from analysis.report.contents import PLANS, Section, figure_sections
from analysis.report.page import templates
from analysis.report.section_names import SECTIONS
from analysis.report.style import INK, PALETTE
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, record_sweep, trial_row, write_results

SVG = "{http://www.w3.org/2000/svg}"
ONE_SETTING = SWEEP.replace("[0.4, 0.6]", "[0.4]")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = record_sweep(tmp_path_factory.mktemp("sweep"), ONE_SETTING, replicates=3)
    return load_results(folder)


@pytest.fixture(scope="module")
def sections(results):
    return figure_sections(results)


def run(*arguments):
    return CliRunner().invoke(app, ["figures", *map(str, arguments)], catch_exceptions=False)


def said(plot):
    """The words that a picture must have: titles of its axes, and names in its legend."""
    titles = [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text]
    named = [] if plot.layout.showlegend is False else plot.data
    return [
        words(text)
        for text in [*titles, *(t.name for t in named if t.showlegend is not False)]
        if text
    ]


def test_every_chart_of_a_sweep_is_a_pdf_with_its_words_and_fonts(results, sections, tmp_path):
    written, left_out = [], []
    write_figures(results, out=str(tmp_path), written=written.append, left_out=left_out.append)
    charts = [chart for section in sections for chart in section.charts]
    files = [name for section in sections for name in section.file_names("recorded")]
    assert [Path(place).name for place in written] == [f"{name}-1col.pdf" for name in files]
    assert {section.name for section in sections if section.charts} >= {"accuracy", "contour"}
    for place, chart in zip(written, charts, strict=True):
        (page,) = PdfReader(place).pages
        assert page.mediabox.width == pytest.approx(252)  # 3.5 inches
        text = page.extract_text()
        assert not [word for word in said(chart.plot) if word not in text], place
        for font in page["/Resources"]["/Font"].values():
            (inner,) = font.get_object()["/DescendantFonts"]
            assert "/FontFile2" in inner.get_object()["/FontDescriptor"]


def test_the_first_chart_of_every_section_is_an_svg_with_its_words(sections):
    for chart in (section.charts[0] for section in sections if section.charts):
        root = ET.fromstring(picture(chart.plot, chart.height, "svg"))
        texts = {text.text for text in root.iter(f"{SVG}text")}
        assert not set(said(chart.plot)) - texts, chart.title
        assert "@font-face" in root.find(f".//{SVG}style").text


def ticks(root, which):
    """(value, place) of the numbers along an axis of an SVG."""
    groups = [g for g in root.iter(f"{SVG}g") if g.get("id", "").startswith(f"{which}tick")]
    for tick in groups:
        mark = next(tick.iter(f"{SVG}use"))
        yield float(tick.find(f".//{SVG}text").text), float(mark.get(which))


def placed(root, which, values):
    """Where the axis of an SVG has the values, by the numbers written along it."""
    written, places = zip(*ticks(root, which), strict=True)
    slope, offset = np.polyfit(written, places, 1)
    return slope * np.array(values, dtype=float) + offset


def centres(group):
    """(x, y) of the markers in a group of an SVG: used again, or each drawn out."""
    used = [(float(use.get("x")), float(use.get("y"))) for use in group.iter(f"{SVG}use")]
    if used:
        return used
    numbers = [re.findall(r"-?[\d.]+", path.get("d")) for path in group.iter(f"{SVG}path")]
    corners = [np.array(found, dtype=float).reshape(-1, 2) for found in numbers]
    return [tuple((c.min(axis=0) + c.max(axis=0)) / 2) for c in corners]


def test_points_are_where_the_numbers_along_the_axes_say(results, sections):
    (section,) = (section for section in sections if section.name == "agreement")
    (chart,) = section.charts
    root = ET.fromstring(picture(chart.plot, chart.height, "svg"))
    groups = {g.get("id"): g for g in root.iter(f"{SVG}g")}
    for number, trace in enumerate(chart.plot.data, start=1):
        found = zip(*centres(groups[f"PathCollection_{number}"]), strict=True)
        for which, places in zip("xy", found, strict=True):
            assert places == pytest.approx(placed(root, which, trace[which]), abs=0.02)


def test_widths_are_those_of_one_and_two_columns_on_white():
    plot = figure([scatter(INK, "a", [1, 2], [3, 4])], axis("x"), axis("y"))
    for columns, width in COLUMNS.items():
        image = Image.open(BytesIO(picture(plot, 200, "png", columns))).convert("RGB")
        assert image.width == 4 * width
        assert image.getpixel((2, image.height // 2)) == (255, 255, 255)


def test_the_report_saves_charts_as_wide():
    script = templates().globals["source"]("page.js")
    ours = ", ".join(f"{columns}: {width}" for columns, width in COLUMNS.items())
    assert f"const COLUMNS = {{ {ours} }};" in script


def test_the_report_saves_charts_under_the_same_names(results, sections):
    files = {name for section in sections for name in section.file_names(results.name)}
    assert set(re.findall(r'data-file="([^"]*)"', build_report(results))) == files


def test_a_picture_is_the_same_whenever_it_is_made():
    plot = figure([scatter(INK, "a", [1, 2], [3, 4])], axis("x"), axis("y"))
    for how in ("pdf", "svg"):
        assert picture(plot, 200, how) == picture(plot, 200, how)


def test_error_bars_reach_as_far_as_they_say():
    points = go.Scatter(
        x=[1.0, 2.0],
        y=[5.0, 7.0],
        mode="markers",
        marker={"color": "#000000"},
        error_x={"array": [0.5, 2.0], "color": "#000000", "thickness": 1.5, "width": 4},
    )
    axes = drawn(figure([points], axis(), axis()), 200).axes[0]
    bars = [tuple(path[:, 0]) for c in axes.collections[:1] for path in c.get_segments()]
    assert bars == [(0.5, 1.5), (0.0, 4.0)]


def test_a_band_is_its_outline_in_the_trace_s_opacity():
    band = go.Scatter(
        x=[0, 1, 1, 0], y=[1, 2, 4, 3], fill="toself", fillcolor="#0072b2", opacity=0.2
    )
    (patch,) = drawn(figure([band], axis(), axis()), 200).axes[0].patches
    assert patch.get_xy()[:4].tolist() == [[0, 1], [1, 2], [1, 4], [0, 3]]
    assert patch.get_facecolor() == pytest.approx(to_rgba("#0072b2", 0.2))


def test_gaps_in_a_line_stay_gaps():
    line = scatter(INK, "a", [1, 2, None, 3], [1, 2, None, 3], mode="lines")
    (shown,) = drawn(figure([line], axis(), axis()), 200).axes[0].lines
    assert np.isnan(shown.get_xdata()).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("mode", "starts", "heights"),
    [("stack", [[0, 0], [3, 1]], 0.8), ("group", [[0, 0], [0, 0]], 0.4)],
)
def test_bars_stand_on_each_other_or_side_by_side(mode, starts, heights):
    bars = [
        go.Bar(y=["a", "b"], x=values, orientation="h", marker={"color": "#000000"})
        for values in ([3, 1], [2, 4])
    ]
    plot = figure(bars, axis(), named_axis(["a", "b"]), barmode=mode)
    patches = drawn(plot, 200).axes[0].patches
    assert [p.get_x() for p in patches] == [start for bar in starts for start in bar]
    assert [p.get_width() for p in patches] == [3, 1, 2, 4]
    assert {round(p.get_height(), 6) for p in patches} == {heights}
    middles = [p.get_y() + p.get_height() / 2 for p in patches]
    apart = 0.0 if mode == "stack" else 0.4
    assert middles[2] - middles[0] == pytest.approx(apart)
    assert middles[0] - middles[1] == pytest.approx(1)  # a stands above b


def test_cells_of_a_heatmap_have_their_colours_and_words():
    heat = go.Heatmap(
        x=["a", "b"],
        y=["c", "d"],
        z=[[0, 1], [0.5, None]],
        colorscale=[[0, "#ffffff"], [1, "#000000"]],
        showscale=False,
        texttemplate="%{z:.1f}",
    )
    axes = drawn(figure([heat], axis(), axis(autorange="reversed")), 200).axes[0]
    (mesh,) = axes.collections
    mesh.update_scalarmappable()
    assert [to_hex(c) for c in mesh.get_facecolors()[:3]] == ["#ffffff", "#000000", "#7f7f7f"]
    assert [text.get_text() for text in axes.texts] == ["0.0", "1.0", "0.5"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "d"]
    assert axes.get_ylim() == (1.5, -0.5)


def test_a_logarithmic_axis_has_its_own_ticks_in_its_range():
    xaxis = axis(type="log", range=[0, 1], tickvals=[0.5, 1, 2, 5, 10], ticktext=list("abcde"))
    axes = drawn(figure([scatter(INK, "a", [1, 9], [1, 2])], xaxis, axis()), 200).axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == pytest.approx((1, 10))
    assert [label.get_text() for label in axes.get_xticklabels()] == list("bcde")


def test_a_line_across_all_axes_and_words_are_drawn():
    plot = figure([scatter(INK, "a", [1, 2], [3, 4])], axis(), axis())
    plot.add_vline(1.5, line={"color": "#000000", "dash": "dot", "width": 1})
    plot.add_annotation(x=1, y=4, text="here &lt;b&gt;", showarrow=False)
    axes = drawn(plot, 200).axes[0]
    assert list(axes.lines[-1].get_xdata()) == [1.5, 1.5]
    assert [text.get_text() for text in axes.texts] == ["here <b>"]


@pytest.mark.parametrize("look", PALETTE, ids=lambda look: look.symbol)
def test_every_marker_of_a_loss_has_a_form(look):
    assert symbol(look.symbol) == (symbol(f"{look.symbol}-open")[0], True)


def test_what_is_not_drawn_on_paper_says_so(results, tmp_path, monkeypatch):
    parallel = go.Figure(go.Parcoords(dimensions=[{"values": [1, 2]}]))
    with pytest.raises(NoPaperFormError, match="a trace of type parcoords"):
        drawn(parallel, 200)
    chart = Chart("all of them", parallel, "", None)
    points = Chart("some", figure([scatter(INK, "a", [1], [1])], axis(), axis()), "", None)
    both = [Section("one", "One", "", "", [chart, points])]
    monkeypatch.setattr("analysis.paper.export.figure_sections", lambda *_: both)
    left_out, written = [], []
    write_figures(results, out=str(tmp_path), written=written.append, left_out=left_out.append)
    assert [Path(place).name for place in written] == ["recorded-one-some-1col.pdf"]
    (line,) = left_out
    assert line.startswith("recorded-one-all-of-them-1col.pdf: a trace of type parcoords")


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        (go.Scatter(x=[1], y=[1], text=["one"], mode="markers+text"), "texts at points"),
        (go.Scatter(x=[1], y=[1], error_y={"array": [0.1]}), "error bars that stand"),
    ],
)
def test_no_part_of_a_trace_is_left_out_without_a_word(trace, message):
    with pytest.raises(NoPaperFormError, match=message):
        drawn(figure([trace], axis(), axis()), 200)


def test_names_are_those_of_sweep_section_and_chart_and_none_comes_twice():
    plot = go.Figure()
    charts = [Chart(title, plot, "", None) for title in ("A: b", "A, b", "Ä/../b")]
    section = Section("curves", "", "", "", charts)
    assert section.file_names("my sweep") == [
        "my-sweep-curves-a-b", "my-sweep-curves-a-b--2", "my-sweep-curves-ä-b",
    ]  # fmt: skip
    long = Section("curves", "", "", "", [Chart("a " * 99, plot, "", None)] * 2)
    one, two = long.file_names("s" * 100)
    assert (len(one), two) == (119, f"{one}--2")


def test_the_command_writes_one_section_into_the_results_folder(results):
    folder = results.folder.location
    done = run(folder, "--only", "learning", "--format", "svg", "--columns", "2")
    assert done.exit_code == 0
    (place,) = done.stdout.splitlines()
    assert Path(place) == Path(folder, "figures", "recorded-learning-symmetric-40-2col.svg")
    assert Path(place).stat().st_size > 1000


def test_a_section_without_figures_says_what_would_fill_it(results):
    done = run(results.folder.location, "--only", "importances", "--only", "gap")
    assert done.exit_code == 0
    assert "left out: importances: Filled once a study has" in done.stderr


def test_every_section_of_the_report_is_named_in_the_help():
    assert tuple(plan.name for plan in PLANS) == SECTIONS
    words = re.findall(r"\w+", run("--help").stdout)
    assert set(SECTIONS) <= set(words)


@pytest.mark.parametrize(
    ("fields", "mark"),
    [({"selected_by": "test_accuracy"}, LEAK), ({"status": "running"}, RUNNING)],
)
def test_every_file_carries_what_stands_against_the_sweep(fields, mark, tmp_path):
    spec = "[search]\nallow_test_selection = true\n"
    trials = [trial_row(), trial_row(number=1, **fields)]
    results = load_results(write_results(tmp_path, trials, spec=spec))
    written = []
    write_figures(results, out=str(tmp_path / "out"), written=written.append)
    assert len(written) > 3
    for place in written:
        (page,) = PdfReader(place).pages
        assert mark in page.extract_text().replace("\n", " ")


def test_a_mark_fits_the_width_and_takes_no_room_from_the_figure():
    plot = figure([scatter(INK, "a", [1, 2], [3, 4])], axis("x"), axis("y"))
    bare, marked = drawn(plot, 200), drawn(plot, 200, alerts=[LEAK, RUNNING])
    for one in (bare, marked):
        one.draw_without_rendering()
    text = marked.texts[-1].get_window_extent()
    assert 0 <= text.x0 < text.x1 <= marked.bbox.width
    assert text.y0 >= 0
    plain, below = (one.axes[0].get_window_extent() for one in (bare, marked))
    assert text.y1 < marked.axes[0].xaxis.label.get_window_extent().y0
    assert below.height == pytest.approx(plain.height, rel=0.01)


def test_a_figure_saved_as_the_page_says_is_the_picture_of_it():
    plot = figure([scatter(INK, "a", [1, 2], [3, 4])], axis("x"), axis("y"))
    own, sink = drawn(plot, 200), BytesIO()
    with mpl.rc_context(STYLE):
        own.savefig(sink, format="pdf", metadata={"CreationDate": None})
    assert sink.getvalue() == picture(plot, 200, "pdf")


def test_mistakes_are_one_line_and_exit_code_2(results, tmp_path):
    folder = results.folder.location
    done = run(folder, "--only", "learnin")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "learning" in done.stderr
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run(folder, "--only", "learning", "--out", blocked / "inside")
    assert done.exit_code == 2
    assert "file" in done.stderr
    write_results(tmp_path / "empty", [])
    with pytest.raises(ResultsError, match="nothing to draw"):
        write_figures(load_results(tmp_path / "empty"))
