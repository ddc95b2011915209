import csv
import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.__main__ import app
from spaces.sweep_file import parse_sweep
from tests.recorded import record_sweep, trial_row, write_results

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = record_sweep(tmp_path_factory.mktemp("sweep"), replicates=3)
    return folder.location


def run(*arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_best_prints_plain_text_when_piped(recorded):
    result = run("best", recorded)
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert len([line for line in result.stdout.splitlines() if "(3)" in line]) == 6


def test_best_of_one_study(recorded):
    result = run("best", recorded, "--study", "symmetric-0.4-elr", "--confirmed")
    assert "symmetric-0.4-elr" in result.stdout
    assert "symmetric-0.6-elr" not in result.stdout


def test_best_as_csv_has_a_row_a_study_or_the_top_ones(recorded):
    rows = list(csv.DictReader(io.StringIO(run("best", recorded, "--format", "csv").stdout)))
    assert len(rows) == 6
    assert float(rows[0]["selection_value"]) >= float(rows[-1]["selection_value"])
    text = run("best", recorded, "--format", "csv", "--top", "2").stdout
    assert [row["rank"] for row in csv.DictReader(io.StringIO(text))] == ["1", "2"] * 6


def test_best_top_is_the_same_as_text_and_obeys_confirmed(recorded):
    rows = [line.split() for line in run("best", recorded, "--top", "2").stdout.splitlines()]
    text = run("best", recorded, "--format", "csv", "--top", "2").stdout
    table = list(csv.DictReader(io.StringIO(text)))
    assert sorted((row[0], row[1]) for row in rows[1:13]) == sorted(
        (row["study"], row["number"]) for row in table
    )
    text = run("best", recorded, "--format", "csv", "--top", "2", "--confirmed").stdout
    confirmed = list(csv.DictReader(io.StringIO(text)))
    assert [row["replicates"] for row in confirmed] == ["3"] * 6


def test_best_confirmed_shows_the_value_it_chose_by(recorded):
    arguments = ("--study", "symmetric-0.4-elr", "--confirmed")
    (row,) = csv.DictReader(
        io.StringIO(run("best", recorded, *arguments, "--format", "csv").stdout)
    )
    header, line = run("best", recorded, *arguments).stdout.splitlines()[:2]
    assert "val again" in header
    assert line.split()[5] == f"{100 * float(row['replicated_value']):.2f}"


def test_best_as_toml_is_a_sweep_file(recorded):
    result = run("best", recorded, "--study", "symmetric-0.4-elr", "--format", "toml")
    assert parse_sweep(result.stdout).losses == ["elr"]


@pytest.mark.parametrize("how", ["text", "markdown", "latex", "csv"])
def test_table_prints_every_format(recorded, how):
    result = run("table", recorded, "--format", how)
    assert result.exit_code == 0
    assert "symmetric-0.4" in result.stdout


def test_labels_writes_tables_and_a_picture(recorded):
    result = run("labels", recorded, "--study", "symmetric-0.4-elr")
    files = [Path(line) for line in result.stdout.splitlines() if line.startswith("/")]
    assert [file.name for file in files] == [
        "doubted.html",
        "doubted.png",
        "labels.csv",
        "labels.parquet",
    ]
    assert all(file.stat().st_size for file in files)
    assert "precision" in result.stdout


def test_labels_may_be_written_elsewhere(recorded, tmp_path):
    result = run("labels", recorded, "--study", "symmetric-0.6-adam_elr", "--out", tmp_path / "o")
    assert result.exit_code == 0
    assert (tmp_path / "o" / "labels.csv").is_file()
    assert not (Path(recorded) / "label_errors" / "symmetric-0.6-adam_elr").exists()


def test_labels_without_the_images_goes_without_a_picture(recorded, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    result = run("labels", recorded, "--study", "symmetric-0.6-elr")
    assert result.exit_code == 0
    assert result.stderr.startswith("no picture: ")
    assert "labels.csv" in result.stdout
    assert "doubted.png" not in result.stdout


def test_optuna_writes_a_journal_here_or_there(recorded, tmp_path):
    result = run("optuna", recorded)
    assert result.stdout == f"optuna-dashboard {recorded}/optuna.journal\n"
    run("optuna", recorded, "--out", str(tmp_path / "x.journal"))
    assert (tmp_path / "x.journal").read_bytes()[:1] == b"{"


@pytest.mark.parametrize("command", ["report", "optuna"])
@pytest.mark.parametrize("out", ["", "s3://bucket/x"])
def test_out_that_is_no_file_of_this_machine_is_refused(
    recorded, command, out, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run(command, recorded, "--out", out)
    assert result.exit_code == 2
    assert "is no path of a file on this machine" in re.sub(r"[│\s]+", " ", result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["best", "{}/nowhere"], "holds no results"),
        (["best", "{}", "--study", "elr"], "unknown study 'elr'"),
        (["best", "{}", "--format", "toml"], "one study at a time"),
        (["best", "{}", "--format", "toml", "--top", "2"], "--top has no meaning with"),
        (["table", "{}/epochs"], "holds no results"),
        (["labels", "{}", "--study", "symmetric-0.4-ce"], "left nothing about its labels"),
        (["labels", "{}", "--study", ".."], "unknown study '..'"),
        (
            ["optuna", "{}", "--out", "/proc/x/y.journal"],
            "y.journal: its folder is not there and cannot be made",
        ),
        (["best", "nfs://host/x"], "cannot open nfs://host/x: Unrecognized filesystem"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(recorded, arguments, message):
    result = run(*(argument.format(recorded) for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_full_disk_is_told_with_where_else_to_write(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_results(tmp_path, [trial_row()])
    monkeypatch.setattr(os, "fsync", full)
    result = run("report", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.endswith("No space left on device; --out writes elsewhere\n")


WITHOUT_TORCH_AND_RAY = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "ray"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
runpy.run_module("analysis", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["best", "{}"], "symmetric-0.4-adam_elr"),
        (["best", "{}", "--study", "symmetric-0.4-elr", "--format", "toml"], 'name = "recorded'),
        (["table", "{}", "--format", "latex"], "Adam-refined ELR"),
        (["labels", "{}", "--study", "symmetric-0.4-elr"], "doubted.png"),
        (["optuna", "{}"], "optuna-dashboard"),
        (["report", "{}"], "report.html"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_every_command_runs_where_neither_torch_nor_ray_is_installed(recorded, arguments, said):
    arguments = [argument.format(recorded) for argument in arguments]
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH_AND_RAY, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
