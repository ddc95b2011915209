"""All charts of the report as files, named after the sweep and the chart."""

from collections.abc import Callable, Collection

from analysis.frames.evidence import alerts
from analysis.paper.marks import NoPaperFormError
from analysis.paper.picture import picture
from analysis.report.contents import figure_sections
from analysis.results import Results, ResultsError
from trainable.folder import layout
from trainable.folder.storage import Folder


def write_figures(
    results: Results,
    how: str = "pdf",
    *,
    columns: int = 1,
    only: Collection[str] = (),
    out: str | None = None,
    written: Callable[[str], None] = lambda place: None,
    left_out: Callable[[str], None] = lambda reason: None,
) -> None:
    """Write every chart of the report that has a form on paper as a file of its own.

    What stands against the sweep's numbers (``evidence.alerts``) stands in every one.

    Args:
        results: from ``load_results``, with all columns.
        how: ``pdf``, ``svg`` or ``png``.
        columns: width, in columns of a paper: 1 or 2.
        only: names of the report's sections to draw; empty: all.
        out: the folder to write, a path or a URI; None: ``figures`` in the results folder.
        written: hears of each file with its place.
        left_out: hears of each section without a chart and each chart without a file, and why.

    Raises:
        ResultsError: an unknown section, trials selected on the test set that must not have been,
            or no chart at all.
        StorageError: a file cannot be written.
    """
    sections = figure_sections(results, only)
    folder = results.folder / layout.FIGURES if out is None else Folder.open(out)
    against = alerts(results)
    drawn = 0
    for section in sections:
        if not section.charts:
            left_out(f"{section.name}: {section.missing}")
        for name, chart in zip(section.file_names(results.name), section.charts, strict=True):
            file = f"{name}-{columns}col.{how}"
            try:
                data = picture(chart.plot, chart.height, how, columns, against)
            # One chart that cannot be drawn leaves the others their files.
            except NoPaperFormError as error:
                left_out(f"{file}: {error} has no form on paper; the report can save it")
                continue
            folder.write(file, data)
            written(f"{folder}/{file}")
            drawn += 1
    if not drawn:
        raise ResultsError(f"{results.folder} has nothing to draw yet")
