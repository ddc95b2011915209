import errno
import os

import pytest

from trainable.folder import patience
from trainable.folder.patience import patiently
from trainable.folder.storage import Folder, StorageError


@pytest.fixture
def results(tmp_path, monkeypatch):
    folder = Folder.open(tmp_path)
    folder.write("sweep.toml", b"")
    clock = iter(range(1000))
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(patience.time, "sleep", lambda seconds: None)
    return folder


class Fails:
    """Raises an error the first ``times`` calls, then returns the number of calls."""

    def __init__(self, number, times):
        self.number, self.times, self.calls = number, times, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            cause = OSError(self.number, os.strerror(self.number))
            raise StorageError("cannot write") from cause
        return self.calls


def test_patiently_waits_for_a_storage_that_is_away(results):
    assert patiently(results, Fails(errno.EIO, 5)) == 6


def test_patiently_gives_up_in_the_end(results):
    action = Fails(errno.EIO, 10**9)
    with pytest.raises(StorageError, match="cannot write"):
        patiently(results, action, seconds=30)
    assert 1 < action.calls < 40


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_patiently_does_not_wait_for_what_waiting_does_not_mend(results, number):
    action = Fails(number, 10**9)
    with pytest.raises(StorageError, match="cannot write"):
        patiently(results, action)
    assert action.calls == 1


def test_patiently_writes_nothing_around_a_mount_that_went_away(results, tmp_path):
    (tmp_path / "sweep.toml").unlink()
    action = Fails(errno.EIO, 0)
    with pytest.raises(StorageError, match="is gone"):
        patiently(results, action, seconds=5)
    assert action.calls == 0
