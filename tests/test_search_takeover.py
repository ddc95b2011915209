"""Whose a results folder is, and what is in it then: drivers that come one after another."""

import json
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from search.driver import run, runner, tuner
from search.driver.ownership import Ownership
from search.driver.signals import Interrupted
from spaces.sweep_file import SpecError, dump_sweep
from test_search_runner import one_slot
from trainable.folder.storage import Folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


@pytest.fixture
def _stopped_before_training(monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "_train", stop)


@contextmanager
def once_owned(monkeypatch, action):
    """Do ``action`` while the driver waits to see whether another one lives."""
    enter = Ownership.__enter__
    with monkeypatch.context() as patch:
        patch.setattr(Ownership, "__enter__", lambda owned: (action(), enter(owned))[1])
        yield


def test_start_where_another_driver_is_at_work_is_refused(tmp_path, console):
    folder = Folder.open(tmp_path) / "small"
    folder.write("sweep.toml", dump_sweep(one_slot()).encode())
    first = Ownership(folder, beat=0.1)
    first._sign["host"] = "elsewhere"
    with first, pytest.raises(SpecError, match="is running this sweep; wait for it to end"):
        runner.start(one_slot(), tmp_path, console)
    assert folder.names() == ["sweep.toml"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [(("seed=7",), "seed: 7 there, 0 here"), ((), "asks for 64 CPUs")],
)
def test_start_looks_again_at_what_another_driver_left_when_it_ended(
    monkeypatch, tmp_path, console, overrides, message
):
    """It began in what was then an empty folder: what has come since is never undone."""
    folder = Folder.open(tmp_path) / "small"

    def first_driver():
        folder.write("sweep.toml", dump_sweep(one_slot(*overrides)).encode())
        (folder / "epochs").write("rows", b"precious")

    too_much = one_slot("resources.cpus_per_trial=64")
    with once_owned(monkeypatch, first_driver), pytest.raises(SpecError, match=message):
        runner.start(too_much, tmp_path, console)
    assert runner.read_spec(folder) == one_slot(*overrides)
    assert (folder / "epochs").read("rows") == b"precious"
    assert not folder.exists("owner.json")


@pytest.mark.usefixtures("_stopped_before_training")
def test_extend_adds_to_what_another_extend_has_asked_for_meanwhile(
    monkeypatch, tmp_path, console
):
    folder = Folder.open(tmp_path) / "small"
    folder.write("sweep.toml", dump_sweep(one_slot()).encode())
    meanwhile = dump_sweep(one_slot("budget.trials=10")).encode()
    with (
        once_owned(monkeypatch, lambda: folder.write("sweep.toml", meanwhile)),
        pytest.raises(KeyboardInterrupt),
    ):
        runner.extend(folder, 3, console)
    assert runner.read_spec(folder).budget.trials == 13


@pytest.mark.usefixtures("_stopped_before_training")
def test_start_keeps_what_may_change_for_the_commands_that_come_next(tmp_path, console):
    folder = Folder.open(tmp_path) / "small"
    folder.write("sweep.toml", dump_sweep(one_slot("data.root=/old")).encode())
    moved = one_slot("data.root=/new", "resources.cpus_per_trial=2")
    with pytest.raises(KeyboardInterrupt):
        runner.start(moved, tmp_path, console)
    assert runner.read_spec(folder) == moved


def test_start_with_resources_that_are_refused_leaves_the_sweep_as_it_was(tmp_path, console):
    folder = Folder.open(tmp_path) / "small"
    folder.write("sweep.toml", dump_sweep(one_slot()).encode())
    with pytest.raises(SpecError, match="asks for 64 CPUs"):
        runner.start(one_slot("resources.cpus_per_trial=64"), tmp_path, console)
    assert runner.read_spec(folder) == one_slot()
    assert not folder.exists("owner.json")


def tables_on_disk(folder):
    root = Path(folder.location)
    files = [p for p in root.rglob("*.parquet") if "tune" not in p.parts]
    return {str(p.relative_to(root)): p.read_bytes() for p in files} | {
        "sweep.toml": folder.read("sweep.toml"),
        "owner.json": folder.read("owner.json"),
    }


def test_driver_that_was_taken_over_stops_and_writes_nothing_more(monkeypatch, tmp_path, console):
    """Not the epoch that it has in memory either: its successor trains that anew."""
    folder = Folder.open(tmp_path) / "small"
    hear, heard, there = tuner.RecorderCallback.on_trial_result, [], {}

    def taken_over(callback, *arguments, **info):
        hear(callback, *arguments, **info)
        heard.append(1)
        if len(heard) == 4:
            if (writing := callback._recorder._writing) is not None:
                writing.result()
            other = {"id": "other", "host": "elsewhere", "pid": 7, "since": "now", "beat": 1}
            folder.write("owner.json", json.dumps(other).encode())
            while any(thread.name == "ownership" for thread in threading.enumerate()):
                time.sleep(0.01)
            there.update(tables_on_disk(folder))

    monkeypatch.setattr(tuner.RecorderCallback, "on_trial_result", taken_over)
    monkeypatch.setattr(run, "Ownership", partial(Ownership, beat=0.05))
    with pytest.raises(Interrupted, match="taken over by process 7 on elsewhere"):
        runner.start(one_slot(), tmp_path, console)
    assert tables_on_disk(folder) == there
