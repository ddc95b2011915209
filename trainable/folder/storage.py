"""A folder on a disk or in an object store whose files are always whole.

Everything a sweep leaves behind goes through here: a file is written under a temporary name and
renamed, or put as one object, so that a reader at any moment, and whoever resumes after a crash,
sees either all of it or nothing. Torch-free.
"""

import errno
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit
from uuid import uuid4

import pyarrow
from pyarrow import fs

OBJECT_STORES = ("s3", "gcs", "abfs")
"""File systems on which an object appears whole with its last byte, and folders are just names."""

GCS_SECONDS = 60
"""How long Google's client repeats a request; left alone, it hides a missing login for 15 min."""

_OPEN_OPTIONS = ("scheme", "endpoint_override", "region")
"""Options in the query of a URI that say where a store is, and give nothing away."""

_URI = re.compile(r"[a-z][a-z0-9+.-]*://")
_LEFTOVER = re.compile(r"\..+\.tmp")
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""System errors of a storage that has no room, or gives no permission."""


class StorageError(OSError):
    """One line: what could not be done, where, and why."""


class MissingError(StorageError, FileNotFoundError):
    """A :class:`StorageError` because the file is not there."""


class RefusedError(StorageError):
    """A :class:`StorageError` that stays until a person makes room or gives permission."""


class UnwritableError(RefusedError):
    """A :class:`RefusedError` of a write: another folder may take what this one does not."""


class PathInfo(NamedTuple):
    """Something inside a folder, at any depth."""

    path: str
    """From the folder on, ``/`` between the names; empty for a location that is a file itself."""
    is_folder: bool
    size: int
    """Bytes; 0 for a folder."""
    changed: int
    """Nanoseconds since 1970; 0 where the store does not say."""


class Folder:
    """A folder, local or behind a URI (``file:``, ``s3:``, ``gs:``, ``abfs:``, ``mock:``).

    Nothing is created until the first write. It pickles as its location. ``str(folder)`` is for
    messages: a URI without the credentials it may hold.
    """

    def __init__(self, location: str, filesystem: fs.FileSystem, path: str) -> None:
        self.location = location  # the path or URI, as it was given
        self._filesystem = filesystem  # what opens it
        self._path = path  # where it is there

    @classmethod
    def open(cls, location: "str | Path | Folder") -> "Folder":
        """The folder at a path or URI. Raises StorageError if nothing can open it."""
        if isinstance(location, Folder):
            return location
        text = str(location)
        if not _URI.match(text):
            path = os.path.expanduser(text)
            if not path:
                raise StorageError("an empty path names no folder: a dot names the one you are in")
            if path.startswith("~"):
                raise StorageError(f"{text}: no such user, or one without a home; write ./{text}")
            path = os.path.abspath(path)
            return cls(path, _connect("file:///")[0], path)
        parts = _split(text)
        try:
            filesystem, start = _connect(_uri(parts, "/"))
        except (pyarrow.ArrowException, OSError) as error:
            raise StorageError(f"cannot open {_shown(text)}: {_reason(error)}") from error
        start = start if start in ("", "/") else start.rstrip("/") + "/"
        return cls(text, filesystem, start + unquote(parts.path).strip("/"))

    @property
    def argument(self) -> str:
        """The folder as a word in a shell's command: a URI keeps its options, not its secrets."""
        if not _URI.match(self.location):
            return shlex.quote(self.location)
        parts = _split(self.location)
        options = [o for o in parts.query.split("&") if o.partition("=")[0] in _OPEN_OPTIONS]
        # A command that is shown may be copied into a chat: keys stay out of it.
        public = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="&".join(options))
        return shlex.quote(_uri(public, parts.path))

    def __truediv__(self, name: str) -> "Folder":
        """The folder ``name`` in this one. Raises ValueError for what is not a plain name."""
        path = self._join(name)
        if not _URI.match(self.location):
            return Folder(path, self._filesystem, path)
        parts = _split(self.location)
        location = _uri(parts, f"{parts.path.rstrip('/')}/{quote(name)}")
        return Folder(location, self._filesystem, path)

    def write(self, name: str, data: bytes) -> None:
        """Make ``data`` the file ``name``, whole and durable, in place of any earlier one.

        A link stays, and what it leads to is replaced; what is neither a file nor a folder, such
        as ``/dev/null``, is not.
        """
        path = self._join(name)
        with self._explained("write", name, UnwritableError):
            # A rename would be a copy and a delete there, and is not needed.
            if self._filesystem.type_name in OBJECT_STORES:
                self._put(path, data)
            else:
                self._write_and_rename(self._replaceable(path), data)

    def read(self, name: str) -> bytes:
        """All bytes of the file ``name``. Raises MissingError if it is not there."""
        path = self._join(name)
        with self._explained("read", name), self._filesystem.open_input_file(path) as stream:
            return bytes(stream.readall())

    def names(self) -> list[str]:
        """Files and folders directly inside, sorted; none if this folder is not there."""
        return [name for name in self._listed() if not _LEFTOVER.fullmatch(name)]

    def tree(self) -> list[PathInfo]:
        """Everything inside at any depth, by path; the file alone if the location is one.

        Raises MissingError if nothing is there.
        """
        with self._explained("list"):
            here = self._filesystem.get_file_info(self._path)
            if here.type == fs.FileType.NotFound:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if here.type == fs.FileType.File:
                return [_path_info(here, "")]
            selector = fs.FileSelector(self._path, recursive=True)
            start = len(self._path.rstrip("/")) + 1 if self._path else 0
            found = self._filesystem.get_file_info(selector)
        return sorted(_path_info(info, info.path[start:]) for info in found)

    def stream(self, path: str) -> pyarrow.NativeFile:
        """The file at ``path`` of :meth:`tree`, open for reading from any place in it."""
        whole = f"{self._path.rstrip('/')}/{path}" if path else self._path
        with self._explained("read", path):
            return self._filesystem.open_input_file(whole)

    def exists(self, name: str) -> bool:
        """Whether a file or folder ``name`` is there."""
        return self._deleter(name) is not None

    def delete(self, name: str) -> None:
        """Remove the file ``name``, or the folder and all in it; a missing one is fine."""
        delete = self._deleter(name)
        if delete is None:
            return
        with self._explained("delete", name):
            delete(self._join(name))

    def check_writable(self) -> None:
        """Write a small file and remove it again, and this folder if that was made for it.

        Raises StorageError if that fails.
        """
        probe = f"probe-{uuid4().hex}"
        with self._explained("write in", refused=UnwritableError):
            self.write(probe, b"")
            self.delete(probe)
            self.remove_if_empty()

    def remove_if_empty(self) -> None:
        """Remove this folder if nothing is in it; in an object store there is nothing to do."""
        if self._filesystem.type_name == "local":
            with suppress(OSError):  # something is in it
                os.rmdir(self._path)

    def remove_leftovers(self) -> None:
        """Remove the temporary files that a killed writer left directly inside."""
        for name in self._listed():
            if _LEFTOVER.fullmatch(name):
                self.delete(name)

    def _put(self, path: str, data: bytes) -> None:
        with self._filesystem.open_output_stream(path) as stream:
            stream.write(data)

    def _replaceable(self, path: str) -> str:
        """Where the file at ``path`` really lies. Raises OSError if a device or such is there."""
        if self._filesystem.type_name != "local":
            return path
        # A rename onto a link would put the file in its place.
        path = os.path.realpath(path)
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
            raise OSError("it is no regular file")
        return path

    def _write_and_rename(self, path: str, data: bytes) -> None:
        self._filesystem.create_dir(self._path, recursive=True)
        name = path.rpartition("/")[2]
        folder = path.removesuffix(name)
        temporary = f"{folder}.{name}.{uuid4().hex[:8]}.tmp"
        try:
            self._put(temporary, data)
            # Before the rename: else a crash could leave the new name on an empty file.
            self._sync(temporary)
            self._filesystem.move(temporary, path)
        # Ctrl-C too must leave no half of a file.
        except BaseException:
            with suppress(OSError):  # it may not have been begun
                self._filesystem.delete_file(temporary)
            raise
        # The rename itself is durable once the folder is.
        self._sync(folder)

    def _sync(self, path: str) -> None:
        if self._filesystem.type_name != "local":
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _listed(self) -> list[str]:
        selector = fs.FileSelector(self._path, allow_not_found=True)
        with self._explained("list"):
            return sorted(info.base_name for info in self._filesystem.get_file_info(selector))

    def _deleter(self, name: str) -> Callable[[str], None] | None:
        """What deletes ``name``, a file or a folder; None if it is not there."""
        path = self._join(name)
        with self._explained("look up", name):
            found = self._filesystem.get_file_info(path).type
        if found == fs.FileType.NotFound:
            return None
        delete: Callable[[str], None] = self._filesystem.delete_file
        if found == fs.FileType.Directory:
            delete = self._filesystem.delete_dir
        return delete

    def _join(self, name: str) -> str:
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise ValueError(f"{name!r} is not the name of a file or folder in {self}")
        return f"{self._path.rstrip('/')}/{name}" if self._path else name

    @contextmanager
    def _explained(
        self, what: str, name: str = "", refused: type[RefusedError] = RefusedError
    ) -> Iterator[None]:
        """Whatever pyarrow or the system raises inside becomes one line."""
        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            kind = StorageError
            if isinstance(error, FileNotFoundError):
                kind = MissingError
            elif system_error(error) in REFUSED:
                kind = refused
            where = f"{str(self).rstrip('/')}/{name}" if name else str(self)
            reason = _reason(error)
            if kind is MissingError and what.startswith("write"):
                # "No such file" would be odd to hear of a file that is being written.
                reason = "its folder is not there and cannot be made"
            raise kind(f"cannot {what} {where}: {reason}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Folder.open, (self.location,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and other.location == self.location

    def __hash__(self) -> int:
        return hash(self.location)

    def __str__(self) -> str:
        return _shown(self.location)

    def __repr__(self) -> str:
        return f"Folder({str(self)!r})"


def _path_info(info: fs.FileInfo, path: str) -> PathInfo:
    return PathInfo(path, info.type == fs.FileType.Directory, info.size or 0, info.mtime_ns or 0)


@cache
def _connect(root: str) -> tuple[fs.FileSystem, str]:
    """One connection a store, as opening one may ask the network for its region."""
    if root.startswith(("gs:", "gcs:")) and "retry_limit_seconds" not in root:
        # Only if the user has not set it otherwise.
        root += ("&" if "?" in root else "?") + f"retry_limit_seconds={GCS_SECONDS}"
    filesystem, start = fs.FileSystem.from_uri(root)
    return filesystem, start


def _split(location: str) -> SplitResult:
    return urlsplit(location, allow_fragments=False)


def _uri(parts: SplitResult, path: str) -> str:
    return f"{parts.scheme}://{parts.netloc}{path}" + (f"?{parts.query}" if parts.query else "")


def _shown(location: str) -> str:
    """The location without user, password and query, any of which may hold a key."""
    if not _URI.match(location):
        return location
    parts = _split(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{unquote(parts.path)}"


def system_error(error: BaseException | None) -> int | None:
    """The system's error number at the root of an error; None if it has none."""
    while error is not None:
        if isinstance(error, OSError) and error.errno:
            return error.errno
        error = error.__cause__
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, StorageError) and error.__cause__:
        return _reason(error.__cause__)
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return textwrap.shorten(str(error), 300, placeholder=" …")
