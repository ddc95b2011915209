"""Joining a Ray cluster, or starting Ray on this machine.

Whatever goes wrong is one line that names the cure.
"""

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import grpc
import ray
from rich.console import Console

from search import compat
from search.cluster import RayFailedError
from search.cluster.cores import usable_cores
from spaces.sections import ResourcesSpec
from spaces.sweep_file import SpecError

LONGEST_TEMPORARY = 41
"""Characters of a temporary folder below which Ray's sockets still have paths that Linux takes
(107 bytes, of which Ray needs 66)."""
TOKEN_HERE = "RAY_AUTH_MODE=token: have a token in ~/.ray/auth_token, or unset it"
TOKEN = "with tokens: set RAY_AUTH_MODE=token and have the cluster's token in ~/.ray/auth_token"


def connect(*, seconds: float = ResourcesSpec().join_seconds, **options: Any) -> None:
    """Join the cluster that RAY_ADDRESS names (a submitted job's), or start Ray on this machine.

    A Ray of our own listens on loopback only, has no dashboard, and the cores that this process
    may use; ``options`` go to ``ray.init``. A handler of SIGTERM that is there already stays, and
    is heard throughout. ``seconds``: how long a cluster may take to answer.

    Raises SpecError if no cluster answers at RAY_ADDRESS, if it does not let us in, or if Ray
    cannot start as things are set here; RayFailedError if it took too long to, twice.
    """
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS", "")
    settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address in ("", "local"):
        _start(settings | _own_settings() | options)
        _keep_token_private()
    else:
        _check_answers(address, seconds)
        try:
            _init(settings | options)
        except Exception as error:  # Ray raises what it likes
            raise SpecError(
                f"RAY_ADDRESS={address}: cannot join Ray: {_reason(error)} ({TOKEN})"
            ) from error


def _keep_token_private() -> None:
    """A Ray of our own may just have written its token, which it leaves readable to everybody."""
    home = _ray_home()
    if home is None:
        return
    token = home / "auth_token"
    with suppress(OSError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


@contextmanager
def joined(seconds: float, console: Console | None = None) -> Iterator[None]:
    """:func:`connect`, and leave Ray again unless it was there before.

    A terminal says meanwhile what is waited for.
    """
    ours = not ray.is_initialized()
    address = os.environ.get("RAY_ADDRESS", "local")
    what = "starting Ray" if address == "local" else f"joining Ray at {address}"
    shown = console is not None and console.is_terminal and ours
    with console.status(what) if console and shown else nullcontext():
        connect(seconds=seconds)
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def _own_settings() -> dict[str, Any]:
    """Settings of a Ray of our own."""
    compat.listen_on_loopback()
    # Without an address Ray would join what `ray start` has left here, or wait for it in vain.
    own = {"address": "local", "include_dashboard": False, "num_cpus": usable_cores()}
    temporary = _temporary()
    return own if temporary is None else own | compat.temporary_folder(temporary)


def _temporary() -> str | None:
    """A folder for Ray in the place of its own, where that is too long or another user's.

    SLURM's job folders are too long; ``/tmp/ray`` belongs to whoever was first.
    """
    start = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    place = Path(start) / "ray"
    above = place if place.exists() else Path(start)
    if len(os.fsencode(start)) <= LONGEST_TEMPORARY and os.access(above, os.W_OK | os.X_OK):
        return None
    short = Path("/tmp") / f"ray-{os.getuid()}"
    try:
        # Another user may have made it: then it is not ours, and a random name serves.
        short.mkdir(mode=0o700, exist_ok=True)
        if short.stat().st_uid == os.getuid():
            return str(short)
    except OSError:
        pass
    try:
        return tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    except OSError as error:
        raise SpecError(
            f"Ray has no folder for its files: {place} is too long or not writable, and neither "
            f"is /tmp ({error.strerror}): set RAY_TMPDIR to a short path that you may write"
        ) from error


def _start(settings: dict[str, Any]) -> None:
    """Start Ray here, and once more if it took too long."""
    asked_for_token = os.environ.get("RAY_AUTH_MODE") == "token"  # Ray sets it, too
    for attempt in (1, 2):
        try:
            _init(settings)
        except Exception as error:  # Ray raises what it likes
            ray.shutdown()
            # Only a timeout is tried again: on a busy machine Ray's processes answer late.
            if "timed out" not in str(error):
                cure = TOKEN_HERE if asked_for_token else _cure(error)
                raise SpecError(f"cannot start Ray: {_reason(error)} ({cure})") from error
            if attempt == 2:
                raise RayFailedError(
                    f"Ray did not start within its time, twice: {_reason(error)} Nothing was "
                    "written; try again when the machine is less busy"
                ) from error
        else:
            return


def _cure(error: Exception) -> str:
    """What helps a Ray that does not start here."""
    home = _ray_home()
    if home is None or isinstance(error, KeyError):  # getpwuid's
        return "this user has no home, or no name: set HOME and USER"
    if str(home) in str(error):
        return "Ray has its token there: set HOME to a folder that this user may write"
    return "RAY_TMPDIR: a folder for its files"


def _ray_home() -> Path | None:
    try:
        return Path.home() / ".ray"
    except RuntimeError:
        return None


def _init(settings: dict[str, Any]) -> None:
    with _sigterm_kept():
        ray.init(**settings)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Let Ray put no handler of its own in the place of one that is there.

    Those that it sets in Python end the process without a word; that of its native library calls
    ours, but has the process aborted 3 s later. Where there is none Ray's are welcome: they end
    what Ray has started.
    """
    ours = signal.getsignal(signal.SIGTERM)
    if ours in (signal.SIG_DFL, None) or threading.current_thread() != threading.main_thread():
        yield
        return
    try:
        with compat.no_sigterm_handler():
            yield
    finally:
        signal.signal(signal.SIGTERM, ours)  # in the place of the native one
        if hasattr(signal, "alarm"):  # not on Windows
            signal.alarm(0)  # a signal came meanwhile: no abort


def _check_answers(address: str, seconds: float) -> None:
    """Raise SpecError unless Ray answers there; Ray itself would try for minutes."""
    if address.startswith(("http://", "https://")):
        raise SpecError(
            f"RAY_ADDRESS={address}: is where jobs are submitted: ray job submit --address "
            f"{address} …, or give the cluster's own address, such as 10.0.0.1:6379"
        )
    there = compat.address_of_ray_here() if address == "auto" else address
    if not there:
        raise SpecError(f"RAY_ADDRESS={address}: no Ray runs on this machine: unset it")
    # The last colon: an IPv6 address has some of its own.
    host, _, port = there.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        raise SpecError(f"RAY_ADDRESS={address}: is not host:port, such as 10.0.0.1:6379")
    named = f"RAY_ADDRESS={address}" + (f" ({there})" if address == "auto" else "")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=min(seconds, 10)).close()
    except (OSError, OverflowError) as error:
        raise SpecError(f"{named}: no Ray cluster answers there: {error}") from None
    if os.environ.get("RAY_USE_TLS") == "1" or address.startswith("ray://"):
        return  # who speaks TLS answers to nobody else
    with grpc.insecure_channel(f"{host}:{port}", [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError:
            raise SpecError(
                f"{named}: something listens there, but it has not answered as Ray does within "
                f"{seconds:g} s"
            ) from None
