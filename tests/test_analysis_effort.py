import numpy as np
import pytest

from analysis.frames.effort import budget, selection_gap
from analysis.results import load_results
from tests.recorded import trial_row, write_results

ELR = "symmetric-0.4-elr"


def test_budget_adds_up_epochs_spent_saved_and_lost(tmp_path):
    hour = {"duration_s": 3600.0, "max_epochs": 10}
    trials = [
        trial_row(number=0, epochs=10, **hour),
        trial_row(number=1, epochs=2, status="stopped", **hour),
        trial_row(number=2, epochs=3, status="failed", **hour),
        trial_row(number=3, epochs=4, status="diverged", repeated_epochs=2, **hour),
        trial_row(number=4, epochs=1, status="running", **hour),
        trial_row(number=5, epochs=0, status="paused", duration_s=0.0, max_epochs=10),
        trial_row(number=6, epochs=10, phase="replicate", source_trial_id="x", **hour),
    ]
    table = budget(load_results(write_results(tmp_path, trials))).set_index("phase")
    search = table.loc["search"]
    assert search["trials"] == 6
    assert [search[s] for s in ("completed", "stopped", "diverged", "failed")] == [1, 1, 1, 1]
    assert search["unfinished"] == 2
    assert search["epochs"] == 20
    assert search["hours"] == pytest.approx(5)
    assert search["saved_epochs"] == 8
    assert search["saved_hours"] == pytest.approx(8 * 5 / 20)
    assert (search["failed_epochs"], search["repeated_epochs"]) == (3, 2)
    assert search["lost_epochs"] == 3 + 2
    assert table.loc["replicate", "trials"] == 1
    assert table.loc["replicate", "saved_epochs"] == 0


def test_budget_of_a_sweep_that_has_trained_nothing(tmp_path):
    trials = [trial_row(status="running", epochs=0, duration_s=0.0, repeated_epochs=None)]
    table = budget(load_results(write_results(tmp_path / "a", trials)))
    assert table["epochs"].tolist() == [0]
    assert table["saved_hours"].isna().all()
    assert budget(load_results(write_results(tmp_path / "b", []))).empty


RISING = [(10 + k, 0.1 + 0.01 * k) for k in range(5)]


def test_selection_gap_is_what_the_winner_was_lucky_by(tmp_path):
    trials = [
        trial_row(number=0, val_accuracy=0.70, test_accuracy=0.9),
        trial_row(number=1, val_accuracy=0.60, test_accuracy=0.8),
        trial_row(number=2, val_accuracy=0.50, test_accuracy=0.7),
        trial_row(number=3, val_accuracy=0.99, status="stopped", epochs=1),
        *(trial_row(number=k, val_accuracy=v, test_accuracy=v) for k, v in RISING),
        *(
            trial_row(
                number=k,
                phase="replicate",
                source_trial_id=f"{ELR}-0000",
                val_accuracy=value,
            )
            for k, value in ((4, 0.62), (5, 0.66))
        ),
        trial_row("symmetric-0.6-elr", 0),
    ]
    table = selection_gap(load_results(write_results(tmp_path, trials))).set_index("study")
    row = table.loc[ELR]
    assert row["selection_value"] == 0.70
    assert row["replicated_value"] == pytest.approx(0.64)
    assert row["gap"] == pytest.approx(0.06)
    assert row["replicates"] == 2
    assert row["trials"] == 8
    assert row["rank_correlation"] == pytest.approx(1)
    other = table.loc["symmetric-0.6-elr"]
    assert other["replicates"] == 0
    assert np.isnan(other["gap"])
    assert np.isnan(other["rank_correlation"])


def test_rank_correlation_is_negative_or_undefined_where_it_should_be(tmp_path):
    opposed = [
        trial_row("a", k, val_accuracy=0.1 + 0.01 * k, test_accuracy=0.9 - 0.01 * k)
        for k in range(8)
    ]
    level = [trial_row("b", k, val_accuracy=0.1 * k, test_accuracy=0.5) for k in range(8)]
    few = [trial_row("c", k, val_accuracy=0.1 * k, test_accuracy=0.1 * k) for k in range(7)]
    table = selection_gap(load_results(write_results(tmp_path, opposed + level + few)))
    found = table.set_index("study")["rank_correlation"]
    assert found["a"] == pytest.approx(-1)
    assert np.isnan(found["b"])
    assert np.isnan(found["c"])
