"""The report as a reader has it: opened from a file in headless Chromium."""

import base64
import json
import time
import tomllib
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageColor

from analysis.frames.evidence import LEAK
from analysis.report.style import looks
from analysis.report.write import write_report
from tests.browser import CHROMIUM, PATIENCE, chromium
from tests.recorded import epoch_row, record_sweep, trial_row, write_results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")

NASTY = '<img src=x onerror="alert(1)">&amp;<b>bold</b>'


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = record_sweep(tmp_path_factory.mktemp("sweep"), replicates=3)
    return Path(write_report(folder))


@pytest.fixture(scope="module")
def page():
    with chromium() as page:
        yield page


def open_whole(page, file, width=1280, **settings):
    """Open a report in a window so high that everything on it is in view, and so drawn."""
    page.open(file, width, **settings)
    page.evaluate("document.querySelectorAll('.more').forEach((more) => { more.open = true; })")
    page.resize(width, 60_000, **settings)
    page.wait("!document.querySelector('figure:not([hidden]) > .chart:not([data-drawn])')")


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def charts_where(page, condition):
    """The names of the charts on show for which a JavaScript condition holds."""
    charts = "[...document.querySelectorAll('figure:not([hidden]) > .chart')]"
    return page.evaluate(f"{charts}.filter((chart) => {condition}).map((chart) => chart.id)")


def colours(page, chart):
    """The colours of the lines of a chart."""
    strokes = f"[...document.querySelectorAll('#{chart} .js-line')].map((l) => l.style.stroke)"
    return set(page.evaluate(strokes))


def rgb(colour):
    return "rgb({}, {}, {})".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))


@pytest.mark.parametrize(
    ("width", "dark"),
    [(360, False), (360, True), (1280, False), (1920, True)],
    ids=["phone", "dark phone", "laptop", "dark wide screen"],
)
def test_every_chart_is_drawn_fits_and_leaves_the_console_empty(page, report, width, dark):
    open_whole(page, report, width, dark=dark)
    assert len(charts_where(page, "true")) > 20
    assert (
        charts_where(
            page,
            "!chart.querySelector('.cartesianlayer .trace path, .point, .heatmaplayer image')",
        )
        == []
    )
    assert charts_where(page, "chart.firstChild.offsetWidth > chart.clientWidth") == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints() == []
    # A heat map is a picture in the page.
    asked = [url for url in page.fetched() if not url.startswith("data:")]
    assert asked == [report.as_uri()]


COVERED = """
[...document.querySelectorAll("figure:not([hidden]) > .chart")].flatMap((chart) => (
  ["x", "y"].flatMap((axis) => {
    const title = chart.querySelector(`.${axis}title`)?.getBoundingClientRect();
    const ticks = [...chart.querySelectorAll(`.${axis}tick text`)]
      .map((text) => text.getBoundingClientRect());
    const covered = title && ticks.some((tick) => (
      Math.min(title.right, tick.right) - Math.max(title.left, tick.left) > 1
      && Math.min(title.bottom, tick.bottom) - Math.max(title.top, tick.top) > 1));
    return covered ? [`${chart.id} ${axis}`] : [];
  })))
"""


@pytest.mark.parametrize("width", [390, 1000])
def test_no_axis_runs_its_title_through_its_labels(page, report, width):
    open_whole(page, report, width)
    assert page.evaluate("document.querySelectorAll('.ytitle').length") > 10
    assert page.evaluate(COVERED) == []


def test_charts_are_drawn_only_as_they_come_into_view(page, report):
    page.open(report)
    page.wait("document.querySelector('#accuracy-0').dataset.drawn")
    assert page.evaluate("document.querySelector('#gap-0').dataset.drawn ?? 'no'") == "no"
    page.evaluate("document.querySelector('#gap').scrollIntoView({behavior: 'instant'})")
    page.wait("document.querySelector('#gap-0').dataset.drawn")


def test_charts_follow_the_colour_scheme_while_the_page_is_open(page, report):
    open_whole(page, report)
    assert {rgb(looks()[loss].light) for loss in ("ce", "elr", "adam_elr")} <= colours(
        page, "learning-0"
    )
    page.resize(1280, 60_000, dark=True)
    dark = [rgb(looks()[loss].dark) for loss in ("ce", "elr", "adam_elr")]
    page.wait(
        "document.querySelector('#learning-0 .js-line').closest('svg')"
        f".innerHTML.includes('{dark[0]}')"
    )
    assert set(dark) <= colours(page, "learning-0")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"


READ = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (parts(colour)[3] ?? 1) === 0 ? behind(element.parentElement) : colour;
  };
  const written = [...document.querySelectorAll("main *, header *, nav *")].filter((element) => (
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    && element.checkVisibility() && !element.closest(".hidden, .heatmaplayer")));
  return written.map((element) => {
    const style = getComputedStyle(element);
    const colours = [element.closest("svg") ? style.fill : style.color, behind(element)];
    const [dim, bright] = colours.map(light).sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dim + 0.05);
    return [element.textContent.slice(0, 30), parseFloat(style.fontSize), contrast];
  });
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_can_be_read(page, report, dark):
    """Large enough, and in contrast with what is behind it, on the page and in its charts."""
    open_whole(page, report, 1280, dark=dark)
    written = page.evaluate(READ)
    assert len(written) > 500
    assert [text for text, size, _ in written if size < 11] == []
    assert [text for text, _, contrast in written if contrast < 4.5] == []


def test_printing_draws_all_charts_in_the_colours_of_paper(page, report):
    page.open(report, dark=True)
    printed = page.call("Page.printToPDF", printBackground=True)["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")
    page.wait("!document.documentElement.hasAttribute('data-printing')")
    page.wait(
        "!document.querySelector('.charts > figure:not([hidden]) > .chart:not([data-drawn])')"
    )
    assert page.complaints() == []


def test_printed_tables_are_no_wider_than_the_paper(page, report):
    page.open(report)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.call("Emulation.setEmulatedMedia", media="print")
    tables = "[...document.querySelectorAll('table')].filter((table) => table.offsetParent)"
    try:
        for width, those in ((690, "!"), (960, "")):  # upright, and across for all trials
            page.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=900,
                deviceScaleFactor=1,
                mobile=False,
            )
            wanted = f"{tables}.filter((table) => {those}table.closest('#trials'))"
            assert page.evaluate(f"{wanted}.length") > 0
            edges = f"{wanted}.map((table) => table.getBoundingClientRect().right)"
            assert page.evaluate(f"Math.max(...{edges})") <= width
    finally:
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        page.call("Emulation.setEmulatedMedia", media="")


def test_names_with_markup_show_as_text(page, tmp_path):
    rows = [trial_row(NASTY, k, noise=NASTY, dataset=NASTY, param_lam=1.0 + k) for k in range(2)]
    epochs = [epoch_row(row["trial_id"], 1, test_accuracy=0.5, train_loss=1.0) for row in rows]
    folder = write_results(tmp_path, rows, epochs, spec=f"name = '{NASTY}'\n")
    open_whole(page, Path(write_report(folder)))
    assert page.evaluate("document.querySelectorAll('img, b').length") == 0
    assert page.evaluate("document.title") == NASTY
    assert page.evaluate("document.querySelector('h1').textContent") == NASTY
    assert NASTY in page.evaluate("document.querySelector('#accuracy h3').textContent")
    assert page.complaints() == []
    assert len(page.fetched()) == 1


def test_a_report_without_scripts_still_has_its_tables(page, report):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(report)
        assert page.evaluate("document.querySelectorAll('figure table').length") > 20
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


def press(page, key):
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **KEYS[key])


KEYS = {
    "Tab": {"windowsVirtualKeyCode": 9},
    "Enter": {"windowsVirtualKeyCode": 13, "text": "\r"},
}


def test_keyboard_reaches_the_results_and_opens_the_data(page, report):
    page.open(report)
    press(page, "Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    press(page, "Enter")
    assert page.evaluate("location.hash") == "#main"
    page.evaluate("document.querySelector('#learning summary').focus()")
    press(page, "Enter")
    assert page.evaluate("document.querySelector('#learning details').open")
    press(page, "Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"


def test_screen_readers_find_landmarks_headings_and_names(page, report):
    open_whole(page, report)
    for landmark in ("header", "nav[aria-label]", "main", "footer", "h1"):
        assert page.evaluate(f"document.querySelectorAll('{landmark}').length") == 1
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    doubled = page.evaluate(
        "[...document.querySelectorAll('[id]')].map((e) => e.id)"
        ".filter((id, i, all) => id && all.indexOf(id) !== i)"
    )
    assert doubled == []
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    images = [node for node in tree if node.get("role", {}).get("value") in ("image", "img")]
    assert len(images) > 20
    assert all(node["name"]["value"] for node in images)


def column(page, number):
    rows = "[...document.querySelectorAll('#trial-table tbody tr:not([hidden])')]"
    return page.evaluate(f"{rows}.map((row) => row.cells[{number}].textContent)")


def test_trials_sort_filter_and_open(page, report):
    page.open(report)
    page.evaluate("document.querySelectorAll('#trial-table thead button')[3].click()")
    values = [float(text) for text in column(page, 3)]
    assert values == sorted(values, reverse=True)
    page.evaluate("document.querySelectorAll('#trial-table thead button')[3].click()")
    assert [float(text) for text in column(page, 3)] == sorted(values)
    page.evaluate(
        "(() => { const box = document.querySelector('#trial-filter'); box.value = 'ADAM stopped';"
        "box.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    names = column(page, 0)
    assert names
    assert all("adam_elr" in name for name in names)
    assert set(column(page, 1)) == {"stopped"}
    assert page.evaluate("document.querySelector('#trial-count').textContent") == (
        f"{len(names)} trials"
    )
    page.evaluate("document.querySelector('#trial-table tbody tr:not([hidden]) button').click()")
    page.wait("document.querySelectorAll('#trial-detail .js-line').length >= 2")
    assert page.evaluate("document.querySelector('#trial-detail h3').textContent") == names[0]
    sweep = tomllib.loads(page.evaluate("document.querySelector('#trial-detail pre').textContent"))
    assert sweep["losses"] == ["adam_elr"]
    assert page.complaints() == []


@pytest.mark.parametrize(
    ("format_", "columns", "start"), [("svg", 1, b"<svg"), ("png", 2, b"\x89PNG")]
)
def test_a_chart_is_saved_under_its_name_on_white(page, report, tmp_path, format_, columns, start):
    page.open(report)
    page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    selector = f'[data-chart=learning-0][data-format={format_}][data-columns="{columns}"]'
    page.evaluate(f"document.querySelector('{selector}').click()")
    name = f"recorded-learning-symmetric-40-{columns}col.{format_}"
    wait_for((tmp_path / name).exists)
    saved = (tmp_path / name).read_bytes()
    assert saved.startswith(start)
    if format_ == "svg":
        assert b"rgb(255, 255, 255)" in saved
        assert b'width="336"' in saved
    else:
        assert int.from_bytes(saved[16:20]) == 696 * 4
    assert page.complaints() == []


@pytest.fixture(scope="module")
def leaky_report(tmp_path_factory):
    rows = [trial_row(number=k, param_lam=1.0 + k, selected_by="test_accuracy") for k in range(2)]
    epochs = [epoch_row(row["trial_id"], 1, test_accuracy=0.5, train_loss=1.0) for row in rows]
    spec = "name = 'leaky'\n[search]\nallow_test_selection = true\n"
    folder = write_results(tmp_path_factory.mktemp("leaky"), rows, epochs, spec=spec)
    return Path(write_report(folder))


def save(page, folder, chart, format_, columns):
    """Save a chart as a reader does; returns what the file has."""
    folder.mkdir()
    page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    button = f'[data-chart={chart}][data-format={format_}][data-columns="{columns}"]'
    page.evaluate(f"document.querySelector('{button}').click()")
    wait_for(lambda: [file for file in folder.iterdir() if file.suffix == f".{format_}"])
    (file,) = folder.iterdir()
    return file.read_bytes()


MARK = "#a01722"


def red_pixels(png):
    """The number of pixels in the colour of marks, row by row."""
    pixels = np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)
    return (abs(pixels - ImageColor.getrgb(MARK)).sum(axis=2) < 20).sum(axis=1)


@pytest.mark.parametrize("columns", [1, 2])
def test_a_saved_chart_says_that_its_results_leak(page, leaky_report, tmp_path, columns):
    page.open(leaky_report)
    svg = ElementTree.fromstring(save(page, tmp_path / "svg", "accuracy-0", "svg", columns))
    bottom = float(svg.get("height"))
    said = [e for e in svg.iter("{http://www.w3.org/2000/svg}text") if e.get("fill") == MARK]
    assert " ".join(e.text for e in said) == LEAK
    assert max(float(e.get("y")) for e in said) < bottom - 5
    rows = red_pixels(save(page, tmp_path / "png", "accuracy-0", "png", columns))
    assert len(rows) == 4 * bottom
    assert rows[: -4 * 13 * (len(said) + 1)].sum() == 0
    assert rows[-4 * 13 * (len(said) + 1) :].sum() > 500
    assert rows[-5:].sum() == 0
    assert page.complaints() == []


def drag(page, chart, start, end, axis):
    """Draw the mouse over part of an axis of parallel coordinates: shares of its length."""
    rows = f"JSON.parse(document.getElementById('figures').textContent).figures['{chart}']"
    count = page.evaluate(f"{rows}.layout.yaxis.tickvals.length")
    box = f"document.querySelector('#{chart} .nsewdrag').getBoundingClientRect()"
    left, top, width, height = (page.evaluate(f"{box}.{side}") for side in BOX)
    y = top + height * (axis + 0.5) / count
    for kind, share in (
        ("mouseMoved", start),
        ("mousePressed", start),
        ("mouseMoved", (start + end) / 2),
        ("mouseMoved", end),
        ("mouseReleased", end),
    ):
        button = {} if share == start and kind == "mouseMoved" else {"button": "left"}
        page.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=left + width * share,
            y=y,
            clickCount=1,
            **button,
        )


BOX = ("left", "top", "width", "height")


def faded(chart):
    """JavaScript: whether some of a chart's lines or points stand back behind those picked."""
    return f"document.querySelector('#{chart} .trace[style*=\"opacity: 0.12\"]') !== null"


def test_trials_brushed_on_an_axis_are_picked_everywhere(page, report):
    page.open(report)
    show(page, "parallel-0")
    drag(page, "parallel-0", 0.0, 0.5, axis=0)
    note = "document.querySelector('#picked').textContent"
    page.wait(f"{note}.includes('trials picked')")
    picked = column(page, 0)
    assert 0 < len(picked) < 12
    assert len({name.rpartition("-")[0] for name in picked}) == 1
    assert page.evaluate(note).strip().startswith(f"{len(picked)} of ")
    lam = page.evaluate(
        "[...document.querySelectorAll('#trial-table thead th')].map((h) => h.textContent)"
    ).index("lam")
    assert all(float(value) <= 5**0.5 + 0.1 for value in column(page, lam))
    for chart in ("parallel-0", "curves-0", "agreement-0"):
        show(page, chart)
        page.wait(faded(chart))
    show(page, "parallel-0")
    drag(page, "parallel-0", 0.3, 0.3, axis=0)  # a click
    page.wait("document.querySelector('#picked').hidden")
    assert len(column(page, 0)) == page.evaluate(
        "document.querySelectorAll('#trial-table tbody tr').length"
    )
    assert page.complaints() == []


def show(page, chart):
    page.evaluate(f"document.querySelector('#{chart}').scrollIntoView({{behavior: 'instant'}})")
    page.wait(f"document.querySelector('#{chart}').dataset.drawn")


def test_an_opened_trial_is_picked_in_the_charts_until_all_are_shown(page, report):
    page.open(report)
    page.evaluate("document.querySelector('#trial-table tbody button').click()")
    page.wait("!document.querySelector('#picked').hidden")
    assert len(column(page, 0)) > 1
    show(page, "curves-0")
    page.wait(faded("curves-0"))
    page.evaluate("document.querySelector('#picked button').click()")
    page.wait("document.querySelector('#picked').hidden")
    page.wait(f"!({faded('curves-0')})")
    assert page.evaluate("document.querySelector('#trial-detail').hidden")


def test_any_hyperparameter_is_chosen_against_accuracy(page, report):
    page.open(report)
    shown = "[...document.querySelectorAll('#response figure:not([hidden])')]"
    assert set(page.evaluate(f"{shown}.map((f) => f.dataset.choice)")) == {"lam"}
    page.evaluate(
        "(() => { const list = document.querySelector('.choose select');"
        "list.value = 'lr_schedule';"
        "list.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    assert set(page.evaluate(f"{shown}.map((f) => f.dataset.choice)")) == {"lr_schedule"}
    page.evaluate("document.querySelector('#response').scrollIntoView({behavior: 'instant'})")
    page.wait(f"{shown}.every((f) => f.querySelector('.chart').dataset.drawn)")
    assert page.complaints() == []


@pytest.mark.parametrize("width", [390, 1000])
def test_menu_is_folded_where_there_is_no_room_and_leads_to_every_section(page, report, width):
    page.open(report, width)
    links = "[...document.querySelectorAll('nav a')]"
    height = "document.querySelector('nav').getBoundingClientRect().height"
    assert page.evaluate(f"{links}.every((link) => link.offsetParent === null)")
    assert page.evaluate(height) < 60
    page.evaluate("document.querySelector('nav button').click()")
    assert page.evaluate("document.querySelector('nav button').ariaExpanded") == "true"
    boxes = f"{links}.map((link) => link.getBoundingClientRect())"
    assert page.evaluate(f"{boxes}.every((b) => b.left >= 0 && b.right <= innerWidth)")
    page.evaluate(f"{links}.find((link) => link.hash === '#budget').click()")
    page.wait("document.querySelector('nav button').textContent === 'Budget'")
    assert page.evaluate("document.querySelector('nav button').ariaExpanded") == "false"
    top = "document.querySelector('#budget').getBoundingClientRect().top"
    page.wait(f"Math.abs({top}) < 80")


def test_a_chart_zooms_and_a_saved_one_shows_what_is_picked(page, report, tmp_path):
    page.open(report)
    show(page, "parallel-0")
    drag(page, "parallel-0", 0.0, 0.5, axis=0)
    page.wait("!document.querySelector('#picked').hidden")
    page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.evaluate("document.querySelector('[data-chart=parallel-0][data-format=svg]').click()")
    wait_for(lambda: list(tmp_path.glob("*.svg")))
    (saved,) = tmp_path.glob("*.svg")
    wait_for(lambda: saved.read_text().endswith("</svg>"))
    assert "opacity: 0.12" in saved.read_text()
    show(page, "learning-0")
    ends = "document.querySelector('#learning-0').layout.xaxis.range?.join()"
    before = json.dumps(page.evaluate(ends))
    drag_box(page, "learning-0")
    page.wait(f"{ends} !== {before}")
    assert page.complaints() == []


def drag_box(page, chart):
    box = f"document.querySelector('#{chart} .nsewdrag').getBoundingClientRect()"
    left, top, width, height = (page.evaluate(f"{box}.{side}") for side in BOX)
    steps = [
        ("mousePressed", 0.2),
        ("mouseMoved", 0.4),
        ("mouseMoved", 0.8),
        ("mouseReleased", 0.8),
    ]
    for kind, share in steps:
        page.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=left + width * share,
            y=top + height * share,
            button="left",
            clickCount=1,
        )
