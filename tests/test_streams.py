"""Output whose reader goes, whose disk is full, or whose console lacks the signs."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = f"{sys.executable} -m search presets"


def shell(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def inside(code: str) -> str:
    """A shell's word: Python that runs ``code`` with lasting streams."""
    text = f"from analysis.printed.streams import *\nwith lasting_streams():\n    {code}"
    return f"{sys.executable} -c '{text}'"


def test_reader_that_has_seen_enough_is_no_error():
    done = shell(f"{COMMAND} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_disk_that_is_full_is_said_and_is_an_error():
    done = shell(f"{COMMAND} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "cannot write the output: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_stream_that_was_closed_from_the_start_is_no_error(closed):
    done = shell(f"{COMMAND} {closed}")
    assert (done.returncode, done.stderr) == (0, "")


def test_signs_that_a_console_lacks_become_question_marks():
    done = shell(inside('print("2 trials \\u00b7 1 slot")'), PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "2 trials ? 1 slot\n"), done.stderr


def test_exit_code_outlives_both_streams():
    """As Ctrl-C ends ``2>&1 | tee log`` first."""
    code = 'print("x" * 100000); print("y", file=sys.stderr, flush=True); sys.exit(130)'
    done = shell(f"{inside(code)} 2>&1 | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (130, "")


def test_what_a_person_must_see_goes_to_the_terminal():
    """As after Ctrl-C in ``2>&1 | tee log``: the streams are gone, the terminal is there."""
    code = 'print("gone", flush=True); print("Go on with: resume", file=sys.stderr, flush=True)'
    pid, terminal = pty.fork()
    if pid == 0:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.execvp("bash", ["bash", "-c", inside(code)])
    with open(terminal, "rb", buffering=0) as shown:
        assert shown.readline() == b"Go on with: resume\r\n"
    os.waitpid(pid, 0)
