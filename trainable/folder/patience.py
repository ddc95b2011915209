"""Waiting for a storage that is away for a moment, instead of losing a night's work."""

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from trainable.folder import layout
from trainable.folder.storage import REFUSED, Folder, StorageError, system_error

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
_FINAL = REFUSED | {
    *(errno.EFBIG, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.ENAMETOOLONG),
}
"""Errors that waiting does not mend: no room, no permission, something else in the way."""


def patiently(results: Folder, action: Callable[[], T], *, seconds: float = PATIENCE_SECONDS) -> T:
    """The result of ``action``, tried again for up to ``seconds`` while it raises StorageError.

    Before each try the results folder must be there: a mount that went away must not be written
    around. Raises the last StorageError; at once if it is one that waiting does not mend.
    """
    deadline, pause = time.monotonic() + seconds, 0.25
    while True:
        try:
            if not layout.is_there(results):
                raise StorageError(f"{results} is gone")
            return action()
        except StorageError as error:
            final = system_error(error) in _FINAL
            if final or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        # Soon at first, as most failures last a moment; then seldom, to spare the storage.
        pause = min(2 * pause, 5.0)
