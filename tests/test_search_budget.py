"""A sweep that ends by the clock: what still starts, what ends, what is kept for confirmation."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from search.cluster.resources import TrialResources
from search.driver.budget import Hours, wall_clock
from search.planning.measure import Cost
from search.planning.plan import NodeType, estimate
from search.planning.plan_table import print_plan
from search.studies.round_robin import Sweep
from simulated import Driver, spec
from spaces.sweep_file import SpecError, differences

EPOCH = 0.5
"""Seconds that an epoch of the simulation takes."""


class Clocked:
    """A simulated sweep whose clock moves with its epochs, on one slot."""

    def __init__(self, *overrides, gpus=0.0, spent=0.0):
        self.now = 0.0
        self.sweep = Sweep.build(spec(*overrides))
        self.driver = Driver(self.sweep)
        self.hours = Hours(
            self.sweep, gpus=gpus, slots=lambda: 1, spent=spent, clock=lambda: self.now
        )

    def run(self):
        self.hours.check()
        while self.driver.step():
            self.now += EPOCH
            self.hours.check()
        return self

    def trials(self, phase):
        return [t for t in self.sweep.trials if t.phase == phase]


def hours(seconds):
    return f"budget.hours={seconds / 3600}"


def test_no_trial_starts_after_the_hours_and_what_runs_is_finished():
    run = Clocked(hours(20.0), "search.early_stopping=none").run()  # 3.3 trials of 12 epochs
    assert [t.status for t in run.trials("search")] == ["completed"] * 4
    assert run.sweep.finished
    assert run.now == 4 * 12 * EPOCH
    assert "after 4 of 18 trials" in run.hours.used_up()


def test_what_runs_is_stopped_where_the_file_says_so():
    stop = (hours(20.0), "search.early_stopping=none", "budget.when_out=stop")
    run = Clocked(*stop).run()
    *whole, last = run.trials("search")
    assert [t.status for t in whole] == ["completed"] * 3
    assert (last.status, last.epochs) == ("stopped", 5)
    assert last.end_reason == f"budget: hours = {20 / 3600:g} used up"
    assert run.now == 20.0 + EPOCH


@pytest.mark.parametrize("when_out", ["finish", "stop"])
def test_time_to_confirm_is_kept_back(when_out):
    overrides = ("confirm.seeds=2", f"budget.when_out={when_out}", "search.early_stopping=none")
    run = Clocked(hours(60.0), *overrides).run()  # 10 trials; 4 of them confirm two studies
    assert len(run.trials("replicate")) == 4
    assert {t.status for t in run.trials("replicate")} == {"completed"}
    assert run.now <= 60.0 + 12 * EPOCH
    assert 4 <= len(run.trials("search")) <= 6


def test_gpu_hours_count_what_trials_trained():
    gpus = (f"budget.gpu_hours={0.5 * 20 / 3600}", "search.early_stopping=none")
    run = Clocked(*gpus, gpus=0.5).run()
    assert len(run.trials("search")) == 4


def test_gpu_hours_without_a_gpu_are_refused():
    with pytest.raises(SpecError, match="gpu_hours = 3, but trials get no GPU here"):
        Clocked("budget.gpu_hours=3")


def test_hours_of_earlier_starts_count():
    run = Clocked(hours(20.0), spent=20.0).run()
    assert not run.trials("search")
    assert run.sweep.finished
    assert Clocked(hours(20.0), spent=5.0).hours.left() == pytest.approx(15.0)
    assert Clocked().hours.left() == float("inf")


def test_sweep_within_its_hours_is_as_one_without():
    run = Clocked(hours(3600.0), "confirm.seeds=1").run()
    assert len(run.trials("search")) == 18
    assert not run.hours.used_up()


def test_paused_trials_are_not_promoted_after_the_hours():
    run = Clocked(hours(20.0), "search.early_stopping=asha_promotion").run()
    statuses = [t.status for t in run.trials("search")]
    assert "paused" not in statuses
    for study in run.sweep.studies.values():  # a leader each, so that there is one to choose
        assert [t.status for t in study.searched].count("completed") == 1


def test_wall_clock_is_from_each_start_to_the_last_epoch_before_the_next():
    def at(seconds):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)

    starts = [at(0), at(1000), at(2000)]
    assert wall_clock(starts, [at(s) for s in (10, 60, 1100)]) == 60 + 100
    assert wall_clock([], [at(5)]) == 0


def test_plan_says_what_the_hours_leave_out():
    asked = spec("search.early_stopping=none", "budget.hours=1")  # 216 epochs
    cost = Cost("CPU", 100.0, 100.0, None, 1000)
    node = NodeType(1, 2.0, 0.0, 2, {cell.study: cost for cell in asked.cells()})
    made = estimate(asked, TrialResources(1.0, 0.0), [node])
    assert made.hours == pytest.approx(1.0)
    assert made.limit == "budget: hours = 1 ends it after about 33% of these epochs"
    console = Console(file=io.StringIO(), width=120)
    print_plan(made, console)
    assert f"note: {made.limit}" in console.file.getvalue()


def test_hours_may_change_between_starts():
    assert not differences(spec("budget.hours=1"), spec("budget.hours=2"))
