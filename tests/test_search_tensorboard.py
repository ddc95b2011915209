"""The TensorBoard events of a trial, read back from its file."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.record_writer import RecordWriter

from event_files import read_events
from search.driver.tensorboard import EVENTS, TensorBoardCallback
from search.studies.round_robin import Sweep
from simulated import assignment
from spaces.sweep_file import load_sweep
from trainable.metrics import EpochMetrics


@pytest.fixture
def trial(tmp_path):
    """A trial as Tune shows it to its callbacks, with a folder of its own."""
    ours = Sweep.build(load_sweep("quickstart")).deal()
    return SimpleNamespace(
        trial_id=ours.trial_id,
        local_path=str(tmp_path),
        config={"assignment": assignment(ours, rungs=(1, 3))},
        last_result={},
    )


def events(trial):
    return list(read_events(Path(trial.local_path, EVENTS)))


def report(trial, *epochs):
    callback = TensorBoardCallback()
    callback.log_trial_start(trial)
    for metrics in epochs:
        trial.last_result = {"metrics": metrics}
        callback.log_trial_result(1, trial, trial.last_result)
    return callback


def test_an_epoch_is_there_at_once_with_what_was_measured(trial):
    report(trial, EpochMetrics(3, val_accuracy=0.25), EpochMetrics(4, val_accuracy=0.5, lr=0.125))
    begin, *epochs = events(trial)
    assert begin.file_version == "brain.Event:2"
    assert [
        (event.step, {value.tag: value.simple_value for value in event.summary.value})
        for event in epochs
    ] == [
        (3, {"ray/tune/epoch": 3, "ray/tune/val_accuracy": 0.25}),
        (4, {"ray/tune/epoch": 4, "ray/tune/val_accuracy": 0.5, "ray/tune/lr": 0.125}),
    ]


def test_records_are_those_of_tensorboardx(trial, tmp_path):
    report(trial, EpochMetrics(1, val_accuracy=0.25)).log_trial_end(trial)
    theirs = RecordWriter(str(tmp_path / "theirs"))
    for event in events(trial):
        theirs.write(event.SerializeToString())
    theirs.close()
    assert (tmp_path / EVENTS).read_bytes() == (tmp_path / "theirs").read_bytes()


def test_file_that_takes_no_more_ends_there_and_ends_nothing_else(trial, tmp_path, caplog):
    callback = report(trial, EpochMetrics(1, val_accuracy=0.25))
    (tmp_path / EVENTS).rename(tmp_path / "kept")
    (tmp_path / EVENTS).mkdir()
    for epoch in (2, 3):
        callback.log_trial_result(1, trial, {"metrics": EpochMetrics(epoch)})
    (tmp_path / EVENTS).rmdir()
    callback.log_trial_end(trial)
    assert not (tmp_path / EVENTS).exists()
    (record,) = caplog.records
    assert record.getMessage().startswith("no more TensorBoard events")


def test_settings_come_with_the_end(trial):
    report(trial, EpochMetrics(1, val_accuracy=0.25)).log_trial_end(trial)
    content = [
        HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for event in events(trial)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "hparams"
    ]
    (experiment,) = [c.experiment for c in content if c.HasField("experiment")]
    assert {metric.name.tag for metric in experiment.metric_infos} >= {"ray/tune/val_accuracy"}
    (started,) = [c.session_start_info for c in content if c.HasField("session_start_info")]
    config = trial.config["assignment"].config
    assert started.hparams["config/lr"].number_value == config["lr"]
    assert started.hparams["config/noise/kind"].string_value == config["noise"]["kind"]


def test_a_trial_that_reached_nothing_has_no_settings(trial):
    report(trial).log_trial_end(trial, failed=True)
    assert len(events(trial)) == 1
