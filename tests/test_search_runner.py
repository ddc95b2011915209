"""Real sweeps on a real Ray: small, but every part of the way from sweep file to Parquet."""

import json
import os
import re
import signal
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.best import best_configs
from analysis.frames.transition_matrix import transition_matrix
from analysis.printed.text import print_best
from analysis.results import load_results
from analysis.store import ResultsError, ResultsWriter
from event_files import read_events
from search.driver import runner, tuner
from search.driver.signals import Interrupted
from search.studies.features import LabelStatistics
from search.studies.multitask import Surrogate
from spaces.sweep_file import SpecError, dump_sweep, parse_sweep
from trainable.folder.storage import Folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = """
name = "small"
losses = ["ce", "adam_elr"]
network = "tiny_cnn"
[data]
name = "digits"
train_examples = 200
holdout = 0.2
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
trials = 4
max_epochs = 4
grace_epochs = 1
reduction_factor = 2
[search]
early_stopping = "asha"
[space]
lr_schedule = "cosine"
batch_size = 32
"""
TIMES = [
    "duration_s",
    "started_at",
    "ended_at",
    "recorded_at",
    "epoch_seconds",
    "images_per_second",
]
TIMES += ["peak_memory_mb", "attempt", "repeated_epochs"]


def one_slot(*overrides):
    return parse_sweep(SPEC, ["resources.max_concurrent=1", *overrides])


def tables(folder):
    """Trials and epochs without the columns about times and attempts, which two runs differ in."""
    results = load_results(folder)
    return [t.drop(columns=TIMES, errors="ignore") for t in (results.trials, results.epochs)]


def assert_equal(one, two):
    for left, right in zip(one, two, strict=True):
        pd.testing.assert_frame_equal(left, right)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, ray_session):
    """A sweep of two studies, run once for all tests that only read it."""
    storage = tmp_path_factory.mktemp("results")
    console = Console(file=StringIO(), width=100)
    return runner.start(one_slot(), storage, console), storage


def test_start_runs_every_trial_to_an_end_with_a_reason(finished):
    results = load_results(finished[0].folder)
    assert not finished[0].failed
    assert len(results.trials) == 8
    assert set(results.trials["status"]) == {"completed", "stopped"}
    assert results.trials["end_reason"].str.len().gt(0).all()
    for row in results.trials.to_dict("records"):
        epochs = results.epochs[results.epochs["trial_id"] == row["trial_id"]]
        assert list(epochs["epoch"]) == list(range(1, row["epochs"] + 1))
        assert row["val_accuracy"] == epochs["val_accuracy"].iloc[-1]
        assert row["test_accuracy"] == epochs["test_accuracy"].iloc[-1]
    assert sorted(results.epochs["seq"]) == list(range(len(results.epochs)))
    # The test set is not looked at between the rungs, 1 and 2, and the end of the budget.
    untested = results.epochs[results.epochs["test_accuracy"].isna()]
    assert set(untested["epoch"]) == {3}


def test_start_names_the_network_in_the_folder_and_keeps_it_elsewhere(tmp_path, monkeypatch):
    text = SPEC.replace('network = "tiny_cnn"', "")
    unnamed = parse_sweep(text, ["losses=ce", "budget.trials=1", "budget.max_epochs=1"])
    console = Console(file=StringIO(), width=200)
    done = runner.start(unnamed, tmp_path, console)
    assert runner.read_spec(done.folder).network == ["tiny_cnn"]
    assert set(load_results(done.folder).trials["model"]) == {"tiny_cnn"}
    first, second = console.file.getvalue().splitlines()[:2]
    assert first == "network tiny_cnn: the default for digits"
    assert second.startswith("small: 1 study, 1 trial")
    assert re.search(r"; about \d+s$", second)
    monkeypatch.setattr(runner, "with_network", lambda spec: pytest.fail("asked again"))
    assert runner.start(unnamed, tmp_path, console).spec == done.spec


def test_sweep_without_a_network_trains_that_of_its_folder(tmp_path):
    # cifar10's default depends on the device: what a CPU began goes on with its network on a GPU.
    unnamed = parse_sweep(SPEC.replace('network = "tiny_cnn"', ""), ["data.name=cifar10"])
    folder = Folder.open(tmp_path)
    folder.write("sweep.toml", dump_sweep(unnamed.with_network(gpu=False)).encode())
    named = runner._with_network(unnamed, folder, Console(file=StringIO()))
    assert {cell.network for cell in named.cells()} == {"small_cnn"}


def test_start_of_a_sweep_that_confirms_ends_with_mean_and_spread(tmp_path):
    asked = ["losses=ce", "budget.trials=2", "budget.max_epochs=2", "confirm.seeds=2"]
    console = Console(file=StringIO(), width=200)
    done = runner.start(one_slot(*asked), tmp_path, console)
    (best,) = best_configs(load_results(done.folder)).to_dict("records")
    assert best["replicates"] == 2
    again = load_results(done.folder).trials.query("phase == 'replicate'")
    assert set(again["seed"]) == {1, 2}
    assert again["labels_fingerprint"].nunique() == 2
    assert best["replicated_test"] == pytest.approx(again["test_accuracy"].mean())
    print_best(load_results(done.folder), console)
    assert "±" in console.file.getvalue()


def test_start_fills_what_a_paper_needs(finished):
    trials = load_results(finished[0].folder).trials
    assert trials["realised_rate"].between(0.3, 0.42).all()
    assert trials["labels_fingerprint"].nunique() == 1
    assert set(trials["device"]) <= {"cpu"} or trials["device"].str.contains("NVIDIA").all()
    assert json.loads(trials["versions"].iloc[0])["torch"]
    config = json.loads(trials["config"].iloc[0])
    assert config["noise"]["kind"] == "symmetric"


def test_folder_is_read_by_pandas_alone(finished):
    folder = Path(finished[0].folder.location)
    epochs = pd.read_parquet(folder / "epochs")
    trials = pd.read_parquet(folder / "trials")
    assert trials["trial_id"].is_unique
    assert not epochs.duplicated(["trial_id", "epoch"]).any()
    assert set(epochs["study"]) == {"symmetric-0.4-ce", "symmetric-0.4-adam_elr"}


def test_the_model_across_studies_hears_how_the_labels_came_out(finished, monkeypatch):
    done, storage = finished
    told = {}
    monkeypatch.setattr(Surrogate, "labelled", lambda _, labels: told.update(labels))
    runner.start(one_slot(), storage, Console(file=StringIO()))  # all is trained already
    results = load_results(done.folder)
    assert set(told) == set(results.trials["study"])
    for study, labels in told.items():
        assert labels == LabelStatistics.of(transition_matrix(results, study).to_numpy())


def test_tensorboard_steps_are_epochs(finished):
    for trial in load_results(finished[0].folder).trials.to_dict("records"):
        steps = tensorboard_steps(finished[0].folder, trial["trial_id"])
        assert steps == list(range(1, trial["epochs"] + 1))


def tensorboard_steps(folder, trial_id):
    """The steps at which a trial's validation accuracy stands in its event files, in order."""
    files = Path(folder.location).glob(f"tune/*/{trial_id}/events.out.tfevents*")
    return [
        event.step
        for file in sorted(files)
        for event in read_events(file)
        if any(value.tag == "ray/tune/val_accuracy" for value in event.summary.value)
    ]


def test_folder_keeps_the_best_models_and_the_targets(finished):
    folder = Path(finished[0].folder.location)
    best = best_configs(load_results(folder)).set_index("study")
    kept = {p.name for p in (folder / "checkpoints").iterdir()}
    assert set(best["trial_id"]) <= kept
    for trial in kept:
        assert [p.name for p in (folder / "checkpoints" / trial).iterdir()] == ["epoch-00004.pt"]
    targets = pd.read_parquet(
        folder / "targets" / f"{best.trial_id['symmetric-0.4-adam_elr']}.parquet"
    )
    assert len(targets) == 160
    assert targets["confidence"].between(0.1, 1).all()
    assert (targets["rival"] != targets["given"]).all()
    assert (targets["given_probability"] + targets["rival_probability"]).between(0, 1 + 1e-6).all()
    assert np.isfinite(targets["margin"]).all()


def test_two_runs_of_one_seed_with_one_slot_are_equal(finished, tmp_path, console):
    again = runner.start(one_slot(), tmp_path, console)
    assert_equal(tables(again.folder), tables(finished[0].folder))


def test_start_on_a_finished_folder_of_the_same_sweep_runs_nothing(finished, console):
    before = load_results(finished[0].folder).trials
    runner.start(one_slot(), finished[1], console)
    pd.testing.assert_frame_equal(load_results(finished[0].folder).trials, before)


def test_start_with_other_resources_is_the_same_sweep(finished, console):
    runner.start(one_slot("resources.max_concurrent=2"), finished[1], console)


def test_start_on_the_folder_of_another_sweep_shows_the_difference(finished, console):
    with pytest.raises(SpecError, match=r"budget\.max_epochs: 4 there, 3 here"):
        runner.start(one_slot("budget.max_epochs=3"), finished[1], console)


def test_start_in_a_folder_of_something_else_is_refused(tmp_path, console):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.tex").write_text("precious")
    with pytest.raises(SpecError, match="not a results folder"):
        runner.start(one_slot(), tmp_path, console)
    assert os.listdir(tmp_path / "small") == ["thesis.tex"]


def test_extend_equals_a_sweep_that_had_more_trials_from_the_start(tmp_path, console):
    random = ("search.sampler=random", "budget.trials=2")
    runner.start(one_slot(*random), tmp_path, console)
    runner.extend(Folder.open(tmp_path) / "small", 1, console)
    longer = runner.start(one_slot(*random, "budget.trials=3", "name=longer"), tmp_path, console)
    trials = [
        t[["trial_id", "config", "study"]].astype(str)
        for t in (tables(tmp_path / "small")[0], tables(longer.folder)[0])
    ]
    pd.testing.assert_frame_equal(*trials)


def interrupted_after(monkeypatch, epochs):
    """SIGTERM to this process once so many epochs have come in."""
    hear, heard = tuner.RecorderCallback.on_trial_result, []

    def counted(callback, *arguments, **info):
        hear(callback, *arguments, **info)
        heard.append(1)
        if len(heard) == epochs:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(tuner.RecorderCallback, "on_trial_result", counted)


def test_sweep_that_trained_is_kept_however_it_ends(monkeypatch, tmp_path, console):
    """What is found wrong after the first trial never takes the results with it."""
    with monkeypatch.context() as patch:
        damaged = ResultsError("part-1-00000000.parquet is damaged")
        patch.setattr(ResultsWriter, "compact", lambda writer: (_ for _ in ()).throw(damaged))
        with pytest.raises(ResultsError, match="is damaged"):
            runner.start(one_slot("budget.trials=1"), tmp_path, console)
    assert len(load_results(tmp_path / "small").trials) == 2
    assert not runner.resume(Folder.open(tmp_path / "small"), console).failed


def test_resume_with_more_slots_finishes_every_trial_once(monkeypatch, tmp_path, console):
    with monkeypatch.context() as patch:
        interrupted_after(patch, 5)
        with pytest.raises(Interrupted):
            runner.start(one_slot(), tmp_path, console)
    assert load_results(tmp_path / "small").running
    done = runner.start(one_slot("resources.max_concurrent=2"), tmp_path, console)
    results = load_results(done.folder)
    assert set(results.trials["status"]) <= {"completed", "stopped"}
    assert len(results.trials) == 8
    assert not results.epochs.duplicated(["trial_id", "epoch"]).any()
    assert list(results.trials["epochs"]) == list(
        results.epochs.groupby("trial_id", observed=True)["epoch"].max()
    )
    (continued,) = results.trials.query("attempt == 2").to_dict("records")
    assert tensorboard_steps(done.folder, continued["trial_id"])[-1] == continued["epochs"]


def test_replicate_that_was_interrupted_goes_on_with_the_same_command(
    monkeypatch, tmp_path, console
):
    spec = one_slot("budget.trials=1", "budget.max_epochs=3")
    folder = runner.start(spec, tmp_path, console).folder
    with monkeypatch.context() as patch:
        interrupted_after(patch, 4)
        with pytest.raises(Interrupted):
            runner.replicate(folder, 1, 2, console)
    assert load_results(folder).running
    runner.replicate(folder, 1, 2, console)
    results = load_results(folder)
    again = results.trials[results.trials["phase"] == "replicate"]
    assert list(again["status"]) == ["completed"] * 4
    assert list(again["epochs"]) == [3] * 4


def test_replicate_reruns_the_best_on_fresh_seeds_once(tmp_path, console):
    spec = one_slot("budget.trials=2", "resources.max_concurrent=2")
    folder = runner.start(spec, tmp_path, console).folder
    runner.replicate(folder, 1, 2, console)
    results = load_results(folder)
    again = results.trials[results.trials["phase"] == "replicate"]
    repeated = results.epochs["trial_id"].isin(set(again["trial_id"]))
    assert results.epochs["test_accuracy"][repeated].notna().all()
    assert results.epochs["test_accuracy"][~repeated].isna().any()
    assert sorted(again["seed"]) == [1, 1, 2, 2]
    assert set(again["status"]) == {"completed"}
    assert set(again["source_trial_id"]) == set(best_configs(results)["trial_id"])
    assert again["labels_fingerprint"].nunique() == 2
    confirmed = best_configs(results, confirmed=True)
    assert list(confirmed["replicates"]) == [2, 2]
    runner.replicate(folder, 1, 3, console)
    pd.testing.assert_frame_equal(
        load_results(folder)
        .trials.query("seed in (1, 2)")
        .reset_index(drop=True)[["trial_id", "ended_at"]]
        .astype(str),
        again.reset_index(drop=True)[["trial_id", "ended_at"]].astype(str),
    )
    assert (load_results(folder).trials["phase"] == "replicate").sum() == 6


def test_asha_promotion_pauses_and_continues_from_the_checkpoint(tmp_path, console):
    spec = one_slot("search.early_stopping=asha_promotion", "budget.trials=6")
    results = load_results(runner.start(spec, tmp_path, console).folder)
    assert set(results.trials["status"]) == {"completed", "stopped"}
    promoted = results.trials.query("attempt > 1")
    assert len(promoted)
    assert not results.epochs.duplicated(["trial_id", "epoch"]).any()
    assert (results.trials["repeated_epochs"].fillna(0) == 0).all()
