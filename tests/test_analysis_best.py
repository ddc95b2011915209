import numpy as np
import pandas as pd
import pytest

from analysis import best as best_module
from analysis.best import (
    REPLICATE_COUNTS,
    best_configs,
    chosen_configs,
    final_trials,
    parameters,
    top_configs,
)
from analysis.report.build import build_report
from analysis.results import ResultsError, load_results
from analysis.rule import may_win, selection_key
from tests.recorded import epoch_row, record_sweep, trial_row, write_results

ELR = "symmetric-0.4-elr"
ALLOWED = 'name = "t"\n[search]\nmetric = "test_accuracy"\nallow_test_selection = true\n'


def best(path, trials, epochs=(), spec='name = "t"\n', **arguments):
    write_results(path, trials, epochs, spec)
    return best_configs(load_results(path), **arguments)


def test_a_higher_peak_does_not_win(tmp_path):
    peaked = trial_row(number=0, val_accuracy=0.60, best_val_accuracy=0.90)
    steady = trial_row(number=1, val_accuracy=0.70, best_val_accuracy=0.70)
    epochs = [
        epoch_row(peaked["trial_id"], 1, 0, val_accuracy=0.90),
        epoch_row(peaked["trial_id"], 3, 1, val_accuracy=0.60),
        epoch_row(steady["trial_id"], 3, 2, val_accuracy=0.70),
    ]
    assert best(tmp_path, [peaked, steady], epochs)["number"].tolist() == [1]


@pytest.mark.parametrize("status", ["stopped", "diverged", "failed", "running", "paused"])
def test_a_trial_that_did_not_complete_does_not_win(tmp_path, status):
    short = trial_row(number=0, status=status, epochs=3, val_accuracy=0.9)
    assert best(tmp_path, [short, trial_row(number=1)])["number"].tolist() == [1]


def test_a_trial_with_less_than_its_full_budget_does_not_win(tmp_path):
    short = trial_row(number=0, epochs=2, val_accuracy=0.9)
    assert best(tmp_path, [short, trial_row(number=1)])["number"].tolist() == [1]


def test_a_higher_test_accuracy_does_not_win(tmp_path):
    lucky = trial_row(number=0, val_accuracy=0.50, test_accuracy=0.99)
    chosen = trial_row(number=1, val_accuracy=0.51, test_accuracy=0.60)
    table = best(tmp_path, [lucky, chosen])
    assert table["number"].tolist() == [1]
    assert table["test_accuracy"].tolist() == [0.60]
    assert table["leak"].tolist() == [False]


def test_ties_go_to_the_smaller_number(tmp_path):
    trials = [trial_row(number=k, val_accuracy=0.7) for k in (12, 3, 7)]
    assert best(tmp_path, trials)["number"].tolist() == [3]


def test_a_replicate_does_not_win_the_search(tmp_path):
    again = trial_row(number=1, phase="replicate", val_accuracy=0.9, source_trial_id=f"{ELR}-0000")
    assert best(tmp_path, [trial_row(number=0), again])["number"].tolist() == [0]


def test_an_undefined_value_does_not_win(tmp_path):
    undefined = trial_row(number=0, val_accuracy=np.nan)
    assert best(tmp_path, [undefined, trial_row(number=1)])["number"].tolist() == [1]


def test_the_sweep_metric_decides(tmp_path):
    raw = trial_row(
        number=0, selected_by="averaged_val_accuracy", val_accuracy=0.9, selection_value=0.5
    )
    averaged = trial_row(
        number=1, selected_by="averaged_val_accuracy", val_accuracy=0.4, selection_value=0.6
    )
    assert best(tmp_path, [raw, averaged])["number"].tolist() == [1]


def test_selection_on_test_is_refused_unless_allowed(tmp_path):
    trials = [
        trial_row(number=0, selected_by="test_accuracy", val_accuracy=0.9, test_accuracy=0.1),
        trial_row(number=1, selected_by="test_accuracy", val_accuracy=0.1, test_accuracy=0.9),
    ]
    with pytest.raises(ResultsError, match="selected on test_accuracy, a leak"):
        best(tmp_path, trials)
    table = best(tmp_path, trials, spec=ALLOWED)
    assert table["number"].tolist() == [1]
    assert table["leak"].tolist() == [True]


def test_studies_come_best_first_and_those_without_a_winner_last(tmp_path):
    trials = [
        trial_row("a", 0, val_accuracy=0.5, loss="ce"),
        trial_row("b", 0, val_accuracy=0.8, param_lam=3.0),
        trial_row("c", 0, status="stopped", epochs=1, val_accuracy=0.9),
        trial_row("c", 1, status="failed"),
    ]
    table = best(tmp_path, trials)
    assert table["study"].tolist() == ["b", "a", "c"]
    assert table["trials"].tolist() == [1, 1, 2]
    assert table["completed"].tolist() == [1, 1, 0]
    assert table["selection_value"].tolist()[:2] == [0.8, 0.5]
    assert np.isnan(table["selection_value"].iloc[2])
    assert table["loss"].tolist() == ["elr", "ce", "elr"]


def test_best_of_a_sweep_without_trials_is_empty(tmp_path):
    table = best(tmp_path, [])
    assert table.empty
    assert {"study", "selection_value", "trials", "leak"} <= set(table.columns)


def replicates(of, values, first=10):
    return [
        trial_row(
            number=first + k,
            phase="replicate",
            source_trial_id=f"{ELR}-{of:04d}",
            val_accuracy=value,
            test_accuracy=test,
        )
        for k, (value, test) in enumerate(values)
    ]


def test_confirmed_chooses_by_replicated_validation_not_test(tmp_path):
    trials = [
        trial_row(number=0, val_accuracy=0.9),
        trial_row(number=1, val_accuracy=0.8),
        trial_row(number=2, val_accuracy=0.7),
        *replicates(0, [(0.50, 0.99), (0.60, 0.97)], first=10),
        *replicates(1, [(0.70, 0.80), (0.80, 0.90)], first=20),
    ]
    chosen = best(tmp_path / "a", trials)
    assert chosen["number"].tolist() == [0]
    assert chosen["replicates"].tolist() == [2]
    assert chosen["replicated_test"].tolist() == pytest.approx([0.98])
    assert chosen["replicated_test_std"].tolist() == pytest.approx([0.02 / np.sqrt(2)])
    confirmed = best(tmp_path / "b", trials, confirmed=True)
    assert confirmed["number"].tolist() == [1]
    assert confirmed["replicated_value"].tolist() == pytest.approx([0.75])
    assert confirmed["replicated_test"].tolist() == pytest.approx([0.85])


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_trial_is_not_confirmed_before_all_its_replicates_have_ended(tmp_path, status):
    trials = [
        trial_row(number=0, val_accuracy=0.9),
        trial_row(number=1, val_accuracy=0.8),
        *replicates(0, [(0.7, 0.7), (0.0, 0.0)], first=10),
        *replicates(1, [(0.5, 0.5), (0.6, 0.6)], first=20),
    ]
    trials[3] |= {"status": status, "epochs": 0}
    assert best(tmp_path / "a", trials, confirmed=True)["number"].tolist() == [1]
    searched = best(tmp_path / "a", trials)
    assert searched["replicates"].tolist() == searched["replicates_unfinished"].tolist() == [1]
    assert np.isnan(searched["replicated_test_std"].iloc[0])
    alone = best(tmp_path / "b", [trials[0], *trials[2:4]], confirmed=True)
    assert alone["trial_id"].isna().all()


def diverge(rows, count):
    return [
        row | ({"status": "diverged", "epochs": 1} if k < count else {})
        for k, row in enumerate(rows)
    ]


def test_a_trial_that_diverges_on_a_seed_comes_after_all_that_do_not(tmp_path):
    trials = [
        trial_row(number=0, val_accuracy=0.8),
        trial_row(number=1, val_accuracy=0.9),
        *replicates(0, [(0.60, 0.60)] * 5, first=10),
        *diverge(replicates(1, [(0.61, 0.81)] * 5, first=20), 4),
    ]
    table = best(tmp_path, trials, confirmed=True)
    assert table["number"].tolist() == [0]
    results = load_results(tmp_path)
    assert final_trials(results)["test_accuracy"].tolist() == [0.60] * 5
    unstable = best_configs(results).iloc[0]
    assert (unstable["replicates"], unstable["replicates_diverged"]) == (1, 4)
    assert unstable["replicated_value"] == pytest.approx(0.61)
    assert np.isnan(unstable["confirmed_value"])


def test_the_best_of_trials_that_all_diverge_somewhere_is_that_of_the_other_seeds(tmp_path):
    trials = [
        trial_row(number=0, val_accuracy=0.9),
        trial_row(number=1, val_accuracy=0.8),
        trial_row(number=2, val_accuracy=0.7),
        *diverge(replicates(0, [(0.5, 0.5)] * 2, first=10), 2),
        *diverge(replicates(1, [(0.5, 0.5)] * 2, first=20), 1),
        *diverge(replicates(2, [(0.6, 0.6)] * 2, first=30), 1),
    ]
    table = best(tmp_path, trials, confirmed=True)
    assert table["number"].tolist() == [2]


def test_studies_that_diverge_come_after_steady_ones_and_before_those_without(tmp_path):
    def study(name, values, count):
        source = {"study": name, "source_trial_id": f"{name}-0000"}
        again = diverge(replicates(0, values), count)
        return [
            trial_row(name, 0),
            *(row | source | {"trial_id": f"{name}-{k}"} for k, row in enumerate(again)),
        ]

    trials = [
        *study("a", [(0.9, 0.9)] * 2, 1),
        *study("b", [(0.5, 0.5)] * 2, 0),
        *study("c", [(0.9, 0.9)] * 2, 2),
        trial_row("d", 0),
    ]
    assert best(tmp_path, trials, confirmed=True)["study"].tolist() == ["b", "a", "c", "d"]
    chosen = chosen_configs(load_results(tmp_path))
    assert chosen["study"].tolist() == ["b", "a", "c", "d"]
    assert chosen["confirmed"].tolist() == [True, True, True, False]
    finals = final_trials(load_results(tmp_path))
    assert finals.groupby("study", observed=True).size().to_dict() == {"a": 1, "b": 2, "d": 1}


def test_a_replicate_that_failed_only_leaves_fewer_seeds(tmp_path):
    trials = [trial_row(number=0), *replicates(0, [(0.5, 0.5), (0.6, 0.6)])]
    trials[2] |= {"status": "failed", "epochs": 1}
    table = best(tmp_path, trials, confirmed=True)
    assert table[REPLICATE_COUNTS].values.tolist() == [[1, 0, 0]]
    assert table["confirmed_value"].tolist() == [0.5]


def test_confirmed_without_replicates_keeps_the_studies(tmp_path):
    table = best(tmp_path, [trial_row()], confirmed=True)
    assert table["study"].tolist() == [ELR]
    assert table["trial_id"].isna().all()


def test_top_configs_ranks_each_study(tmp_path):
    trials = [trial_row("a", k, val_accuracy=v) for k, v in enumerate([0.5, 0.7, 0.7, 0.6])]
    trials += [trial_row("b", 0, val_accuracy=0.4)]
    write_results(tmp_path, trials)
    table = top_configs(load_results(tmp_path), 3)
    assert list(zip(table["study"], table["rank"], table["number"], strict=True)) == [
        ("a", 1, 1),
        ("a", 2, 2),
        ("a", 3, 3),
        ("b", 1, 0),
    ]
    assert table["trials"].tolist() == table["completed"].tolist() == [4, 4, 4, 1]
    assert not table["leak"].any()
    assert set(table.columns) == {*best_configs(load_results(tmp_path)).columns, "rank"}


def test_parameters_are_those_the_trial_has(tmp_path):
    trials = [
        trial_row("a", 0, val_accuracy=0.9, param_lam=3.0, param_milestones=(40, 80)),
        trial_row("b", 0, loss="gce", param_q=0.7),
    ]
    table = best(tmp_path, trials)
    assert parameters(table.iloc[0]) == {"lam": 3.0, "milestones": "40 80"}
    assert parameters(table.iloc[1]) == {"q": 0.7}


def test_rule_sorts_trials_and_tables_alike():
    trials = [(0, 0.8), (3, float("nan")), (1, 0.8), (2, 0.9)]
    numbers = [number for number, _ in sorted(trials, key=lambda t: selection_key(*t))]
    assert numbers == [2, 0, 1, 3]
    assert selection_key(1, float("nan"), 0.7) < selection_key(0, float("nan"), 0.6)
    assert selection_key(1, 0.5, 0.1) < selection_key(0, float("nan"), 0.9)


def test_rule_reads_a_trial_as_it_reads_a_column():
    rows = [("completed", 3, 3, 0.5), ("completed", 2, 3, 0.5), ("stopped", 3, 3, 0.5)]
    rows.append(("completed", 3, 3, float("nan")))
    columns = pd.DataFrame(rows)
    assert [bool(may_win(*row)) for row in rows] == [True, False, False, False]
    assert may_win(*(columns[k] for k in columns)).tolist() == [True, False, False, False]


def test_report_ranks_the_trials_once(tmp_path, monkeypatch):
    ranked = []
    ranking = best_module._ranked

    def heard(trials, values):
        ranked.append(values)
        return ranking(trials, values)

    monkeypatch.setattr(best_module, "_ranked", heard)
    build_report(load_results(record_sweep(tmp_path, replicates=1)))
    assert sorted(ranked) == [["confirmed_value", "replicated_value"], ["selection_value"]]


def test_tables_that_were_computed_once_are_not_shared(tmp_path):
    results = load_results(write_results(tmp_path, [trial_row()]))
    table = best_configs(results)
    table.loc[0, "number"] = 7
    assert best_configs(results).loc[0, "number"] == 0
