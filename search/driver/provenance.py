"""What a sweep ran on: code, versions, machines; kept with the results."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from analysis.results import ResultsError
from analysis.schema import PARAM
from search.studies.trial import Trial
from spaces.sweep import SweepSpec
from trainable.folder import layout
from trainable.folder.storage import Folder, MissingError

_PACKAGES = ("elr-tune", "torch", "torchvision", "ray", "optuna", "numpy", "pyarrow", "pandas")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of what the results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def git_sha() -> str:
    """Commit of the code that runs, ``-dirty`` if it has changes.

    Outside a checkout, as in a submitted job's copy of it, or where git does not answer:
    ``files-`` and the digest of the code.
    """
    file = Path(__file__)
    here = file.parent
    try:
        # Installed in a .venv inside somebody's own repository, the code is none of that one's.
        _git("ls-files", "--error-unmatch", file.name, cwd=here)
        head = _git("rev-parse", "HEAD", cwd=here)
        dirty = bool(_git("status", "--porcelain", "--untracked-files=no", cwd=here))
    except (OSError, subprocess.SubprocessError):
        return f"files-{code_digest()}"
    return f"{head}-dirty" if dirty else head


@cache
def code_digest() -> str:
    """A short SHA-256 of the packages' Python files: the same code has the same, anywhere."""
    root = Path(__file__).parents[2]
    digest = sha256()
    for package in ("trainable", "spaces", "analysis", "search"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def describe(trial: Trial, spec: SweepSpec) -> dict[str, Any]:
    """The columns of a trial that are known when it starts; its labels' are not among them."""
    config = trial.config
    return {
        "sweep": spec.name,
        "study": trial.study,
        "dataset": config.data.name,
        "noise_kind": config.noise.kind,
        "noise_rate": config.noise.rate,
        "noise": config.noise.setting,
        "loss": config.loss,
        "model": config.network,
        "trial_id": trial.trial_id,
        "number": trial.number,
        "phase": trial.phase,
        "source_trial_id": trial.source_trial_id,
        "seed": config.seed,
        "max_epochs": config.max_epochs,
        "selected_by": spec.search.metric,
        "config": json.dumps(config.as_dict(), sort_keys=True),
        "git_sha": git_sha(),
        "versions": json.dumps(versions(), sort_keys=True),
        **{f"{PARAM}{name}": value for name, value in config.parameters.items()},
    }


def record_start(results: Folder, nodes: list[dict[str, float]]) -> None:
    """Add this start to ``provenance.json``."""
    provenance = {"starts": _read(results)}
    provenance["starts"].append(
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_sha": git_sha(),
            "code": code_digest(),
            "versions": versions(),
            "platform": platform.platform(),
            "nodes": [
                {k: v for k, v in node.items() if not k.startswith("node:")} for node in nodes
            ],
        }
    )
    results.write(layout.PROVENANCE, json.dumps(provenance, indent=2).encode())


def starts(results: Folder) -> list[datetime]:
    """When the sweep was started, in order. Raises ResultsError if the file is damaged."""
    return [datetime.fromisoformat(start["at"]) for start in _read(results)]


def _read(results: Folder) -> list[dict[str, Any]]:
    """What is recorded of every start so far; nothing before the first."""
    try:
        found = json.loads(results.read(layout.PROVENANCE)).get("starts", [])
        for start in found:
            datetime.fromisoformat(start["at"])
    except MissingError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ResultsError(
            f"{results}/{layout.PROVENANCE} is damaged: it lists no starts; put it back, or "
            "delete it, and what earlier starts ran on is forgotten"
        ) from None
    return list(found)


def _git(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True, timeout=10
    )
    return done.stdout.strip()
