import json
from dataclasses import replace

import pytest

from analysis.best import best_configs, records
from analysis.printed.rerun import best_sweep, sweep_table
from analysis.results import ResultsError, load_results
from spaces.sweep import SweepSpec
from spaces.sweep_file import parse_sweep
from tests.recorded import record_sweep, trial_row, write_results
from trainable.catalog import LOSSES, SCHEDULES, TARGETS
from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.noise import make_noise

ELR = TrialConfig.build(
    data=DataConfig("digits"),
    noise=make_noise("symmetric", 0.4),
    loss="elr",
    network="tiny_cnn",
    max_epochs=7,
    seed=3,
)


def only_trial(spec):
    """The one config that running the sweep file trains."""
    (cell,) = spec.cells()
    assert not cell.space.varies
    assert spec.budget.trials == 1
    assert spec.search.early_stopping == "none"
    return cell.trial(cell.reference, spec.seed)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep")))


def test_best_sweep_runs_exactly_the_best_trial_of_every_study(recorded):
    for row in records(best_configs(recorded)):
        spec = parse_sweep(best_sweep(recorded, row["study"]))
        assert only_trial(spec) == TrialConfig.from_dict(json.loads(row["config"]))
        assert spec.search.metric == row["selected_by"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sweep_table_round_trips_every_loss_and_schedule(loss, schedule):
    config = replace(
        TrialConfig.build(
            data=DataConfig("cifar10", root="/data", holdout=0.2, train_examples=1000),
            noise=make_noise("symmetric", 0.25, include_true=False),
            loss=loss,
            network="small_cnn",
            max_epochs=91,
            seed=12,
            parameters={"lr_schedule": schedule, "lr": 0.0123, "averaging": 0.5},
        ),
        precision="float32",
    )
    table = sweep_table(config, "again", "averaged_val_accuracy")
    assert only_trial(SweepSpec.model_validate(table)) == config


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "ema"])
def test_sweep_table_round_trips_every_target(target):
    config = TrialConfig.build(
        data=DataConfig("cifar100", augment=False),
        noise=make_noise("asymmetric", 0.3, ring="contiguous"),
        loss="adam_elr",
        network="resnet18",
        max_epochs=150,
        seed=0,
        parameters={"target": target, "lam": 7, "lr_schedule": "multistep", "gamma": 0.1},
    )
    assert only_trial(SweepSpec.model_validate(sweep_table(config, "a", "val_accuracy"))) == config


@pytest.mark.parametrize(
    "noise", [make_noise("none"), make_noise("human", labels_file="/x.pt", labels_key="worse")]
)
def test_sweep_table_round_trips_noise_without_a_rate(noise):
    config = replace(ELR, noise=noise, data=DataConfig("cifar10"))
    assert only_trial(SweepSpec.model_validate(sweep_table(config, "a", "val_accuracy"))) == config


def test_sweep_table_of_a_leak_says_so():
    spec = SweepSpec.model_validate(sweep_table(ELR, "a", "test_accuracy"))
    assert spec.search.allow_test_selection


def test_best_sweep_takes_one_study(recorded, tmp_path):
    with pytest.raises(ResultsError, match="one study at a time: add --study with one of symm"):
        best_sweep(recorded)
    with pytest.raises(ResultsError, match=r"unknown study 'symmetric-0.4-el': did you mean"):
        best_sweep(recorded, "symmetric-0.4-el")
    config = json.dumps(ELR.as_dict())
    one = load_results(write_results(tmp_path, [trial_row("a b/c", config=config)]))
    assert parse_sweep(best_sweep(one)).name == "test-a-b-c-best"


def test_best_sweep_of_a_study_without_a_winner_is_refused(tmp_path):
    results = load_results(write_results(tmp_path, [trial_row(status="stopped")]))
    with pytest.raises(ResultsError, match="has no trial that used its full budget"):
        best_sweep(results)
