import json
import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.examples import load_example
from analysis.frames.transition_matrix import transition_matrix
from analysis.results import ResultsError, load_results
from recorded import epoch_row, trial_row, write_results
from search.driver.warm_start import (
    earlier_results,
    read_earlier,
    warm_points,
    write_earlier,
)
from search.studies.earlier import Earlier, EarlierTrial
from search.studies.features import LabelStatistics
from search.studies.round_robin import Sweep
from simulated import spec
from spaces.sweep_file import SpecError
from trainable.folder.storage import Folder


def earlier(tmp_path, *studies):
    """Results of an earlier sweep: each study is (noise rate, loss, parameters of its best)."""
    rows = []
    for rate, loss, parameters in studies:
        sweep = spec(f"noise.0.rates=[{rate}]", f'losses=["{loss}"]')
        cell = sweep.cells()[0]
        config = cell.trial({**cell.reference, **parameters}, seed=0)
        fields = {
            "study": cell.study,
            "loss": loss,
            "noise_rate": rate,
            "noise": config.noise.setting,
        }
        rows.append(trial_row(**fields, config=json.dumps(config.as_dict())))
    return load_results(write_results(tmp_path, rows))


def test_warm_points_take_the_same_study_first(tmp_path):
    results = earlier(tmp_path, (0.2, "elr", {"lam": 1.0}), (0.4, "elr", {"lam": 5.0}))
    points = warm_points(spec(), results)
    assert [p["lam"] for p in points["symmetric-0.4-elr"]] == [5.0]


def test_warm_points_take_the_nearest_noise_setting_else(tmp_path):
    results = earlier(tmp_path, (0.1, "elr", {"lam": 1.0}), (0.5, "elr", {"lam": 5.0}))
    assert warm_points(spec(), results)["symmetric-0.4-elr"][0]["lam"] == 5.0


def test_warm_points_take_what_another_loss_shares(tmp_path):
    results = earlier(tmp_path, (0.4, "elr", {"lam": 5.0, "lr": 0.05, "beta": 0.9}))
    point = warm_points(spec(), results)["symmetric-0.4-adam_elr"][0]
    assert (point["lam"], point["lr"]) == (5.0, 0.05)
    assert point["beta1"] == 0.7  # elr's beta is another parameter
    assert "beta" not in point


def test_warm_points_are_moved_into_the_space(tmp_path):
    results = earlier(tmp_path, (0.4, "elr", {"lam": 9.0}))
    points = warm_points(spec("space.lam={low=1.0, high=4.0}"), results)
    assert points["symmetric-0.4-elr"][0]["lam"] == 4.0


def test_warm_points_of_equal_place_are_tried_once(tmp_path):
    results = earlier(tmp_path, (0.4, "elr", {"lam": 5.0}), (0.4, "adam_elr", {"lam": 5.0}))
    assert len(warm_points(spec(), results)["symmetric-0.4-elr"]) == 1


def test_warm_points_leave_out_the_reference_setting_which_is_tried_anyway(tmp_path):
    results = earlier(tmp_path, (0.4, "elr", {}), (0.4, "adam_elr", {"lam": 5.0}))
    assert [p["lam"] for p in warm_points(spec(), results)["symmetric-0.4-elr"]] == [5.0]


def test_sweep_tries_the_reference_then_the_warm_points(tmp_path):
    results = earlier(tmp_path, (0.4, "elr", {"lam": 5.0}))
    warm = Earlier(warm_points(spec(), results))
    study = Sweep.build(spec(), warm).studies["symmetric-0.4-elr"]
    assert [study.deal().config.parameters["lam"] for _ in range(2)] == [3.0, 5.0]


POINTS = {"a": [{"lam": 1.0, "milestones": (4, 8), "target": "adam"}]}


def tried(lam: float, *values: float, loss: str = "elr", diverged: bool = False) -> EarlierTrial:
    """A trial of another sweep, at a quarter of wrong labels."""
    cell = spec("noise.0.rates=[0.25]", f"losses={loss}").cells()[0]
    config = cell.trial({**cell.reference, "lam": lam}, seed=9)
    return EarlierTrial(cell.study, config, values, diverged, LabelStatistics(0.25, 0.5))


UNTOLD = replace(tried(2.0, 0.1, 0.5), labels=None)


@pytest.mark.parametrize(
    "warm", [Earlier(), Earlier(POINTS, [tried(2.0, 0.1, 0.5)]), Earlier({}, [UNTOLD])]
)
def test_an_earlier_sweep_comes_back_as_written(warm, tmp_path):
    folder = write_results(tmp_path, [])
    write_earlier(folder, warm)
    kept = read_earlier(folder)
    assert (kept.points, list(kept.trials)) == (warm.points, list(warm.trials))


def test_points_that_an_earlier_version_kept_are_read(tmp_path):
    folder = write_results(tmp_path, [])
    folder.write("warm_start.json", json.dumps(POINTS).encode())
    assert read_earlier(folder) == Earlier(POINTS, [])


def test_a_cold_start_takes_nothing(tmp_path):
    assert read_earlier(write_results(tmp_path, [])) == Earlier()


LEARNS = "search.sampler=multitask"


def recorded(tmp_path, *trials, metric="val_accuracy"):
    """Results of trials (name, status, phase), two epochs each, with the columns to learn from."""
    config = json.dumps(tried(5.0).config.as_dict())
    rows = [
        trial_row(trial_id=name, config=config, status=status, phase=phase)
        for name, status, phase in trials
    ]
    epochs = [
        epoch_row(row["trial_id"], epoch, seq=4 * place + epoch, val_accuracy=0.1 * epoch)
        for place, row in enumerate(rows)
        for epoch in (1, 2)
    ]
    for row in epochs:
        row["test_accuracy"] = 0.4 if row["epoch"] == 2 or row["trial_id"] == "tested" else None
    return load_results(write_results(tmp_path, rows, epochs), columns=[metric])


def test_earlier_results_give_every_trial_of_the_search_with_its_curve(tmp_path):
    results = recorded(
        tmp_path,
        ("full", "completed", "search"),
        ("gone", "diverged", "search"),
        ("broken", "failed", "search"),
        ("again", "completed", "replicate"),
    )
    trials = earlier_results(spec(LEARNS), results).trials
    assert [(t.values, t.diverged) for t in trials] == [((0.1, 0.2), False), ((0.1, 0.2), True)]
    assert trials[0].config.parameters["lam"] == 5.0
    assert trials[0].labels is None


def test_earlier_trials_bring_how_their_labels_came_out(tmp_path):
    results = load_example("claims-fashion")
    trials = earlier_results(spec(LEARNS), results).trials
    told = {trial.study: trial.labels for trial in trials}
    assert len(told) > 1
    for study, labels in told.items():
        assert labels == LabelStatistics.of(transition_matrix(results, study).to_numpy())


BY_TEST = (LEARNS, "search.metric=test_accuracy", "search.allow_test_selection=true")


def test_earlier_trials_without_the_metric_after_every_epoch_are_left_out(tmp_path):
    trials = [("tested", "completed", "search"), ("seldom", "completed", "search")]
    results = recorded(tmp_path, *trials, metric="test_accuracy")
    assert [t.values for t in earlier_results(spec(*BY_TEST), results).trials] == [(0.4, 0.4)]


@pytest.mark.parametrize("metric", ["averaged_val_accuracy", "test_accuracy"])
def test_earlier_results_none_of_which_has_the_metric_are_refused_in_one_line(tmp_path, metric):
    trials = [("seldom", "completed", "search"), ("gone", "diverged", "search")]
    results = recorded(tmp_path, *trials, metric=metric)
    by = (*BY_TEST[2:], "space.averaging=0.99", f"search.metric={metric}")
    with pytest.raises(SpecError, match=rf"^--warm-start .*: no trial there has {metric} after"):
        earlier_results(spec(LEARNS, *by), results)
    assert not earlier_results(spec(*by), results).trials  # nor asked for


@pytest.mark.parametrize(
    "alone", [(), (LEARNS, "search.sampler_options={shared=false}")], ids=["tpe", "multitask"]
)
def test_earlier_trials_are_kept_only_for_a_sampler_that_reads_them(tmp_path, alone):
    results = recorded(tmp_path, ("full", "completed", "search"))
    taken = earlier_results(spec(*alone), results)
    assert not taken.trials
    assert taken.points["symmetric-0.4-elr"]


def test_multitask_learns_from_an_earlier_sweep():
    """Its very first own suggestion is near what was good there."""
    best = 8.0
    known = [
        tried(lam, *[1 / (1 + abs(math.log(lam / best)))] * 12)
        for lam in np.geomspace(0.5, 10.0, 40)
    ]
    only_lam = (
        "losses=elr",
        "search.sampler=multitask",
        "space={preset='paper_star', lam={low=0.5, high=10.0, log=true}}",
    )
    sweep = Sweep.build(spec(*only_lam), Earlier(trials=known))
    (study,) = sweep.studies.values()
    lams = [float(study.deal().config.parameters["lam"]) for _ in range(4)][1:]
    assert np.median(np.abs(np.log(np.array(lams) / best))) < 0.2  # of random draws: 1.2


def test_multitask_leaves_out_earlier_trials_of_other_losses():
    sweep = Sweep.build(
        spec("losses=elr", "search.sampler=multitask"),
        Earlier(trials=[tried(1.0, 0.5, loss="adam_elr"), tried(2.0, 0.5)]),
    )
    (model,) = sweep.models
    assert list(model._trials) == ["earlier/symmetric-0.25-elr/0"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"null", b"[1]", b'{"a": 3}', b'{"a": [3]}', b'{"trials": [1]}', b"[" * 99_999],
)
def test_damaged_points_are_named(tmp_path, content):
    folder = Folder.open(tmp_path)
    folder.write("warm_start.json", content)
    with pytest.raises(ResultsError, match=r"warm_start\.json is damaged: it lists no points"):
        read_earlier(folder)
