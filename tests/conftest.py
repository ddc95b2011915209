"""One Ray for all tests of a process, on loopback, with its own short temporary folder."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from io import StringIO

import optuna
import pytest
from hypothesis import settings
from rich.console import Console

# Small networks gain nothing from a second thread, and lose much on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# An example that took long says that the machine was busy, not that the code is wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A local Ray with two CPUs. The folder is short: socket paths have a limit."""
    import ray

    from search.cluster.join import connect

    folder = tempfile.mkdtemp(prefix="elr", dir="/tmp")
    connect(num_cpus=2, _temp_dir=folder)
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def console() -> Console:
    """A console that prints into a string: ``console.file.getvalue()``."""
    return Console(file=StringIO(), width=100)
