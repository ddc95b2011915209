"""Sweeps side by side: which numbers, which difference, which settings; and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind, ttest_rel
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.frames.accuracy import BETTER, UNCLEAR, UNSTABLE
from analysis.frames.comparison import (
    differing_settings,
    over_seeds,
    side_by_side,
    sweeps_of,
    unpaired_difference,
)
from analysis.report.comparison_page import build_comparison
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, record_sweep, trial_row, write_results


def replicated(location, tests, *, seeds=None, name="test", spec="", **fields):
    """A study of one search trial and its replicates with these test accuracies."""
    seeds = seeds or range(1, len(tests) + 1)
    search = trial_row(test_accuracy=0.5, **fields)
    again = [
        trial_row(
            **fields,
            number=number,
            trial_id=f"{search['trial_id']}-r{number}",
            phase="replicate",
            source_trial_id=search["trial_id"],
            seed=seed,
            labels_fingerprint=f"labels-{seed}",
            test_accuracy=test,
        )
        for number, (seed, test) in enumerate(zip(seeds, tests, strict=True), start=1)
    ]
    return load_results(write_results(location, [search, *again], spec=f'name = "{name}"\n{spec}'))


FIRST, SECOND = [0.90, 0.91, 0.92, 0.93], [0.92, 0.92, 0.94, 0.94]


def compared(*results):
    return side_by_side(sweeps_of(results))


def test_replicates_with_the_same_seeds_are_paired(tmp_path):
    table = compared(replicated(tmp_path / "a", FIRST), replicated(tmp_path / "b", SECOND))
    first, second = table.to_dict("records")
    assert (first["sweep"], first["test"], first["n"]) == (0, pytest.approx(0.915), 4)
    assert pd.isna(first["difference"])
    low, high = ttest_rel(SECOND, FIRST).confidence_interval(0.95)
    assert second["difference"] == pytest.approx(0.015)
    assert (second["difference_low"], second["difference_high"]) == pytest.approx((low, high))
    assert (second["pairs"], second["verdict"]) == (4, BETTER)


def test_replicates_with_other_seeds_are_compared_by_welch(tmp_path):
    others = replicated(tmp_path / "b", SECOND, seeds=[11, 12, 13, 14])
    second = compared(replicated(tmp_path / "a", FIRST), others).iloc[1]
    low, high = ttest_ind(SECOND, FIRST, equal_var=False).confidence_interval(0.95)
    assert (second["difference_low"], second["difference_high"]) == pytest.approx((low, high))
    assert (second["pairs"], second["verdict"]) == (0, UNCLEAR)


def test_sweeps_that_differ_in_their_seed_alone_say_how_much_that_is(tmp_path):
    tests = ([0.90, 0.92], [0.93, 0.95], [0.96, 0.96])
    sweeps = sweeps_of(
        [replicated(tmp_path / str(s), each, spec=f"seed = {s}\n") for s, each in enumerate(tests)]
    )
    (row,) = over_seeds(sweeps).to_dict("records")
    assert (row["sweeps"], row["loss"]) == (3, "elr")
    # means .91, .94, .96: .9367, their squared distances .000711, .000011, .000544 over 2
    assert row["test"] == pytest.approx(0.93667, abs=1e-5)
    assert row["between"] == pytest.approx(0.02517, abs=1e-5)
    assert row["within"] == pytest.approx(math.sqrt((0.0002 + 0.0002 + 0) / 3))
    told = run(*(tmp_path / str(s) for s in range(3))).stdout
    (line,) = (line for line in told.splitlines() if "93.67" in line)
    assert line.split()[1:] == ["elr", "3", "93.67", "2.52", "1.15"]
    assert "93.67" in build_comparison(sweeps)


@pytest.mark.parametrize("other", ["seed = 0\n", "seed = 1\n[budget]\ntrials = 3\n"])
def test_what_seeds_vary_is_not_said_where_more_or_less_than_the_seed_differs(tmp_path, other):
    first = replicated(tmp_path / "a", FIRST, spec="seed = 0\n")
    assert over_seeds(sweeps_of([first, replicated(tmp_path / "b", SECOND, spec=other)])).empty


def test_the_same_seed_with_other_labels_is_no_pair(tmp_path):
    first, second = replicated(tmp_path / "a", FIRST), replicated(tmp_path / "b", SECOND)
    fingerprints = second.trials["labels_fingerprint"].astype("str") + "-others"
    second.trials["labels_fingerprint"] = fingerprints.astype("category")
    assert compared(first, second).iloc[1]["pairs"] == 0


def test_replicates_of_unknown_labels_are_no_pairs(tmp_path):
    results = [replicated(tmp_path / "a", FIRST), replicated(tmp_path / "b", SECOND)]
    for one in results:
        one.trials["labels_fingerprint"] = pd.Categorical([None] * len(one.trials))
    second = compared(*results).iloc[1]
    assert (second["pairs"], second["difference"]) == (0, pytest.approx(0.015))


def test_single_trials_differ_without_an_interval(tmp_path):
    ones = [load_results(write_results(tmp_path / n, [trial_row()])) for n in "ab"]
    second = compared(*ones).iloc[1]
    assert (second["difference"], second["n"]) == (0, 1)
    assert np.isnan(second["difference_low"])
    assert second["verdict"] == UNCLEAR


def test_a_seed_that_diverged_leaves_no_verdict(tmp_path):
    first = replicated(tmp_path / "a", FIRST)
    second = replicated(tmp_path / "b", SECOND)
    last = second.trials.index[-1]
    second.trials.loc[last, ["epochs", "selection_value"]] = (1, np.nan)
    second.trials["status"] = second.trials["status"].cat.add_categories("diverged")
    second.trials.loc[last, "status"] = "diverged"
    row = compared(first, second).iloc[1]
    assert (row["n"], row["diverged"], row["pairs"]) == (3, 1, 3)
    assert row["verdict"] == UNSTABLE


def test_welch_s_interval_of_equal_values_has_no_width():
    assert unpaired_difference(np.array([0.5, 0.5]), np.array([0.25, 0.25])) == (0.25, 0.25, 0.25)


def test_sweeps_over_two_networks_can_be_compared(tmp_path):
    first = replicated(tmp_path / "a", FIRST, model="tiny_cnn")
    second = replicated(tmp_path / "b", SECOND, model="small_cnn")
    assert compared(first, second)["pairs"].to_list()[1] == 4


def test_a_sweep_with_several_networks_is_compared_network_by_network(tmp_path):
    rows = [trial_row(f"symmetric-0.4-elr-{model}", model=model) for model in ("tiny_cnn", "cnn8")]
    both = load_results(write_results(tmp_path / "a", rows))
    one = load_results(write_results(tmp_path / "b", rows[1:]))
    table = compared(both, one)
    assert table[["model", "sweep"]].to_numpy().tolist() == [
        ["cnn8", 0], ["cnn8", 1], ["tiny_cnn", 0],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweeps")
    first = record_sweep(place / "one", replicates=3)
    text = SWEEP.replace('"recorded"', '"other"').replace("trials = 12", "trials = 14")
    text = text.replace('["ce", "elr", "adam_elr"]', '["elr", "sce"]')
    return first, record_sweep(place / "two", text, seed=1)


def run(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)


def test_settings_that_differ_are_named_with_the_value_of_each(folders):
    sweeps = sweeps_of([load_results(folder) for folder in folders])
    assert differing_settings(sweeps) == {
        "losses": ("ce, elr, adam_elr", "elr, sce"),
        "budget.trials": ("12", "14"),
    }


def test_the_command_prints_every_number_within_80_columns(folders, tmp_path):
    page = tmp_path / "out.html"
    done = run(*[folder.location for folder in folders], "--report", page)
    assert done.exit_code == 0
    assert page.read_text().startswith("<!doctype html>")
    table = done.stdout.partition("symmetric-0.4\n")[2].partition("\nMean ")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert [line.split()[0] for line in table.splitlines()[1:6]] == [
        "adam_elr", "ce", "elr", "2", "sce",
    ]  # fmt: skip
    assert "unpaired" in table
    assert "1: 12; 2: 14" in done.stdout


def test_the_page_has_settings_chart_and_numbers_and_obeys_no_markup(folders):
    results = [load_results(folder) for folder in folders]
    results[1].spec["name"] = "<b>two</b>"
    page = build_comparison(sweeps_of(results))
    assert "<b>two" not in page
    assert page.count('class="chart"') == 2
    for text in ("Settings that differ", "budget.trials", "Symmetric, 60%: ELR", "unpaired"):
        assert text in page


def test_nothing_is_said_of_settings_without_a_sweep_file(tmp_path):
    ones = [load_results(write_results(tmp_path / n, [trial_row()])) for n in "ab"]
    (tmp_path / "b" / "sweep.toml").unlink()
    done = run(ones[0].folder.location, ones[1].folder.location)
    assert done.exit_code == 0
    assert "no sweep.toml in" in done.stdout


@pytest.mark.parametrize("report", ["", "s3://bucket/both.html"])
def test_a_report_is_a_file_on_this_machine(folders, report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*[folder.location for folder in folders], "--report", report)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "is no path" in done.stderr
    assert not list(tmp_path.iterdir())


def test_mistakes_are_one_line_and_exit_code_2(folders, tmp_path):
    one = folders[0].location
    write_results(tmp_path / "other", [trial_row("s", dataset="cifar10")])
    write_results(tmp_path / "unfinished", [trial_row(status="running", epochs=1)])
    (tmp_path / "link").symlink_to(one)
    for arguments, said in {
        (one,): "two results folders or more",
        (one, one): "is there twice",
        (one, tmp_path / "link"): "is there twice",
        (one, tmp_path / "nothing"): "holds no results",
        (one, tmp_path / "other"): "symmetric-0.4 on cifar10",
    }.items():
        done = run(*arguments)
        assert (done.exit_code, done.stdout) == (2, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    unfinished = load_results(tmp_path / "unfinished")
    twice = write_results(tmp_path / "again", [trial_row(status="running", epochs=1)])
    with pytest.raises(ResultsError, match="full budget yet"):
        compared(unfinished, load_results(twice))
