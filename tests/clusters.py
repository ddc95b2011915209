"""Ray clusters of our own on one machine, with token authentication and pretended GPUs.

Every node is `ray start --block` in a process group of its own; folder, home and ports are apart
from anybody else's, and the user's ~/.ray is not touched.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RAY = Path(sys.executable).with_name("ray")
PATIENCE = 900.0
"""Seconds that anything may take on a busy machine before a test gives up."""
PATIENT = pytest.mark.timeout(2 * PATIENCE)
"""For a test that waits for processes one after the other, or for a Ray that one starts."""


def free_port() -> int:
    """A port below those that the system gives out by itself, and above Ray's workers'."""
    for port in range(20_000 + os.getpid() % 1000 * 12, 32_767):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise RuntimeError("no free port")


_given: set[int] = set()


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """Wait for ``condition``; the seconds it took. Raises AssertionError when it never comes."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() > begin + seconds:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)
    return time.monotonic() - begin


def python(
    *arguments: str,
    through: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, which starts its Ray itself if it needs one.

    ``through``: a command that starts it; ``without``: variables that it does not inherit.
    """
    inherited = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", *without)}
    inherited["RAY_raylet_start_wait_time_s"] = f"{PATIENCE:g}"
    return subprocess.run(
        [*through, sys.executable, *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Node:
    """One `ray start --block` and all that it started."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("w") as stream:
            self._process = subprocess.Popen(
                [RAY, "start", "--block", "--disable-usage-stats", *arguments],
                env=environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._started, f"the node of {log}")

    def kill(self, name: str = "raylet") -> None:
        """SIGKILL to this node's process ``name``: raylet, or gcs_server on a head."""
        for pid in _children(self._process.pid, name):
            os.kill(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """The process ids of what its raylet started: workers, and agents."""
        (raylet,) = _children(self._process.pid, "raylet")
        return _children(raylet)

    def end(self) -> None:
        """SIGTERM, as a service manager sends it; SIGKILL if that does not help."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _started(self) -> bool:
        text = self._log.read_text()
        if self._process.poll() is not None:
            raise AssertionError(text[-3000:])
        return "Ray runtime started" in text


def _children(pid: int, name: str = "") -> list[int]:
    """The children of ``pid``, those called ``name`` if it is given."""
    command = ["pgrep", "-P", str(pid), *([name] if name else [])]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


class Cluster:
    """A head node and whatever joins it."""

    def __init__(self, *, cpus: float, gpus: float = 0) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="elr", dir="/tmp")
        self.folder = Path(self._folder.name)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.environment = self._environment() | {"RAY_AUTH_MODE": "token"}
        self.ray("get-auth-token", "--generate")
        port, self._dashboard = free_port(), free_port()
        head = ["--head", f"--port={port}", f"--dashboard-port={self._dashboard}"]
        head += [f"--ray-client-server-port={free_port()}", f"--temp-dir={self.folder / 't'}"]
        self.nodes: list[Node] = []
        self._drivers: list[subprocess.Popen[str]] = []
        self.head = self._start(head, cpus, gpus)
        address = re.search(r"--address='(\S+)'", (self.folder / "node-0.log").read_text())
        assert address is not None
        self.address = address[1]

    @property
    def url(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self._dashboard}"

    def add_node(self, *, cpus: float, gpus: float = 0) -> Node:
        """Another node."""
        return self._start([f"--address={self.address}"], cpus, gpus)

    def ray(
        self, *arguments: str, cwd: Path = ROOT, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The `ray` command as somebody with the token runs it."""
        return subprocess.run(
            [RAY, *arguments],
            env=self.environment | environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    def drive(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """A driver on this cluster: ``python ARGUMENTS``; its output goes to driver.log."""
        with (self.folder / "driver.log").open("w") as stream:
            driver = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=self.environment | {"RAY_ADDRESS": self.address} | environment,
                cwd=self.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._drivers.append(driver)
        return driver

    @property
    def driver_log(self) -> str:
        """What the latest driver printed."""
        return (self.folder / "driver.log").read_text()

    def close(self) -> None:
        """End all drivers and nodes, remove every trace, print what the last driver said."""
        for driver in self._drivers:
            driver.kill()
            driver.wait()
        if self._drivers:
            print(self.driver_log)
        for node in reversed(self.nodes):
            node.end()
        self._folder.cleanup()

    def _start(self, arguments: list[str], cpus: float, gpus: float) -> Node:
        arguments += [f"--num-cpus={cpus:g}", f"--num-gpus={gpus:g}"]
        arguments += [f"--dashboard-agent-listen-port={free_port()}"]
        arguments += [f"--object-store-memory={200 * 2**20}"]
        log = self.folder / f"node-{len(self.nodes)}.log"
        node = Node(arguments, self.environment, log)
        self.nodes.append(node)
        return node

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "CUDA_"))}
        path = f"{RAY.parent}{os.pathsep}{kept.get('PATH', '')}"
        kept |= {"HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT)}
        return kept | {"OMP_NUM_THREADS": "1", "RAY_raylet_start_wait_time_s": "900"}
