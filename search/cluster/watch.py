"""The death of a Ray that was started here is noticed at once, and no end goes without a word.

Left alone, Ray tries for up to a minute to reach what has died, and then ends this process from
within, without a word of ours.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@contextmanager
def last_resort(say: Callable[[str], None], *, grace: float = GRACE_SECONDS) -> Iterator[None]:
    """End this process, with exit code 1, if it hangs inside in a Ray that has died.

    Before that ``say`` is told why, in a thread of its own: calls into Ray may never return. It
    must not ask a storage, which may not answer either. What is being written then is cut short:
    rows that were lost are written anew from the checkpoints. ``grace``: seconds to end in order.
    """
    left = threading.Event()
    # The main thread is the one that may hang, so another one looks.
    looks = threading.Thread(
        target=_end_if_it_hangs, args=(left, say, grace), name="last resort", daemon=True
    )
    looks.start()
    try:
        yield
    finally:
        left.set()
        looks.join()


def _end_if_it_hangs(left: threading.Event, say: Callable[[str], None], grace: float) -> None:
    since = None
    while not left.wait(_LOOK_SECONDS):
        try:
            check_alive()
        except RayFailedError as error:
            since = since or time.monotonic()
            if time.monotonic() - since > grace:
                try:
                    say(f"stopped: {error}")
                finally:
                    os._exit(1)
        else:
            since = None
