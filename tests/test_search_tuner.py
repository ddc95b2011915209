"""The adapters to Ray Tune, without Ray."""

import random
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Experiment, Trial
from ray.tune.schedulers import FIFOScheduler

from analysis.schema import RUNNING
from search.driver.dealing import StudiesSearch
from search.driver.tuner import LadderScheduler
from search.studies.round_robin import Sweep
from simulated import assignment
from spaces.sweep_file import load_sweep
from trainable.metrics import EpochMetrics
from trainable.trial.ray_trainable import TrialTrainable

NEXT = {
    Trial.PENDING: [Trial.RUNNING, Trial.ERROR],
    Trial.RUNNING: [Trial.TERMINATED, Trial.ERROR],
}


@pytest.mark.parametrize("seed", range(5))
def test_trials_start_in_the_order_of_tunes_own_scheduler(seed):
    draw, trials = random.Random(seed), []
    controller = SimpleNamespace(get_trials=lambda: trials)
    ladder = LadderScheduler(Sweep.build(load_sweep("quickstart")), find=lambda trial: None)
    for _ in range(200):
        goes_on = [trial for trial in trials if trial.status in NEXT]
        if not goes_on or draw.random() < 0.4:
            trials.append(Trial("trial", stub=True))
            ladder.on_trial_add(controller, trials[-1])
        else:
            trial = draw.choice(goes_on)
            trial.set_status(draw.choice(NEXT[trial.status]))
        first = FIFOScheduler().choose_trial_to_run(controller)
        assert ladder.choose_trial_to_run(controller) is first
    assert {trial.status for trial in trials} >= {Trial.TERMINATED, Trial.ERROR}


def assign(trial):
    return assignment(trial, threads=2, cpus=2.5, gpus=0.5)


@pytest.fixture
def sweep():
    return Sweep.build(
        load_sweep(
            "quickstart", ["budget.trials=2", "budget.max_epochs=1", "budget.grace_epochs=1"]
        )
    )


def searching(sweep, tmp_path, slots):
    """The search as Tune has it once it has begun."""
    search = StudiesSearch(sweep, assign, slots=lambda: slots)
    search.add_configurations(
        [Experiment("logs", TrialTrainable, storage_path=str(tmp_path / "tune"))]
    )
    return search


def test_tune_gets_the_dealt_trials_by_their_ids_with_what_they_take(sweep, tmp_path):
    given = searching(sweep, tmp_path, slots=2).next_trial()
    given.create_placement_group_factory()
    (dealt,) = sweep.trials
    assert given.config["assignment"].trial_id == str(given) == dealt.trial_id
    assert given.placement_group_factory.required_resources == {"CPU": 2.5, "GPU": 0.5}
    assert issubclass(given.get_trainable_cls(), TrialTrainable)
    assert dealt.waiting


def test_tune_gets_no_more_trials_than_slots_until_the_last_has_ended(sweep, tmp_path):
    search, most = searching(sweep, tmp_path, slots=3), 0
    while not search.is_finished():
        while search.next_trial() is not None:
            most = max(most, sweep.running)
        running = [trial for trial in sweep.trials if trial.status == RUNNING]
        assert bool(running) != search.is_finished()
        for trial in running[:1]:
            sweep.report(trial, EpochMetrics(1, train_loss=1.0, val_accuracy=0.5))
    assert most == 3
    assert sweep.finished
