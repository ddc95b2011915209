"""Recorded sweeps that come with the package: real results to try every table and figure on."""

import shutil
from functools import cache
from importlib.resources import files
from pathlib import Path

from analysis.results import Results, ResultsError, load_results
from trainable.catalog import unknown

_FOLDER = "recorded"


@cache
def examples() -> tuple[str, ...]:
    """The names of the recorded sweeps, sorted; trainable/FINDINGS.md says how each was run.

    Raises ResultsError where the package came without them, as in the upload of a Ray job.
    """
    if not _home().is_dir():
        raise ResultsError(f"{_home()} is not here: jobs come without recorded sweeps")
    return tuple(sorted(path.name for path in _home().iterdir() if path.is_dir()))


def load_example(name: str) -> Results:
    """A recorded sweep, as ``load_results`` loads one. Raises ResultsError where there is none."""
    return load_results(_path(name))


def copy_example(name: str, storage: Path) -> Path:
    """Copy a recorded sweep to ``storage``/``name``, where commands may write; that path.

    Raises ResultsError where there is none of this name, and if the path is there already.
    """
    source, to = _path(name), storage / name
    if to.exists():
        raise ResultsError(f"{to} is there already: move it, or copy elsewhere with --storage")
    try:
        shutil.copytree(source, to)
    except OSError as error:
        raise ResultsError(f"{to}: {error.strerror}") from None
    return to


def _path(name: str) -> Path:
    if name not in examples():
        raise ResultsError(unknown("example", name, examples()))
    return _home() / name


def _home() -> Path:
    # ``files`` promises no path, but a package that is unpacked, as ours is, lies at one.
    return Path(str(files("analysis").joinpath(_FOLDER)))
