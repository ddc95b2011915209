"""The report in a browser while its sweep runs: brought up to date where the reader is."""

import socket
import urllib.error
import urllib.request

import pytest

from analysis.report.build import build_report
from analysis.report.serve import serving
from analysis.report.write import has_ended, watch_report
from analysis.results import ResultsError, load_results
from tests.browser import CHROMIUM, chromium
from tests.recorded import SWEEP, record_sweep


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """One sweep twice: as it stands now, and with a study's accuracy told otherwise."""
    folders = [record_sweep(tmp_path_factory.mktemp("sweep"), seed=seed) for seed in (0, 1)]
    return [build_report(load_results(folder)) for folder in folders]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode(), answer.headers


def test_only_who_knows_the_token_gets_anything(reports):
    with serving() as page:
        assert page.url.startswith("http://127.0.0.1:")
        page.publish(reports[0])
        origin = page.url.rsplit("/", 2)[0]
        for path in ("/", "/wrong/", "/wrong/version", "//version", f"/{page.url[-9:]}"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(origin + path)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(page.url + "../../etc/passwd")
        text, headers = get(page.url)
    assert "Best configurations" in text
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_version_counts_and_update_leaves_the_library_out(reports):
    with serving() as page:
        assert "reading the results" in get(page.url)[0]
        page.publish(reports[0])
        assert get(page.url + "version")[0] == "1 running"
        page.publish(reports[1])
        page.end()
        assert get(page.url + "version")[0] == "2 ended"
        whole, update = get(page.url)[0], get(page.url + "update")[0]
    assert len(update) < len(whole) - 1_000_000
    assert "Best configurations" in update


def test_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ResultsError, match=f"cannot serve at 127.0.0.1, port {port}: "):
            serving(port=port).__enter__()


def test_watching_builds_what_is_served(tmp_path):
    folder = record_sweep(tmp_path / "sweep")
    seen = []
    watch_report(folder, built=seen.append)
    (report,) = seen
    assert (tmp_path / "sweep" / "report.html").read_text() == report


def test_sweep_that_confirms_has_not_ended_before_its_replicates(tmp_path):
    text = SWEEP.replace("[budget]", "[confirm]\nseeds = 2\n[budget]", 1)
    for replicates, ended in ((0, False), (1, False), (2, True)):
        folder = record_sweep(tmp_path / str(replicates), text, replicates=replicates)
        assert has_ended(load_results(folder)) is ended


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_page_is_brought_up_to_date_where_the_reader_is(reports):
    chart, text = "document.querySelectorAll('.chart')[5]", "textContent.replace(/\\s+/g, '')"
    with serving() as live, chromium() as page:
        live.publish(reports[0])
        page.visit(live.url)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        page.resize(1280, 60_000)  # all in view, and so drawn: nothing moves any more
        page.wait("!document.querySelector('figure:not([hidden]) > .chart:not([data-drawn])')")
        page.resize(1280, 900)
        page.evaluate(f"{chart}.scrollIntoView({{ behavior: 'instant' }})")
        page.evaluate(
            f"window.chart = {chart};"
            "window.text = document.querySelector('#figures').textContent; 0"
        )
        top = page.evaluate("chart.getBoundingClientRect().top")
        live.publish(reports[1])
        page.wait("document.querySelector('#figures').textContent !== window.text")
        page.wait("document.getElementById('live').textContent === 'live'")
        assert page.evaluate(f"{chart} === chart")
        assert page.evaluate("chart.getBoundingClientRect().top") == pytest.approx(top, abs=40)
        assert not page.evaluate("document.querySelector('details:not([open])') !== null")
        parse = "new DOMParser().parseFromString(page, 'text/html')"
        latest = f"fetch('update').then((a) => a.text()).then((page) => {parse}"
        for part in ("header", "#summary", "#failures", "#provenance", "#figures"):
            shown = page.evaluate(f"document.querySelector('{part}').{text}")
            assert shown == page.evaluate(f"{latest}.querySelector('{part}').{text})"), part
        assert page.complaints() == []
        assert all(url.startswith((live.url, "data:")) for url in page.fetched())
        live.end()
        page.wait("document.getElementById('live').textContent === 'the sweep has ended'")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
@pytest.mark.parametrize("width", [390, 1800])
def test_what_the_reader_has_chosen_opened_and_filtered_stays(reports, width):
    chosen = "[...document.querySelectorAll('#response figure:not([hidden])')]"
    rows = "[...document.querySelectorAll('#trial-table tbody tr:not([hidden])')]"
    with serving() as live, chromium() as page:
        live.publish(reports[0])
        page.visit(live.url, width, dark=True)
        page.evaluate(
            "(() => { const list = document.querySelector('.choose select'); list.value = 'lr';"
            "list.dispatchEvent(new Event('change', {bubbles: true}));"
            "const box = document.querySelector('#trial-filter'); box.value = 'adam_elr';"
            "box.dispatchEvent(new Event('input', {bubbles: true}));"
            "document.querySelectorAll('#trial-table thead button')[3].click();"
            "document.querySelector('#trial-table tbody tr:not([hidden]) button').click(); })()"
        )
        opened = page.evaluate("document.querySelector('#trial-detail h3').textContent")
        page.evaluate("window.text = document.querySelector('#figures').textContent; 0")
        live.publish(reports[1])
        page.wait("document.querySelector('#figures').textContent !== window.text")
        page.wait("document.getElementById('live').textContent === 'live'")
        assert set(page.evaluate(f"{chosen}.map((f) => f.dataset.choice)")) == {"lr"}
        assert page.evaluate(f"{rows}.every((row) => row.textContent.includes('adam_elr'))")
        values = page.evaluate(f"{rows}.map((row) => +row.cells[3].textContent)")
        assert values == sorted(values, reverse=True)
        assert page.evaluate("document.querySelector('#trial-detail h3').textContent") == opened
        assert page.evaluate("!document.querySelector('#trial-detail').hidden")
        assert page.evaluate("!document.querySelector('#picked').hidden")
        page.wait("document.querySelectorAll('#trial-detail .js-line').length >= 2")
        assert page.complaints() == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_page_says_when_nobody_answers_any_more(reports):
    with chromium() as page:
        with serving() as live:
            live.publish(reports[0])
            page.visit(live.url)
            page.wait("document.getElementById('live').textContent === 'live'")
        page.wait("document.getElementById('live').textContent.startsWith('no answer')")
