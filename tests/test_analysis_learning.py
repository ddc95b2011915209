import numpy as np
import pytest

from analysis.frames.learning import convergence, memorization, response_curve
from analysis.results import ResultsError, load_results
from tests.recorded import epoch_row, record_sweep, trial_row, write_results

ELR, ADAM = "symmetric-0.4-elr", "symmetric-0.4-adam_elr"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), replicates=2))


def test_response_curve_has_the_trials_of_full_budget_only(tmp_path):
    trials = [
        trial_row(ELR, 0, param_lam=3.0, val_accuracy=0.6, test_accuracy=0.8),
        trial_row(ELR, 1, param_lam=1.0, val_accuracy=0.5, test_accuracy=0.9),
        trial_row(ELR, 2, param_lam=2.0, status="stopped", epochs=1),
        trial_row(ADAM, 0, param_lam=5.0, loss="adam_elr", test_accuracy=0.7),
        trial_row("symmetric-0.4-ce", 0, loss="ce"),
    ]
    curve = response_curve(load_results(write_results(tmp_path, trials)))
    assert curve["value"].tolist() == [5.0, 1.0, 3.0]
    assert curve["test_accuracy"].tolist() == [0.7, 0.9, 0.8]
    assert curve["elr_best"].tolist() == [0.8, 0.8, 0.8]


def test_response_curve_compares_on_the_search_seed_and_has_fresh_seeds_beside(tmp_path):
    trials = [
        trial_row(ELR, 0, param_lam=3.0, val_accuracy=0.6, test_accuracy=0.85),
        trial_row(ELR, 1, param_lam=1.0, val_accuracy=0.5, test_accuracy=0.95),
    ]
    trials += [
        trial_row(ELR, k, phase="replicate", source_trial_id=f"{ELR}-0000", test_accuracy=test)
        for k, test in ((8, 0.7), (9, 0.9))
    ]
    curve = response_curve(load_results(write_results(tmp_path, trials)))
    assert curve["chosen"].tolist() == [False, True]
    assert curve["elr_best"].tolist() == [0.85, 0.85]
    assert curve["elr_again"].tolist() == pytest.approx([0.8, 0.8])
    assert curve["elr_seeds"].tolist() == [2, 2]


def test_response_curve_of_an_unknown_parameter_is_refused(recorded):
    with pytest.raises(ResultsError, match="unknown hyperparameter 'lamm': did you mean 'lam'"):
        response_curve(recorded, "lamm")


def test_response_curve_of_a_categorical_parameter(recorded):
    curve = response_curve(recorded, "lr_schedule")
    assert set(curve["value"]) <= {"multistep", "cosine_warm_restarts"}
    assert set(curve["loss"]) == {"ce", "elr", "adam_elr"}


def test_convergence_counts_epochs_to_own_and_to_elrs_best(tmp_path):
    trials = [trial_row(ELR, 0), trial_row(ADAM, 0, loss="adam_elr")]
    tests = {ELR: [0.40, 0.80, 0.70], ADAM: [0.76, 0.60, 0.79]}
    epochs = [
        epoch_row(f"{study}-0000", k + 1, 10 * k, test_accuracy=value)
        for study, values in tests.items()
        for k, value in enumerate(values)
    ]
    results = load_results(write_results(tmp_path, trials, epochs))
    table = convergence(results, fractions=(0.95, 1.0))
    found = table.set_index(["loss", "reference", "fraction"])["epochs"]
    assert found["elr", "own", 0.95] == 2
    assert found["adam_elr", "own", 0.95] == 1
    assert found["adam_elr", "own", 1.0] == 3
    assert found["adam_elr", "elr", 0.95] == 1
    assert np.isnan(found["adam_elr", "elr", 1.0])
    goals = table.set_index(["loss", "reference", "fraction"])["goal"]
    assert goals["adam_elr", "elr", 0.95] == pytest.approx(0.76)


def test_convergence_without_elr_has_only_own_goals(tmp_path):
    trial = trial_row("symmetric-0.4-ce", 0, loss="ce")
    epochs = [epoch_row(trial["trial_id"], 1, test_accuracy=0.5)]
    table = convergence(load_results(write_results(tmp_path, [trial], epochs)))
    assert set(table["reference"]) == {"own"}
    assert table["epochs"].tolist() == [1.0] * len(table)


def test_convergence_has_every_replicate(recorded):
    table = convergence(recorded, fractions=(1.0,))
    assert table.groupby(["study", "reference"])["seed"].nunique().eq(2).all()
    assert (table["epochs"].dropna() <= table["max_epochs"].max()).all()


def test_memorization_follows_the_final_trials(recorded):
    table = memorization(recorded)
    assert table.groupby("study")["trial_id"].nunique().eq(2).all()
    assert table.groupby("trial_id")["epoch"].apply(list).map(lambda e: e == [*range(1, 21)]).all()
    shares = table[["wrong_correct", "wrong_memorized", "wrong_neither"]].sum(axis="columns")
    np.testing.assert_allclose(shares, 1)
    assert table[table["loss"] == "ce"]["target_accuracy"].isna().all()


def test_curves_of_a_sweep_without_a_winner_are_empty(tmp_path):
    trials = [trial_row(status="running", epochs=1, param_lam=3.0)]
    results = load_results(write_results(tmp_path, trials, [epoch_row(f"{ELR}-0000", 1)]))
    assert response_curve(results).empty
    assert convergence(results).empty
    assert memorization(results).empty
