"""What the hold-out cannot tell apart, on numbers computed by hand."""

import io
import json

import pytest
from rich.console import Console

from analysis.frames.overview import overview
from analysis.frames.ties import loss_ties, overtaken, tied_settings, trial_ties
from analysis.printed.paper_table import format_table
from analysis.printed.text import print_best
from analysis.printed.winners import format_winners
from analysis.results import load_results
from tests.recorded import epoch_row, trial_row, write_results

CONFIG = json.dumps({"data": {"name": "digits", "holdout": 0.1, "train_examples": 1000}})


def row(loss, number=0, **fields):
    study = f"symmetric-0.4-{loss}"
    return trial_row(study, number, loss=loss, config=CONFIG, **fields)


def read(path, rows, epochs=()):
    return load_results(write_results(path, rows, epochs))


def test_margin_is_one_standard_error_of_the_difference_on_the_hold_out(tmp_path):
    results = read(tmp_path, [row("elr", val_accuracy=0.5), row("ce", val_accuracy=0.4)])
    table = loss_ties(results).set_index("loss")
    assert table["examples"].tolist() == [100, 100]
    assert table.loc["ce", "margin"] == pytest.approx((0.25 / 100 + 0.24 / 100) ** 0.5)
    assert table.loc["ce", "behind"] == pytest.approx(0.1)
    assert not table["tied"].any()
    assert tied_settings(results) == []


def test_losses_within_the_margin_are_tied_and_every_output_says_so(tmp_path):
    values = {"adam_elr": 0.5, "elr": 0.5, "ce": 0.45, "gce": 0.42}
    results = read(tmp_path, [row(loss, val_accuracy=value) for loss, value in values.items()])
    assert tied_settings(results) == [("symmetric-0.4", ("adam_elr", "elr", "ce"))]
    assert overview(results)["tied"].tolist() == [("elr", "ce")]
    assert format_table(results, "text").count("(1) ≈") == 3
    assert "$\\approx$" in format_table(results, "latex")
    out = io.StringIO()
    print_best(results, Console(file=out, width=200))
    assert "symmetric-0.4: adam_elr, elr, ce are tied" in out.getvalue()


def test_replicates_narrow_the_margin_and_are_not_tied_with_search_values(tmp_path):
    again = [
        row(
            "elr",
            10 + seed,
            phase="replicate",
            source_trial_id="symmetric-0.4-elr-0000",
            val_accuracy=0.5,
        )
        for seed in range(4)
    ]
    results = read(tmp_path, [row("elr", val_accuracy=0.9), *again, row("ce", val_accuracy=0.5)])
    table = loss_ties(results).set_index("loss")
    assert (table.loc["elr", "value"], table.loc["elr", "examples"]) == (0.5, 400)
    assert not table["tied"].any()


def test_trials_within_the_margin_of_the_best_are_tied(tmp_path):
    values = [0.50, 0.44, 0.42]
    rows = [row("elr", k, val_accuracy=value) for k, value in enumerate(values)]
    table = trial_ties(read(tmp_path, rows)).set_index("number")
    assert table["tied"].tolist() == [False, True, False]


def test_a_data_set_of_unknown_size_ties_nothing(tmp_path):
    rows = [trial_row(number=k, val_accuracy=0.5) for k in range(2)]
    assert not trial_ties(read(tmp_path, rows))["tied"].any()


def test_what_was_recorded_of_the_hold_out_comes_before_what_the_config_says(tmp_path):
    rows = [trial_row(number=k, val_accuracy=0.5, val_examples=25) for k in range(2)]
    table = trial_ties(read(tmp_path, rows))
    assert table["examples"].tolist() == [25, 25]
    assert table["tied"].tolist() == [False, True]


def test_stopped_trials_above_the_best_one_at_their_last_epoch_are_found(tmp_path):
    best = row("elr", 0, val_accuracy=0.6)
    above = row("elr", 1, status="stopped", epochs=2, val_accuracy=0.45)
    below = row("elr", 2, status="stopped", epochs=2, val_accuracy=0.35)
    curve = enumerate([0.2, 0.4, 0.6], start=1)
    epochs = [epoch_row(best["trial_id"], e, e, val_accuracy=value) for e, value in curve]
    found = overtaken(read(tmp_path, [best, above, below], epochs))
    assert found[["number", "epoch", "value", "best_value"]].values.tolist() == [[1, 2, 0.45, 0.4]]


def test_refined_elr_is_compared_with_elr_whoever_wins(tmp_path):
    values = {"ce": 0.9, "adam_elr": 0.5, "elr": 0.4}
    rows = [
        row(loss, val_accuracy=value, test_accuracy=value, seed=0)
        for loss, value in values.items()
    ]
    best = overview(read(tmp_path, rows)).iloc[0]
    assert best["loss"] == "ce"
    assert best["refined_difference"] == pytest.approx(0.1)


def test_winners_as_markdown_and_latex(tmp_path):
    results = read(tmp_path, [row("elr", val_accuracy=0.5, param_lam=3.0)])
    line = "| symmetric-0.4-elr | 0 | 50.00 | 60.00 | - | lam = 3 |"
    assert line in format_winners(results, "markdown").splitlines()
    latex = format_winners(results, "latex")
    assert "symmetric-0.4-elr & 0 & 50.00 & 60.00 & - & lam = 3 \\\\" in latex
    assert "\\label{tab:best-test}" in latex
    assert "LEAK" not in latex


def test_winners_selected_on_test_carry_the_mark(tmp_path):
    rows = [row("elr", selected_by="test_accuracy")]
    spec = 'name = "test"\n[search]\nallow_test_selection = true\n'
    results = load_results(write_results(tmp_path, rows, spec=spec))
    assert "LEAK" in format_winners(results, "markdown")
    assert "LEAK" in format_winners(results, "latex")
