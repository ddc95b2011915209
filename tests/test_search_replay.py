import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.results import ResultsError
from analysis.store import ResultsWriter
from recorded import trial_row
from search.__main__ import app
from search.replay.curves import Curve, Curves, load_curves, overridden, save_curves
from search.replay.pool import Pool, PoolCell
from search.replay.replay import BASELINE, STOCK, Run, Summary, replay, summarise
from search.studies.simulate import simulate
from search.studies.study import Study
from search.studies.sweep import Sweep
from spaces.load import SpecError, dump_sweep, parse_sweep
from spaces.strategies import EARLY_STOPPING
from spaces.sweep import Cell
from trainable.folder.storage import Folder
from trainable.metrics import EpochMetrics

SPEC = parse_sweep(
    """
name = "pool"
losses = ["elr"]
network = "tiny_cnn"
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
trials = 6
max_epochs = 9
grace_epochs = 1
[search]
early_stopping = "none"
[space]
preset = "paper"
lam = { low = 1.0, high = 10.0, log = true }
lr_schedule = { choice = ["constant", "cosine"] }
"""
)
CELL: Cell = SPEC.cells()[0]
RISE = np.linspace(0.1, 1.0, 9)


def curve(number: int, lam: float, quality: float, *, shape=RISE, schedule="cosine") -> Curve:
    values = CELL.reference | {"lam": lam, "lr_schedule": schedule}
    config = CELL.trial(CELL.space.nearest(values), seed=0)
    return Curve(number, config, False, quality * shape, quality * shape + 0.05)


def pool_of(qualities: list[float]) -> list[Curve]:
    lams = np.geomspace(1.0, 10.0, len(qualities))
    return [curve(i, lam, q) for i, (lam, q) in enumerate(zip(lams, qualities, strict=True))]


def curves_of(pool: list[Curve]) -> Curves:
    return Curves(SPEC, {CELL.study: pool})


def test_pool_take_gives_the_nearest_left_in_the_logarithm():
    pool = Pool(CELL.space, [curve(0, 1.0, 0.5), curve(1, 4.0, 0.5), curve(2, 10.0, 0.5)])
    near_three = CELL.reference | {"lam": 3.0, "lr_schedule": "cosine"}
    lams = [pool.take(near_three).parameters["lam"] for _ in range(3)]
    assert lams == [4.0, 1.0, 10.0]  # |log 3/4| < |log 3/1| < |log 3/10|
    assert [c.number for c in pool.taken] == [1, 0, 2]


def test_pool_take_counts_another_option_as_far_as_the_whole_range():
    pool = Pool(CELL.space, [curve(0, 2.0, 0.5, schedule="constant"), curve(1, 9.0, 0.5)])
    wanted = CELL.reference | {"lam": 2.0, "lr_schedule": "cosine"}
    assert pool.take(wanted).parameters["lam"] == 9.0


def test_study_tells_optuna_the_configuration_it_got():
    pool = Pool(CELL.space, pool_of([0.5] * 6))
    cell = PoolCell(**vars(CELL), pool=pool)
    study = Study(cell=cell, search=SPEC.search, budget=SPEC.budget, seed=0)
    trials = [study.deal() for _ in range(6)]
    told = [t.params["lam"] for t in study.history.study.trials]
    assert told == [trial.config.parameters["lam"] for trial in trials]
    assert sorted(told) == pytest.approx(np.geomspace(1.0, 10.0, 6))
    assert {t.params["lr_schedule"] for t in study.history.study.trials} == {"cosine"}


def test_simulate_gives_every_slot_an_epoch_in_turn():
    sweep = Sweep.build(SPEC)
    heard = []
    for trial, _ in simulate(sweep, lambda t: EpochMetrics(t.epochs + 1, train_loss=0.0), slots=2):
        heard.append((trial.number, trial.epochs))
        if len(heard) == 4:
            break
    assert heard == [(0, 1), (1, 1), (0, 2), (1, 2)]


def test_replay_at_full_budget_pays_the_budget_for_every_trial():
    pool = pool_of([0.5, 0.6, 0.7, 0.9, 0.7, 0.6])
    runs = list(replay(curves_of(pool), ["random+none", "tpe+none"], seeds=10))
    assert len(runs) == 20
    for run in runs:
        assert run.to_value == run.to_test == run.epochs == 9 * run.trials
    assert len({run.trials for run in runs if run.strategy == BASELINE}) > 1


def test_replay_of_random_search_needs_as_many_trials_as_chance_says():
    pool = pool_of([0.5, 0.5, 0.5, 0.9, 0.5, 0.5])
    trials = [run.trials for run in replay(curves_of(pool), [BASELINE], seeds=200)]
    # One good of six: 3.5 in the mean if every place in the order were as likely.
    assert 2.8 < np.mean(trials) < 4.2


def test_replay_starts_with_the_reference_unless_it_is_the_baseline():
    pool = [curve(0, 3.0, 0.9), *(curve(i, 1.0 + i / 10, 0.5) for i in range(1, 12))]
    assert {run.trials for run in replay(curves_of(pool), ["tpe+none"], seeds=5)} == {1}


def test_replay_counts_within_half_a_point_as_reached():
    near = [curve(0, 1.0, 0.9), curve(1, 10.0, 0.8951)]
    far = [curve(0, 1.0, 0.9), curve(1, 10.0, 0.8949)]
    trials = [
        {run.trials for run in replay(curves_of(pool), [BASELINE], seeds=20)}
        for pool in (near, far)
    ]
    assert trials == [{1}, {1, 2}]


@pytest.mark.parametrize("rule", [rule for rule in EARLY_STOPPING if rule != "none"])
def test_replay_of_early_stopping_spends_fewer_epochs(rule):
    pool = pool_of(list(np.linspace(0.9, 0.3, 12)))
    stopped, full = (
        [run.epochs / run.trials for run in replay(curves_of(pool), [f"random+{name}"], seeds=10)]
        for name in (rule, "none")
    )
    assert np.mean(stopped) < np.mean(full) == 9.0


def test_replay_of_a_late_bloomer_that_is_stopped_never_reaches_it():
    late = np.array([0.0] * 8 + [1.0])
    pool = [curve(0, 10.0, 0.9, shape=late), *pool_of([0.6, 0.6, 0.6, 0.6, 0.6])]
    pool = [dataclasses.replace(c, number=i) for i, c in enumerate(pool)]
    runs = list(replay(curves_of(pool), ["tpe+asha"], seeds=5))
    assert math.inf in {run.to_value for run in runs}
    assert all(run.trials == 6 for run in runs if run.to_value == math.inf)


def test_replay_of_a_diverged_curve_ends_with_it_and_never_selects_it():
    diverged = dataclasses.replace(
        curve(0, 3.0, 0.99), diverged=True, value=np.array([0.99, 0.99]), test=np.ones(2)
    )
    (run,) = replay(curves_of([diverged, curve(1, 9.0, 0.5)]), ["tpe+none"], seeds=1)
    assert (run.to_value, run.trials) == (2 + 9, 2)


def test_replay_on_several_slots_counts_the_epochs_of_all():
    pool = pool_of([0.9, 0.1, 0.1, 0.1])
    (run,) = replay(curves_of(pool), ["random+none"], seeds=1, slots=4)
    assert run.epochs in range(33, 37)


def test_replay_is_repeatable():
    curves = curves_of(pool_of([0.5, 0.6, 0.7, 0.9, 0.7, 0.6]))
    assert list(replay(curves, seeds=2)) == list(replay(curves, seeds=2))


def test_replay_of_stock_stops_like_ray_and_tells_it_as_complete():
    from search.replay.stock import StockSweep

    pool = Pool(CELL.space, pool_of(list(np.linspace(0.9, 0.2, 8))))
    cell = PoolCell(**vars(CELL), pool=pool)
    stock = StockSweep(cell, "val_accuracy", SPEC.budget.model_copy(update={"trials": 8}), seed=1)

    def next_epoch(trial):
        value = float(pool.taken[trial.number].value[trial.epochs])
        return EpochMetrics(trial.epochs + 1, train_loss=0.0, val_accuracy=value)

    ended = {t.number: (o.status, t.epochs) for t, o in simulate(stock, next_epoch)}
    assert ended[0] == ("completed", 9)  # a first arrival always goes on
    assert set(ended.values()) <= {("completed", 9), ("stopped", 1), ("stopped", 3)}
    assert ("stopped", 1) in ended.values()
    told = stock._searcher._ot_study.trials
    assert {t.state.name for t in told} == {"COMPLETE"}
    taken = [c.config.parameters["lam"] for c in pool.taken]
    assert [t.params["lam"] for t in told] == taken


@pytest.mark.parametrize(
    ("strategy", "message"),
    [("tep+asha", "unknown strategy 'tep.asha': did you mean 'tpe.asha'"), ("tpe+ahsa", "'asha'")],
)
def test_replay_of_an_unknown_strategy_names_the_valid_ones(strategy, message):
    with pytest.raises(SpecError, match=message):
        next(iter(replay(curves_of(pool_of([0.5])), [strategy])))


def run_of(strategy: str, seed: int, value: float, study: str = "a") -> Run:
    """A run that gives up after 900 epochs."""
    return Run(study, strategy, seed, value, 2 * value, 900, 0)


def test_summarise_gives_quartiles_and_what_a_run_that_gets_there_costs():
    baseline = [run_of(BASELINE, i, v) for i, v in enumerate([100, 200, 300, 400, 500])]
    ours = [run_of("tpe+asha", i, v) for i, v in enumerate([50, 60, math.inf, 70, 40])]
    summaries = summarise([*baseline, *ours])
    assert summaries[0].to_value == (200, 300, 400)
    assert summaries[1].to_value == (50, 60, 70)
    assert summaries[1].to_test == (100, 120, 140)
    # 300 epochs a run, against 220 of four runs and 900 of one that never got there.
    assert summaries[1].value_ratio == pytest.approx(300 / (1120 / 4))
    assert summaries[1].test_ratio == pytest.approx(600 / (1340 / 4))
    assert summaries[1].reached == 0.8
    assert len(summaries) == 2


def test_summarise_over_all_studies_counts_every_run():
    runs = [
        run_of(BASELINE, 0, 100, "a"),
        run_of("tpe+asha", 0, 50, "a"),
        run_of(BASELINE, 0, 800, "b"),
        run_of("tpe+asha", 0, math.inf, "b"),
    ]
    overall = summarise(runs)[-1]
    assert isinstance(overall, Summary)
    assert (overall.study, overall.strategy) == ("", "tpe+asha")
    assert overall.value_ratio == pytest.approx(450 / 950)
    assert overall.reached == 0.5
    never = summarise(runs[2:])[1]
    assert (never.study, never.value_ratio, never.reached) == ("b", 0.0, 0.0)


def test_save_curves_is_inverted_by_load_curves(tmp_path):
    pool = pool_of([0.5, 0.6])
    pool[1] = dataclasses.replace(pool[1], diverged=True, value=pool[1].value[:3])
    path = str(tmp_path / "curves.parquet")
    save_curves(curves_of(pool), path)
    again = load_curves(path)
    assert again.spec == SPEC
    for there, here in zip(again.studies[CELL.study], pool, strict=True):
        assert (there.number, there.config) == (here.number, here.config)
        assert there.diverged == here.diverged
        np.testing.assert_array_equal(there.value, here.value)
        np.testing.assert_array_equal(there.test, here.test)


def results_folder(path, *statuses: str) -> Folder:
    """A results folder with a trial of three epochs for each status."""
    folder = Folder.open(path)
    folder.write("sweep.toml", dump_sweep(SPEC).encode())
    config = json.dumps(curve(0, 3.0, 0.5).config.as_dict())
    rows = [trial_row(CELL.study, i, status=s, config=config) for i, s in enumerate(statuses)]
    writer = ResultsWriter(folder)
    writer.write_trials(rows)
    epochs = [
        {"trial_id": row["trial_id"], "attempt": 1, "seq": 3 * i + e, "epoch": e + 1}
        | {"val_accuracy": 0.1 * e, "test_accuracy": 0.2 * e}
        for i, row in enumerate(rows)
        for e in range(3)
    ]
    writer.append_epochs(CELL.study, epochs)
    return folder


def test_load_curves_of_a_results_folder_takes_the_trials_that_ended(tmp_path):
    results_folder(tmp_path, "completed", "diverged", "running", "failed")
    (pool,) = load_curves(str(tmp_path)).studies.values()
    assert [(c.number, c.diverged) for c in pool] == [(0, False), (1, True)]
    np.testing.assert_allclose(pool[0].value, [0.0, 0.1, 0.2])
    np.testing.assert_allclose(pool[0].test, [0.0, 0.2, 0.4])
    assert pool[1].final == -math.inf


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        (("completed", "stopped"), "1 trials were stopped early"),
        (("running",), "no trial has had its full budget"),
    ],
)
def test_load_curves_refuses_what_is_not_full_length(tmp_path, statuses, message):
    results_folder(tmp_path, *statuses)
    with pytest.raises(ResultsError, match=message):
        load_curves(str(tmp_path))


@pytest.mark.parametrize(("name", "epochs"), [("digits", 45), ("digits-wide", 80)])
def test_shipped_curves_are_small_and_full_length(name, epochs):
    path = Path(__file__).parent / "curves" / f"{name}.parquet"
    assert path.stat().st_size < 500_000
    curves = load_curves(str(path))
    assert set(curves.studies) == {cell.study for cell in curves.spec.cells()}
    assert sum(map(len, curves.studies.values())) > 150
    for pool in curves.studies.values():
        assert all(c.diverged or len(c.value) == len(c.test) == epochs for c in pool)
    (run, *_) = replay(curves, ["random+asha"], seeds=1)
    assert run.epochs < epochs * run.trials


def test_load_curves_of_another_file_says_which(tmp_path):
    path = tmp_path / "other.parquet"
    path.write_bytes(b"PAR1 nothing")
    with pytest.raises(ResultsError, match=r"other\.parquet holds no recorded curves"):
        load_curves(str(path))


def test_overridden_changes_the_search_but_not_the_trials():
    curves = curves_of(pool_of([0.5]))
    changed = overridden(curves, ["budget.reduction_factor=4", "budget.grace_epochs=2"])
    assert (changed.spec.budget.reduction_factor, changed.spec.budget.grace_epochs) == (4, 2)
    with pytest.raises(SpecError, match=r"recorded already: budget\.max_epochs: 9 there, 12 here"):
        overridden(curves, ["budget.max_epochs=12"])


def test_replay_command_prints_a_line_for_each_strategy(tmp_path):
    path = str(tmp_path / "curves.parquet")
    save_curves(curves_of(pool_of([0.5, 0.9, 0.6])), path)
    export = str(tmp_path / "again.parquet")
    chosen = ["--strategy", BASELINE, "--strategy", "tpe+asha", "--strategy", STOCK]
    done = CliRunner().invoke(app, ["replay", path, "--seeds", "2", *chosen, "--export", export])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "symmetric-0.4-elr: 3 trials, best val 90.00, its test 95.00"
    assert [line.split()[0] for line in lines[2:5]] == [BASELINE, "tpe+asha", STOCK]
    assert load_curves(export).spec == SPEC


def test_replay_command_of_a_missing_file_is_one_line_and_exit_code_2(tmp_path):
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "none.parquet")])
    assert done.exit_code == 2
    assert "none.parquet" in done.stderr
    assert "Traceback" not in done.stderr
