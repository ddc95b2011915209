import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.report import write
from analysis.report.build import SHOWN, build_report
from analysis.report.write import has_ended, watch_report, write_report
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, record_sweep, trial_row, write_results

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
SMALL = (
    SWEEP.replace("[0.4, 0.6]", "[0.4]").replace("trials = 12", "trials = 4").replace(" 20", " 6")
)


class Reader(HTMLParser):
    """What a reader of the page finds: elements, their attributes, the text of sections."""

    def __init__(self, page):
        super().__init__()
        self.elements = []
        self.text = {}
        self._section = "header"
        self._mute = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._mute = tag in ("script", "style")
        if tag in ("section", "footer", "nav"):
            self._section = dict(attrs).get("id", tag)

    def handle_endtag(self, tag):
        self._mute = False

    def handle_data(self, data):
        if not self._mute:
            self.text[self._section] = self.text.get(self._section, "") + data + " "

    def all(self, tag, **attributes):
        wanted = attributes.items()
        return [a for t, a in self.elements if t == tag and wanted <= a.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return record_sweep(tmp_path_factory.mktemp("sweep"), replicates=3)


@pytest.fixture(scope="module")
def page(folder):
    return build_report(load_results(folder), NOW)


@pytest.fixture(scope="module")
def reader(page):
    return Reader(page)


def read(location):
    return Reader(build_report(load_results(location), NOW))


def test_report_has_its_sections_in_order(reader):
    assert [attrs["id"] for attrs in reader.all("section")] == [
        "summary",
        "accuracy",
        "response",
        "learning",
        "memorization",
        "classes",
        "labels",
        "curves",
        "progress",
        "survival",
        "parallel",
        "contour",
        "importances",
        "agreement",
        "convergence",
        "budget",
        "gap",
        "trials",
        "failures",
        "provenance",
    ]
    links = [attrs["href"] for attrs in reader.all("a")]
    sections = [f"#{attrs['id']}" for attrs in reader.all("section")]
    assert links == ["#main", *sections, "#trials"]


def test_report_needs_nothing_from_outside(reader):
    for tag, attributes in reader.elements:
        for name in ("src", "href", "data", "poster", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    (policy,) = reader.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none';")


def test_report_stores_each_figure_and_the_script_once(page, reader):
    stored = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])
    assert list(stored["figures"]) == [a["id"] for a in reader.all("div", **{"class": "chart"})]
    assert page.count("plotly.js v") == 1
    assert len(page) < 6_000_000


def test_report_describes_every_figure_for_those_who_cannot_see_it(reader):
    charts = reader.all("div", role="img")
    assert len(charts) > 20
    assert all(attrs["aria-label"].endswith(".") for attrs in charts)
    assert len(reader.all("caption")) == len(reader.all("table"))


def test_summary_says_what_won_and_what_that_is_worth(reader):
    text = re.sub(r"\s+", " ", reader.text["summary"])
    assert "Symmetric, 40% confirmed on 3 seeds Adam-refined ELR" in text
    assert re.search(r"vs ELR \+\d\.\d\d points, (better|could be chance) 95%: [+−]\d", text)
    assert re.search(r"vs CE \+\d\d\.\d\d points, better", text)
    assert "no number for this setting" in text
    assert re.search(r"lam \d", text)
    assert "not corrected for several comparisons" in text


def test_header_counts_and_warns(reader):
    text = reader.text["header"]
    assert (
        "digits · tiny_cnn · 2 noise settings · 3 losses · 72 search trials · 18 replicates"
        in (text)
    )
    assert "Few seeds: some of these numbers rest on 3." in text
    assert "Not confirmed" not in text
    assert "Written 2026-01-02 03:04 UTC" in reader.text["footer"]


def again(loss, seed, **fields):
    study = f"symmetric-0.4-{loss}"
    return trial_row(
        study,
        10 + seed,
        loss=loss,
        seed=seed,
        phase="replicate",
        source_trial_id=f"{study}-0000",
        **fields,
    )


DIVERGED = {"status": "diverged", "epochs": 1}


def test_card_of_a_configuration_that_diverges_says_so(tmp_path):
    adam = "symmetric-0.4-adam_elr"
    rows = [
        trial_row(adam, 0, loss="adam_elr"),
        trial_row("symmetric-0.4-elr", 0),
        *(again("adam_elr", seed, test_accuracy=0.9 + 0.01 * seed) for seed in (1, 2)),
        *(again("adam_elr", seed, **DIVERGED) for seed in (3, 4, 5)),
        *(again("elr", seed, val_accuracy=0.4, test_accuracy=0.7) for seed in (1, 2)),
        *(again("elr", seed, **DIVERGED) for seed in (3, 4, 5)),
    ]
    write_results(tmp_path, rows)
    text = re.sub(r"\s+", " ", read(tmp_path).text["summary"])
    assert "Symmetric, 40% 2 of 5 seeds, 3 diverged Adam-refined ELR" in text
    assert "+21.50 points, on the seeds that did not diverge" in text
    assert "better" not in text


def test_a_configuration_that_diverges_on_every_seed_has_no_number(tmp_path):
    write_results(tmp_path, [trial_row(), *(again("elr", seed, **DIVERGED) for seed in (1, 2))])
    reader = read(tmp_path)
    assert "0 of 2 seeds, 2 diverged" in reader.text["summary"]
    assert "no test accuracy: all seeds diverged" in reader.text["summary"]
    assert "(0, 2 diverged)" in reader.text["accuracy"]


@pytest.mark.parametrize(
    ("replicates", "advice"),
    [
        ([{}, {}, {}], "--top 1 --seeds 5` adds more"),
        ([{}, DIVERGED, DIVERGED, DIVERGED, {}], "--top 1 --seeds 8` adds more"),
        ([{}, {"status": "failed", "epochs": 0}], "--top 1 --seeds 6` adds more"),
        ([{}, {"status": "running", "epochs": 0}], "--top 1 --seeds 5` runs it again"),
    ],
    ids=["few", "diverged", "failed", "running"],
)
def test_advice_adds_seeds_to_those_that_are_there(tmp_path, replicates, advice):
    rows = [again("elr", seed, **fields) for seed, fields in enumerate(replicates, start=1)]
    write_results(tmp_path, [trial_row(), *rows])
    header = re.sub(r"\s+", " ", read(tmp_path).text["header"])
    assert f"python -m search replicate DIR {advice.replace('`', '')}" in header


def test_advice_reaches_down_to_the_configuration_that_was_chosen(tmp_path):
    first = [trial_row(number=k, val_accuracy=0.9 - 0.1 * k) for k in range(3)]
    chosen = [{"source_trial_id": first[k]["trial_id"], "val_accuracy": 0.1 * k} for k in range(3)]
    rows = [again("elr", 1) | row | {"trial_id": f"r{k}"} for k, row in enumerate(chosen)]
    for row in rows:
        row["selection_value"] = row["val_accuracy"]
    write_results(tmp_path, [*first, *rows])
    assert "replicate DIR --top 3 --seeds 5" in read(tmp_path).text["header"]


def test_accuracy_has_the_table_with_intervals(reader):
    text = reader.text["accuracy"]
    assert "Difference to ELR, in points" in text
    assert re.search(r"−\d+\.\d\d +\[−\d+\.\d\d, −\d+\.\d\d\] \(3\)", text)
    assert any(attrs == {"class": "best"} for attrs in reader.all("td"))


def test_provenance_has_code_versions_labels_and_the_sweep_file(reader):
    text = reader.text["provenance"]
    for expected in ("abc1234", "python 3.11", "cpu", "0123456789abcdef", "36.00", 'name = "rec'):
        assert expected in text


def test_provenance_tells_every_start(tmp_path):
    folder = write_results(tmp_path, [trial_row()])
    start = {
        "at": "2026-01-01T10:00:00+00:00",
        "git_sha": "0123456789abcdef0123-dirty",
        "platform": "Linux-6",
        "nodes": [{"CPU": 16.0, "GPU": 2.0, "memory": 1e9}, {"CPU": 8.0}],
    }
    folder.write("provenance.json", json.dumps({"starts": [start]}).encode())
    text = read(tmp_path).text["provenance"]
    for expected in ("2026-01-01 10:00:00 UTC", "0123456789ab-dirty", "16 CPU, 2 GPU; 8 CPU"):
        assert expected in text


def test_failures_are_listed_with_the_reason(tmp_path):
    rows = [trial_row(), trial_row(number=1, status="failed", end_reason="out of memory")]
    write_results(tmp_path, rows)
    text = read(tmp_path).text["failures"]
    assert "1 of 2 trials diverged or failed" in text
    assert "out of memory" in text


def test_report_of_a_search_says_that_nothing_is_confirmed(tmp_path):
    reader = read(record_sweep(tmp_path, SMALL))
    assert "Not confirmed" in reader.text["header"]
    assert "python -m search replicate DIR" in reader.text["gap"]
    assert "not confirmed" in reader.text["summary"]
    assert "points, on one seed" in reader.text["summary"]


def test_report_beside_the_paper(tmp_path):
    reader = read(record_sweep(tmp_path, SMALL.replace("digits", "cifar10")))
    assert re.search(r"ELR there: *9\d\.\d\d% ± 0\.\d\d", reader.text["summary"])
    assert "Its rows do not share one protocol" in reader.text["accuracy"]
    assert "Open marks are what papers print" in reader.text["accuracy"]
    here = "tiny_cnn instead of resnet34; 6 epochs instead of 150"
    assert f"another protocol: {here}" in reader.text["summary"]
    assert "+" not in re.search(r"vs paper(.*)there", reader.text["summary"])[1]
    assert f"Another protocol here: {here} or 120" in reader.text["accuracy"]


def test_report_shouts_when_trials_were_selected_on_test(tmp_path):
    search = '[search]\nmetric = "test_accuracy"\nallow_test_selection = true\n[budget]'
    reader = read(record_sweep(tmp_path, SMALL.replace("[budget]", search)))
    assert {"class": "note leak"} in reader.all("p")
    assert reader.text["header"].index("LEAK") < reader.text["header"].index("Not confirmed")
    assert "LEAK" in reader.text["accuracy"]
    for section in ("summary", "parallel", "contour", "gap"):
        assert "on the test set" in reader.text[section]
        assert "hold-out" not in reader.text[section]


def test_report_refuses_a_leak_that_was_not_asked_for(tmp_path):
    write_results(tmp_path, [trial_row(selected_by="test_accuracy")])
    with pytest.raises(ResultsError, match="a leak that the sweep file does not allow"):
        write_report(tmp_path)


def test_report_of_a_running_sweep_says_so(tmp_path):
    write_results(tmp_path, [trial_row(), trial_row(number=1, status="running", epochs=1)])
    text = read(tmp_path).text
    assert "Still running: 1 of 2 started trials have ended." in text["header"]


def test_report_before_the_first_trial(tmp_path):
    write_results(tmp_path, [])
    reader = read(tmp_path)
    assert "No trial has started yet." in reader.text["header"]
    assert reader.all("figure") == []
    assert len(reader.all("p", **{"class": "missing"})) == 18


@pytest.mark.parametrize(
    "config",
    ["null", "[]", "1e999", '{"noise": null, "data": null}', '{"data": {"name": []}}'],
)
def test_report_of_a_config_without_values_shows_the_rest(tmp_path, config):
    write_results(tmp_path, [trial_row(), trial_row(number=1, config=config)])
    assert "60.00% test accuracy" in read(tmp_path).text["summary"]


def test_report_shows_names_with_markup_as_text(tmp_path):
    nasty = '</script><img src=x onerror="alert(1)">&amp;`<b>'
    rows = [trial_row(nasty, k, noise=nasty, dataset=nasty, loss=nasty) for k in range(2)]
    folder = write_results(tmp_path, rows)
    folder.write("sweep.toml", f"name = '{nasty}'\n".encode())
    reader = read(tmp_path)
    assert reader.all("img") == reader.all("b") == []
    assert nasty in reader.text["header"]
    assert nasty.replace("`", "") in reader.text["summary"].replace("`", "")


def test_figures_beyond_the_first_ones_are_folded(monkeypatch, folder, page):
    assert page.count('class="more"') == 0
    monkeypatch.setattr("analysis.report.build.SHOWN", 2)
    found = build_report(load_results(folder), NOW)
    assert found.count("<summary>4 more</summary>") == 4  # curves, space, classes, memorisation
    assert SHOWN > 2


def test_write_report_is_a_whole_file_in_the_folder(tmp_path):
    folder = write_results(tmp_path / "a", [trial_row()])
    assert write_report(folder) == f"{folder}/report.html"
    assert folder.read("report.html").endswith(b"</html>\n")
    assert load_results(folder).trials.shape[0] == 1


def test_write_report_elsewhere(tmp_path, monkeypatch):
    write_results(tmp_path / "a", [trial_row()])
    monkeypatch.chdir(tmp_path)
    assert write_report("a", Path("x.html")) == f"{tmp_path}/x.html"
    assert write_report("a", tmp_path / "b" / "x.html") == f"{tmp_path}/b/x.html"
    assert not (tmp_path / "a" / "report.html").exists()


@pytest.fixture
def quick(monkeypatch):
    """Reports without their contents: what is watched is when they are written."""
    monkeypatch.setattr(write, "build_report", lambda results, **_: str(len(results.trials)))


ONE = """
name = "test"
losses = ["elr"]
noise = [{ kind = "symmetric", rates = [0.4] }]
budget = { trials = 2, max_epochs = 3, grace_epochs = 1 }
"""


def test_watch_writes_until_the_last_trial_has_ended(tmp_path, quick):
    rows = [trial_row(status="running")]
    write_results(tmp_path, rows, spec=ONE)
    later = iter([[trial_row()], [trial_row(), trial_row(number=1)]])
    waits, written = [], []

    def sleep(seconds):
        waits.append(seconds)
        write_results(tmp_path, next(later), spec=ONE)

    watch_report(tmp_path, seconds=7, written=written.append, sleep=sleep)
    assert waits == [7, 7]
    assert written == [f"{tmp_path}/report.html"] * 3
    assert (tmp_path / "report.html").read_text() == "2"


@pytest.fixture
def unsteady(tmp_path, quick, monkeypatch):
    """A finished sweep, and a function that makes the given readings of it fail, from 1."""
    write_results(tmp_path, [trial_row(), trial_row(number=1, status="running")], spec=ONE)
    reads = iter(range(1, 1000))

    def fail(*numbers):
        def load(directory):
            number = next(reads)
            if number in numbers:
                raise ResultsError("changes faster than it can be read")
            if number > max(numbers):
                write_results(tmp_path, [trial_row(), trial_row(number=1)], spec=ONE)
            return load_results(directory)

        monkeypatch.setattr(write, "load_results", load)
        return tmp_path

    return fail


def test_watch_leaves_out_a_turn_in_which_the_folder_cannot_be_read(unsteady):
    written, missed = [], []
    place = unsteady(2, 3)
    watch_report(place, written=written.append, missed=missed.append, sleep=lambda seconds: None)
    assert len(written) == 2
    assert missed == ["changes faster than it can be read"] * 2


def test_watch_ends_where_the_folder_cannot_be_read_at_first_or_any_more(unsteady):
    with pytest.raises(ResultsError, match="changes faster"):
        watch_report(unsteady(1), sleep=lambda seconds: None)
    missed = []
    with pytest.raises(ResultsError, match="changes faster"):
        watch_report(unsteady(*range(3, 99)), missed=missed.append, sleep=lambda seconds: None)
    assert len(missed) == write.PATIENCE - 1


@pytest.mark.parametrize(
    ("spec", "trials", "ended"),
    [
        (ONE, 1, False),
        (ONE, 2, True),
        (ONE + 'space = { preset = "paper" }', 1, True),
        (ONE + 'search = { sampler = "grid" }\nspace = { preset = "paper", lam = [1] }', 1, True),
        ('name = "not a whole spec"', 1, True),
    ],
    ids=["more to come", "all", "nothing varies", "small grid", "no spec"],
)
def test_has_ended_knows_how_many_trials_there_will_be(tmp_path, spec, trials, ended):
    spec = spec.replace("lam = [1]", "lam = { choice = [1.0] }")
    write_results(tmp_path, [trial_row(number=k) for k in range(trials)], spec=spec)
    assert has_ended(load_results(tmp_path)) is ended


def test_has_ended_waits_for_trials_still_running(tmp_path):
    rows = [trial_row(), trial_row(number=1, status="paused")]
    write_results(tmp_path, rows, spec=ONE)
    assert not has_ended(load_results(tmp_path))


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)], catch_exceptions=False)


def test_command_prints_where_the_report_is(tmp_path):
    write_results(tmp_path, [trial_row()])
    result = run(tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/report.html\n")


def test_command_ends_cleanly_when_watching_is_interrupted(tmp_path, quick, monkeypatch):
    write_results(tmp_path, [trial_row(status="running")], spec=ONE)

    def interrupt(seconds):
        assert seconds == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(write.time, "sleep", interrupt)
    monkeypatch.setattr(
        watch_report, "__kwdefaults__", watch_report.__kwdefaults__ | {"sleep": interrupt}
    )
    result = run(tmp_path, "--watch", "--every", "2")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/report.html\n")
    assert result.stderr == "stopped watching\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/nowhere"], "holds no results"),
        (["{}", "--out", "/proc/x/report.html"], "cannot write /proc/x/report.html: "),
    ],
)
def test_command_says_in_one_line_what_is_wrong(tmp_path, quick, arguments, message):
    write_results(tmp_path, [trial_row()])
    result = run(*(argument.format(tmp_path) for argument in arguments))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_images_of_doubted_labels_are_linked_where_they_are_there(tmp_path):
    folder = record_sweep(tmp_path / "sweep")
    study = "symmetric-0.4-elr"
    (folder / "label_errors" / study).write("doubted.html", b"")
    (folder / "label_errors" / "other").write("labels.csv", b"")
    results = load_results(folder)
    links = Reader(build_report(results)).all("a", **{"class": "beside"})
    assert [link["href"] for link in links] == [f"label_errors/{study}/doubted.html"]
    write_report(folder, tmp_path / "elsewhere.html")
    elsewhere = Reader((tmp_path / "elsewhere.html").read_text())
    assert elsewhere.all("a", **{"class": "beside"}) == []
