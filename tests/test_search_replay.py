import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.results import ResultsError
from analysis.store import ResultsWriter
from recorded import trial_row, write_transition
from search.__main__ import app
from search.replay.curves import Curve, Curves, load_curves, overridden, save_curves, shuffled
from search.replay.pool import Pool, PoolCell
from search.replay.regret_figure import regret_plot, write_regret
from search.replay.replay import BASELINE, BUDGETS, STOCK, Run, StudyRun, replay
from search.replay.summary import ratio, summarise
from search.studies.round_robin import Sweep
from search.studies.simulate import simulate
from search.studies.study import Study
from spaces.strategies import EARLY_STOPPING
from spaces.sweep import Cell
from spaces.sweep_file import SpecError, dump_sweep, parse_sweep
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
    search = SPEC.search.model_copy(update={"sampler": "tpe"})
    study = Study(SPEC.model_copy(update={"search": search}), cell)
    trials = [study.deal() for _ in range(6)]
    told = [t.params["lam"] for t in study._history.study.trials]
    assert told == [trial.config.parameters["lam"] for trial in trials]
    assert sorted(told) == pytest.approx(np.geomspace(1.0, 10.0, 6))
    assert {t.params["lr_schedule"] for t in study._history.study.trials} == {"cosine"}


def test_simulate_gives_every_slot_an_epoch_in_turn():
    sweep = Sweep.build(SPEC)
    heard = []
    for trial, _ in simulate(sweep, lambda t: EpochMetrics(t.epochs + 1, train_loss=0.0), slots=2):
        heard.append((trial.number, trial.epochs))
        if len(heard) == 4:
            break
    assert heard == [(0, 1), (1, 1), (0, 2), (1, 2)]


def runs_of(pool: list[Curve], strategy: str, **options) -> list[Run]:
    return list(replay(curves_of(pool), [strategy], **options))


def test_replay_at_full_budget_pays_the_budget_for_every_trial():
    pool = pool_of([0.5, 0.6, 0.7, 0.9, 0.7, 0.6])
    runs = [*runs_of(pool, BASELINE, seeds=10), *runs_of(pool, "tpe+none", seeds=10)]
    assert {run.epochs for run in runs} == {6 * 9}
    assert {run.spent % 9 for run in runs} == {0}
    assert len({run.spent for run in runs}) > 1


def test_replay_of_random_search_needs_as_many_trials_as_chance_says():
    pool = pool_of([0.5, 0.5, 0.5, 0.9, 0.5, 0.5])
    trials = [run.spent / 9 for run in runs_of(pool, BASELINE, seeds=80)]
    # The reference, then one good of five: 1 + 3 in the mean if every place were as likely.
    assert 3.5 < np.mean(trials) < 4.5


def test_replay_starts_with_the_reference():
    pool = [curve(0, 3.0, 0.9), *(curve(i, 1.0 + i / 10, 0.5) for i in range(1, 12))]
    assert {run.spent for run in runs_of(pool, "tpe+none", seeds=5)} == {9}


def test_replay_counts_within_half_a_point_as_reached():
    spent = [
        {run.spent for run in runs_of(pool, BASELINE, seeds=2)}
        for pool in (
            [curve(0, 1.0, 0.9), curve(1, 3.0, 0.8951)],
            [curve(0, 1.0, 0.9), curve(1, 3.0, 0.8949)],
        )
    ]
    assert spent == [{9}, {18}]


def test_replay_reads_the_regret_of_the_choice_at_every_budget():
    pool = [curve(0, 1.0, 0.9), curve(1, 3.0, 0.8), curve(2, 3.1, 0.85)]
    (run,) = runs_of(pool, "tpe+none", seeds=1)
    (study,) = run.studies
    assert len(study.regret) == len(study.test_regret) == len(BUDGETS)
    # After one budget the reference's neighbour, after all three the best; then no more changes.
    np.testing.assert_allclose(study.regret[::2], [0.1, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(study.test_regret[0], 0.1)


def test_replay_follows_the_mean_regret_after_every_full_budget():
    pool = pool_of([0.5, 0.6, 0.7, 0.9, 0.7, 0.6])
    (run,) = runs_of(pool, BASELINE, seeds=1)
    assert (run.budget, len(run.path)) == (9, 6)
    assert [run.path[budget - 1] for budget in BUDGETS[:3]] == run.studies[0].regret[:3]
    assert run.path[-1] == 0


def test_replay_offers_multitask_the_points_left_or_the_nearest():
    pool = pool_of([0.5, 0.6, 0.7, 0.9, 0.7, 0.6])
    assert len(PoolCell(**vars(CELL), pool=Pool(CELL.space, pool)).points) == 6
    assert PoolCell(**vars(CELL), pool=Pool(CELL.space, pool, offered=False)).points is None
    (run,) = runs_of(pool, "multitask+none", seeds=1, offered=False)
    assert (run.epochs, run.path[-1]) == (6 * 9, 0)


def test_shuffled_curves_are_the_same_ones_at_other_points():
    pool = pool_of([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    (dealt,) = shuffled(curves_of(pool), seed=0).studies.values()
    assert [c.config for c in dealt] == [c.config for c in pool]
    assert [c.number for c in dealt] == [c.number for c in pool]
    assert sorted(c.final for c in dealt) == [c.final for c in pool]
    assert [c.final for c in dealt] != [c.final for c in pool]


def test_regret_plot_ends_a_line_with_its_shortest_run_or_where_no_regret_is_left():
    paths = [(0.3, 0.0, 0.1), (0.1, 0.0)]
    runs = [Run("one", seed, 900, (), 100, path) for seed, path in enumerate(paths)]
    (line,) = regret_plot(runs).data
    assert (line.name, list(line.x), list(line.y)) == ("one", [100, 200], [20.0, None])


def test_replay_of_a_study_without_a_choice_has_the_mean_of_its_pool():
    pool = [curve(0, 1.0, 0.9), curve(1, 3.0, 0.5), curve(2, 3.1, 0.7)]
    (run,) = runs_of(pool, "random+none", seeds=1, slots=3)
    np.testing.assert_allclose(run.studies[0].regret[0], 0.2)


def test_replay_interleaves_the_studies():
    spec = parse_sweep(dump_sweep(SPEC), ["noise.0.rates=[0.2,0.4]"])
    pools = {}
    for cell in spec.cells():
        points = [cell.reference | {"lam": lam, "lr_schedule": "cosine"} for lam in (3.0, 9.0)]
        pools[cell.study] = [
            Curve(i, cell.trial(cell.space.nearest(point), seed=0), False, q * RISE, q * RISE)
            for i, (point, q) in enumerate(zip(points, (0.5, 0.9), strict=True))
        ]
    (run,) = replay(Curves(spec, pools), ["tpe+none"], seeds=1)
    assert [study.to_value for study in run.studies] == [27, 36]
    assert run.spent == run.epochs == 36


@pytest.mark.parametrize("rule", [rule for rule in EARLY_STOPPING if rule != "none"])
def test_replay_of_early_stopping_spends_fewer_epochs(rule):
    """Also the rule that sees no difference within the error of a hold-out of 144 images."""
    pool = pool_of(list(np.linspace(1.0, 0.0, 12)))
    runs = runs_of(pool, f"random+{rule}", seeds=10)
    assert np.mean([run.epochs for run in runs]) < 12 * 9


def test_replay_of_a_late_bloomer_that_is_stopped_never_reaches_it():
    late = np.array([0.0] * 8 + [1.0])
    pool = [curve(0, 10.0, 0.9, shape=late), *pool_of([0.6, 0.6, 0.6, 0.6, 0.6])]
    pool = [dataclasses.replace(c, number=i) for i, c in enumerate(pool)]
    lost = [run for run in runs_of(pool, "tpe+asha", seeds=5) if run.studies[0].lost]
    assert lost
    for run in lost:
        assert run.studies[0].to_value == math.inf
        assert run.spent == run.epochs < 6 * 9


def test_replay_of_a_diverged_curve_ends_with_it_and_never_selects_it():
    diverged = dataclasses.replace(
        curve(0, 3.0, 0.99), diverged=True, value=np.array([0.99, 0.99]), test=np.ones(2)
    )
    (run,) = runs_of([diverged, curve(1, 9.0, 0.5)], "tpe+none", seeds=1)
    assert run.spent == 2 + 9


def test_replay_on_several_slots_counts_the_epochs_of_all():
    pool = pool_of([0.1, 0.9, 0.1, 0.1])
    (run,) = runs_of(pool, "random+none", seeds=1, slots=4)
    assert run.spent in range(33, 37)


def test_replay_of_one_rung_gives_the_best_three_their_full_budget():
    pool = pool_of(list(np.linspace(0.9, 0.3, 8)))
    (run,) = runs_of(pool, "random+one_rung", seeds=1)
    assert run.epochs == 8 * 1 + 3 * (9 - 1)
    assert run.studies[0].lost == 0


def test_replay_is_repeatable():
    curves = curves_of(pool_of([0.5, 0.6, 0.7, 0.9, 0.7, 0.6]))
    assert list(replay(curves, seeds=2)) == list(replay(curves, seeds=2))


def test_replay_of_stock_stops_like_ray_and_tells_it_as_complete():
    from search.replay.stock import StockSweep

    pool = Pool(CELL.space, pool_of(list(np.linspace(0.9, 0.2, 8))))
    cell = PoolCell(**vars(CELL), pool=pool)
    stock = StockSweep(
        [cell], "val_accuracy", SPEC.budget.model_copy(update={"trials": 8}), seed=1
    )

    def next_epoch(trial):
        value = float(pool.taken[trial.number].value[trial.epochs])
        return EpochMetrics(trial.epochs + 1, train_loss=0.0, val_accuracy=value)

    ended = {t.number: (o.status, t.epochs) for t, o in simulate(stock, next_epoch)}
    assert ended[0] == ("completed", 9)  # a first arrival always goes on
    assert set(ended.values()) <= {("completed", 9), ("stopped", 1), ("stopped", 3)}
    assert ("stopped", 1) in ended.values()
    told = stock._studies[CELL.study]._searcher._ot_study.trials
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


def run_of(strategy: str, seed: int, *there: float, lost: int = 0) -> Run:
    """A run of 900 epochs whose studies got there after so many."""
    studies = [StudyRun(str(i), v, [0.1] * 5, [0.2] * 5, lost) for i, v in enumerate(there)]
    return Run(strategy, seed, 900, tuple(studies), 100, (0.1,) * 9)


def test_summarise_counts_all_that_was_spent_where_a_study_never_got_there():
    runs = [run_of("a", 0, 100, 300), run_of("a", 1, 200, math.inf, lost=3)]
    (summary,) = summarise(runs)
    assert summary.epochs.mean == (300 + 900) / 2
    assert 300 <= summary.epochs.low <= 600 <= summary.epochs.high <= 900
    assert summary.there == 0.5
    assert summary.success == 300 + 900  # in one run of the two
    assert summary.lost.mean == 0.5
    assert [estimate.mean for estimate in summary.regret] == pytest.approx([0.1] * 5)
    assert [estimate.mean for estimate in summary.test_regret] == pytest.approx([0.2] * 5)


def test_summarise_of_one_seed_has_no_interval():
    (summary,) = summarise([run_of("a", 0, 100)])
    assert summary.epochs.mean == summary.success == 100
    assert math.isnan(summary.epochs.low)


def test_ratio_is_that_of_the_means_with_an_interval_that_covers_it():
    rng = np.random.default_rng(0)
    ours = [run_of("a", i, v) for i, v in enumerate(rng.normal(200, 20, 40))]
    theirs = [run_of("b", i, v) for i, v in enumerate(rng.normal(400, 40, 40))]
    share = ratio(ours, theirs)
    assert share.mean == pytest.approx(0.5, abs=0.03)
    assert share.low < 0.5 < share.high
    assert share.high - share.low < 0.08


def test_save_curves_is_inverted_by_load_curves(tmp_path):
    pool = pool_of([0.5, 0.6])
    pool[1] = dataclasses.replace(pool[1], diverged=True, value=pool[1].value[:3])
    path = str(tmp_path / "curves.parquet")
    matrix = np.full((10, 10), 0.02) + 0.8 * np.eye(10)
    save_curves(dataclasses.replace(curves_of(pool), transitions={CELL.study: matrix}), path)
    again = load_curves(path)
    assert again.spec == SPEC
    np.testing.assert_array_equal(again.transitions[CELL.study], matrix)
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
    folder = results_folder(tmp_path, "completed", "diverged", "running", "failed")
    curves = load_curves(str(tmp_path))
    (pool,) = curves.studies.values()
    assert not curves.transitions
    assert [(c.number, c.diverged) for c in pool] == [(0, False), (1, True)]
    np.testing.assert_allclose(pool[0].value, [0.0, 0.1, 0.2])
    np.testing.assert_allclose(pool[0].test, [0.0, 0.2, 0.4])
    assert pool[1].final == -math.inf
    write_transition(folder, pool[0].config)
    (matrix,) = load_curves(str(tmp_path)).transitions.values()
    assert matrix.shape == (10, 10)
    np.testing.assert_allclose(matrix.sum(1), 1)


def test_replay_tells_models_across_studies_how_the_labels_came_out(monkeypatch):
    told = {}
    monkeypatch.setattr(Sweep, "labelled", lambda _, transitions: told.update(transitions))
    curves = dataclasses.replace(curves_of(pool_of([0.5])), transitions={CELL.study: np.eye(10)})
    list(replay(curves, ["multitask+none"], seeds=1))
    np.testing.assert_array_equal(told[CELL.study], np.eye(10))


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


COMMON = {"fashion-seed0": 25, "fashion-seed1": 25, "cifar-seed0": 25, "fashion-held": 20}
"""Pools whose studies share their draws, and epochs of a full budget."""
SHIPPED = {"digits": 45, "digits-wide": 80} | COMMON


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_curves_are_small_and_full_length(name):
    path = Path(__file__).parent / "curves" / f"{name}.parquet"
    assert path.stat().st_size < 100_000
    curves = load_curves(str(path))
    assert set(curves.studies) == {cell.study for cell in curves.spec.cells()}
    assert sum(map(len, curves.studies.values())) > 150
    for pool in curves.studies.values():
        assert all(c.diverged or len(c.value) == len(c.test) == SHIPPED[name] for c in pool)


@pytest.mark.parametrize("name", COMMON)
def test_shipped_curves_of_common_draws_have_the_same_points_in_every_study(name):
    curves = load_curves(str(Path(__file__).parent / "curves" / f"{name}.parquet"))
    for trials in zip(*curves.studies.values(), strict=True):
        assert len({trial.number for trial in trials}) == 1
        if trials[0].number == 0:
            continue  # the reference setting of each
        for parameter in ("lam", "lr", "weight_decay", "lr_schedule"):
            assert len({trial.config.parameters[parameter] for trial in trials}) == 1


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
    lam = curves.spec.cells()[0].space.domain("lam")
    within = f"low={lam.low}, high={lam.high}, log=true"
    believed = overridden(curves, [f"space.lam={{{within}, prior=3.0}}"]).spec.cells()[0].space
    assert believed.priors == ["lam"]
    with pytest.raises(SpecError, match=r"recorded already: space\.lam"):
        overridden(curves, ["space.lam=3.0"])


def test_replay_command_prints_a_line_for_each_strategy(tmp_path):
    path = str(tmp_path / "curves.parquet")
    save_curves(curves_of(pool_of([0.5, 0.9, 0.6])), path)
    export = str(tmp_path / "again.parquet")
    chosen = ["--strategy", BASELINE, "--strategy", "tpe+asha", "--strategy", STOCK]
    done = CliRunner().invoke(app, ["replay", path, "--seeds", "2", *chosen, "--export", export])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "symmetric-0.4-elr: 3 trials, best val 90.00, its test 95.00"
    for start in (2, 6, 10):
        names = [line.split()[0] for line in lines[start : start + 3]]
        assert names == [BASELINE, "tpe+asha", STOCK]
    assert load_curves(export).spec == SPEC


def test_replay_command_draws_the_regret_over_epochs(tmp_path):
    path, figure = str(tmp_path / "curves.parquet"), tmp_path / "regret.svg"
    save_curves(curves_of(pool_of([0.5, 0.9, 0.6])), path)
    chosen = ["--strategy", BASELINE, "--seeds", "1", "--unrelated", "--nearest"]
    done = CliRunner().invoke(app, ["replay", path, *chosen, "--figure", str(figure)])
    assert done.exit_code == 0, done.output
    assert "<svg" in figure.read_text()


@pytest.mark.parametrize("figure", ["regret.gif", "pdf", ".svg", "plots.svg/regret"])
def test_replay_command_refuses_another_figure_before_it_writes_anything(tmp_path, figure):
    path, export = str(tmp_path / "curves.parquet"), tmp_path / "again.parquet"
    save_curves(curves_of(pool_of([0.5])), path)
    command = ["replay", path, "--export", str(export), "--figure", figure]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert f"--figure {figure}: valid endings: pdf, png, svg" in done.stderr
    assert not export.exists()


def test_files_at_the_root_are_written_there(monkeypatch):
    """Not into the working directory."""
    written = []
    monkeypatch.setattr(Folder, "write", lambda folder, name, _: written.append((folder, name)))
    curves = curves_of(pool_of([0.5]))  # whose best is had at once: nothing to be drawn to scale
    save_curves(curves, "/x.parquet")
    write_regret(list(replay(curves, [BASELINE], seeds=1)), "/x.svg")
    assert [(str(f), name) for f, name in written] == [("/", "x.parquet"), ("/", "x.svg")]


def test_replay_command_of_a_missing_file_is_one_line_and_exit_code_2(tmp_path):
    done = CliRunner().invoke(app, ["replay", str(tmp_path / "none.parquet")])
    assert done.exit_code == 2
    assert "none.parquet" in done.stderr
    assert "Traceback" not in done.stderr
