"""A Ray of our own that dies is noticed, and does not take the last words with it."""

import pytest

from search import compat
from search.cluster import RayFailedError, watch
from search.driver import runner
from spaces.sweep_file import load_sweep
from tests.clusters import python
from tests.test_search_cli import SWEEP

HANGS = """
import threading
from search import compat
from search.cluster.watch import LastResort

compat.dead_process_of_ray = lambda: "raylet"
with LastResort(lambda why: print(why, flush=True), grace=0.1):
    threading.Event().wait()
"""

KILLS = """
import sys
import ray
from search.__main__ import main
from search.driver import tuner

kind = sys.argv.pop(1)
hear = tuner.RecorderCallback.on_trial_result

def heard(callback, *arguments, **info):
    hear(callback, *arguments, **info)
    ray._private.worker._global_node.all_processes[kind][0].process.kill()

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


def test_last_resort_is_silent_where_all_is_well():
    with watch.LastResort(pytest.fail, grace=0.0):
        pass


@pytest.mark.ray
@pytest.mark.faults
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize("kind", ["raylet", "gcs_server"])
def test_sweep_whose_ray_dies_says_how_to_go_on_and_does(tmp_path, console, kind):
    spec = tmp_path / "mine.toml"
    spec.write_text(SWEEP.replace("max_epochs = 2", "max_epochs = 40"))
    done = python("-c", KILLS, kind, "run", str(spec), "--storage", str(tmp_path / "r"))
    assert done.returncode == 1
    assert f"stopped: Ray has died (its {kind})\nGo on with:\n" in done.stderr
    assert f"-m search resume {tmp_path}/r/mine" in done.stderr
    assert "Traceback" not in done.stderr
    assert not runner.start(load_sweep(str(spec)), tmp_path / "r", console).failed
