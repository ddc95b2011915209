"""A sweep that confirms: the best of a study run again on fresh seeds once its search is out."""

import math
from dataclasses import replace

import pytest

from analysis.best import top_configs
from analysis.results import load_results
from recorded import record_sweep
from search.planning.outline import outline
from search.studies.confirm import leaders
from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from simulated import Driver, curve, spec, table
from spaces.sweep_file import SpecError, differences
from test_search_study import crash
from trainable.metrics import EpochMetrics

CONFIRM = ("confirm.top=2", "confirm.seeds=3")


def confirming(sweep):
    return [t for t in sweep.trials if t.phase == "replicate"]


def test_sweep_ends_with_the_best_of_every_study_on_fresh_seeds():
    sweep = Driver(Sweep.build(spec(*CONFIRM)), slots=2).run().sweep
    assert sweep.finished
    for study in sweep.studies.values():
        full = [t for t in study.searched if t.status == "completed"]
        best = sorted(full, key=lambda t: (-t.last.val_accuracy, t.number))[:2]
        again = [t for t in study.trials.values() if t.phase == "replicate"]
        assert len(best) == 2
        assert {(t.source_trial_id, t.config.seed) for t in again} == {
            (t.trial_id, seed) for t in best for seed in (1, 2, 3)
        }
        assert {t.status for t in again} == {"completed"}


def test_sweep_without_confirm_or_with_none_to_confirm_runs_nothing_again():
    for overrides in ((), ("confirm.top=0",)):
        assert not confirming(Driver(Sweep.build(spec(*overrides))).run().sweep)


def test_best_are_confirmed_while_other_studies_search():
    overrides = ("losses=['ce', 'elr']", "space.preset=loss", "confirm.seeds=2")
    driver = Driver(Sweep.build(spec(*overrides)))  # ce has one trial, elr has nine
    while not confirming(driver.sweep):
        assert driver.step()
    assert not driver.sweep.studies["symmetric-0.4-elr"].searched_out
    assert driver.run().sweep.finished


@pytest.mark.parametrize("rule", ["asha", "asha_promotion", "none"])
def test_restore_after_every_row_equals_the_uninterrupted_sweep(rule):
    overrides = (*CONFIRM, f"search.early_stopping={rule}", "budget.trials=4", "losses=['elr']")
    whole = Driver(Sweep.build(spec(*overrides))).run()
    for steps in range(1, len(whole.rows), 3):
        resumed = crash(Driver(Sweep.build(spec(*overrides))).run(steps)).run()
        assert table(resumed.sweep) == table(whole.sweep), f"interrupted after {steps} rows"


def test_more_trials_confirm_a_new_best_too():
    few = Driver(Sweep.build(spec("confirm.seeds=2", "budget.trials=1"))).run()
    few.rows = [(name, n, replace(m, val_accuracy=0.1)) for name, n, m in few.rows]
    more = Sweep.build(spec("confirm.seeds=2", "budget.trials=9"))
    for name, study in more.studies.items():
        trials = [t for t in few.sweep.trials if t.study == name]
        study.restore(trials, [row for row in few.rows if row[0].startswith(f"{name}-0")])
    study = Driver(more).run().sweep.studies["symmetric-0.4-elr"]
    best = leaders(study.searched, "val_accuracy")[0]
    assert best.number > 0
    sources = {t.source_trial_id for t in study.trials.values() if t.phase == "replicate"}
    assert sources == {study.searched[0].trial_id, best.trial_id}


def test_replicate_that_fails_for_good_is_not_started_for_ever():
    sweep = Sweep.build(spec("confirm.seeds=1", "resources.max_failures=1", "losses=['elr']"))
    while trial := sweep.deal():
        if trial.phase == "replicate":
            sweep.fail(trial, "node lost")
            continue
        while sweep.report(trial, curve(trial, trial.epochs + 1)).status == "running":
            pass
    assert [(t.status, t.attempt) for t in confirming(sweep)] == [("failed", 2)]
    assert sweep.finished


def test_leaders_are_those_that_the_results_call_best(tmp_path):
    record_sweep(tmp_path / "sweep")
    results = load_results(tmp_path / "sweep")
    chosen = top_configs(results, 3)
    for study, rows in results.trials[results.trials["phase"] == "search"].groupby("study"):
        trials = [as_trial(row) for row in rows.to_dict("records")]
        best = [t.trial_id for t in leaders(trials, "val_accuracy")[:3]]
        assert best == list(chosen.loc[chosen["study"] == study, "trial_id"])


def as_trial(row):
    config = replace(spec().cells()[0].trial({}, 0), max_epochs=row["max_epochs"])
    trial = Trial(row["study"], row["trial_id"], row["number"], config, status=row["status"])
    if not math.isnan(row["val_accuracy"]):
        trial.last = EpochMetrics(row["epochs"], 1.0, val_accuracy=row["selection_value"])
    return trial


def test_outline_counts_what_confirms():
    plain, again = (outline(spec(*overrides), slots=2) for overrides in ((), CONFIRM))
    assert (plain.confirmations, again.confirmations) == (0, 12)
    assert again.expected_epochs == plain.expected_epochs + 12 * 12
    assert again.full_epochs == plain.full_epochs + 12 * 12


def test_confirm_may_be_added_to_a_sweep_that_is_there():
    assert not differences(spec(), spec(*CONFIRM))


def test_confirm_with_a_mistake_is_refused():
    with pytest.raises(SpecError, match=r"confirm: unknown key 'seed': did you mean 'seeds'\?"):
        spec("confirm.seed=3")
