import json

import pytest

from analysis.results import load_results
from recorded import trial_row, write_results
from search.driver.warm_start import read_points, warm_points, write_points
from search.studies.round_robin import Sweep
from simulated import spec


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
    results = earlier(tmp_path, (0.4, "elr", {}), (0.4, "adam_elr", {}))
    assert len(warm_points(spec(), results)["symmetric-0.4-elr"]) == 1


def test_sweep_tries_the_reference_then_the_warm_points(tmp_path):
    results = earlier(tmp_path, (0.4, "elr", {"lam": 5.0}))
    study = Sweep.build(spec(), warm_points(spec(), results)).studies["symmetric-0.4-elr"]
    assert [study.deal().config.parameters["lam"] for _ in range(2)] == [3.0, 5.0]


@pytest.mark.parametrize(
    "points", [{}, {"a": [{"lam": 1.0, "milestones": (4, 8), "target": "adam"}]}]
)
def test_points_come_back_as_written(points, tmp_path):
    folder = write_results(tmp_path, [])
    write_points(folder, points)
    assert read_points(folder) == points


def test_points_of_a_cold_start_are_none(tmp_path):
    assert read_points(write_results(tmp_path, [])) == {}
