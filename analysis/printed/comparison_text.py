"""Several sweeps side by side, as a terminal shows them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.amounts import percent
from analysis.best import records
from analysis.frames.accuracy import BETTER, ENOUGH_PAIRS, UNSTABLE, WORSE
from analysis.frames.comparison import Sweeps, differing_settings, over_seeds, side_by_side
from analysis.frames.evidence import alerts, caveats
from analysis.printed.text import difference_interval, mean_std, print_note, print_table
from trainable.folder import layout

PAIRED = (
    "Paired: replicates with the same seed and the same given labels in both sweeps, "
    f"{ENOUGH_PAIRS} or more. Unpaired: Welch's interval of the difference of two means."
)
CLEAR = (
    f"*: the 95% interval excludes zero, on {ENOUGH_PAIRS} seeds or more, and none diverged; not "
    "corrected for several comparisons."
)
SEEDS = (
    "The sweeps differ in their seed alone, so in labels, hold-out, suggestions and what was "
    "chosen. Between: standard deviation of their means; within: of the replicates of one sweep."
)
SEED_COLUMNS = ("setting", "loss", "sweeps", "test %", "between", "within")
CONFIRMED = "Mean ± std (n) over fresh seeds; n = 1 is the search's own winner, not confirmed."


def print_comparison(sweeps: Sweeps, out: Console) -> None:
    """The sweeps, the settings in which they differ, and their test accuracies."""
    table = side_by_side(sweeps)
    for number, results in enumerate(sweeps.all, start=1):
        out.print(Text(f"{number}  {results.name}  {results.folder}"), soft_wrap=True)
    out.print()
    _print_settings(sweeps, out)
    for setting, rows in noise_settings(table, sweeps):
        out.print(Text(setting, style="bold"))
        lines = [_line(row) for row in records(rows)]
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("  loss", "sweep", "test %", "minus sweep 1 [95%]", "how"):
            shown.add_column(name, justify="left", overflow="fold")
        for i, line in enumerate(lines):
            again = i > 0 and lines[i - 1][0] == line[0]
            shown.add_row(*(Text(cell) for cell in ("" if again else line[0], *line[1:])))
        out.print(shown)
        out.print()
    if len(varied := over_seeds(sweeps)):
        lines = [list(line) for line in seed_lines(varied, sweeps)]
        print_table(SEED_COLUMNS, lines, out)
        out.print()
    for note in notes(table, varied):
        print_note(note, out)
    for text in warnings(sweeps):
        print_note(text, out, "bold red")


def noise_settings(
    table: pd.DataFrame, sweeps: Sweeps, names: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of ``side_by_side`` of each setting, under its name; ``names``: of its noise."""
    several = [n for n in ("dataset", "model") if n in sweeps.by and table[n].nunique() > 1]
    *by, _ = sweeps.by  # without the loss
    for _, rows in table.groupby(by, sort=False):
        noise, *others = (str(rows[name].iloc[0]) for name in ("noise", *several))
        yield " · ".join([names.get(noise, noise), *others]), rows


def _print_settings(sweeps: Sweeps, out: Console) -> None:
    differing = differing_settings(sweeps)
    if differing:
        rows = [
            [key, "; ".join(f"{i}: {value}" for i, value in enumerate(values, start=1))]
            for key, values in differing.items()
        ]
        print_table(("setting", "in each sweep"), rows, out)
    else:
        print_note(settings_note(sweeps), out)
    out.print()


def settings_note(sweeps: Sweeps) -> str:
    """What is said where no setting differs, or none is known."""
    lacking = [str(results.folder) for results in sweeps.all if not results.spec]
    if lacking:
        return f"settings are not compared: no {layout.SWEEP} in {', '.join(lacking)}"
    return "the sweep files differ in nothing but their names"


def _line(row: Mapping[str, Any]) -> list[str]:
    return [f"  {row['loss']}", str(row["sweep"] + 1), accuracy(row), difference(row), how(row)]


def accuracy(row: Mapping[str, Any]) -> str:
    """``98.17 ± 0.80 (5)``."""
    return mean_std(row["test"], row["test_std"], row["n"], row["diverged"])


def difference(row: Mapping[str, Any]) -> str:
    """``+1.20 [+0.40, +2.00] *`` in points, empty where there is none."""
    if pd.isna(row["difference"]):
        return ""
    text = difference_interval(row)
    return f"{text} *" if row["verdict"] in (BETTER, WORSE) else text


def how(row: Mapping[str, Any]) -> str:
    """Whether a difference is paired, and what stands against it."""
    if pd.isna(row["difference"]):
        return ""
    kind = f"{row['pairs']:.0f} pairs" if row["pairs"] else "unpaired"
    return f"{kind}, seeds diverged" if row["verdict"] == UNSTABLE else kind


def seed_lines(
    varied: pd.DataFrame, sweeps: Sweeps, names: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, ...]]:
    """The rows of ``over_seeds`` under :data:`SEED_COLUMNS`, in percent."""
    for setting, rows in noise_settings(varied, sweeps, names):
        for row in records(rows):
            shares = (percent(row[name]) for name in ("test", "between", "within"))
            yield setting, row["loss"], str(row["sweeps"]), *shares


def notes(table: pd.DataFrame, varied: pd.DataFrame) -> list[str]:
    """How to read the numbers of ``side_by_side``, and of ``over_seeds`` if there are any."""
    said = [CONFIRMED]
    said += [SEEDS] if len(varied) else []
    said += [PAIRED] if table["difference"].notna().any() else []
    said += [CLEAR] if table["verdict"].isin([BETTER, WORSE]).any() else []
    return said


def warnings(sweeps: Sweeps) -> list[str]:
    """What each sweep has to say against its own numbers."""
    said = []
    for number, results in enumerate(sweeps.all, start=1):
        said += [f"sweep {number}: {text}" for text in (*alerts(results), *caveats(results))]
    return said
