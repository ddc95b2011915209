import math

import pytest

from analysis.frames.overview import overview
from analysis.frames.survival import survival
from analysis.results import load_results
from tests.recorded import record_sweep, trial_row, write_results


def search(loss, number, val, test, **fields):
    study = f"{fields.get('noise', 'symmetric-0.4')}-{loss}"
    values = {"loss": loss, "val_accuracy": val, "test_accuracy": test, "seed": 0}
    return trial_row(study, number, **(values | fields))


def again(loss, number, seed, val, test):
    row = search(loss, number, val, test, seed=seed)
    return row | {
        "trial_id": f"{row['trial_id']}-seed{seed}",
        "number": 100 + seed,
        "phase": "replicate",
        "source_trial_id": row["trial_id"],
    }


def overview_of(tmp_path, rows):
    write_results(tmp_path, rows)
    return overview(load_results(tmp_path))


def test_overview_of_a_search_chooses_by_validation_not_by_test(tmp_path):
    rows = [search("elr", 0, 0.60, 0.90), search("adam_elr", 0, 0.61, 0.80)]
    (row,) = overview_of(tmp_path, rows).to_dict("records")
    assert (row["loss"], row["test"], row["confirmed"]) == ("adam_elr", 0.80, False)
    assert row["elr_difference"] == pytest.approx(-0.10)
    assert math.isnan(row["elr_difference_low"])
    assert math.isnan(row["ce_difference"])


def test_overview_prefers_what_was_confirmed_and_pairs_by_seed(tmp_path):
    rows = [
        search("ce", 0, 0.70, 0.70),
        search("elr", 0, 0.60, 0.80),
        search("adam_elr", 0, 0.61, 0.90),
        *(again("elr", 0, seed, 0.55, 0.80) for seed in (1, 2, 3)),
        again("adam_elr", 0, 1, 0.56, 0.81),
        again("adam_elr", 0, 2, 0.56, 0.82),
        again("adam_elr", 0, 3, 0.56, 0.83),
    ]
    (row,) = overview_of(tmp_path, rows).to_dict("records")
    assert (row["loss"], row["confirmed"], row["n"]) == ("adam_elr", True, 3)
    assert row["test"] == pytest.approx(0.82)
    assert row["elr_difference"] == pytest.approx(0.02)
    half = 4.3027 * 0.01 / math.sqrt(3)
    assert row["elr_difference_low"] == pytest.approx(0.02 - half, abs=1e-5)
    assert row["ce_pairs"] == 0


def test_overview_prefers_a_loss_that_does_not_diverge(tmp_path):
    rows = [
        search("elr", 0, 0.60, 0.80),
        search("adam_elr", 0, 0.70, 0.90),
        *(again("elr", 0, seed, 0.55, 0.80) for seed in (1, 2, 3)),
        *(again("adam_elr", 0, seed, 0.65, 0.90) for seed in (1, 2)),
        again("adam_elr", 0, 3, 0.65, 0.90) | {"status": "diverged", "epochs": 1},
    ]
    (row,) = overview_of(tmp_path, rows).to_dict("records")
    assert (row["loss"], row["n"], row["diverged"]) == ("elr", 3, 0)
    rows[0] |= {"loss": "ce"}
    (row,) = overview_of(tmp_path / "b", [rows[1], *rows[5:]]).to_dict("records")
    assert (row["loss"], row["n"], row["diverged"]) == ("adam_elr", 2, 1)


def test_overview_has_a_row_for_each_setting_in_their_order(tmp_path):
    rows = [
        search("elr", 0, 0.3, 0.5, noise="symmetric-0.6", noise_rate=0.6),
        search("elr", 0, 0.5, 0.9, noise="symmetric-0.2", noise_rate=0.2),
        search("elr", 0, 0.9, 0.9, noise="symmetric-0.4", noise_rate=0.4, status="stopped"),
    ]
    assert overview_of(tmp_path, rows)["noise"].tolist() == ["symmetric-0.2", "symmetric-0.6"]


def test_overview_stands_beside_the_paper_where_it_has_a_number(tmp_path):
    rows = [search("adam_elr", 0, 0.5, 0.9, dataset="cifar10")]
    (row,) = overview_of(tmp_path, rows).to_dict("records")
    assert (row["published"], row["published_std"]) == pytest.approx((0.9212, 0.0028))


def test_overview_of_nothing_is_empty(tmp_path):
    assert overview_of(tmp_path, []).empty


def test_survival_counts_trials_that_trained_each_epoch(tmp_path):
    rows = [
        trial_row("a", number, epochs=epochs, max_epochs=4, status=status)
        for number, (epochs, status) in enumerate(
            [(4, "completed"), (2, "stopped"), (1, "failed")]
        )
    ]
    rows.append(trial_row("a", 9, epochs=0, status="running"))
    rows.append(trial_row("a", 10, epochs=4, phase="replicate", source_trial_id="a-0000"))
    write_results(tmp_path, rows)
    table = survival(load_results(tmp_path))
    assert table["epoch"].tolist() == [1, 2, 3, 4]
    assert table["trials"].tolist() == [3, 2, 1, 1]
    assert table["stopped"].tolist() == [0, 0, 1, 1]
    assert table["failed"].tolist() == [0, 1, 1, 1]
    assert table["share"].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 1 / 3])


def survival_of(tmp_path, *fates):
    rows = [
        trial_row("a", number, epochs=epochs, max_epochs=6, status=status)
        for number, (epochs, status) in enumerate(fates)
    ]
    write_results(tmp_path, rows)
    return survival(load_results(tmp_path))


def test_survival_of_running_trials_ends_where_they_are(tmp_path):
    table = survival_of(tmp_path, *((epochs, "running") for epochs in (2, 3, 5, 5)))
    assert table["share"].tolist()[:5] == [1] * 5
    assert math.isnan(table["share"].iloc[5])
    assert table["unfinished"].tolist() == [0, 0, 1, 2, 2, 4]


def test_survival_is_that_of_the_trials_whose_fate_is_known(tmp_path):
    # After epoch 2 one of four is stopped; after 4 one of the two that are still followed.
    fates = [(6, "completed"), (4, "stopped"), (2, "stopped"), (3, "paused")]
    table = survival_of(tmp_path, *fates)
    assert table["share"].tolist() == pytest.approx([1, 1, 3 / 4, 3 / 4, 3 / 8, 3 / 8])
    assert table["unfinished"].tolist() == [0, 0, 0, 1, 1, 1]


def test_survival_stays_at_zero_where_all_have_ended(tmp_path):
    table = survival_of(tmp_path, (2, "diverged"), (3, "failed"))
    assert table["share"].tolist() == pytest.approx([1, 1, 1 / 2, 0, 0, 0])
    assert table["diverged"].tolist() == [0, 0, 1, 1, 1, 1]


def test_survival_of_a_sweep_never_rises(tmp_path):
    table = survival(load_results(record_sweep(tmp_path)))
    assert table["study"].nunique() == 6
    for _, group in table.groupby("study"):
        assert group["share"].is_monotonic_decreasing
        assert group["share"].iloc[0] == 1


def test_survival_without_trials_is_empty(tmp_path):
    write_results(tmp_path, [])
    table = survival(load_results(tmp_path))
    assert table.empty
    assert {"study", "epoch", "trials", "unfinished", "share"} <= set(table.columns)
