"""One driver a results folder: whoever writes to it leaves a sign of life there.

    owner.json    who runs the sweep, written again every few seconds; gone when it ends

No two clocks are compared: a newcomer watches the file, and if it does not change, its owner is
dead.
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

from spaces.load import SpecError
from trainable.storage import Folder, MissingError, StorageError

OWNER = "owner.json"
BEAT_SECONDS = 5.0
"""How often a driver shows that it is alive."""
LAPSE_SECONDS = 20.0
"""A driver that has shown nothing for so long is dead."""


class Ownership:
    """Keeps a results folder for this process, as a context.

    Entering raises SpecError while another driver is alive; one that has died, on this machine or
    elsewhere, is taken over. ``note`` hears why it takes a while.
    """

    def __init__(
        self,
        folder: Folder,
        note: Callable[[str], None] = lambda text: None,
        *,
        beat: float = BEAT_SECONDS,
        lapse: float = LAPSE_SECONDS,
    ) -> None:
        self._folder = folder
        self._note = note
        self._beat, self._lapse = beat, lapse
        self._sign: dict[str, Any] = {
            "id": uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "beat": 0,
        }
        self._lost = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="ownership", daemon=True)

    def __enter__(self) -> "Ownership":
        self._wait_for(self._read())
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def check(self) -> None:
        """Raise StorageError if another driver took this one for dead and goes on with it."""
        if self._lost:
            raise StorageError(f"{self._folder} was taken over by {self._lost}")

    def release(self) -> None:
        """Leave the folder to others, without a trace."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        with suppress(StorageError):
            if (self._read() or {}).get("id") == self._sign["id"]:
                self._folder.delete(OWNER)

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
                raise SpecError(
                    f"{self._folder}: {_who(now)} is running this sweep; wait for it to end, or "
                    "stop it"
                )

    def _live(self) -> None:
        while not self._ended.wait(self._beat):
            # A storage that is away is the recorder's to report.
            with suppress(StorageError):
                there = self._read()
                if there is not None and there.get("id") != self._sign["id"]:
                    self._lost = _who(there)
                    return
                self._write()

    def _write(self) -> None:
        self._sign["beat"] += 1
        self._folder.write(OWNER, json.dumps(self._sign).encode())

    def _read(self) -> dict[str, Any] | None:
        try:
            there = json.loads(self._folder.read(OWNER))
        except (MissingError, ValueError):
            return None
        return there if isinstance(there, dict) else None


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
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
