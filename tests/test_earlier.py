"""A results folder that an earlier version wrote: ``tests/earlier``.

A search of two noise settings and three losses has ended; its replicates were interrupted, some
before their first epoch, one after its last checkpoint.
"""

import io
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from analysis.best import full_budget
from analysis.frames.label_errors import label_errors
from analysis.frames.transition_matrix import transition_matrix
from analysis.printed.paper_table import format_table
from analysis.printed.text import print_best
from analysis.report.build import build_report
from analysis.results import load_results
from search.driver import runner
from trainable.folder.storage import Folder

FOLDER = Path(__file__).with_name("earlier")
BEST = """
asymmetric-0.3-ce            1  82.50   87.78   3/3      78.75   86.67 ± 0.79 (2)
asymmetric-0.3-elr           2  80.00   85.00   3/3      80.00   81.39 ± 0.79 (2)
asymmetric-0.3-adam_elr      0  70.00   73.89   2/3      71.25  70.00 ± 11.00 (2)
symmetric-0.2-elr            2  85.00   91.94   2/3      75.00   91.25 ± 2.16 (2)
symmetric-0.2-adam_elr       0  80.00   85.28   2/3      71.25   85.56 ± 0.39 (2)
symmetric-0.2-ce             0  80.00   87.22   2/3      70.00   87.31 ± 0.32 (3)
"""
"""What ``analysis best`` of that version printed of it."""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "earlier"
    return load_results(shutil.copytree(FOLDER, folder))


def test_earlier_folder_loads_whole(results):
    trials = results.trials.set_index("trial_id")
    assert trials["status"].value_counts().to_dict() == {
        "completed": 27,
        "running": 11,
        "stopped": 4,
    }
    rows = results.epochs.groupby("trial_id", observed=True)["epoch"].agg(["size", "max"])
    full = full_budget(results.trials)["trial_id"]
    assert (rows.loc[full] == 6).all(axis=None)
    assert trials.loc["symmetric-0.2-ce-0000-seed4", "epochs"] == 5


def test_earlier_folder_has_the_same_winners(results):
    out = io.StringIO()
    print_best(results, Console(file=out, width=200))
    lines = [line.replace("≈", "").split() for line in out.getvalue().splitlines()]
    assert lines[1:7] == [line.split() for line in BEST.strip().splitlines()]
    assert "91.94 (1)" in format_table(results, "text")


def test_earlier_folder_reports(results):
    page = build_report(results, datetime(2026, 1, 2, tzinfo=UTC))
    bare = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", bare)
    assert "Still running: 31 of 42 started trials have ended." in text
    assert "could not be computed" not in text
    assert "ELR 91.94% test accuracy" in text


def test_earlier_folder_has_labels_and_targets(results):
    matrix = transition_matrix(results, "symmetric-0.2-elr")
    assert matrix.shape == (10, 10)
    assert matrix.sum(axis="columns").to_numpy() == pytest.approx(1)
    assert label_errors(results, "symmetric-0.2-elr").examples > 300


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_earlier_folder_resumes(results, tmp_path, console):
    """Its interrupted replicates end; what had ended stays as it was, row by row."""
    folder = shutil.copytree(FOLDER, tmp_path / "earlier")
    done = runner.resume(Folder.open(folder), console)
    assert not done.failed
    before, after = results, load_results(folder)
    assert set(after.trials["status"]) == {"completed", "stopped"}
    assert list(after.trials["trial_id"]) == list(before.trials["trial_id"])
    ended = before.trials[before.trials["status"] != "running"]
    columns = ["trial_id", "end_reason", "epochs", "val_accuracy", "test_accuracy", "config"]
    same = after.trials[after.trials["trial_id"].isin(ended["trial_id"])]
    pd.testing.assert_frame_equal(
        same[columns].reset_index(drop=True),
        ended[columns].reset_index(drop=True),
        check_categorical=False,
    )
    assert (after.trials.loc[after.trials["phase"] == "replicate", "epochs"] == 6).all()
