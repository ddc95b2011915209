"""The best trials of a search with a larger budget: on from their checkpoints, or afresh."""

import math
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from analysis.best import best_configs, rank_trials
from analysis.report.build import build_report
from analysis.results import load_results
from recorded import trial_row, write_results
from search.__main__ import app
from search.driver import runner
from search.driver.signals import Interrupted
from search.planning.outline import outline
from search.studies.afterwards import why_afresh
from search.studies.round_robin import Sweep
from simulated import Driver, spec, table
from spaces.sections import DeepenSpec
from spaces.sweep_file import SpecError, differences, parse_sweep
from test_search_runner import TIMES, interrupted_after
from test_search_study import crash
from trainable.folder.storage import Folder

DEEPEN = ("deepen.max_epochs=20", "deepen.top=2")


def deeper(study):
    return [trial for trial in study.trials.values() if trial.phase == "deeper"]


def test_best_of_every_study_get_the_larger_budget_once_the_search_is_out():
    sweep = Driver(Sweep.build(spec(*DEEPEN)), slots=2).run().sweep
    assert sweep.finished
    for study in sweep.studies.values():
        full = [t for t in study.searched if t.status == "completed"]
        best = sorted(full, key=lambda t: (-t.last.val_accuracy, t.number))[:2]
        assert {t.source_trial_id for t in deeper(study)} == {t.trial_id for t in best}
        for trial in deeper(study):
            assert (trial.status, trial.epochs, trial.config.max_epochs) == ("completed", 20, 20)
            assert trial.config.parameters == study.trials[trial.source_trial_id].config.parameters
            assert trial.trial_id == f"{trial.source_trial_id}-epochs20"


def test_what_is_confirmed_is_the_best_of_the_deeper_trials():
    sweep = Driver(Sweep.build(spec(*DEEPEN, "confirm.seeds=2")), slots=3).run().sweep
    for study in sweep.studies.values():
        best = max(deeper(study), key=lambda t: (t.last.val_accuracy, -t.number))
        again = [t for t in study.trials.values() if t.phase == "replicate"]
        assert {t.source_trial_id for t in again} == {best.trial_id}
        assert [t.config.max_epochs for t in again] == [20, 20]


@pytest.mark.parametrize("rule", ["asha", "asha_promotion", "none"])
def test_restore_after_every_row_equals_the_uninterrupted_sweep(rule):
    overrides = (*DEEPEN, f"search.early_stopping={rule}", "budget.trials=4", "losses=['elr']")
    whole = Driver(Sweep.build(spec(*overrides, "confirm.seeds=1"))).run()
    for steps in range(1, len(whole.rows), 3):
        half = Driver(Sweep.build(spec(*overrides, "confirm.seeds=1"))).run(steps)
        assert table(crash(half).run().sweep) == table(whole.sweep), f"after {steps} rows"


def test_study_says_the_budgets_of_what_will_follow_its_search():
    sweep = Sweep.build(spec(*DEEPEN, "confirm.seeds=2", "losses=['elr']"))
    (study,) = sweep.studies.values()
    assert list(study.later) == [20] * 4
    driver = Driver(sweep)
    while not study.searched_out:
        driver.step()
    sweep.deal()
    assert list(study.later) == [20] * 3
    sweep.close("replicate", "no hours left")
    assert list(study.later) == []


@pytest.mark.parametrize(
    ("schedule", "loss", "reason"),
    [
        ("constant", "elr", ""),
        ("multistep", "elr", ""),
        ("cosine_warm_restarts", "adam_elr", ""),
        ("cosine", "elr", "cosine spreads over all of max_epochs"),
        ("one_cycle", "ce", "one_cycle spreads over all of max_epochs"),
        ("multistep", "forward", "forward estimates its transition matrix over all of max_epochs"),
    ],
)
def test_trial_goes_on_if_its_rates_so_far_are_those_of_the_larger_budget(schedule, loss, reason):
    (cell,) = spec(f"losses={loss}", f"space.lr_schedule={schedule}").cells()
    assert why_afresh(cell.trial(cell.reference, 0), 20) == reason


def test_plan_counts_the_epochs_that_are_still_to_train():
    plain, losses = "search.early_stopping=none", "losses=['elr']"
    for schedule, epochs in (("multistep", 20 - 12), ("cosine", 20)):
        fixed = (plain, losses, f"space.lr_schedule={schedule}")
        search, both = (outline(spec(*fixed, *more), 1) for more in ((), DEEPEN))
        assert both.expected_epochs - search.expected_epochs == 2 * epochs
        assert both.full_epochs - search.full_epochs == 2 * epochs
        assert (search.deeper, both.deeper) == (0, 2)


def test_larger_budget_must_be_larger():
    with pytest.raises(SpecError, match=r"deepen: max_epochs = 12 is not above the 12 of the"):
        spec("deepen.max_epochs=12")


def test_larger_budget_may_be_added_between_starts():
    assert not differences(spec(), spec(*DEEPEN))


def test_best_is_chosen_among_the_deeper_trials_alone(tmp_path):
    """The search's last values are higher here, those of the larger budget memorised more."""
    shallow = [trial_row(number=n, val_accuracy=0.9 - n / 100) for n in range(4)]
    full = {"max_epochs": 9, "epochs": 9, "phase": "deeper"}
    deeper = [
        {
            **trial_row(number=n, val_accuracy=0.6 + n / 100),
            **full,
            "trial_id": f"{shallow[n]['trial_id']}-epochs9",
            "source_trial_id": shallow[n]["trial_id"],
        }
        for n in range(3)
    ]
    again = {**deeper[2], "phase": "replicate", "seed": 7, "test_accuracy": 0.77}
    again |= {"trial_id": deeper[2]["trial_id"] + "-seed7"}
    again |= {"source_trial_id": deeper[2]["trial_id"]}
    results = load_results(write_results(tmp_path, [*shallow, *deeper, again]))
    assert list(rank_trials(results)["trial_id"]) == [t["trial_id"] for t in deeper[::-1]]
    (best,) = best_configs(results).to_dict("records")
    assert (best["trial_id"], best["epochs"]) == (deeper[2]["trial_id"], 9)
    assert (best["trials"], best["completed"]) == (4, 4)  # of the search
    assert best["replicated_test"] == 0.77
    assert "4 search trials · 3 deeper trials · 1 replicate" in build_report(results)


def test_command_without_anything_to_add_is_one_line_and_exit_code_2(tmp_path):
    done = CliRunner().invoke(app, ["extend", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == "extend: say what to add: --trials N, --max-epochs N, or both\n"


# -- on a real Ray ------------------------------------------------------------------------------

SPEC = """
name = "deep"
losses = ["elr"]
network = "tiny_cnn"
[data]
name = "digits"
train_examples = 200
holdout = 0.2
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
max_epochs = 2
[search]
sampler = "grid"
early_stopping = "none"
[training]
test_every = 1
[resources]
max_concurrent = 1
[space]
preset = "loss"
lam = 3.0
beta = 0.7
lr_schedule = { choice = ["constant", "cosine"] }
batch_size = 32
"""


def rows_of(folder, phase):
    """The epochs by schedule, without times and names."""
    results = load_results(folder)
    trials = results.trials[results.trials["phase"] == phase]
    rows = results.epochs.merge(trials[["trial_id", "param_lr_schedule"]], on="trial_id")
    named = [*TIMES, "trial_id", "seq", "study"]
    rows = rows.drop(columns=named, errors="ignore").astype({"param_lr_schedule": "str"})
    return rows.sort_values(["param_lr_schedule", "epoch"], ignore_index=True)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_extended_trials_equal_those_that_had_the_larger_budget_from_the_start(
    tmp_path, monkeypatch
):
    """One goes on from its checkpoint, one starts afresh; interrupted in between."""
    output = StringIO()
    console = Console(file=output, width=200)
    runner.start(parse_sweep(SPEC), tmp_path, console)
    folder = Folder.open(tmp_path) / "deep"
    searched = rows_of(folder, "search")
    with monkeypatch.context() as patched:
        interrupted_after(patched, 3)  # after the first epoch that is trained anew
        with pytest.raises(Interrupted):
            runner.extend(folder, 0, console, DeepenSpec(max_epochs=4))
    runner.start(parse_sweep(SPEC), tmp_path, console)  # as a job that is run again does
    at_once = runner.start(
        parse_sweep(SPEC, ["budget.max_epochs=4", "name=whole"]), tmp_path, console
    )
    pd.testing.assert_frame_equal(rows_of(folder, "deeper"), rows_of(at_once.folder, "search"))
    pd.testing.assert_frame_equal(rows_of(folder, "search"), searched)
    said = output.getvalue()
    names = [f"symmetric-0.4-elr-{number:04d}" for number in (0, 1)]
    configs = load_results(folder).trials.set_index("trial_id")["param_lr_schedule"]
    constant, cosine = sorted(names, key=configs.get)
    assert said.count(f"{constant}-epochs4: goes on from {constant} after epoch 2") == 1
    assert said.count(f"{cosine}-epochs4: starts afresh: cosine spreads") == 1
    best = best_configs(load_results(folder)).iloc[0]
    assert (best["epochs"], best["trials"]) == (4, 2)
    assert not math.isnan(best["test_accuracy"])
    with pytest.raises(SpecError, match=r"--max-epochs 3: .* was extended to 4 epochs already"):
        runner.extend(folder, 0, console, DeepenSpec(max_epochs=3))
