import json
import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from search.driver.ownership import OWNER, Ownership, OwnershipLost
from spaces.sweep_file import SpecError
from trainable.folder.storage import Folder, StorageError

FAST = {"beat": 0.05, "lapse": 0.5}
BY_HAND = {"beat": 30.0, "lapse": 1e6}
"""No thread comes in between: a test gives every sign of life itself."""


@pytest.fixture
def folder(tmp_path):
    return Folder.open(tmp_path)


def sign(folder, **changes):
    """Somebody else's sign of life."""
    there = {"id": "other", "host": "elsewhere", "pid": 7, "since": "2026-01-01T00:00", "beat": 1}
    folder.write(OWNER, json.dumps(there | changes).encode())


def owner(folder):
    return json.loads(folder.read(OWNER))


def silent(owned):
    """Let its last sign of life be very old."""
    owned._shown = -1e9


def test_owner_shows_life_and_leaves_no_trace(folder):
    with Ownership(folder, **FAST) as owned:
        first = owner(folder)
        assert (first["host"], first["pid"]) == (socket.gethostname(), os.getpid())
        deadline = time.monotonic() + 30
        while owner(folder)["beat"] == first["beat"] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert owner(folder)["beat"] > first["beat"]
        owned.check()
    assert not folder.exists(OWNER)


def test_second_owner_is_refused_by_name_while_the_first_lives(folder):
    first, said = Ownership(folder, **BY_HAND), []
    # As the newcomer on another machine sees it: no process of its own.
    first._sign["host"] = "elsewhere"

    def note(text):
        said.append(text)
        first._show()

    with first:
        with pytest.raises(SpecError, match=f"process {os.getpid()} on .* is running this sweep"):
            Ownership(folder, note, beat=0.05, lapse=60).__enter__()
        assert owner(folder)["id"] == first._sign["id"]
    assert "waiting 60 s" in said[0]


def test_owner_whose_first_sign_another_replaces_is_refused(folder, monkeypatch):
    """Two come at the same moment: whose sign stays has the folder."""
    newcomer, write = Ownership(folder, **BY_HAND), Ownership._write
    monkeypatch.setattr(Ownership, "_write", lambda owned: (write(owned), sign(folder)))
    with pytest.raises(SpecError, match=r"process 7 on elsewhere .* is running this sweep"):
        newcomer.__enter__()
    assert owner(folder)["id"] == "other"


def test_owner_who_is_written_over_a_moment_later_is_refused(folder, monkeypatch):
    """Two write within a moment, and each reads its own sign right after."""
    monkeypatch.setattr(time, "sleep", lambda seconds: sign(folder))
    with pytest.raises(SpecError, match=r"process 7 on elsewhere .* is running this sweep"):
        Ownership(folder, **BY_HAND).__enter__()


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


def test_owner_with_a_number_that_no_process_has_is_taken_over_at_once(folder):
    sign(folder, host=socket.gethostname(), pid=10**30)
    with Ownership(folder, pytest.fail):
        assert owner(folder)["pid"] == os.getpid()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"beat": 1', b"[" * 99_999])
def test_owner_file_that_says_nothing_is_nobodys(folder, content):
    folder.write(OWNER, content)
    with Ownership(folder, pytest.fail):
        pass


def test_owner_that_was_taken_for_dead_stops(folder):
    with Ownership(folder, **BY_HAND) as owned:
        sign(folder)
        owned.check()
        for _ in range(2):
            with pytest.raises(OwnershipLost, match="was taken over by process 7 on elsewhere"):
                owned._show()
        with pytest.raises(OwnershipLost, match="process 7"):
            owned.check()
    assert owner(folder)["id"] == "other"


def test_confirm_looks_only_after_a_silence(folder):
    with Ownership(folder, **BY_HAND) as owned:
        sign(folder)
        owned.confirm()
        silent(owned)
        with pytest.raises(OwnershipLost, match="process 7 on elsewhere"):
            owned.confirm()
    assert owner(folder)["id"] == "other"


def test_owner_whose_successor_has_ended_has_lost_the_folder(folder):
    folder.write("sweep.toml", b"")
    with Ownership(folder, **BY_HAND) as owned:
        folder.delete(OWNER)
        silent(owned)
        with pytest.raises(OwnershipLost, match="taken over by another driver, which has ended"):
            owned.confirm()
    assert folder.names() == ["sweep.toml"]


def test_owner_whose_sign_somebody_deleted_shows_it_again(folder):
    folder.write("sweep.toml", b"")
    with Ownership(folder, **BY_HAND) as owned:
        folder.delete(OWNER)
        owned._show()
        assert owner(folder)["id"] == owned._sign["id"]


def test_folder_that_is_away_is_not_made_anew(tmp_path):
    folder = Folder.open(tmp_path) / "mount"
    with Ownership(folder, **BY_HAND) as owned:
        Folder.open(tmp_path).delete("mount")
        silent(owned)
        with pytest.raises(StorageError, match="mount is gone"):
            owned.confirm()
        owned.check()
    assert not (tmp_path / "mount").exists()


def test_late_sign_does_not_win_the_folder_back(folder, monkeypatch):
    """One that hung in the storage while a successor came, and then fell on its sign."""
    old, new, write = Ownership(folder, **BY_HAND), Ownership(folder, **BY_HAND), Ownership._write
    with old:

        def hangs(owned):
            monkeypatch.setattr(Ownership, "_write", write)
            new.__enter__()
            write(owned)

        monkeypatch.setattr(Ownership, "_write", hangs)
        clock = SimpleNamespace(**vars(time) | {"sleep": lambda seconds: new._show()})
        monkeypatch.setattr("search.driver.ownership.time", clock)
        silent(old)
        with pytest.raises(OwnershipLost, match="was taken over by process"):
            old.confirm()
        new.check()
        assert owner(folder)["id"] == new._sign["id"]
        new.release()


def test_release_takes_its_sign_and_an_empty_folder_but_nothing_of_another_s(tmp_path):
    new = Folder.open(tmp_path) / "new"
    with Ownership(new, **BY_HAND):
        assert new.names() == [OWNER]
    assert not Folder.open(tmp_path).exists("new")
    with Ownership(new, **BY_HAND):
        new.write("sweep.toml", b"")
    assert new.names() == ["sweep.toml"]
    with Ownership(new, **BY_HAND):
        sign(new)
    assert owner(new)["id"] == "other"
