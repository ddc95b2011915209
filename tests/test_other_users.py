"""Run as somebody else: without a home, without a name, in folders that are not theirs."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.clusters import PATIENT, python
from tests.recorded import record_sweep
from tests.test_search_cli import SWEEP

NOBODY = "54321"
"""A user id that no entry names."""


def as_nobody(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    identity = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
    return python(*arguments, through=identity, without=("HOME", "USER", "LOGNAME"), **environment)


def _possible() -> bool:
    if os.name == "nt" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    return as_nobody("-c", "import search.__main__").returncode == 0


@pytest.fixture(scope="module")
def place():
    """A folder that everybody may write to; the session's own is its owner's alone."""
    if not _possible():
        pytest.skip("needs root, to be another user, who can read this Python")
    folder = Path(tempfile.mkdtemp(prefix="elr", dir="/tmp"))
    folder.chmod(0o777)
    (folder / "mine.toml").write_text(SWEEP)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_user_without_a_home_is_told_to_set_one(place, command):
    done = as_nobody("-m", "search", command, f"{place}/mine.toml", "--storage", f"{place}/none")
    assert done.returncode == 2
    assert done.stderr == "this user has no home, which Ray needs: set HOME\n"
    assert not (place / "none").exists()


def test_user_without_a_home_has_no_path_there(place):
    done = as_nobody("-m", "analysis", "best", "~/results")
    assert done.returncode == 2
    assert "~/results: no such user, or one without a home" in done.stderr
    assert as_nobody("-m", "search", "presets").returncode == 0


def test_results_of_somebody_else_are_read_and_not_written(place):
    folder = place / "theirs"
    record_sweep(folder)
    before = sorted(path.name for path in folder.rglob("*"))
    assert as_nobody("-m", "analysis", "best", str(folder)).returncode == 0
    done = as_nobody("-m", "analysis", "report", str(folder))
    assert done.returncode == 2
    assert done.stderr.endswith("report.html: Permission denied; --out writes elsewhere\n")
    done = as_nobody("-m", "search", "resume", str(folder), HOME=str(place))
    assert done.returncode == 2
    assert done.stderr == f"cannot write in {folder}: Permission denied\n"
    assert sorted(path.name for path in folder.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.faults
@PATIENT
@pytest.mark.skipif(not os.stat(os.devnull).st_mode & 0o002, reason="/dev/null is root's alone")
def test_user_without_a_name_runs_a_sweep(place):
    """As in a container that is started with any user id."""
    starts_another = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    )
    if as_nobody("-c", starts_another).returncode:
        pytest.skip("the other user may not start this Python")
    arguments = ["run", f"{place}/mine.toml", "--storage", f"{place}/results"]
    refused = as_nobody("-m", "search", *arguments, HOME="/")
    assert refused.returncode == 2
    assert "set HOME to a folder that this user may write" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (place / "results" / "mine").exists()
    done = as_nobody("-m", "search", *arguments, HOME=str(place))
    assert done.returncode == 0, done.stderr
    assert oct((place / ".ray" / "auth_token").stat().st_mode)[-3:] == "600"
