"""What the benchmarks of whole sweeps share: a Ray of their own, and a sweep run to its end."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import ray
from rich.console import Console

from analysis.results import Results, load_results
from search.cluster.join import connect
from search.driver import runner
from spaces.sweep import SweepSpec


@contextmanager
def own_ray(**options: Any) -> Iterator[Path]:
    """A Ray on loopback, shut down at the end; yields a folder that is removed with it.

    The folder's name is short: the paths of Ray's sockets have a limit.
    """
    folder = tempfile.mkdtemp(prefix="elr", dir="/tmp")
    connect(_temp_dir=folder, **options)
    try:
        yield Path(folder)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def run_sweep(spec: SweepSpec, folder: Path) -> Results:
    """Run a sweep in silence; its results. Raises RuntimeError if a trial failed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    finished = runner.start(spec, folder, Console(file=io.StringIO()))
    if finished.failed:
        raise RuntimeError(f"{finished.failed[0].trial_id}: {finished.failed[0].end_reason}")
    return load_results(finished.folder)


def timeline(results: Results) -> pd.DataFrame:
    """A row an epoch in the order of arrival: ``trial_id``, ``begin`` and ``end`` in seconds.

    ``end`` is when the driver had it, ``begin`` the seconds that it trained before that; both
    count from the first ``begin``.
    """
    epochs = results.epochs.sort_values("seq")
    end = epochs["recorded_at"].astype("datetime64[us, UTC]").astype("int64") / 1e6
    begin = end - epochs["epoch_seconds"]
    table = pd.DataFrame({"trial_id": epochs["trial_id"].astype(str), "begin": begin, "end": end})
    table[["begin", "end"]] -= begin.min()
    return table.reset_index(drop=True)
