import json
import math
from dataclasses import replace
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from analysis.frames.studies import importances, journal, optuna_studies
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, record_sweep, trial_row, write_results


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    text = SWEEP.replace("trials = 12", "trials = 30")
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), text, replicates=1))


def rows(results, study):
    trials = results.trials
    return trials[(trials["study"] == study) & (trials["phase"] == "search")].to_dict("records")


def test_optuna_studies_hold_every_search_trial(recorded):
    studies = optuna_studies(recorded)
    assert set(studies) == set(recorded.trials["study"])
    states = {
        "completed": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "diverged": TrialState.FAIL,
    }
    for name, study in studies.items():
        for trial, row in zip(study.trials, rows(recorded, name), strict=True):
            assert trial.number == row["number"]
            assert trial.state == states[row["status"]]
            assert trial.user_attrs["trial_id"] == row["trial_id"]
            assert len(trial.intermediate_values) == row["epochs"]
            if row["status"] == "completed":
                assert trial.value == row["selection_value"]
                assert trial.intermediate_values[row["epochs"]] == row["selection_value"]
    assert any(t.state is TrialState.FAIL for s in studies.values() for t in s.trials)


def test_optuna_parameters_have_the_samplers_names_and_ranges(recorded):
    trial = optuna_studies(recorded)["symmetric-0.4-adam_elr"].trials[1]
    assert {"lam", "adam.beta1", "lr", "lr_schedule"} <= set(trial.params)
    (row, *_) = [r for r in rows(recorded, "symmetric-0.4-adam_elr") if r["number"] == 1]
    assert trial.params["adam.beta1"] == row["param_beta1"]
    assert trial.distributions["lam"].log


def test_the_best_optuna_trial_is_the_best_config(recorded):
    from analysis.best import best_configs

    numbers = best_configs(recorded).set_index("study")["number"]
    for name, study in optuna_studies(recorded).items():
        assert study.best_trial.number == numbers[name]


def test_journal_opens_as_an_optuna_storage(recorded, tmp_path):
    file = tmp_path / "copy.journal"
    file.write_bytes(journal(recorded))
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(file)))
    for name, study in optuna_studies(recorded).items():
        loaded = optuna.load_study(study_name=name, storage=storage)
        assert [t.params for t in loaded.trials] == [t.params for t in study.trials]
        assert [t.state for t in loaded.trials] == [t.state for t in study.trials]
        assert loaded.best_value == study.best_value
        assert loaded.trials[0].datetime_start == study.trials[0].datetime_start


ONE_STUDY = (
    SWEEP.replace("[0.4, 0.6]", "[0.4]")
    .replace('["ce", "elr", "adam_elr"]', '["adam_elr"]')
    .replace("grace_epochs = 3", "grace_epochs = 20")
)
"""One study in which no trial is stopped early: adam_elr, with beta1, beta2, eps, lam, lr, …"""


def test_importances_add_up_to_one(tmp_path):
    text = ONE_STUDY.replace("trials = 12", "trials = 60")
    table = importances(load_results(record_sweep(tmp_path, text)))
    assert math.isclose(table["importance"].sum(), 1, abs_tol=1e-6)
    assert table["importance"].is_monotonic_decreasing
    assert table["trials"].min() > 40
    assert "lam" in set(table["parameter"])


@pytest.mark.parametrize(
    ("trials", "parameters", "enough"),
    [(14, 1, False), (15, 1, True), (15, 6, False), (18, 6, True)],
)
def test_importances_take_trials_enough_for_the_parameters(tmp_path, trials, parameters, enough):
    names = ["lam", "lr", "weight_decay", "beta1", "eps", "momentum"][:parameters]
    varied = "".join(f"{name} = {{ low = 0.1, high = 0.2 }}\n" for name in names)
    text = ONE_STUDY.replace("trials = 12", f"trials = {trials}")
    text += f'[space]\npreset = "paper_star"\n{varied}'
    results = load_results(record_sweep(tmp_path, text))
    full = results.trials.assign(status="completed", epochs=20, selection_value=SCORES[:trials])
    assert importances(replace(results, trials=full)).empty is not enough


SCORES = [0.5 + 0.01 * k for k in range(18)]


def test_importances_of_equal_values_are_left_out(tmp_path):
    text = ONE_STUDY.replace("trials = 12", "trials = 40")
    results = load_results(record_sweep(tmp_path, text))
    results = replace(results, trials=results.trials.assign(selection_value=0.5))
    assert importances(results).empty


def test_running_trials_stay_running(tmp_path):
    folder = record_sweep(tmp_path)
    results = load_results(folder)
    first = results.trials.index == 0
    trials = results.trials.astype({"status": "str"})
    trials["status"] = trials["status"].mask(first, "running")
    trials["ended_at"] = trials["ended_at"].mask(first)
    results = replace(results, trials=trials)
    name = results.trials["study"].iloc[0]
    trial = optuna_studies(results)[name].trials[0]
    assert trial.state is TrialState.RUNNING
    assert trial.datetime_complete is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "has no sweep.toml, which has the search space"),
        ('name = "x"\n', "sweep.toml is damaged: "),
        ('name = "x"\n[[noise]]\nkind = "none"', "'symmetric-0.4-elr' is not in the sweep file"),
    ],
)
def test_a_sweep_file_that_does_not_fit_is_refused(tmp_path, spec, message):
    results = load_results(write_results(tmp_path, [trial_row()], spec=spec))
    with pytest.raises(ResultsError, match=message):
        optuna_studies(results)


def get(app, path, query=""):
    """The JSON that a WSGI application answers."""
    environ = {"PATH_INFO": path, "QUERY_STRING": query}
    setup_testing_defaults(environ)
    return json.loads(b"".join(app(environ, lambda status, headers, error=None: None)))


def test_optuna_dashboard_shows_the_journal(recorded, tmp_path):
    file = tmp_path / "copy.journal"
    file.write_bytes(journal(recorded))
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(file)))
    dashboard = optuna_dashboard.wsgi(storage)
    found = get(dashboard, "/api/studies")["study_summaries"]
    studies = optuna_studies(recorded)
    assert [study["study_name"] for study in found] == list(studies)
    shown = get(dashboard, f"/api/studies/{found[0]['study_id']}", "after=0")["trials"]
    expected = studies[found[0]["study_name"]].trials
    assert [trial["number"] for trial in shown] == [trial.number for trial in expected]
    values = [trial["values"][0] for trial in shown if trial["state"] == "Complete"]
    assert values == [t.value for t in expected if t.state is TrialState.COMPLETE]
