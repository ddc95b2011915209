"""Writing the report into the results folder, once or again and again."""

import time
from collections.abc import Callable
from pathlib import Path

from analysis.best import top_configs
from analysis.report.build import build_report
from analysis.results import Results, ResultsError, load_results, sweep_spec
from analysis.schema import REPLICATE
from spaces.sections import ConfirmSpec
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
    results = load_results(directory)
    return _write(results, build_report(results, in_folder=out is None), out)


def watch_report(
    directory: str | Path | Folder,
    out: Path | None = None,
    *,
    seconds: float = 30.0,
    built: Callable[[str], None] = lambda report: None,
    written: Callable[[str], None] = lambda place: None,
    missed: Callable[[str], None] = lambda reason: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the report every so many ``seconds`` until the sweep has ended.

    ``built`` gets every report, ``written`` hears of each with its place. A turn that fails once
    there was a report is left out, for a folder in use may be unreadable for a moment: ``missed``
    hears why. Raises as :func:`write_report` does if the first turn fails, or :data:`PATIENCE` of
    them in a row.
    """
    # So a first turn that fails ends it: then somebody has named the wrong folder.
    failed = PATIENCE - 1
    while True:
        try:
            results = load_results(directory)
            report = build_report(results, in_folder=out is None)
            built(report)
            written(_write(results, report, out))
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
    """Whether nothing runs, and every study has had all that its sweep file asks for.

    That is its trials, and the replicates that confirm its best. Where hours end a sweep, nobody
    runs it any more.
    """
    if results.running:
        return False
    try:
        spec = sweep_spec(results)
    except ResultsError:
        return True
    # Time may have ended it before its trials were out: nobody owns it any more then.
    if spec.budget.limited and not results.folder.exists(layout.OWNER):
        return True
    search = results.searched
    counts = search["study"].value_counts()
    sampler, trials = spec.search.sampler, spec.budget.trials
    searched = all(counts.get(c.study, 0) >= c.planned(sampler, trials) for c in spec.cells())
    return searched and (spec.confirm is None or _confirmed(results, spec.confirm))


def _confirmed(results: Results, confirm: ConfirmSpec) -> bool:
    again = results.trials.loc[results.trials["phase"] == REPLICATE, "source_trial_id"]
    counts, best = again.value_counts(), top_configs(results, confirm.top)
    return all(counts.get(trial_id, 0) >= confirm.seeds for trial_id in best["trial_id"])


def _write(results: Results, report: str, out: Path | None) -> str:
    folder = results.folder if out is None else Folder.open(out.parent)
    name = layout.REPORT if out is None else out.name
    folder.write(name, report.encode())
    return f"{folder}/{name}"
