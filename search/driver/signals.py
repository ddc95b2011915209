"""Ctrl-C, and SIGTERM as ``ray job stop`` sends it, end a sweep in order."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The sweep stopped before its end, for the reason given; what it has is saved."""


class Signals:
    """Answers the first SIGINT or SIGTERM with KeyboardInterrupt: at once, or where it suits.

    Within :meth:`held` a signal is only noted, and :meth:`check` raises: so none falls between a
    decision and its row, or into the saving. Later signals change nothing. Use it in a main
    thread, as a context.
    """

    def __init__(self) -> None:
        self._came = False  # whether a signal was heard
        self._held = False  # whether signals are only noted
        self._before: dict[int, Any] = {}  # the handlers that were there, by signal

    def __enter__(self) -> "Signals":
        self._before = {number: signal.getsignal(number) for number in ENDING}
        self._listen()
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Note signals, to be raised by the :meth:`check` that it yields."""
        self._held = True
        self._listen()  # a library may have put a handler of its own in the place of ours
        try:
            yield self.check
        finally:
            self._held = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came."""
        if self._came:
            raise KeyboardInterrupt

    def _listen(self) -> None:
        for number in ENDING:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: object) -> None:
        first, self._came = not self._came, True
        if first and not self._held:
            raise KeyboardInterrupt
