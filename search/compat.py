"""Every private name of Ray's and Optuna's that is used: a new version of theirs breaks one file.

Ray is imported inside, as studies use the names of Optuna's without it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution


def listen_on_loopback() -> None:
    """Have a Ray that starts here listen on loopback only.

    That is its default on macOS and Windows; on Linux it has no public switch for it, and its
    servers would listen on every interface.
    """
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False


def address_of_ray_here() -> str | None:
    """Where the Ray is that RAY_ADDRESS=auto means, if it was started on this machine."""
    from ray._private import services

    try:
        found: str | None = services.find_bootstrap_address(None)
    except OSError:  # a folder of another user's
        found = None
    return found or next(iter(services.find_gcs_addresses()), None)


def dead_process_of_ray() -> str | None:
    """Which process has died that the Ray started here cannot do without; None if none has.

    Also None while Ray is not loaded, and for a Ray that was joined.
    """
    worker = sys.modules.get("ray._private.worker")
    node = getattr(worker, "_global_node", None)
    there = node.all_processes if node is not None else {}
    for kind in ("raylet", "gcs_server"):
        if any(info.process.poll() is not None for info in there.get(kind, ())):
            return kind
    return None


@contextmanager
def no_sigterm_handler() -> Iterator[None]:
    """Let Ray set no handler of SIGTERM in Python; that of its native library stays its own."""
    from ray._private import utils

    set_theirs = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = set_theirs


@contextmanager
def tune_writes_only(where_there: Callable[[], bool]) -> Iterator[None]:
    """Let Tune copy its logs to its storage only if ``where_there()`` says so each time.

    It would make the folders anew under which they lie, for lack of a switch.
    """
    from ray.train._internal import storage

    patched: Any = storage
    create = patched._create_directory

    def create_if_there(fs: Any, fs_path: str) -> None:
        if not where_there():
            raise FileNotFoundError(fs_path)  # ends this copy; the next tries again
        create(fs, fs_path)

    patched._create_directory = create_if_there
    try:
        yield
    finally:
        patched._create_directory = create


def set_parameter(
    asked: optuna.Trial, name: str, internal: float, distribution: BaseDistribution
) -> None:
    """Put a value in the place of the one that a running trial was suggested."""
    asked.storage.set_trial_param(asked._trial_id, name, internal, distribution)


def set_value(
    study: optuna.Study, storage: optuna.storages.BaseStorage, number: int, step: int, value: float
) -> None:
    """Record what trial ``number`` reached at ``step``, whoever asked for it."""
    found = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    storage.set_trial_intermediate_value(found, step, value)


def asked_for(searcher: Any, trial_id: str) -> optuna.Trial:
    """The trial that Ray's OptunaSearch asked Optuna for."""
    trial: optuna.Trial = searcher._ot_trials[trial_id]
    return trial


def temporary_folder(path: str) -> dict[str, str]:
    """The setting of ``ray.init`` that has it keep its files below ``path``."""
    return {"_temp_dir": path}
