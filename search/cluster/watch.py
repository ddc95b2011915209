"""The death of a Ray that was started here is noticed at once, and no end goes without a word.

Left alone, Ray tries for up to a minute to reach what has died, and then ends this process from
within, without a word of ours.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from types import TracebackType

from search import compat
from search.cluster import RayFailedError

GRACE_SECONDS = 5.0
"""How long a sweep whose Ray has died may take to end in order; Ray leaves it 10 or more."""
_LOOK_SECONDS = 0.25


def check_alive() -> None:
    """Raise RayFailedError if a process is dead that a Ray of our own cannot do without."""
    if dead := compat.dead_process_of_ray():
        raise RayFailedError(f"Ray has died (its {dead})")


class LastWords:
    """Says ``text`` on stderr if this process ends before it is closed, for whatever reason.

    Ray's native code ends its process within milliseconds where a raylet shuts down in order, as
    ``ray stop`` makes it do, and nobody is asked before SIGKILL. So a shell says it, which waits
    for this process to close a pipe or to end.
    """

    def __init__(self, text: str) -> None:
        # `read` fails at the end of the pipe, unless a line came before: then all is said
        script = 'read -r over || printf "%s\\n" "$0" >&2'
        # in a session of its own, as Ctrl-C goes to all processes of one
        self._shell = subprocess.Popen(
            ["sh", "-c", script, text], stdin=subprocess.PIPE, start_new_session=True
        )

    def close(self) -> None:
        """Leave them unsaid: others were, or there is no need."""
        if self._shell.stdin is not None and not self._shell.stdin.closed:
            self._shell.communicate(b"over\n")


class LastResort:
    """Ends this process, with exit code 1, if it hangs in a Ray that has died; a context.

    Before that ``say`` is told why, in a thread of its own: calls into Ray may never return. It
    must not ask a storage, which may not answer either. What is being written then is cut short:
    rows that were lost are written anew from the checkpoints.
    """

    def __init__(self, say: Callable[[str], None], *, grace: float = GRACE_SECONDS) -> None:
        self._say = say
        self._grace = grace  # seconds
        self._over = threading.Event()  # set once the context is left
        # What looks: the main thread is the one that may hang.
        self._thread = threading.Thread(target=self._watch, name="last resort", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        since = None
        while not self._over.wait(_LOOK_SECONDS):
            try:
                check_alive()
            except RayFailedError as error:
                since = since or time.monotonic()
                if time.monotonic() - since > self._grace:
                    try:
                        self._say(f"stopped: {error}")
                    finally:
                        os._exit(1)
            else:
                since = None
