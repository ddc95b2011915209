"""Writing the report into the results folder, once or again and again."""

import time
from collections.abc import Callable
from pathlib import Path

from analysis.report.build import build_report
from analysis.results import Results, ResultsError, load_results, sweep_spec
from analysis.schema import SEARCH
from trainable.folder import layout
from trainable.folder.storage import Folder, StorageError

PATIENCE = 10
"""Failed turns, one after the other, that end watching."""


def write_report(directory: str | Path | Folder, out: Path | None = None) -> str:
    """Write the report of a results folder; returns where it is.

    Args:
        directory: the results folder, a path or a URI.
        out: the file to write; None: ``report.html`` in the folder.

    Raises:
        ResultsError: the folder cannot be read as results, or may not be shown: its trials were
            selected on the test set although the sweep file does not allow it.
        StorageError: the file cannot be written.
    """
    return _write(load_results(directory), out)


def watch_report(
    directory: str | Path | Folder,
    out: Path | None = None,
    *,
    seconds: float = 30.0,
    written: Callable[[str], None] = lambda place: None,
    missed: Callable[[str], None] = lambda reason: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the report every so many ``seconds`` until the sweep has ended.

    ``written`` hears of every report with its place. A turn that fails once there was a report is
    left out, for a folder in use may be unreadable for a moment: ``missed`` hears why. Raises as
    :func:`write_report` does if the first turn fails, or :data:`PATIENCE` of them in a row.
    """
    failed = PATIENCE - 1
    while True:
        try:
            results = load_results(directory)
            written(_write(results, out))
        except (ResultsError, StorageError) as error:
            failed += 1
            if failed >= PATIENCE:
                raise
            missed(str(error))
        else:
            failed = 0
            if has_ended(results):
                return
        sleep(seconds)


def has_ended(results: Results) -> bool:
    """Whether every study has had all trials that its sweep file asks for, and none still runs."""
    if results.running:
        return False
    try:
        spec = sweep_spec(results)
    except ResultsError:
        return True
    search = results.trials[results.trials["phase"] == SEARCH]
    counts = search["study"].value_counts()
    sampler, trials = spec.search.sampler, spec.budget.trials
    return all(counts.get(c.study, 0) >= c.planned(sampler, trials) for c in spec.cells())


def _write(results: Results, out: Path | None) -> str:
    folder = results.folder if out is None else Folder.open(out.parent)
    name = layout.REPORT if out is None else out.name
    folder.write(name, build_report(results).encode())
    return f"{folder}/{name}"
