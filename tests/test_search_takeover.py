"""Whose a results folder is, and what is in it then: drivers that come one after another."""

import json
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from search import runner, tuner
from search.ownership import Ownership
from spaces.load import SpecError, dump_sweep
from test_search_runner import one_slot
from trainable.storage import Folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def test_start_where_another_driver_is_at_work_is_refused(tmp_path, console):
    folder = Folder.open(tmp_path) / "small"
    folder.write("sweep.toml", dump_sweep(one_slot()).encode())
    first = Ownership(folder, beat=0.1)
    first._sign["host"] = "elsewhere"
    with first, pytest.raises(SpecError, match="is running this sweep; wait for it to end"):
        runner.start(one_slot(), tmp_path, console)
    assert folder.names() == ["sweep.toml"]


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
    monkeypatch.setattr(runner, "Ownership", partial(Ownership, beat=0.05))
    with pytest.raises(runner.Interrupted, match="taken over by process 7 on elsewhere"):
        runner.start(one_slot(), tmp_path, console)
    assert tables_on_disk(folder) == there
