import math
import re
from dataclasses import replace

import pytest

from analysis.amounts import signed_points
from analysis.frames.claims import (
    ACCURACY,
    AVERAGED,
    EPOCHS,
    EVERYWHERE,
    MEMORIZED,
    QUESTIONS,
    answers,
    targets,
)
from analysis.printed.answers import format_answers
from analysis.results import ResultsError, load_results
from tests.recorded import SWEEP, epoch_row, record_sweep, trial_row, write_results

P = 1 - 0.025 / 3
HALF_WIDTH = (2 * P - 1) / math.sqrt(2 * P * (1 - P)) * 0.01 / math.sqrt(3)
"""Student's quantile has a closed form at 2 degrees of freedom; a spread of .01, three pairs."""


def study(loss, rate, curves, *, memorized=0.1, **first):
    """A study whose only search trial was replicated: test accuracies over epochs, by seed."""
    noise = {"noise_rate": rate, "noise": f"symmetric-{rate}"}
    name = f"symmetric-{rate}-{loss}"
    source = trial_row(name, 0, loss=loss, **noise, **first)
    trials, epochs = [source], []
    for seed, curve in curves.items():
        again = trial_row(
            name,
            seed,
            loss=loss,
            phase="replicate",
            source_trial_id=source["trial_id"],
            seed=seed,
            test_accuracy=curve[-1],
            max_epochs=len(curve),
            epochs=len(curve),
            **noise,
        )
        trials.append(again)
        epochs += [
            epoch_row(
                again["trial_id"],
                k,
                test_accuracy=test,
                wrong_memorized=memorized * (1 + seed / 100),
            )
            for k, test in enumerate(curve, 1)
        ]
    return trials, epochs


def written(folder, *studies):
    trials = [row for trials, _ in studies for row in trials]
    epochs = [row for _, epochs in studies for row in epochs]
    return load_results(write_results(folder, trials, epochs))


@pytest.fixture
def found(tmp_path):
    low, high = 0.2, 0.6
    elr = {1: [0.5, 0.8, 0.80], 2: [0.5, 0.8, 0.82], 3: [0.5, 0.8, 0.84]}
    better = {1: [0.8, 0.8, 0.83], 2: [0.8, 0.8, 0.84], 3: [0.8, 0.8, 0.85]}
    never = {1: [0.1, 0.2, 0.30], 2: [0.1, 0.2, 0.31], 3: [0.1, 0.2, 0.32]}
    results = written(
        tmp_path,
        study("elr", low, elr, memorized=0.2),
        study("adam_elr", low, better),
        study("elr", high, elr, memorized=0.2),
        study("adam_elr", high, never, memorized=0.5),
    )
    return answers(results).set_index(["question", "noise", "loss"]).sort_index()


def test_answers_are_paired_by_seed_and_widened_for_all_comparisons_of_a_question(found):
    # Differences .03, .02, .01, of three comparisons: two settings and both together.
    row = found.loc[(ACCURACY, "symmetric-0.2", "adam_elr")]
    assert row["value"] == pytest.approx(0.84)
    assert row["elr"] == pytest.approx(0.82)
    assert row["difference"] == pytest.approx(0.02)
    assert row["comparisons"] == 3
    assert row["low"] == pytest.approx(0.02 - HALF_WIDTH)
    assert row["high"] == pytest.approx(0.02 + HALF_WIDTH)
    assert row["verdict"] == "not shown"
    assert found.loc[(ACCURACY, "symmetric-0.6", "adam_elr"), "verdict"] == "worse"


def test_answers_over_all_settings_are_of_a_seed_s_means(found):
    row = found.loc[(ACCURACY, EVERYWHERE, "adam_elr")]
    # By seed (.03 - .50) / 2, (.02 - .51) / 2, (.01 - .52) / 2.
    assert row["difference"] == pytest.approx(-0.245)
    assert row["pairs"] == 3
    assert row["high"] - row["difference"] == pytest.approx(HALF_WIDTH)
    assert row["verdict"] == "worse"


def test_epochs_count_to_a_share_of_elrs_final_accuracy(found):
    near = found.loc[EPOCHS[0.95]]  # 0.95 x 0.82 = 0.779
    assert near.loc[("symmetric-0.2", "adam_elr"), "value"] == 1
    assert near.loc[("symmetric-0.2", "adam_elr"), "elr"] == 2
    assert near.loc[("symmetric-0.2", "adam_elr"), "difference"] == -1
    assert near.loc[("symmetric-0.6", "adam_elr"), "value"] == 4  # never: one more than it had
    nearer = found.loc[EPOCHS[0.99]]  # 0.8118: seed 1 of elr never, the others at 3
    assert nearer.loc[("symmetric-0.2", "adam_elr"), "elr"] == pytest.approx((4 + 3 + 3) / 3)
    assert nearer.loc[("symmetric-0.2", "adam_elr"), "value"] == 3


def test_fewer_epochs_and_less_memorized_are_better(found):
    assert found.loc[(MEMORIZED, "symmetric-0.2", "adam_elr"), "verdict"] == "better"
    assert found.loc[(MEMORIZED, "symmetric-0.6", "adam_elr"), "verdict"] == "worse"
    # One epoch fewer in every pair: without any spread nothing is called shown.
    assert found.loc[(EPOCHS[0.95], "symmetric-0.2", "adam_elr"), "verdict"] == "not shown"


def test_averaged_weights_are_compared_with_elrs_raw_ones(tmp_path):
    trials, epochs = study("elr", 0.2, {1: [0.80], 2: [0.82]})
    epochs = [row | {"averaged_test_accuracy": 0.90} for row in epochs]
    others, theirs = study("ce", 0.2, {1: [0.5], 2: [0.5]})
    theirs = [row | {"averaged_test_accuracy": 0.83} for row in theirs]
    found = answers(written(tmp_path, (trials, epochs), (others, theirs)))
    found = found.set_index(["question", "loss"])["difference"]
    assert found[AVERAGED, "ce"] == pytest.approx(0.02)
    assert found[AVERAGED, "elr"] == pytest.approx(0.09)
    assert found[ACCURACY, "ce"] == pytest.approx(-0.31)
    assert (ACCURACY, "elr") not in found


def test_seeds_needed_are_the_fewest_that_would_show_half_a_point(found):
    # Spread .01, three comparisons: the half width is .00503 with 26 pairs and .00492 with 27.
    assert found.loc[(ACCURACY, "symmetric-0.2", "adam_elr"), "seeds_needed"] == 27
    assert found.loc[MEMORIZED, "seeds_needed"].isna().all()


def test_what_no_seed_shares_is_not_compared(tmp_path):
    elr, other = {1: [0.8], 2: [0.8]}, {3: [0.9], 4: [0.9]}
    results = written(tmp_path, study("elr", 0.2, elr), study("adam_elr", 0.2, other))
    assert answers(results).empty


def test_one_common_seed_gives_a_difference_without_an_interval(tmp_path):
    elr, other = {1: [0.8]}, {1: [0.9]}
    results = written(tmp_path, study("elr", 0.2, elr), study("adam_elr", 0.2, other))
    row = answers(results).set_index("question").loc[ACCURACY]
    assert row["difference"] == pytest.approx(0.1)
    assert math.isnan(row["low"])
    assert row["verdict"] == "not shown"


def test_a_replicate_that_diverged_leaves_no_verdict(tmp_path):
    elr = {1: [0.80], 2: [0.81], 3: [0.82]}
    gone = {1: [0.90], 2: [0.91], 3: [0.92], 4: [0.1]}
    trials, epochs = study("adam_elr", 0.2, gone)
    trials[-1]["status"] = "diverged"
    calm = [study(loss, 0.6, {1: [0.8], 2: [0.81], 3: [0.83]}) for loss in ("elr", "adam_elr")]
    results = written(tmp_path, study("elr", 0.2, elr), (trials, epochs), *calm)
    found = answers(results)
    verdicts = found.groupby("noise")["verdict"].agg(set)
    assert verdicts["symmetric-0.2"] == verdicts[EVERYWHERE] == {"diverged"}
    assert verdicts["symmetric-0.6"] == {"not shown"}


def test_targets_are_compared_with_elr_setting_by_setting(tmp_path):
    def search(loss, rate, values, target=None):
        fields = {"noise_rate": rate, "noise": f"symmetric-{rate}", "param_target": target}
        return [
            trial_row(f"symmetric-{rate}-{loss}", k, loss=loss, val_accuracy=value, **fields)
            for k, value in values.items()
        ]

    trials = search("elr", 0.2, {0: 0.70}) + search("elr", 0.6, {0: 0.50})
    trials += search("adam_elr", 0.2, {0: 0.72, 1: 0.69}, "adam")
    trials += search("adam_elr", 0.2, {2: 0.74}, "lion")
    trials += search("adam_elr", 0.6, {0: 0.52}, "adam")
    table = targets(load_results(write_results(tmp_path, trials))).set_index("target")
    assert table.index.tolist() == ["lion", "adam"]
    assert table["trials"].to_dict() == {"lion": 1, "adam": 3}
    assert table["settings"].to_dict() == {"lion": 1, "adam": 2}
    assert table["won"].to_dict() == {"lion": 1, "adam": 1}
    assert table["difference"].to_dict() == pytest.approx({"lion": 0.04, "adam": 0.02})


def test_a_recorded_sweep_is_answered_for_every_loss_and_question(tmp_path):
    found = answers(load_results(record_sweep(tmp_path, replicates=3)))
    assert set(found["question"]) == set(QUESTIONS) - {AVERAGED}
    assert set(found["loss"]) == {"ce", "adam_elr"}
    counts = found.groupby("question")["noise"].size()
    assert set(counts) == {6}  # two losses in two settings, and in both together
    assert set(found["comparisons"]) == {6}


def test_answers_without_elr_are_empty(tmp_path):
    results = written(tmp_path, study("ce", 0.2, {1: [0.8], 2: [0.8]}))
    assert answers(results).empty
    assert targets(results).empty


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    text = SWEEP + '[space]\npreset = "targets"\n'
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), text, replicates=5))


def test_answers_are_written_question_by_question(recorded):
    text = format_answers(recorded, "text")
    found = answers(recorded).set_index(["question", "noise", "loss"]).sort_index()
    row = found.loc[(ACCURACY, "symmetric-0.4", "adam_elr")]
    (line,) = [
        line
        for line in text.partition("epochs to 95%")[0].splitlines()
        if line.startswith("  symmetric-0.4")
    ]
    assert f"{100 * row['value']:.2f}  {100 * row['elr']:.2f}" in line
    assert f"[{signed_points(row['low'])}, {signed_points(row['high'])}]" in line
    assert ("*better" in line) == (row["verdict"] == "better")
    for heading in ("Adam-refined ELR against ELR", "CE against ELR", "98% of ELR's final"):
        assert heading in text
    assert text.count("All intervals of one question") == 1


def test_every_answer_is_marked_where_the_test_set_selected(recorded):
    trials = recorded.trials.assign(selected_by="test_accuracy")
    spec = recorded.spec | {"search": {"allow_test_selection": True}}
    text = format_answers(replace(recorded, trials=trials, spec=spec), "text")
    assert text.count("LEAK: selected on the test set") == text.count("against ELR: ") + 1


def test_answers_fit_a_terminal(recorded):
    text = format_answers(recorded, "text", 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("against ELR: ") == 2  # in one part each


def test_targets_are_written_where_there_are_several(recorded):
    text = format_answers(recorded, "text")
    for target in targets(recorded)["target"]:
        assert f"\n  {target} " in text


@pytest.mark.parametrize("how", ["markdown", "latex", "csv"])
def test_every_format_has_every_answer(recorded, how):
    text = format_answers(recorded, how)
    assert text.count("symmetric-0.4") >= len(answers(recorded)) // 3
    assert ("\\toprule" in text) == (how == "latex")
    captions = re.findall(r"\\caption\{(.*)\}", text)
    assert all(re.fullmatch(r"[A-Z].* (is|are) .*\.", caption) for caption in captions)
    assert bool(captions) == (how == "latex")


def test_nothing_to_answer_says_what_is_missing(tmp_path):
    results = written(tmp_path, study("ce", 0.2, {1: [0.8], 2: [0.8]}))
    with pytest.raises(ResultsError, match="need replicates of elr and of another loss"):
        format_answers(results, "text")


def test_answers_against_the_elr_of_another_sweep(tmp_path):
    elr = {1: [0.5, 0.80], 2: [0.5, 0.82], 3: [0.5, 0.84]}
    own = {1: [0.5, 0.83], 2: [0.5, 0.84], 3: [0.5, 0.85]}
    theirs = written(tmp_path / "elr", study("elr", 0.2, elr), study("elr", 0.6, elr))
    ours = written(
        tmp_path / "ours",
        study("adam_elr", 0.2, own, param_target="cautious"),
        study("elr", 0.2, {1: [0.1, 0.1]}),  # not the one that is meant
    )
    found = answers(ours, theirs).set_index(["question", "loss"])
    assert found.loc[(ACCURACY, "adam_elr"), "difference"] == pytest.approx(0.02)
    assert found.loc[(ACCURACY, "adam_elr"), "pairs"] == 3
    assert found.loc[(EPOCHS[0.95], "adam_elr"), "elr"] == 2  # of .82, not of .1
    assert targets(ours, theirs)["confirmed"].tolist() == pytest.approx([0.02])
    text = format_answers(ours, "text", against=theirs)
    assert f"against ELR of {theirs.name}" in text


def test_answers_against_replicates_of_other_labels_or_seeds_are_none(tmp_path):
    trials, epochs = study("elr", 0.2, {1: [0.8], 2: [0.8]})
    other = [row | {"labels_fingerprint": "of other labels"} for row in trials]
    theirs = written(tmp_path / "elr", (other, epochs))
    ours = written(tmp_path / "ours", study("adam_elr", 0.2, {1: [0.8], 2: [0.8]}))
    with pytest.raises(ResultsError, match=r"elr in .*elr, with the same seeds and labels"):
        format_answers(ours, "text", against=theirs)
    assert not answers(ours, written(tmp_path / "same", (trials, epochs))).empty
