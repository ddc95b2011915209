import json
import os
import socket
import subprocess
import sys

import pytest

from search.ownership import OWNER, Ownership
from spaces.load import SpecError
from trainable.storage import Folder, StorageError

FAST = {"beat": 0.05, "lapse": 0.5}


@pytest.fixture
def folder(tmp_path):
    return Folder.open(tmp_path)


def sign(folder, **changes):
    """Somebody else's sign of life."""
    there = {"id": "other", "host": "elsewhere", "pid": 7, "since": "2026-01-01T00:00", "beat": 1}
    folder.write(OWNER, json.dumps(there | changes).encode())


def owner(folder):
    return json.loads(folder.read(OWNER))


def test_owner_shows_life_and_leaves_no_trace(folder):
    with Ownership(folder, **FAST) as owned:
        first = owner(folder)
        assert (first["host"], first["pid"]) == (socket.gethostname(), os.getpid())
        owned._ended.wait(0.3)
        assert owner(folder)["beat"] > first["beat"]
        owned.check()
    assert not folder.exists(OWNER)


def test_second_owner_is_refused_by_name_while_the_first_lives(folder):
    said = []
    with Ownership(folder, **FAST):
        there = owner(folder)
        # As the newcomer on another machine sees it: no process of its own.
        folder.write(OWNER, json.dumps(there | {"host": "elsewhere"}).encode())
        with pytest.raises(SpecError, match=f"process {os.getpid()} on .* is running this sweep"):
            Ownership(folder, said.append, **FAST).__enter__()
        assert owner(folder)["id"] == there["id"]
    assert "waiting 0.5 s" in said[0]


def test_owner_that_shows_no_life_is_taken_over(folder):
    sign(folder)
    with Ownership(folder, **FAST):
        assert owner(folder)["id"] != "other"


def test_owner_that_died_on_this_machine_is_taken_over_at_once(folder):
    died = subprocess.Popen([sys.executable, "-c", ""])
    died.wait()
    sign(folder, host=socket.gethostname(), pid=died.pid)
    with Ownership(folder, pytest.fail):
        assert owner(folder)["pid"] == os.getpid()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"beat": 1'])
def test_owner_file_that_says_nothing_is_nobodys(folder, content):
    folder.write(OWNER, content)
    with Ownership(folder, pytest.fail):
        pass


def test_owner_that_was_taken_for_dead_stops(folder):
    with Ownership(folder, **FAST) as owned:
        sign(folder)
        owned._thread.join(10)
        with pytest.raises(StorageError, match="was taken over by process 7 on elsewhere"):
            owned.check()
    assert owner(folder)["id"] == "other"
