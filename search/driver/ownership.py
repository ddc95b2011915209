"""One driver a results folder: whoever writes to it leaves a sign of life there.

    owner.json    who runs the sweep, written again every few seconds; gone when it ends

No two clocks are compared: a newcomer watches the file, and if it does not change, its owner is
dead. An owner that was only slow finds the newcomer's sign, or has its own replaced by it, and
writes nothing more.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from spaces.sweep_file import SpecError
from trainable.folder.layout import OWNER
from trainable.folder.storage import Folder, MissingError, StorageError

BEAT_SECONDS = 5.0
"""How often a driver shows that it is alive."""
LAPSE_SECONDS = 20.0
"""A driver that has shown nothing for so long is dead."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that also counts while the machine sleeps, where there is one."""


class OwnershipLost(Exception):
    """Another driver has the folder now: nothing more is to be written there."""


class Ownership:
    """Keeps a results folder for this process, as a context.

    Entering raises SpecError while another driver is alive; one that has died, on this machine or
    elsewhere, is taken over. ``note`` hears why it takes a while. ``beat``: seconds between two
    signs of life; ``lapse``: seconds without one after which an owner is dead, several beats.
    """

    def __init__(
        self,
        folder: Folder,
        note: Callable[[str], None] = lambda text: None,
        *,
        beat: float = BEAT_SECONDS,
        lapse: float = LAPSE_SECONDS,
    ) -> None:
        self._folder = folder  # the results folder
        self._note = note
        self._beat, self._lapse = beat, lapse  # seconds
        # What stands in the folder; ``beat`` counts, so that every sign differs from the last.
        self._sign: dict[str, Any] = {
            "id": uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "beat": 0,
        }
        self._before: Any = None  # the id of the dead owner whose sign was there
        self._lost = ""  # who has the folder now, once it is another's
        self._shown = 0.0  # when the last sign was begun, by _now()
        self._settled = 0.0  # until when nothing is written, as a late sign may be undone
        self._showing = threading.Lock()  # held while a sign is given: two threads give them
        self._ended = threading.Event()  # set when the folder is left to others
        # what gives a sign at every beat
        self._thread = threading.Thread(target=self._live, name="ownership", daemon=True)

    def __enter__(self) -> "Ownership":
        there = self._read()
        self._wait_for(there)
        self._before = there.get("id") if there else None
        self._shown = _now()
        self._write()
        time.sleep(self._beat / 10)  # whoever came at the same moment has written by then
        if (now := self._read()) and now.get("id") != self._sign["id"]:
            raise self._refusal(now)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def check(self) -> None:
        """Raise OwnershipLost if it is known that another driver took this one for dead.

        It costs nothing; :meth:`confirm` is for those who are about to write.
        """
        if self._lost:
            raise OwnershipLost(f"{self._folder} was taken over by {self._lost}")

    def confirm(self) -> None:
        """As :meth:`check`, and if the last sign of life is old, look and give another one.

        Raises StorageError while the folder is away.
        """
        self.check()
        if self._silent():
            self._show()
        pause = self._settled - _now()
        if pause > 0:
            time.sleep(pause)
            self._show()

    def release(self) -> None:
        """Leave the folder to others, without a trace: one that was made for it goes too."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(StorageError):
            if (self._read() or {}).get("id") == self._sign["id"]:
                self._folder.delete(OWNER)
                self._folder.remove_if_empty()

    def _wait_for(self, there: dict[str, Any] | None) -> None:
        """Until the owner ``there`` is known to be dead. Raises SpecError if it lives."""
        if there is None or _died_here(there):
            return
        self._note(f"{_who(there)} may be running this sweep: waiting {self._lapse:g} s to see")
        deadline = time.monotonic() + self._lapse
        while time.monotonic() < deadline:
            time.sleep(self._beat / 5)
            now = self._read()
            if now is None:
                return
            if now != there:
                raise self._refusal(now)

    def _refusal(self, there: dict[str, Any]) -> SpecError:
        return SpecError(
            f"{self._folder}: {_who(there)} is running this sweep; wait for it to end, or stop it"
        )

    def _live(self) -> None:
        while not (self._lost or self._ended.wait(self._beat)):
            # A storage that is away is the recorder's to report.
            with suppress(StorageError, OwnershipLost):
                self._show()

    def _show(self) -> None:
        """Give a sign of life, but never over another driver's.

        One that comes late may have hung in the storage until it fell on a successor's, which
        puts its own back at its next beat: it says nothing until two beats have passed.
        """
        with self._showing:
            begin = _now()
            self._look()
            self._write()
            if self._silent():
                self._settled = _now() + 2 * self._beat
            self._shown = begin
            self._look()

    def _silent(self) -> bool:
        """Whether a newcomer may be about to think that this driver is dead."""
        return _now() - self._shown > self._lapse / 2

    def _look(self) -> None:
        """Raise OwnershipLost if the folder is another's, StorageError if it is away."""
        there = self._read()
        if there is None:
            if not self._folder.names():
                raise StorageError(f"{self._folder} is gone")
            if self._silent():
                self._lost = "another driver, which has ended"
        elif there.get("id") not in (self._sign["id"], self._before):
            self._lost = _who(there)
        self.check()

    def _write(self) -> None:
        self._sign["beat"] += 1
        self._folder.write(OWNER, json.dumps(self._sign).encode())

    def _read(self) -> dict[str, Any] | None:
        try:
            there = json.loads(self._folder.read(OWNER))
        except (MissingError, ValueError, RecursionError):
            return None
        return there if isinstance(there, dict) else None


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _who(sign: dict[str, Any]) -> str:
    return f"process {sign.get('pid')} on {sign.get('host')} (since {sign.get('since')})"


def _died_here(sign: dict[str, Any]) -> bool:
    """Whether the owner was a process of this machine that is no more."""
    if sign.get("host") != socket.gethostname():
        return False
    pid = sign.get("pid")
    if not isinstance(pid, int) or pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # or a number that no process has
        return True
    except OSError:
        return False
    return False
