"""Output that outlives its reader: a pipe that closes, a full disk, a console that lacks signs."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class LastingStream:
    """A text stream whose failures end nothing: what cannot be written any more is dropped.

    ``instead`` names a file that takes the rest, such as the terminal for what a person must see
    when Ctrl-C has ended the ``tee`` that both streams went to.
    """

    def __init__(self, stream: TextIO, instead: str = os.devnull) -> None:
        self._stream = stream  # what is written to, while that works
        self._instead = instead
        self.error: OSError | None = None  # why the rest was dropped

    def write(self, text: str) -> int:
        """As a stream's; raises nothing that the system refuses."""
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """As a stream's; raises nothing that the system refuses."""
        self._try(self._stream.flush)

    def _try(self, action: Any, *arguments: str) -> None:
        try:
            action(*arguments)
        except OSError as error:
            self.error = self.error or error
            # What is in the stream's buffer goes the same way, instead of failing at the exit.
            self._redirect(os.devnull)
            with suppress(OSError):
                self._stream.flush()
            with suppress(OSError):
                self._redirect(self._instead)
                action(*arguments)

    def _redirect(self, path: str) -> None:
        descriptor = os.open(path, os.O_WRONLY)
        os.dup2(descriptor, self._stream.fileno())
        os.close(descriptor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_streams() -> Iterator[None]:
    """Let no output end the program, and end with exit code 1 if some was lost to the system.

    A reader that has seen enough (``| head -1``) is no error, nor is a stream that was closed
    from the start (``>&-``). Signs that the console's encoding lacks become question marks.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    out: Any = LastingStream(sys.stdout)
    sys.stdout, sys.stderr = out, LastingStream(sys.stderr, "/dev/tty")
    code: Any = 0
    try:
        yield
    except SystemExit as end:
        code = end.code
    finally:
        out.flush()
        if out.error is not None and out.error.errno != errno.EPIPE:
            sys.stderr.write(f"cannot write the output: {out.error.strerror}\n")
            code = code or 1
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
    sys.exit(code)
