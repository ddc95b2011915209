import io
import re

import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.amounts import percent
from analysis.best import varied_parameters
from analysis.frames.evidence import LEAK, RUNNING
from analysis.printed.console import PIPE_WIDTH, SafeConsole, csv_text
from analysis.printed.text import mean_std, print_best
from analysis.results import load_results
from tests.recorded import record_sweep, trial_row, write_results


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), replicates=3))


def printed(results, width=200, **arguments):
    stream = io.StringIO()
    print_best(results, Console(file=stream, width=width), **arguments)
    return stream.getvalue()


def test_print_best_has_a_line_a_study_grouped_by_noise_then_best_first(recorded):
    lines = printed(recorded).splitlines()
    studies = [line.split()[0] for line in lines[1:7]]
    assert [study.rsplit("-", 1)[0] for study in studies] == [*["symmetric-0.4"] * 3] + [
        "symmetric-0.6"
    ] * 3
    values = [float(line.split()[2].rstrip("≈")) for line in lines[1:7]]
    assert values[:3] == sorted(values[:3], reverse=True)
    assert values[3:] == sorted(values[3:], reverse=True)
    assert all("(3)" in line for line in lines[1:7])


def test_print_best_keeps_numbers_whole_on_a_narrow_terminal(recorded):
    wide, narrow = printed(recorded), printed(recorded, width=80)
    assert wide.splitlines()[1].split() == narrow.splitlines()[1].split()
    assert max(map(len, narrow.splitlines())) <= 80


def test_print_best_marks_a_leak_and_a_running_sweep(tmp_path):
    trials = [trial_row(selected_by="test_accuracy"), trial_row(number=1, status="running")]
    spec = "[search]\nallow_test_selection = true\n"
    text = printed(load_results(write_results(tmp_path, trials, spec=spec)))
    assert LEAK in text
    assert RUNNING in text
    assert "of test_accuracy" in text


def test_print_best_of_studies_without_a_winner(tmp_path):
    folder = write_results(tmp_path, [trial_row(status="running", epochs=1)])
    assert "no trial used its full budget yet" in printed(load_results(folder))
    assert "no trial used its full budget yet" in printed(load_results(folder), top=2)
    folder.delete("trials")
    assert printed(load_results(folder)).strip() == "no trials yet"
    diverged = write_results(tmp_path / "x", [trial_row(status="diverged", epochs=3)])
    assert "nothing yet" not in printed(load_results(diverged))
    assert "no trial used its full budget yet" in printed(load_results(diverged))


def test_markup_in_a_name_is_text(tmp_path):
    text = printed(load_results(write_results(tmp_path, [trial_row("[bold]x[/bold]")])))
    assert "[bold]x[/bold]" in text


def test_varied_parameters_are_those_with_several_values(tmp_path):
    trials = [
        trial_row("a", 0, param_lam=1.0, param_lr=0.1, param_t_0=10),
        trial_row("a", 1, param_lam=2.0, param_lr=0.1),
        trial_row("b", 0, param_lr=0.1),
    ]
    varied = varied_parameters(load_results(write_results(tmp_path, trials)))
    assert varied == {"a": {"lam"}, "b": {"lam", "lr", "t_0"}}


def test_numbers_are_percent():
    assert percent(0.92125) == "92.12"
    assert percent(float("nan")) == "-"
    assert mean_std(0.9212, 0.0035, 5) == "92.12 ± 0.35 (5)"
    assert mean_std(0.9212, float("nan"), 1) == "92.12 (1)"
    assert mean_std(0.81, float("nan"), 1, 4) == "81.00 (1, 4 diverged)"
    assert mean_std(float("nan"), float("nan"), 0, 5) == "- (0, 5 diverged)"
    assert mean_std(float("nan"), float("nan"), 0) == "-"


@pytest.mark.parametrize(
    "text", ["a\x1b[31mred", "a\x1b]0;title\x07", "a\x9b31mred", "a\x90q\x9c"]
)
def test_console_obeys_no_escape_in_a_name(text):
    stream = io.StringIO()
    out = SafeConsole(file=stream, force_terminal=True, color_system="standard", width=60)
    out.print(Text(text, style="bold"))
    table = Table("study")
    table.add_row(Text(text))
    out.print(table)
    printed = stream.getvalue()
    assert "\x1b[1m" in printed  # rich's own bold
    assert text[1:] not in printed
    assert not re.search(r"[\x07\x80-\x9f]", printed)
    assert "a\N{REPLACEMENT CHARACTER}" in printed


@pytest.mark.parametrize(
    ("columns", "width"), [(None, PIPE_WIDTH), ("", PIPE_WIDTH), ("wide", PIPE_WIDTH), ("90", 90)]
)
def test_what_is_no_terminal_is_wide_unless_its_width_is_said(monkeypatch, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert SafeConsole(file=io.StringIO()).width == width
    assert SafeConsole(file=io.StringIO(), width=70).width == 70


def test_a_spreadsheet_takes_no_text_for_a_formula():
    table = pd.DataFrame({"name": ["=1+1", "-x", "plain", None], "value": [-1.5, 2.0, 3.0, 4.0]})
    written = csv_text(table).splitlines()
    assert written[1:] == ["'=1+1,-1.5", "'-x,2.0", "plain,3.0", ",4.0"]


@pytest.mark.parametrize("width", [80, 120])
def test_no_name_or_number_is_cut_in_a_terminal(tmp_path, width):
    study = "locally_concentrated-0.4-bootstrap_hard"
    trials = [trial_row(study, loss="bootstrap_hard", param_lam=3.25, param_lr=0.0125)]
    out = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
    print_best(load_results(write_results(tmp_path, trials)), out)
    lines = out.file.getvalue().splitlines()
    assert max(len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in lines) <= width
    text = re.sub("\x1b\\[[0-9;]*m|[ \n]", "", out.file.getvalue())
    if width == 120:
        assert study in text
    for part in ("50.00", "60.00", "lam=3.25", "lr=0.0125", "bootstrap_hard"):
        assert part in text
