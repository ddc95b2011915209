"""A Ray of our own that dies is noticed, and does not take the last words with it."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from search import __main__ as main
from search import compat
from search.cluster import RayFailedError, watch
from search.driver import runner
from search.driver.shell import python as python_here
from spaces.sweep_file import load_sweep
from tests.clusters import PATIENT, python
from tests.test_search_cli import SWEEP
from trainable.folder.storage import Folder

HANGS = """
import threading
from search import compat
from search.cluster.watch import last_resort

compat.dead_process_of_ray = lambda: "raylet"
with last_resort(lambda why: print(why, flush=True), grace=0.1):
    threading.Event().wait()
"""

KILLS = """
import sys
import ray
from search.__main__ import main
from search.driver import tuner

kind, end = sys.argv.pop(1).split()
hear = tuner.RecorderCallback.on_trial_result

def heard(callback, *arguments, **info):
    hear(callback, *arguments, **info)
    getattr(ray._private.worker._global_node.all_processes[kind][0].process, end)()

tuner.RecorderCallback.on_trial_result = heard
main()
"""


def test_no_ray_is_no_dead_ray():
    watch.check_alive()


def test_process_that_died_is_named(monkeypatch):
    monkeypatch.setattr(compat, "dead_process_of_ray", lambda: "gcs_server")
    with pytest.raises(RayFailedError, match=r"^Ray has died \(its gcs_server\)$"):
        watch.check_alive()


def test_process_that_hangs_in_a_ray_that_died_ends_with_its_last_words():
    done = python("-c", HANGS)
    assert (done.returncode, done.stdout) == (1, "stopped: Ray has died (its raylet)\n")


def test_process_that_hangs_ends_even_if_its_last_words_fail():
    mute = HANGS.replace("print(why, flush=True)", "1 / 0")
    assert python("-c", mute).returncode == 1


def test_last_words_ask_no_storage_which_may_be_away_too(monkeypatch, capfd, tmp_path):
    """They are ready before: where the folder is asked, it never answers."""
    said = []
    monkeypatch.setattr(main, "last_resort", lambda say: said.append(say) or nullcontext())
    monkeypatch.setattr(main, "_say", lambda finished: None)
    folder = Folder.open(tmp_path / "mine")
    main._end(lambda runner: SimpleNamespace(failed=()), folder)
    monkeypatch.setattr(Folder, "exists", lambda *_: pytest.fail("asked"))
    said[0]("stopped: Ray has died")
    assert capfd.readouterr().err.startswith(
        f"stopped: Ray has died\nGo on with:\n  {python_here()} -m search resume {folder}\n"
    )


ENDS = """
import os, sys
from contextlib import closing
from search.cluster.watch import LastWords

with closing(LastWords("it's said:\\n  go on")) as words:
    {}
"""


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_process_that_is_ended_within_leaves_its_last_words(end):
    done = python("-c", ENDS.format(end))
    assert (done.returncode, done.stderr) == (
        {"os._exit(3)": 3}.get(end, -9),
        "it's said:\n  go on\n",
    )


@pytest.mark.parametrize("end", ["pass", "sys.exit(3)", "words.close(); os._exit(3)"])
def test_process_that_leaves_has_no_last_words(end):
    assert not python("-c", ENDS.format(end)).stderr


def test_last_resort_is_silent_where_all_is_well():
    with watch.last_resort(pytest.fail, grace=0.0):
        pass


@pytest.mark.ray
@pytest.mark.faults
@PATIENT
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("raylet kill", "Ray has died (its raylet)"),
        ("gcs_server kill", "Ray has died (its gcs_server)"),
        ("raylet terminate", "killed, or ended by Ray"),
    ],
)
def test_sweep_whose_ray_dies_says_how_to_go_on_and_does(tmp_path, console, end, why):
    spec = tmp_path / "mine.toml"
    spec.write_text(SWEEP.replace("max_epochs = 2", "max_epochs = 40"))
    done = python("-c", KILLS, end, "run", str(spec), "--storage", str(tmp_path / "r"))
    assert done.returncode == 1
    assert f"stopped: {why}\nGo on with:\n" in done.stderr
    assert f"-m search resume {tmp_path}/r/mine" in done.stderr
    assert "Traceback" not in done.stderr
    assert not runner.start(load_sweep(str(spec)), tmp_path / "r", console).failed
