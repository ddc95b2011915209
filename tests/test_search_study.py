import dataclasses
import math
import random

import pytest
from optuna.trial import TrialState

from search.studies.earlier import Earlier
from search.studies.round_robin import Sweep
from search.studies.trial import Trial
from simulated import Driver, curve, spec, table
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from trainable.metrics import EpochMetrics

GRID = ("space.preset=paper", "space.lam={choice=[1.0,3.0,9.0]}", "search.sampler=grid")
EXACT = ("multitask", "tpe", "random", "qmc", "grid")


def options(sampler: str) -> tuple[str, ...]:
    return GRID if sampler == "grid" else (f"search.sampler={sampler}",)


def crash(driver: Driver) -> Driver:
    """A new driver that knows only what is recorded: trials as they stand, and rows."""
    recorded = [dataclasses.replace(t, last=None, seconds=0.0) for t in driver.sweep.trials]
    sweep = Sweep.build(driver.sweep.spec)
    sweep.restore(recorded, driver.rows)
    return Driver(sweep, driver.slots, driver.seed + 1, rows=list(driver.rows))


@pytest.mark.parametrize("rule", EARLY_STOPPING)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sweep_of_every_strategy_ends_with_a_full_trial_in_every_study(sampler, rule):
    sweep = Sweep.build(spec(*options(sampler), f"search.early_stopping={rule}"))
    Driver(sweep, slots=3).run()
    assert sweep.finished
    assert sweep.running == 0
    for study in sweep.studies.values():
        assert all(t.ended and t.end_reason for t in study.trials.values())
        full = [t for t in study.searched if t.status == "completed"]
        assert full
        assert all(t.epochs == 12 for t in full)
        assert len(study.searched) == (3 if sampler == "grid" else 9)


@pytest.mark.parametrize("rule", EARLY_STOPPING)
@pytest.mark.parametrize("sampler", EXACT)
def test_restore_after_every_row_equals_the_uninterrupted_sweep(sampler, rule):
    overrides = (*options(sampler), f"search.early_stopping={rule}", "budget.trials=5")
    whole = Driver(Sweep.build(spec(*overrides))).run()
    for steps in range(0, len(whole.rows), 7):
        resumed = crash(Driver(Sweep.build(spec(*overrides))).run(steps)).run()
        assert table(resumed.sweep) == table(whole.sweep), f"interrupted after {steps} rows"


PRIORS = (
    "space.lam={low=0.1, high=100.0, log=true, prior=100}",
    'space.lr_schedule={choice=["cosine_warm_restarts", "multistep"], prior="multistep"}',
)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if SAMPLERS[name].priors])
def test_prior_rules_at_first_and_fades(sampler):
    """The best is at lam = 3, in the middle; the prior says 100, the end of the range."""
    whole = Driver(
        Sweep.build(spec(f"search.sampler={sampler}", *PRIORS, "budget.trials=50"))
    ).run()
    for study in whole.sweep.studies.values():
        points = [trial.config.parameters for trial in study.searched]
        assert points[0] == study.cell.reference
        far = [float(point["lam"]) > 20 for point in points]
        assert sum(far[1:3]) >= 1
        assert sum(far[30:]) <= 12  # of 20: of random draws a quarter, of the prior's 15


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if SAMPLERS[name].priors])
def test_sweep_with_priors_is_restored_exactly(sampler):
    overrides = (f"search.sampler={sampler}", *PRIORS, "budget.trials=5")
    whole = Driver(Sweep.build(spec(*overrides))).run()
    for steps in range(0, len(whole.rows), 13):
        resumed = crash(Driver(Sweep.build(spec(*overrides))).run(steps)).run()
        assert table(resumed.sweep) == table(whole.sweep), f"interrupted after {steps} rows"


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp", "qmc", "multitask"])
def test_stepped_range_gives_its_own_values_and_is_restored_exactly(sampler):
    """Optuna's 0.5 + 7 x 0.1 is 1.2000000000000002."""
    stepped = "space.lam={low=0.5, high=1.5, step=0.1}"
    overrides = (f"search.sampler={sampler}", stepped, "budget.trials=12")
    whole = Driver(Sweep.build(spec(*overrides))).run()
    lams = {trial.config.parameters["lam"] for trial in whole.sweep.trials}
    assert len(lams) > 2
    assert lams <= {round(0.5 + 0.1 * i, 1) for i in range(11)}
    resumed = crash(Driver(Sweep.build(spec(*overrides))).run(40)).run()
    assert table(resumed.sweep) == table(whole.sweep)


def test_restore_after_many_crashes_loses_and_doubles_no_epoch():
    driver = Driver(Sweep.build(spec("search.early_stopping=asha_promotion")), slots=3)
    while driver.run(steps=5) and not driver.sweep.finished:
        driver = crash(driver)
    for trial in driver.sweep.trials:
        epochs = [m.epoch for trial_id, _, m in driver.rows if trial_id == trial.trial_id]
        assert epochs == list(range(1, trial.epochs + 1))


def unsteady(trial: Trial, epoch: int) -> EpochMetrics:
    """A curve with noise, ties, and now and then a NaN or a diverged loss."""
    metrics, chance = curve(trial, epoch), random.Random(f"{trial.trial_id} {epoch}")
    value = metrics.val_accuracy + chance.gauss(0, 0.05)
    if chance.random() < 0.3:
        value = round(value, 1)
    if chance.random() < 0.02:
        value = math.nan
    loss = math.nan if chance.random() < 0.01 else 1.0
    return dataclasses.replace(metrics, val_accuracy=value, train_loss=loss)


class Faulty:
    """Drives a sweep whose workers die: trials go on from checkpoints that may be damaged."""

    def __init__(self, sweep: Sweep, slots: int, seed: int) -> None:
        self.sweep, self.slots = sweep, slots
        self.chance = random.Random(seed)
        self.live: list[Trial] = []
        self.rows: dict[tuple[str, int], tuple[str, int, EpochMetrics]] = {}
        self.saved: dict[str, int] = {}
        self.at: dict[str, int] = {}

    def step(self) -> None:
        while len(self.live) < self.slots and (trial := self.sweep.deal()):
            self.live.append(trial)
        if not self.live:
            return
        trial = self.chance.choice(self.live)
        if self.chance.random() < 0.05:
            self.live.remove(trial)
            self.sweep.fail(trial, "worker lost")
            saved = self.saved.get(trial.trial_id, 0)
            self.at[trial.trial_id] = max(0, saved - self.chance.choice([0, 0, 1, 2]))
            return
        epoch = self.at.get(trial.trial_id, trial.epochs) + 1
        self.at[trial.trial_id] = epoch
        metrics = unsteady(trial, epoch)
        self.rows[trial.trial_id, epoch] = trial.trial_id, trial.attempt, metrics
        if epoch in self.sweep.studies[trial.study].rungs(trial) or self.chance.random() < 0.3:
            self.saved[trial.trial_id] = epoch
        if self.sweep.report(trial, metrics).status != "running":
            self.live.remove(trial)


def known_to_sampler(sweep: Sweep) -> str:
    return str(
        [
            (trial.state, trial.values, trial.intermediate_values, trial.params)
            for study in sweep.studies.values()
            for trial in study._history.study.trials
        ]
        if not sweep.models
        else sorted(sweep.models[0]._trials.items(), key=lambda known: known[0])
    )


@pytest.mark.parametrize("rule", EARLY_STOPPING)
def test_restore_after_lost_workers_equals_the_sweep_that_went_on(rule):
    """On several slots, at any moment: the rows alone say what every study and ladder knows."""
    for seed in range(12):
        overrides = (
            *("search.early_stopping=" + rule, "budget.grace_epochs=1", "budget.trials=8"),
            *("resources.max_failures=50", "budget.reduction_factor=2"),
            "search.sampler=" + ("random", "tpe", "random", "multitask")[seed % 4],
        )
        live = Faulty(Sweep.build(spec(*overrides)), slots=1 + seed % 4, seed=seed)
        for _ in range(10 + 9 * seed):
            live.step()
        restored = crash(Driver(live.sweep, rows=list(live.rows.values()))).sweep
        assert table(restored) == table(live.sweep), seed
        assert known_to_sampler(restored) == known_to_sampler(live.sweep), seed
        turns = [[s.turns for s in sweep.studies.values()] for sweep in (restored, live.sweep)]
        assert turns[0] == turns[1], seed


def test_restore_with_a_missing_trial_is_refused():
    driver = Driver(Sweep.build(spec())).run()
    study = Sweep.build(driver.sweep.spec).studies["symmetric-0.4-elr"]
    trials = [t for t in driver.sweep.trials if t.study == study.name and t.number != 4]
    with pytest.raises(ValueError, match="trial 4 is missing"):
        study.restore(trials, [])


def test_deal_is_round_robin_and_starts_with_the_reference():
    sweep = Sweep.build(spec())
    first = [sweep.deal() for _ in range(4)]
    assert [t.trial_id for t in first] == [
        "symmetric-0.4-elr-0000",
        "symmetric-0.4-adam_elr-0000",
        "symmetric-0.4-elr-0001",
        "symmetric-0.4-adam_elr-0001",
    ]
    assert first[0].config.parameters["lam"] == 3.0
    assert first[0].config.parameters["beta"] == 0.7
    assert first[0].config.parameters["lr"] == 0.02


def test_deal_gives_the_slots_of_a_finished_study_to_the_others():
    sweep = Sweep.build(spec(*GRID))
    by_hand = sweep.studies["symmetric-0.4-elr"]
    while trial := by_hand.deal():
        for epoch in range(1, 13):
            if by_hand.report(trial.trial_id, curve(trial, epoch)).status != "running":
                break
    assert {sweep.deal().study for _ in range(3)} == {"symmetric-0.4-adam_elr"}


def test_deal_of_a_space_without_choice_is_one_trial():
    sweep = Sweep.build(spec("space.preset=paper_star"))
    assert [study.planned for study in sweep.studies.values()] == [1, 1]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_report_of_a_diverged_loss_ends_the_trial_whatever_its_accuracy(loss):
    study = Sweep.build(spec()).studies["symmetric-0.4-elr"]
    trial = study.deal()
    metrics = EpochMetrics(epoch=1, train_loss=loss, val_accuracy=0.99)
    outcome = study.report(trial.trial_id, metrics)
    assert (outcome.status, outcome.reason) == ("diverged", f"loss is {loss} in epoch 1")
    told = study._history.study.trials[0]
    assert told.state is not TrialState.FAIL  # samplers would not hear of it
    assert told.intermediate_values == {}


def diverging(sweep: Sweep) -> list[bool]:
    """For each trial of a study whose trials diverge with a large lr, whether it did."""
    study = next(iter(sweep.studies.values()))
    while trial := study.deal():
        for epoch in range(1, trial.config.max_epochs + 1):
            loss = math.nan if epoch > 1 and trial.config.lr > 0.3 else 1.0
            accuracy = 0.5 + math.sqrt(trial.config.lr) / 100
            metrics = EpochMetrics(epoch=epoch, train_loss=loss, val_accuracy=accuracy)
            if study.report(trial.trial_id, metrics).status != "running":
                break
    return [trial.status == "diverged" for trial in study.searched]


@pytest.mark.parametrize(
    ("sampler", "trials", "seeds"), [("tpe", 24, 6), ("gp", 14, 1), ("cmaes", 64, 4)]
)
def test_diverged_trials_repel(sampler, trials, seeds):
    """Of the range of lr 63% diverges, and lies beside its best part."""
    overrides = (
        *("space.preset=paper", "space.lr={low=1e-2, high=100.0, log=true}"),
        *("space.weight_decay={low=1e-5, high=1e-2, log=true}", "losses=elr"),
        *(f"search.sampler={sampler}", "search.early_stopping=none", "budget.max_epochs=3"),
        *(f"budget.trials={trials}", "budget.grace_epochs=1"),
    )
    sweeps = [Sweep.build(spec(*overrides, f"seed={seed}")) for seed in range(seeds)]
    late = [ended for sweep in sweeps for ended in diverging(sweep)[trials // 2 :]]
    assert sum(late) / len(late) < 0.45


def drawn(sampler: str, *overrides: str) -> dict[str, list[dict[str, object]]]:
    """The points that every study of a sweep draws."""
    options = "search.sampler_options={common=true}"
    sweep = Sweep.build(spec(f"search.sampler={sampler}", options, *overrides))
    for study in sweep.studies.values():
        while study.deal():
            pass
    return {name: [t.config.parameters for t in s.searched] for name, s in sweep.studies.items()}


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_common_draws_give_shared_parameters_the_same_values(sampler):
    points = drawn(sampler, "noise.0.rates=[0.2,0.4]", "space.preset=schedules")
    assert len(points) == 4
    for trials in zip(*points.values(), strict=True):
        for name in ("lam", "lr", "weight_decay", "lr_schedule"):
            assert len({trial[name] for trial in trials}) == 1, name
    lams = [trial["lam"] for trial in points["symmetric-0.2-elr"]]
    assert len(set(lams)) == len(lams)
    other = drawn(sampler, "seed=1")
    assert lams[1:] != [trial["lam"] for trial in other["symmetric-0.4-elr"]][1:]


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_common_draws_depend_on_the_number_whatever_goes_first(sampler):
    one_more = {"symmetric-0.4-elr": [{"lam": 5.0}]}
    options = (f"search.sampler={sampler}", "search.sampler_options={common=true}")
    plain, warm = (
        [s.deal().config.parameters["lam"] for _ in range(6)]
        for s in (
            Sweep.build(spec(*options), Earlier(points)).studies["symmetric-0.4-elr"]
            for points in ({}, one_more)
        )
    )
    assert (plain[0], warm[:2]) == (3.0, [3.0, 5.0])
    assert plain[2:] == warm[2:]


def test_random_common_draws_stay_when_the_space_grows():
    alone = drawn("random", "losses=elr")
    assert alone["symmetric-0.4-elr"] == drawn("random")["symmetric-0.4-elr"]


def test_report_of_a_stopped_trial_tells_optuna_pruned_with_its_last_step():
    study = Sweep.build(spec("space.lr_schedule=constant")).studies["symmetric-0.4-elr"]
    for accuracy in (0.9, 0.1):
        trial = study.deal()
        for epoch in (1, 2):
            metrics = EpochMetrics(epoch=epoch, train_loss=1.0, val_accuracy=accuracy)
            study.report(trial.trial_id, metrics)
    assert trial.end_reason == "rung 2: 10.00% < 90.00%"
    told = study._history.study.trials[1]
    assert told.state is TrialState.PRUNED
    assert told.intermediate_values == {2: 0.1}


def test_fail_starts_a_trial_again_as_often_as_allowed():
    study = Sweep.build(spec("resources.max_failures=2")).studies["symmetric-0.4-elr"]
    trial = study.deal()
    for attempt in (1, 2):
        study.fail(trial.trial_id, "boom")
        assert study.deal() is trial
        assert trial.attempt == attempt + 1
    study.fail(trial.trial_id, "boom")
    assert (trial.status, trial.end_reason) == ("failed", "boom")
    assert study._history.study.trials[0].state is TrialState.FAIL
    assert study.deal().number == 1


def test_fail_counts_in_a_row_and_an_epoch_more_starts_afresh():
    """A night of lost nodes wears no trial out, as long as it gets on."""
    sweep = Sweep.build(spec("resources.max_failures=1"))
    for _ in range(6):
        trial = sweep.deal()
        sweep.report(trial, curve(trial, trial.epochs + 1))
        sweep.fail(trial, "node lost")
        assert trial.status == "running"
    sweep.report(sweep.deal(), curve(trial, trial.epochs))  # comes again: no progress
    sweep.fail(trial, "node lost")
    assert trial.status == "failed"


def test_replicate_again_starts_the_failed_ones_only():
    sweep = Sweep.build(spec("resources.max_failures=0", "budget.trials=1"))
    Driver(sweep).run()
    study = sweep.studies["symmetric-0.4-elr"]
    source = study.searched[0].trial_id
    for seed in (1, 2):
        study.replicate(source, seed)
    assert study.searched_out
    assert not study.finished
    lost, kept = sweep.deal(), sweep.deal()
    sweep.fail(lost, "disk full")
    for epoch in range(1, 13):
        sweep.report(kept, curve(kept, epoch))
    assert study.finished
    for seed in (1, 2):
        study.replicate(source, seed)
    assert not study.finished
    assert sweep.deal() is lost
    assert sweep.deal() is None
    for epoch in range(1, 13):
        sweep.report(lost, curve(lost, epoch))
    assert study.finished


def test_fail_of_the_last_trial_keeps_the_study_unfinished_until_it_is_settled():
    study = Sweep.build(spec("space.preset=paper", "resources.max_failures=1")).studies[
        "symmetric-0.4-elr"
    ]
    trial = study.deal()
    study.fail(trial.trial_id, "node lost")
    assert not study.finished
    assert study.has_work


def test_suggestions_depend_on_history():
    """A sampler that ignored what came back would suggest the same points for both landscapes."""

    def points(best: float) -> list[object]:
        study = Sweep.build(spec("budget.trials=20", "search.early_stopping=none")).studies[
            "symmetric-0.4-elr"
        ]
        lams = []
        while trial := study.deal():
            lam = float(trial.config.parameters["lam"])
            lams.append(lam)
            for epoch in range(1, 13):
                value = math.exp(-abs(math.log(lam / best)))
                study.report(
                    trial.trial_id, EpochMetrics(epoch=epoch, train_loss=1.0, val_accuracy=value)
                )
        return lams

    low, high = points(0.6), points(9.0)
    assert low[:5] == high[:5]  # a quarter of the budget is random
    assert sum(low[5:]) < sum(high[5:])


def test_trial_hear_counts_a_repeated_epoch_once():
    trial = Sweep.build(spec()).deal()
    assert isinstance(trial, Trial)
    for epoch in (1, 2, 2, 3):
        trial.hear(curve(trial, epoch))
    assert (trial.epochs, trial.seconds) == (3, 1.5)
