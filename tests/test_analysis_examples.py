from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.best import best_configs
from analysis.examples import copy_example, examples, load_example
from analysis.frames.claims import ACCURACY, AVERAGED, EPOCHS, EVERYWHERE, MEMORIZED, answers
from analysis.frames.published import published
from analysis.results import ResultsError, load_results
from trainable.folder import layout

RUNNER = CliRunner()
ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", examples())
def test_an_example_is_a_whole_sweep_with_all_that_its_file_asks_for(name):
    results = load_example(name)
    assert not results.running
    best = best_configs(results, confirmed="confirm" in results.spec)
    assert set(best["study"]) == set(results.trials["study"])
    if "confirm" in results.spec:
        assert (best["replicates"] >= 5).all()
    if {"elr", "adam_elr"} <= set(results.trials["loss"]) and "confirm" in results.spec:
        assert set(answers(results)["question"]) >= {ACCURACY}


@pytest.mark.parametrize("name", examples())
def test_an_example_names_no_machine_and_no_path(name):
    results = load_example(name)
    assert set(results.epochs["node"].astype("str")) <= {"", "node"}
    text = (Path(results.folder.location) / layout.PROVENANCE).read_text()
    assert "/work" not in text
    assert "/home" not in text


def test_examples_are_small():
    files = [
        path
        for name in examples()
        for path in Path(load_example(name).folder.location).rglob("*")
        if path.is_file()
    ]
    assert sum(path.stat().st_size for path in files) < 3_000_000


@pytest.mark.parametrize("command", [["best"], ["table"], ["claims"], ["report"]])
def test_every_command_works_on_a_copy(command, tmp_path):
    folder = copy_example(examples()[0], tmp_path)
    done = RUNNER.invoke(app, [*command, str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout


def test_an_example_is_copied_once(tmp_path):
    (name, *_) = examples()
    done = RUNNER.invoke(app, ["example", name, "--storage", str(tmp_path)])
    assert done.stdout == f"{tmp_path / name}\n"
    assert len(load_results(tmp_path / name).trials) == len(load_example(name).trials)
    again = RUNNER.invoke(app, ["example", name, "--storage", str(tmp_path)])
    assert again.exit_code == 2
    assert again.stderr.startswith(f"error: {tmp_path / name} is there already")
    assert RUNNER.invoke(app, ["example"]).stdout.split() == list(examples())


def test_a_package_without_them_says_so(monkeypatch):
    """As on a cluster: `.rayignore` keeps them out of a job's upload."""
    examples.cache_clear()
    monkeypatch.setattr("analysis.examples._FOLDER", "nowhere")
    answer = RUNNER.invoke(app, ["example"])
    assert answer.exit_code == 2
    assert "nowhere is not here: jobs come without recorded sweeps" in answer.output


def test_an_unknown_example_is_refused_with_the_nearest_name():
    (name, *_) = examples()
    with pytest.raises(ResultsError, match=f"did you mean '{name}'"):
        load_example(name + "s")


def answered(name, against=None):
    table = answers(load_example(name), None if against is None else load_example(against))
    return table.set_index(["question", "noise", "loss"]).sort_index()


@pytest.mark.parametrize("name", ["claims-fashion", "claims-cifar"])
def test_every_number_of_the_findings_is_that_of_the_recorded_sweep(name):
    found = answered(name)
    page = (ROOT / "trainable" / "FINDINGS.md").read_text()
    for noise in found.loc[ACCURACY].index.unique("noise"):
        ce, adam = (found.loc[(ACCURACY, noise, loss)] for loss in ("ce", "adam_elr"))
        accuracies = (f"{100 * value:.2f}" for value in (ce["value"], adam["elr"], adam["value"]))
        cells = [*accuracies, interval(adam, 100, 2), f"{adam['seeds_needed']:.0f}"]
        assert f"| {' | '.join(cells)} |" in page, noise
    for share, question in EPOCHS.items():
        row = found.loc[(question, EVERYWHERE, "adam_elr")]
        line = f"| {share:.0%} | {row['elr']:.1f} | {row['value']:.1f} | {interval(row, 1, 1)} |"
        assert line in page
    for noise in set(found.loc[MEMORIZED].index.unique("noise")) - {EVERYWHERE}:
        ce, adam = (found.loc[(MEMORIZED, noise, loss)] for loss in ("ce", "adam_elr"))
        shares = (f"{100 * value:.1f}" for value in (ce["value"], adam["elr"], adam["value"]))
        cells = [*shares, interval(adam, 100, 1), adam["verdict"]]
        assert f"| {' | '.join(cells)} |" in page, noise


@pytest.mark.parametrize("target", ["schedule_free", "cautious"])
def test_what_the_further_readings_gain_is_that_of_their_recorded_sweeps(target):
    page = (ROOT / "trainable" / "FINDINGS.md").read_text()
    found = answered(f"claims-cifar-{target}", "claims-cifar")
    for noise, name in (
        ("symmetric-0.4", "symmetric 40%"),
        ("asymmetric-map-0.2", "asymmetric 20%"),
    ):
        accuracy, memorized = (found.loc[(q, noise, "adam_elr")] for q in (ACCURACY, MEMORIZED))
        cells = [
            *(f"{100 * accuracy[k]:.2f}" for k in ("elr", "value")),
            interval(accuracy, 100, 2),
        ]
        cells += [*(f"{100 * memorized[k]:.1f}" for k in ("elr", "value"))]
        cells += [interval(memorized, 100, 1)]
        assert f"| `{target}` | {name} | {' | '.join(cells)} |" in page


def test_the_gain_of_schedule_free_is_that_of_its_lam_and_lr():
    page = (ROOT / "trainable" / "FINDINGS.md").read_text()
    found = answered("claims-cifar-schedule_free", "claims-cifar-control")
    row = found.loc[(ACCURACY, "asymmetric-map-0.2", "adam_elr")]
    assert row["verdict"] == "not shown"
    assert f"ends at {100 * row['elr']:.2f}, and `schedule_free` {interval(row, 100, 2)}" in page


def test_elr_s_trials_beside_schedule_free_had_a_small_lam_or_a_large_rate():
    trials = load_example("claims-cifar").trials
    elr = trials[(trials["study"] == "asymmetric-map-0.2-elr") & (trials["phase"] == "search")]
    assert ((elr["param_lam"] <= 1) | (elr["param_lr"] > 0.07)).all()
    chosen = best_configs(load_example("claims-cifar-schedule_free")).set_index("noise_kind")
    assert chosen.loc["asymmetric", ["param_lam", "param_lr"]].tolist() == pytest.approx(
        [3.6, 0.017], rel=0.02
    )


def test_targets_of_elr_are_as_right_as_the_network_but_after_the_restart():
    results = load_example("claims-fashion")
    trials = results.trials
    elr = trials[(trials["phase"] == "replicate") & (trials["loss"] == "elr")]
    epochs = results.epochs.drop(columns="study").merge(elr[["trial_id", "noise"]], on="trial_id")
    gap = (epochs["target_accuracy"] - epochs["train_true_accuracy"]).groupby(
        [epochs["epoch"].isin([11, 12, 13]), epochs["noise"].astype("str"), epochs["epoch"]]
    )
    assert gap.mean().loc[False].abs().max() < 0.014
    assert gap.mean().loc[True].min() > 0


def test_what_averaging_gets_is_that_of_the_recorded_sweep():
    page = " ".join((ROOT / "trainable" / "FINDINGS.md").read_text().split())
    rows = answered("claims-cifar").loc[AVERAGED].loc[EVERYWHERE]
    assert set(rows["verdict"]) == {"not shown"}
    ce = rows.loc["ce"]
    assert f"{100 * ce['value']:.2f} against {100 * ce['elr']:.2f}, " in page
    assert {interval(row, 100, 2) in page for _, row in rows.iterrows()} == {True}


@pytest.mark.parametrize(("loss", "name"), [("elr", "ELR"), ("adam_elr", "Adam-refined ELR")])
def test_accuracies_over_lam_are_those_of_the_recorded_sweep(loss, name):
    page = (ROOT / "trainable" / "FINDINGS.md").read_text()
    trials = load_example("figure3-fashion").trials
    tests = trials[trials["loss"] == loss].set_index("param_lam")["test_accuracy"].sort_index()
    assert f"| lam | {' | '.join(f'{lam:g}' for lam in tests.index)} |" in page
    assert f"| {name} | {' | '.join(f'{100 * test:.1f}' for test in tests)} |" in page


def test_what_the_paper_reports_is_what_the_package_has_of_it():
    page = (ROOT / "trainable" / "FINDINGS.md").read_text()
    for kind, rates in (("symmetric", (0.2, 0.4, 0.6)), ("asymmetric", (0.1, 0.2, 0.3))):
        for rate in rates:
            table = published("cifar10", f"{kind}-{rate}").set_index("method")
            numbers = 100 * table.loc[["elr", "adam_elr"], ["published", "published_std"]]
            cells = [f"{mean:.2f} ± {std:.2f}" for mean, std in numbers.to_numpy()]
            difference = f"{numbers['published'].diff().iloc[1]:+.2f}"
            assert f"| {kind} {rate:.0%} | {' | '.join([*cells, difference])} |" in page


def interval(row, factor, digits):
    numbers = (f"{factor * row[name]:+.{digits}f}" for name in ("difference", "low", "high"))
    return "{} [{}, {}]".format(*numbers)


def test_the_readme_answers_with_numbers_of_the_recorded_sweep():
    found = answered("claims-fashion")
    page = " ".join((ROOT / "README.md").read_text().split())
    row = found.loc[(ACCURACY, EVERYWHERE, "adam_elr")]
    assert row["verdict"] == "not shown"
    low, high = (f"{100 * row[name]:+.2f}" for name in ("low", "high"))
    assert f"it ended {100 * row['difference']:.2f} points higher on Fashion-MNIST" in page
    assert f"95% interval of {low} to {high} over five seeds" in page
    cifar = answered("claims-cifar")
    row = cifar.loc[(ACCURACY, EVERYWHERE, "adam_elr")]
    assert row["verdict"] == "not shown"
    low, high = (f"{100 * row[name]:+.2f}" for name in ("low", "high"))
    assert f"{-100 * row['difference']:.2f} points lower on CIFAR-10 ({low} to {high})" in page
    row = found.loc[(MEMORIZED, "symmetric-0.4", "adam_elr")]
    assert f"({100 * row['value']:.1f}% against {100 * row['elr']:.1f}% at 40%)" in page
