"""Several sweeps side by side as one HTML page, in the look of the report."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.offline
from markupsafe import Markup

from analysis.amounts import counted, signed_points
from analysis.best import records
from analysis.frames.comparison import Sweeps, differing_settings, over_seeds, side_by_side
from analysis.printed.comparison_text import (
    SEED_COLUMNS,
    accuracy,
    difference,
    how,
    noise_settings,
    notes,
    seed_lines,
    settings_note,
    warnings,
)
from analysis.report.build import stored, with_ids
from analysis.report.chart import Chart, axis, figure, plain, points, scatter
from analysis.report.contents import Section
from analysis.report.figures.accuracy import accuracy_range
from analysis.report.page import Sheet, templates
from analysis.report.style import PALETTE, in_order, loss_name, noise_names, sentence
from trainable.folder.storage import Folder

LOSS_HEIGHT, SWEEP_HEIGHT, ROOM = 14, 18, 90
"""Height of a loss, of a sweep in it and of all around them, in pixels."""


def write_comparison(sweeps: Sweeps, out: Path) -> str:
    """Write the page; returns where it is. Raises StorageError if it cannot be written."""
    folder = Folder.open(out.parent)
    folder.write(out.name, build_comparison(sweeps).encode())
    return f"{folder}/{out.name}"


def build_comparison(sweeps: Sweeps, now: datetime | None = None) -> str:
    """The whole page, as of ``now``."""
    table = side_by_side(sweeps)
    section = Section(
        "accuracy",
        "Test accuracy",
        "Marks are means over the seeds, whiskers one standard deviation; a mark without "
        "whiskers is a single trial.",
        missing="",
        charts=[_chart(*setting, sweeps) for setting in _settings(table, sweeps)],
    )
    names = [results.name for results in sweeps.all]
    name = " · ".join(dict.fromkeys(names))
    found, varied = differing_settings(sweeps), over_seeds(sweeps)
    against = [sentence(text) for text in warnings(sweeps)]
    template = templates().get_template("comparison.html")
    return template.render(
        name=name,
        headline=f"{counted(len(names), 'sweep')} side by side; differences are to the first.",
        headnotes=against,
        sweeps=_sweeps_sheet(sweeps),
        settings=_settings_sheet(found) if found else None,
        settings_note=settings_note(sweeps),
        section=with_ids(section, name),
        numbers=_numbers_sheet(table, sweeps),
        varied=_over_seeds_sheet(varied, sweeps) if len(varied) else None,
        notes=notes(table, varied),
        now=now or datetime.now(UTC),
        figures=stored([section], [], against),
        plotly=Markup(plotly.offline.get_plotlyjs()),
    )


def _sweeps_sheet(sweeps: Sweeps) -> Sheet:
    rows = [
        {
            "sweep": f"{number} {results.name}",
            "trials": len(results.trials),
            "folder": str(results.folder),
        }
        for number, results in enumerate(sweeps.all, start=1)
    ]
    return Sheet(pd.DataFrame(rows), "What is compared", ("folder",))


def _settings_sheet(found: dict[str, tuple[str, ...]]) -> Sheet:
    rows = [
        {"setting": key, **{f"sweep {i}": value for i, value in enumerate(values, start=1)}}
        for key, values in found.items()
    ]
    frame = pd.DataFrame(rows)
    return Sheet(frame, "Settings that differ between the sweep files", tuple(frame.columns[1:]))


def _numbers_sheet(table: pd.DataFrame, sweeps: Sweeps) -> Sheet:
    rows = [
        {
            "setting and loss": f"{name}: {loss_name(row['loss'])}",
            "sweep": row["sweep"] + 1,
            "test accuracy (%)": accuracy(row),
            "minus sweep 1, in points": difference(row),
            "how": how(row),
        }
        for name, group in _settings(table, sweeps)
        for row in records(group)
    ]
    return Sheet(pd.DataFrame(rows), "Test accuracy at the last epoch")


def _over_seeds_sheet(varied: pd.DataFrame, sweeps: Sweeps) -> Sheet:
    rows = [
        (setting, loss_name(loss), *numbers)
        for setting, loss, *numbers in seed_lines(varied, sweeps, _names(sweeps))
    ]
    frame = pd.DataFrame(rows, columns=list(SEED_COLUMNS))
    return Sheet(frame, "Over the seeds of the sweep: test accuracy, and how much it varies")


def _settings(table: pd.DataFrame, sweeps: Sweeps) -> Iterator[tuple[str, pd.DataFrame]]:
    return noise_settings(table, sweeps, _names(sweeps))


def _names(sweeps: Sweeps) -> dict[str, str]:
    """Noise settings as a reader says them, by their short names: ``Symmetric, 40%``."""
    each = [noise_names(results.trials) for results in sweeps.all]
    return {noise: sentence(name) for names in each for noise, name in names.items()}


def _chart(setting: str, rows: pd.DataFrame, sweeps: Sweeps) -> Chart:
    """A mark for each loss and sweep, sweeps beside each other."""
    losses = in_order(rows["loss"])
    traces = [_marks(place, part, sweeps) for place, part in rows.groupby("sweep")]
    names = [loss_name(loss) for loss in losses]
    plot = figure(
        traces,
        axis("Test accuracy (%)", range=accuracy_range(rows)),
        axis(categoryarray=[plain(name) for name in names], autorange="reversed"),
        scattermode="group",
        scattergap=0.35,
    )
    behind = pd.DataFrame(
        {
            "loss": rows["loss"].map(loss_name),
            "sweep": rows["sweep"] + 1,
            "test accuracy (%)": [accuracy(row) for row in records(rows)],
        }
    )
    said = [
        f"{loss_name(row['loss'])} {signed_points(row['difference'])} in sweep {row['sweep'] + 1}"
        for row in records(rows.dropna(subset="difference"))
    ]
    says = f"Points more than in sweep 1: {', '.join(said)}." if said else "No loss in common."
    height = ROOM + len(losses) * (LOSS_HEIGHT + SWEEP_HEIGHT * len(sweeps.all))
    return Chart(setting, plot, says, behind, height)


def _marks(place: Any, rows: pd.DataFrame, sweeps: Sweeps) -> Any:
    look = PALETTE[-(place + 1) % len(PALETTE)]
    spread = {"type": "data", "array": points(rows["test_std"].fillna(0)), "width": 4}
    return scatter(
        look,
        f"{place + 1} {sweeps.all[place].name}",
        points(rows["test"]),
        [plain(loss_name(loss)) for loss in rows["loss"]],
        "%{x:.2f}%<extra>%{fullData.name}</extra>",
        marker={"size": 10},
        error_x=spread | {"color": look.light, "thickness": 1.5},
        orientation="h",
        offsetgroup=str(place),
    )
