import json
import re

import numpy as np
import pandas as pd
import pytest

from analysis.frames.accuracy import accuracy_table, mean_interval, paired_difference
from analysis.frames.published import PROTOCOLS, REMARKS, SOURCES, deviations, in_words, published
from analysis.printed.grid import escaped
from analysis.printed.paper_table import (
    DIFFERENCES,
    MEASURED,
    format_table,
    grids,
    methods,
)
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, record_sweep, trial_row, write_results

CIFAR = {"dataset": "cifar10", "model": "resnet34"}


def replicated_study(loss, tests, seeds=None, **fields):
    """A study whose only search trial was replicated with these test accuracies."""
    study = f"symmetric-0.4-{loss}"
    first = trial_row(study, 0, loss=loss, test_accuracy=0.5, **fields)
    return [first] + [
        trial_row(
            study,
            k + 1,
            loss=loss,
            phase="replicate",
            source_trial_id=first["trial_id"],
            seed=seed,
            test_accuracy=test,
            **fields,
        )
        for k, (seed, test) in enumerate(zip(seeds or range(1, 9), tests, strict=False))
    ]


@pytest.fixture
def table(tmp_path):
    trials = replicated_study("elr", [0.90, 0.92, 0.94], **CIFAR)
    trials += replicated_study("adam_elr", [0.93, 0.94, 0.95], **CIFAR)
    trials += [trial_row("symmetric-0.4-ce", 0, loss="ce", test_accuracy=0.7, **CIFAR)]
    results = load_results(write_results(tmp_path, trials))
    return accuracy_table(results).set_index("loss")


def test_accuracy_table_is_the_mean_over_replicates(table):
    assert table["test"]["elr"] == pytest.approx(0.92)
    assert table["test_std"]["elr"] == pytest.approx(0.02)
    assert table["n"]["elr"] == 3
    assert table["from_replicates"]["elr"]


def test_accuracy_table_without_replicates_has_the_search_winner(table):
    assert table["test"]["ce"] == 0.7
    assert table["n"]["ce"] == 1
    assert np.isnan(table["test_std"]["ce"])
    assert not table["from_replicates"]["ce"]


def test_difference_is_paired_by_seed_with_students_interval(table):
    # Differences .03, .02, .01: mean .02, standard error .01 / sqrt(3), t(.975, 2) = 4.3027.
    assert table["difference"]["adam_elr"] == pytest.approx(0.02)
    assert table["difference_low"]["adam_elr"] == pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5)
    assert table["difference_high"]["adam_elr"] == pytest.approx(0.02 + 4.302653 * 0.01 / 3**0.5)
    assert table["pairs"]["adam_elr"] == 3
    assert np.isnan(table["difference"]["elr"])
    assert table["pairs"]["ce"] == 0
    assert table["verdict"].dropna().to_dict() == {"adam_elr": "unclear"}


def test_accuracy_table_has_the_published_numbers_beside_and_below(table):
    assert table["published"]["elr"] == pytest.approx(0.9143)
    assert table["published_std"]["elr"] == pytest.approx(0.0021)
    assert table["protocol"]["elr"].starred
    assert "copied" in str(table["protocol"]["ce"])
    assert table["published"]["bootstrap"] == pytest.approx(0.8223)
    assert pd.isna(table["study"]["bootstrap"])
    assert set(table["noise"]) == {"symmetric-0.4"}


def test_only_common_seeds_are_paired():
    def frame(seeds, tests, phase="replicate"):
        return pd.DataFrame({"seed": seeds, "test_accuracy": tests, "phase": phase})

    found = paired_difference(frame([3, 1, 9], [0.9, 0.8, 0.1]), frame([1, 2, 3], [0.7, 0, 0.7]))
    assert found["pairs"] == 2
    assert found["difference"] == pytest.approx(0.15)
    apart = paired_difference(frame([1], [0.9], "search"), frame([1], [0.7]))
    assert apart["pairs"] == 0
    assert np.isnan(apart["difference"])


def test_interval_of_a_mean_needs_two_values():
    assert np.isnan(mean_interval(np.array([]))).all()
    mean, *ends = mean_interval(np.array([1.0]))
    assert mean == 1
    assert np.isnan(ends).all()
    assert mean_interval(np.array([0.0, 2.0])) == pytest.approx((1, 1 - 12.7062, 1 + 12.7062))


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([0.020, 0.021], "unclear"),
        ([1 / 360] * 2, "unclear"),
        ([1 / 360] * 5, "unclear"),
        ([0.020, 0.021, 0.022], "better"),
        ([-0.020, -0.021, -0.022], "worse"),
        ([0.020, -0.020, 0.021], "unclear"),
        ([0.020], "unclear"),
    ],
)
def test_a_verdict_needs_three_pairs_that_differ(tmp_path, gains, verdict):
    elr = [0.90, 0.91, 0.93, 0.92, 0.94][: len(gains)]
    trials = replicated_study("elr", elr)
    trials += replicated_study("gce", [e + gain for e, gain in zip(elr, gains, strict=True)])
    results = load_results(write_results(tmp_path, trials))
    assert accuracy_table(results).set_index("loss")["verdict"]["gce"] == verdict
    (grid,) = grids(results)
    bold = {method: cell.bold for method, (cell,) in dict(grid.blocks)[MEASURED]}
    assert bold == {"GCE": verdict == "better", "ELR": False}
    ((_, (difference,)),) = dict(grid.blocks)[DIFFERENCES]
    assert difference.text.startswith("−" if verdict == "worse" else "+")


def unstable(rows, count):
    """The last ``count`` replicates diverged."""
    return [
        row | ({"status": "diverged", "epochs": 1} if k >= len(rows) - count else {})
        for k, row in enumerate(rows)
    ]


def test_a_configuration_that_diverges_is_said_to_and_never_bold(tmp_path):
    trials = replicated_study("elr", [0.90, 0.92, 0.94, 0.90, 0.90])
    trials += unstable(replicated_study("adam_elr", [0.93, 0.95, 0.98, 0.5, 0.5]), 2)
    trials += unstable(replicated_study("gce", [0.5, 0.5, 0.5, 0.5, 0.5]), 5)
    results = load_results(write_results(tmp_path, trials))
    table = accuracy_table(results).set_index("loss")
    assert table["verdict"]["adam_elr"] == "diverged"
    assert table["difference_low"]["adam_elr"] > 0
    assert table["diverged"].to_dict() == {"elr": 0, "adam_elr": 2, "gce": 5}
    assert np.isnan(table["test"]["gce"])
    (grid,) = grids(results)
    cells = {method: cells[0] for method, cells in dict(grid.blocks)[MEASURED]}
    assert (cells["Adam-refined ELR"].text, cells["Adam-refined ELR"].bold) == (
        "95.33 ± 2.52 (3, 2 diverged)",
        False,
    )
    assert cells["GCE"].text == "- (0, 5 diverged)"
    assert not any(cell.bold for _, (cell,) in dict(grid.blocks)[DIFFERENCES])
    assert any("diverged are counted" in note for note in grid.notes)


def test_nothing_is_better_than_a_baseline_that_diverges(tmp_path):
    trials = unstable(replicated_study("elr", [0.90, 0.92, 0.94, 0.90]), 1)
    trials += replicated_study("ce", [0.93, 0.95, 0.98, 0.5])
    table = accuracy_table(load_results(write_results(tmp_path, trials))).set_index("loss")
    assert (table["pairs"]["ce"], table["verdict"]["ce"]) == (3, "diverged")


def test_networks_and_data_sets_are_not_compared_with_each_other(tmp_path):
    trials = replicated_study("elr", [0.9, 0.9], model="resnet18")
    other = replicated_study("adam_elr", [0.95, 0.95], model="resnet34")
    results = load_results(write_results(tmp_path, trials + other))
    assert accuracy_table(results)["difference"].isna().all()
    assert len(grids(results)) == 2


@pytest.mark.parametrize(
    ("dataset", "noise", "count"),
    [
        ("cifar10", "symmetric-0.4", 7),
        ("cifar10", "symmetric-exclusive-0.4", 0),
        ("cifar10", "asymmetric-0.3", 7),
        ("cifar10", "asymmetric-sequential-0.3", 7),
        ("cifar100", "symmetric-0.8", 4),
        ("digits", "symmetric-0.4", 0),
    ],
)
def test_published_holds_what_means_the_same(dataset, noise, count):
    assert len(published(dataset, noise)) == count


def test_published_rows_all_say_where_they_come_from():
    rows = pd.concat(
        [published("cifar10", "symmetric-0.2"), published("cifar100", "symmetric-0.2")]
    )
    assert set(rows["source"]) == set(SOURCES.values()) == set(REMARKS)
    assert rows["protocol"].notna().all()
    assert {method for _, method in PROTOCOLS} <= set(methods())


PRINTED = {
    "dataset": "cifar10",
    "model": "resnet34",
    "epochs": 150.0,
    "config": '{"data": {"train_examples": null}}',
    "param_lr_schedule": "cosine_warm_restarts",
}


@pytest.mark.parametrize(
    ("loss", "fields", "said"),
    [
        ("elr", {}, ""),
        ("elr", {"config": '{"data": {"train_examples": 50000}}'}, ""),
        ("elr", {"model": "small_cnn"}, "small_cnn instead of resnet34"),
        ("elr", {"epochs": 120.0}, "120 epochs instead of 150"),
        (
            "adam_elr",
            {"config": '{"data": {"train_examples": 5000}}', "param_lr_schedule": "multistep"},
            "5,000 training images instead of 50,000; multistep instead of cosine warm restarts",
        ),
        ("ce", {"epochs": 120.0, "param_lr_schedule": "multistep"}, ""),
        ("ce", {}, "150 epochs instead of 120; cosine warm restarts instead of multistep"),
    ],
)
def test_deviations_are_what_the_paper_did_otherwise(loss, fields, said):
    rows = published("cifar10", "symmetric-0.4").set_index("method")
    assert in_words(deviations(PRINTED | fields, rows["protocol"][loss])) == said


def test_accuracy_table_says_where_papers_did_otherwise(table):
    assert in_words(table["differs_in"]["elr"]) == "3 epochs instead of 150"
    assert in_words(table["differs_in"]["ce"]) == "3 epochs instead of 120"
    assert pd.isna(table["differs_in"]["bootstrap"])


@pytest.mark.parametrize(
    ("loss", "sequential", "said"),
    [
        ("elr", True, ""),
        (
            "elr",
            False,
            "classes moved at once (15.0% of the labels wrong, 0.30 of the cats dogs) instead of "
            "classes moved one after the other (14.1% of the labels wrong, 0.21 of the cats dogs)",
        ),
        ("adam_elr", True, ""),
        ("adam_elr", False, ""),
    ],
)
def test_published_asymmetric_rows_say_where_classes_moved_otherwise(loss, sequential, said):
    noise = {"kind": "asymmetric", "rate": 0.3, "legacy_sequential": sequential}
    config = PRINTED | {"config": json.dumps({"data": {"train_examples": None}, "noise": noise})}
    setting = "asymmetric-sequential-0.3" if sequential else "asymmetric-0.3"
    rows = published("cifar10", setting).set_index("method")
    assert in_words(deviations(config, rows["protocol"][loss])) == said


def test_methods_are_printed_in_the_papers_order():
    assert list(methods().values()) == [
        "CE", "Bootstrap", "Bootstrap (soft)", "Bootstrap (hard)", "Forward", "GCE", "SL", "ELR",
        "Adam-refined ELR",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    text = SWEEP.replace('"digits"', '"cifar10"').replace("tiny_cnn", "resnet34")
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), text, replicates=3))


def test_bold_needs_an_interval_above_zero(tmp_path):
    trials = replicated_study("elr", [0.90, 0.92, 0.94])
    trials += replicated_study("adam_elr", [0.93, 0.95, 0.98])
    trials += replicated_study("gce", [0.99, 0.80, 0.99])
    trials += replicated_study("ce", [0.99])
    (grid,) = grids(load_results(write_results(tmp_path, trials)))
    bold = {method: cells[0].bold for method, cells in dict(grid.blocks)[MEASURED]}
    assert bold == {"CE": False, "GCE": False, "ELR": False, "Adam-refined ELR": True}


def test_markdown_is_a_table_with_as_many_cells_in_every_line(cifar):
    lines = [line for line in format_table(cifar, "markdown").splitlines() if line[:1] == "|"]
    assert {line.count("|") for line in lines} == {4}
    assert "only the ELR rows use the starred schedule" in format_table(cifar, "markdown")


def test_latex_escapes_and_balances(cifar):
    text = format_table(cifar, "latex")
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert all(line.count(" & ") == 2 or "\\multicolumn{3}" in line for line in rows)
    assert text.count("{") == text.count("}")
    assert "±" not in text
    assert re.search(r"accuracy in \\%", text)
    assert text.count("\\begin{") == text.count("\\end{")


def test_latex_prints_every_sign_of_a_name():
    text = escaped(r"a\b{c}$d$ 5% x_y #1 & ~ ^ -3")
    printed = r"a\textbackslash{}b\{c\}\$d\$ 5\% x\_y \#1 \& "
    assert text.startswith(printed)
    assert not re.search(r"(?<!\\)[%#&$_]", text.replace("$-$", ""))


def test_latex_table_of_many_settings_is_made_to_fit_the_page(cifar):
    first, *lines = format_table(cifar, "latex").splitlines()
    assert first == "% needs \\usepackage{booktabs} and \\usepackage{graphicx}"
    (inside,) = [i for i, line in enumerate(lines) if line.startswith("\\resizebox{\\ifdim")]
    assert lines[inside + 1].startswith("\\begin{tabular}")
    assert "\\end{tabular}}" in lines
    assert "\\label{tab:recorded-test-accuracy-in-cifar10-resnet34}" in lines
    (caption,) = [line for line in lines if line.startswith("\\caption")]
    assert caption == (
        "\\caption{Each method's test accuracy in \\% on cifar10 with resnet34 is given for each "
        "noise setting.}"
    )


def test_text_table_lines_up_its_columns(cifar):
    lines = format_table(cifar, "text").splitlines()
    start = lines[2].index("symmetric-0.4")
    measured = [line for line in lines if line.startswith("  ")]
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in measured)


def test_csv_has_every_number(cifar, tmp_path):
    (tmp_path / "t.csv").write_text(format_table(cifar, "csv"))
    table = pd.read_csv(tmp_path / "t.csv")
    expected = accuracy_table(cifar)
    assert list(table.columns) == list(expected.columns)
    np.testing.assert_allclose(table["test"], expected["test"])


def test_a_winner_that_is_not_confirmed_is_said_to_be_one(tmp_path):
    text = format_table(load_results(write_results(tmp_path, [trial_row()])), "text")
    assert "60.00 (1)" in text
    assert "not confirmed on fresh seeds" in text


def test_format_table_without_a_winner_or_a_known_format_is_refused(tmp_path):
    results = load_results(write_results(tmp_path, [trial_row(status="stopped")]))
    with pytest.raises(ResultsError, match="no trial has used its full budget"):
        format_table(results, "text")
    results = load_results(write_results(tmp_path / "won", [trial_row()]))
    with pytest.raises(ValueError, match="unknown format 'html'"):
        format_table(results, "html")


def test_text_for_a_narrow_terminal_comes_in_parts_that_have_it_all(cifar):
    width = 60
    whole, parts = format_table(cifar, "text"), format_table(cifar, "text", width)
    assert max(map(len, parts.splitlines())) <= width < max(map(len, whole.splitlines()))
    assert sorted(parts.split()) != sorted(whole.split())  # methods come with every part
    assert set(parts.split()) == set(whole.split())
    assert format_table(cifar, "text", 1000).split() == whole.split()
