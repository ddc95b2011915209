"""Ray that does not start, clusters that do not answer, and the cores there are."""

import os
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from search.__main__ import app
from search.cluster import RayFailedError, cores, join
from spaces.sweep_file import SpecError, dump_sweep, parse_sweep
from tests.clusters import PATIENT, python
from tests.test_search_cli import SWEEP, refused, tree

TIMED_OUT = "The current node timed out during startup. This could happen because …"


@pytest.fixture
def init(monkeypatch):
    """Stands in for ``ray.init``: what it was called with, and what it is to raise, in turn."""
    calls, errors = [], []

    def called(**settings):
        calls.append(settings)
        if errors and (error := errors.pop(0)):
            raise error

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", called)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    return calls, errors


def test_start_that_takes_too_long_is_tried_once_more(init):
    calls, errors = init
    errors += [Exception(TIMED_OUT), None]
    join.connect()
    assert len(calls) == 2
    errors += [Exception(TIMED_OUT)] * 2
    with pytest.raises(RayFailedError, match=r"did not start within its time, twice: The current"):
        join.connect()
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("error", "environment", "cure"),
    [
        (OSError("AF_UNIX path length cannot exceed 107 bytes"), {}, "RAY_TMPDIR"),
        (PermissionError(13, "Permission denied", "/tmp/ray"), {}, "RAY_TMPDIR"),
        (RuntimeError("no\ntoken"), {"RAY_AUTH_MODE": "token"}, "no token (RAY_AUTH_MODE=tok"),
        (KeyError("getpwuid(): uid not found: 5"), {"HOME": ""}, "set HOME and USER"),
        (PermissionError(13, "Permission denied", "/.ray"), {"HOME": "/"}, "set HOME to a folder"),
    ],
)
def test_start_that_fails_names_the_cure(init, monkeypatch, error, environment, cure):
    calls, errors = init
    errors.append(error)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SpecError, match=r"^cannot start Ray: ") as found:
        join.connect()
    assert cure in str(found.value)
    assert "\n" not in str(found.value)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("error", "code"), [(OSError("no room"), 2), (Exception(TIMED_OUT), 1)], ids=["cannot", "slow"]
)
@pytest.mark.parametrize("command", ["run", "extend", "resume"])
def test_ray_that_does_not_start_leaves_the_folder_as_it_was(init, tmp_path, command, error, code):
    init[1].extend([error] * 4)
    (tmp_path / "mine.toml").write_text(SWEEP)
    arguments = ["run", str(tmp_path / "mine.toml"), "--storage", str(tmp_path / "results")]
    if command != "run":
        folder = tmp_path / "results" / "mine"
        folder.mkdir(parents=True)
        (folder / "sweep.toml").write_text(dump_sweep(parse_sweep(SWEEP)))
        (folder / ".sweep.toml.0a1b2c3d.tmp").write_text("half of one")
        arguments = [command, str(folder), *(["--trials", "2"] if command == "extend" else [])]
    before = tree(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert "Ray" in line
    assert tree(tmp_path) == before
    assert (tmp_path / "results").exists() == (command != "run") or not list(
        (tmp_path / "results").iterdir()
    )


def test_temporary_folder_too_long_for_sockets_is_not_used(init, monkeypatch, tmp_path):
    long = tmp_path / ("slurm-job-" * 8)
    long.mkdir()
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.setenv(name, str(long))
        join.connect()
        assert init[0][-1]["_temp_dir"] == f"/tmp/ray-{os.getuid()}"
        monkeypatch.delenv(name)
    join.connect()
    assert "_temp_dir" not in init[0][-1]


def test_folder_of_another_user_is_not_used(init, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).endswith("ray"))
    monkeypatch.setattr(Path, "exists", lambda path: True)
    join.connect()
    assert init[0][-1]["_temp_dir"] == f"/tmp/ray-{os.getuid()}"


def test_token_that_ray_leaves_readable_is_made_private(init, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    join.connect()
    assert oct(token.stat().st_mode)[-3:] == "600"


@pytest.mark.slow
@pytest.mark.ray
@PATIENT
def test_ray_starts_where_the_temporary_folder_has_a_long_name(tmp_path):
    long = tmp_path / ("slurm-job-" * 8)
    long.mkdir()
    script = "import ray; from search.cluster.join import connect; connect(num_cpus=1);"
    done = python("-c", script + "print(ray.cluster_resources()['CPU'])", TMPDIR=str(long))
    assert done.stdout == "1.0\n", done.stderr


# -- clusters that do not answer ------------------------------------------------------------------


@pytest.fixture
def silent():
    """The address of something that listens, takes what comes, and says nothing."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as taken:
        server.settimeout(0.05)  # so that the thread looks whether it is over
        accepting = threading.Thread(target=_accept, args=(server, taken, over))
        accepting.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        over.set()
        accepting.join()


def _accept(server, taken, over):
    while not over.is_set():
        with suppress(TimeoutError):
            taken.enter_context(server.accept()[0])


def test_what_is_no_ray_is_given_up_after_the_limit(init, monkeypatch, silent):
    monkeypatch.setenv("RAY_ADDRESS", silent)
    with pytest.raises(SpecError, match=r"has not answered as Ray does within 0\.3 s"):
        join.connect(seconds=0.3)
    assert not init[0]


def test_limit_comes_from_the_sweep_file(init, monkeypatch, silent, tmp_path):
    (tmp_path / "mine.toml").write_text(SWEEP)
    monkeypatch.setenv("RAY_ADDRESS", silent)
    arguments = ["--storage", tmp_path / "r", "--set", "resources.join_seconds=0.2"]
    assert "within 0.2 s" in refused("run", tmp_path / "mine.toml", *arguments)


def test_cluster_that_died_is_named(init, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr("search.compat.address_of_ray_here", lambda: "127.0.0.1:1")
    with pytest.raises(SpecError, match=r"^RAY_ADDRESS=auto \(127.0.0.1:1\): no Ray cluster ans"):
        join.connect()
    monkeypatch.setattr("search.compat.address_of_ray_here", lambda: None)
    with pytest.raises(SpecError, match="no Ray runs on this machine"):
        join.connect()


def test_address_of_the_jobs_api_is_told_from_the_cluster_s(init, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(SpecError, match=r"ray job submit --address http://127\.0\.0\.1:8265"):
        join.connect()


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_living_ray_answers():
    import ray

    join._check_answers(ray.get_runtime_context().gcs_address, 60.0)
    with pytest.raises(SpecError):
        join._check_answers("127.0.0.1:1", 60.0)


# -- cores ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_cores_outside_the_affinity_do_not_count():
    one = min(os.sched_getaffinity(0))
    script = f"import os; os.sched_setaffinity(0, {{{one}}});"
    script += "from search.cluster.cores import usable_cores; print(usable_cores())"
    assert python("-c", script).stdout == "1\n"


@pytest.mark.parametrize(
    ("own", "files", "cores_there"),
    [
        ("0::/", {"cpu.max": "max 100000"}, 64),
        ("0::/", {"cpu.max": "250000 100000"}, 2),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/job/step", {"job/cpu.max": "300000 100000", "job/step/cpu.max": "max 100000"}, 3),
        (
            "4:cpu,cpuacct:/job",
            {
                "cpu,cpuacct/job/cpu.cfs_quota_us": "400000",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            "4:cpu,cpuacct:/",
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            64,
        ),
        ("0::/not/mounted/here", {}, 64),
    ],
)
def test_cores_follow_the_quota_of_a_container(monkeypatch, tmp_path, own, files, cores_there):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(64)), raising=False)
    (tmp_path / "self").write_text(f"{own}\n")
    for name, text in files.items():
        path = tmp_path / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    monkeypatch.setattr(cores, "OWN_CGROUPS", tmp_path / "self")
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "fs")
    assert cores.usable_cores() == cores_there


def test_ray_of_our_own_is_given_the_usable_cores(init, monkeypatch):
    monkeypatch.setattr(join, "usable_cores", lambda: 3)
    join.connect()
    assert init[0][-1]["num_cpus"] == 3


def test_driver_s_own_threads_are_the_usable_cores(monkeypatch):
    """torch knows the affinity by itself, but not the quota of a container."""
    code = """
import os
import search.__main__ as command

def app():
    import torch
    print(torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])

command.usable_cores, command.app = lambda: 1, app
command.main()
"""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert python("-c", code).stdout == "1 1\n"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as the user says
    assert python("-c", code).stdout.endswith(" 2\n")
