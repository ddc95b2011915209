"""What happens when things die: the driver, a worker, a file, the disk."""

import errno
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from analysis.results import ResultsError, load_results
from analysis.store import ResultsWriter
from clusters import PATIENCE, PATIENT
from faulty_driver import MOMENTS
from search.driver import runner, tuner
from search.driver.signals import Interrupted
from spaces.sweep_file import dump_sweep, parse_sweep
from test_search_runner import SPEC, assert_equal, one_slot, tables
from trainable.folder.storage import Folder

pytestmark = [PATIENT, pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "small.toml"
    path.write_text(SPEC + "[resources]\nmax_concurrent = 1\n")
    return path


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, ray_session):
    from io import StringIO

    from rich.console import Console

    storage = tmp_path_factory.mktemp("whole")
    return tables(runner.start(one_slot(), storage, Console(file=StringIO())).folder)


def drive(spec_file, storage, moment, count):
    """Run the driver that dies; its exit code."""
    with tempfile.TemporaryDirectory(prefix="elr", dir="/tmp") as temp:
        environment = os.environ | {"PYTHONPATH": str(HERE.parent), "ELR_TEST_TEMP": temp}
        environment["RAY_raylet_start_wait_time_s"] = f"{PATIENCE:g}"
        environment.pop("RAY_ADDRESS", None)
        command = [
            sys.executable,
            HERE / "faulty_driver.py",
            spec_file,
            storage,
            moment,
            str(count),
        ]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )


@pytest.mark.faults
@pytest.mark.parametrize("moment", MOMENTS)
def test_driver_killed_three_times_then_resumed_equals_the_uninterrupted_sweep(
    moment, spec_file, uninterrupted, tmp_path, console
):
    for count in (2, 4, 3):
        done = drive(spec_file, tmp_path, moment, count)
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr[-2000:]
    folder = runner.start(one_slot(), tmp_path, console).folder
    assert_equal(tables(folder), uninterrupted)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("moment", "rule"), list(zip(MOMENTS, itertools.cycle(["asha", "asha_promotion"])))
)
def test_driver_of_two_slots_killed_three_times_loses_and_doubles_nothing(
    moment, rule, tmp_path, console
):
    overrides = (f"search.early_stopping={rule}", "resources.max_concurrent=2")
    spec = parse_sweep(SPEC, overrides)
    spec_file = tmp_path / "small.toml"
    spec_file.write_text(dump_sweep(spec))
    for count in (2, 4, 3):
        done = drive(spec_file, tmp_path, moment, count)
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr[-2000:]
    results = load_results(runner.start(spec, tmp_path, console).folder)
    assert len(results.trials) == 8
    assert set(results.trials["status"]) <= {"completed", "stopped"}
    assert results.trials["end_reason"].str.len().gt(0).all()
    assert sorted(results.epochs["seq"]) == list(range(len(results.epochs)))
    for row in results.trials.to_dict("records"):
        epochs = results.epochs[results.epochs["trial_id"] == row["trial_id"]]["epoch"]
        assert list(epochs) == list(range(1, row["epochs"] + 1))
    assert results.trials.groupby("study", observed=True)["epochs"].max().eq(4).all()


def test_driver_killed_before_a_row_is_resumed_without_loss(
    spec_file, uninterrupted, tmp_path, console
):
    """The quick one of the matrix above, part of every test run."""
    done = drive(spec_file, tmp_path, "between the end of an epoch and its row", 5)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    folder = runner.start(one_slot(), tmp_path, console).folder
    assert_equal(tables(folder), uninterrupted)


def after_result(monkeypatch, count, action):
    """Call ``action(result)`` once, when ``count`` epochs have come in."""
    hear = tuner.RecorderCallback.on_trial_result
    heard = []

    def counted(callback, iteration, trials, trial, result, **info):
        hear(callback, iteration, trials, trial, result, **info)
        heard.append(result)
        if len(heard) == count:
            action(result)

    monkeypatch.setattr(tuner.RecorderCallback, "on_trial_result", counted)


def test_worker_killed_in_an_epoch_starts_again_from_its_checkpoint(
    monkeypatch, uninterrupted, tmp_path, console
):
    after_result(monkeypatch, 6, lambda result: os.kill(result["pid"], signal.SIGKILL))
    done = runner.start(one_slot(), tmp_path, console)
    assert not done.failed
    assert_equal(tables(done.folder), uninterrupted)
    assert load_results(done.folder).trials["attempt"].max() == 2
    # A busy Ray does not know yet that it is dead.
    assert re.search(r"The actor (died|\S+ is unavailable)", console.file.getvalue())


def test_trial_that_always_breaks_has_failed_and_the_others_have_not(tmp_path, console):
    """A checkpoint folder that is a file: every trial of one study fails to save."""
    (tmp_path / "small").mkdir()
    spec = one_slot("resources.max_failures=1", "budget.trials=1")
    runner.Folder.open(tmp_path / "small").write("sweep.toml", dump_sweep(spec).encode())
    (tmp_path / "small" / "checkpoints").mkdir()
    (tmp_path / "small" / "checkpoints" / "symmetric-0.4-ce-0000").write_text("in the way")
    ResultsWriter(Folder.open(tmp_path / "small")).write_trials([])
    done = runner.start(spec, tmp_path, console)
    assert [trial.trial_id for trial in done.failed] == ["symmetric-0.4-ce-0000"]
    trials = load_results(done.folder).trials.set_index("trial_id")
    assert trials.status["symmetric-0.4-ce-0000"] == "failed"
    assert "StorageError" in trials.end_reason["symmetric-0.4-ce-0000"]
    assert trials.attempt["symmetric-0.4-ce-0000"] == 2
    assert trials.status["symmetric-0.4-adam_elr-0000"] == "completed"


def test_checkpoint_cut_short_falls_back_to_the_one_before_and_says_so(
    spec_file, uninterrupted, tmp_path, console
):
    drive(spec_file, tmp_path, "between the end of an epoch and its row", 3)
    checkpoints = sorted((tmp_path / "small" / "checkpoints" / "symmetric-0.4-ce-0000").iterdir())
    newest = checkpoints[-1]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    folder = runner.start(one_slot(), tmp_path, console).folder
    assert_equal(tables(folder), uninterrupted)
    assert f"{newest.name} is damaged" in console.file.getvalue()


def test_part_file_cut_short_stops_with_its_path(spec_file, tmp_path, console):
    drive(spec_file, tmp_path, "between the epochs and the trials table", 1)
    part = next((tmp_path / "small" / "epochs").rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(ResultsError, match=re.escape(str(part))):
        runner.start(one_slot(), tmp_path, console)


def storage_that_fails(monkeypatch, error, seconds):
    """From now on, for ``seconds``, every write of the driver raises ``error``."""
    begin, put = time.monotonic(), Folder._put

    def failing(folder, path, data):
        if time.monotonic() < begin + seconds:
            raise error
        put(folder, path, data)

    monkeypatch.setattr(Folder, "_put", failing)


def test_full_disk_stops_with_a_clear_error_and_damages_nothing(
    monkeypatch, uninterrupted, tmp_path, console
):
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        after_result(patch, 6, lambda result: storage_that_fails(patch, full, 1e9))
        with pytest.raises(Interrupted, match="No space left on device"):
            runner.start(one_slot(), tmp_path, console)
    assert load_results(tmp_path / "small").running
    assert_equal(tables(runner.start(one_slot(), tmp_path, console).folder), uninterrupted)


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of its own, of so many kilobytes; the last one is the one that is there."""
    mounted = []

    def mount(place: Path, kilobytes: int) -> None:
        place.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        mounted.append(place)

    yield mount
    for place in reversed(mounted):
        subprocess.run(["umount", str(place)], check=True)


def test_disk_too_small_for_checkpoints_stops_the_sweep_and_fails_no_trial(
    uninterrupted, tmp_path, console, small_disk
):
    """The tables lie on a disk with room, the checkpoints on one without."""
    spec = one_slot()
    folder = Folder.open(tmp_path / "small")
    folder.write("sweep.toml", dump_sweep(spec).encode())
    ResultsWriter(folder).write_trials([])
    small_disk(tmp_path / "small" / "checkpoints", 20)
    with pytest.raises(Interrupted, match="No space left on device"):
        runner.start(spec, tmp_path, console)
    assert set(load_results(folder).trials["status"]) == {"running"}
    small_disk(tmp_path / "small" / "checkpoints", 10_000)
    done = runner.start(spec, tmp_path, console)
    assert not done.failed
    assert_equal(tables(folder), uninterrupted)


def test_storage_that_is_away_for_ten_seconds_is_waited_for(
    monkeypatch, uninterrupted, tmp_path, console
):
    away = OSError(errno.EIO, os.strerror(errno.EIO))
    after_result(monkeypatch, 6, lambda result: storage_that_fails(monkeypatch, away, 10))
    folder = runner.start(one_slot(), tmp_path, console).folder
    assert_equal(tables(folder), uninterrupted)


def test_folder_that_is_moved_away_for_a_while_is_not_made_anew(
    monkeypatch, uninterrupted, tmp_path, console
):
    """Tune copies its logs whenever it likes: here at the worst moment."""
    there, away = tmp_path / "small", tmp_path / "elsewhere"
    hear, made_anew = tuner.RecorderCallback.on_trial_result, []

    def moved(callback, iteration, trials, trial, result, **info):
        hear(callback, iteration, trials, trial, result, **info)
        if not made_anew:
            tune = trial.storage
            there.rename(away)
            tune.syncer.wait()
            tune.syncer.sync_up(tune.experiment_driver_staging_path, tune.experiment_fs_path)
            with pytest.raises(FileNotFoundError):
                tune.syncer.wait()
            made_anew.append(there.exists())
            away.rename(there)

    monkeypatch.setattr(tuner.RecorderCallback, "on_trial_result", moved)
    folder = runner.start(one_slot(), tmp_path, console).folder
    assert made_anew == [False]
    assert list((there / "tune").rglob("events.out.tfevents*"))
    assert_equal(tables(folder), uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_the_sweep_goes_on_later(
    number, monkeypatch, uninterrupted, tmp_path, console
):
    with monkeypatch.context() as patch:
        after_result(patch, 6, lambda result: os.kill(os.getpid(), number))
        with pytest.raises(Interrupted, match="interrupted"):
            runner.start(one_slot(), tmp_path, console)
    assert len(load_results(tmp_path / "small").epochs) == 6
    assert_equal(tables(runner.start(one_slot(), tmp_path, console).folder), uninterrupted)
