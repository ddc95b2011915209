"""The adapters to Ray Tune, without Ray."""

import random
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from search.driver.tuner import LadderScheduler
from search.studies.round_robin import Sweep
from spaces.sweep_file import load_sweep

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
