"""What a sweep prints when it ends: the best configuration per study, and what to type next."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.best import best_configs, records, selected_on_test
from analysis.results import load_results
from search.driver.shell import python
from spaces.sweep import SweepSpec
from trainable.folder.storage import Folder


def print_summary(spec: SweepSpec, folder: Folder, console: Console) -> None:
    """Print the best configuration of every study, by noise setting, best first."""
    results = load_results(folder, columns=["val_accuracy"])
    best = best_configs(results)
    again = bool(best["replicates"].fillna(0).any())
    varies = {
        qualified.rpartition(".")[2] for cell in spec.cells() for qualified in cell.space.varies
    }
    table = Table(box=None, pad_edge=False)
    table.add_column("best of study", no_wrap=True)
    for name in ("val", "test", *(["test again"] if again else []), "epochs"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for row in records(best.sort_values(["noise", "selection_value"], ascending=[True, False])):
        table.add_row(*_cells(row, varies, again))
    console.print(table)
    if selected_on_test(results):
        console.print("selected on the test set: these numbers leak", style="bold red")


def print_next(folder: Folder, report: str, console: Console) -> None:
    """Print where the results are, and the commands that go on from here."""
    console.print(Text(f"\nresults  {folder}\nreport   {report}\n"), soft_wrap=True)
    place = folder.argument
    for command, meaning in (
        (f"analysis best {place}", "every parameter of the best"),
        (f"search replicate {place} --top 1 --seeds 5", "confirm them on fresh seeds"),
        (f"search extend {place} --trials 12", "more trials for every study"),
    ):
        console.print(
            Text(f"  {python()} -m {command}"), Text(f" # {meaning}", "dim"), soft_wrap=True
        )


def _cells(row: Mapping[str, Any], varies: set[str], again: bool) -> list[str]:
    if pd.isna(row["val_accuracy"]):
        return [str(row["study"]), *[""] * (4 if again else 3), "no trial had its full budget"]
    values = {name: row.get(f"param_{name}") for name in sorted(varies)}
    return [
        str(row["study"]),
        f"{row['val_accuracy']:.4f}",
        f"{row['test_accuracy']:.4f}",
        *([_repeated(row)] if again else []),
        f"{row['epochs']:.0f}",
        " ".join(f"{name}={_short(v)}" for name, v in values.items() if not pd.isna(v)),
    ]


def _repeated(row: Mapping[str, Any]) -> str:
    """What fresh seeds gave: ``0.9739 ± 0.0122 (4, 1 diverged)``."""
    seeds, diverged = row["replicates"], row["replicates_diverged"]
    if not seeds + diverged > 0:
        return ""
    mean = "-" if pd.isna(row["replicated_test"]) else f"{row['replicated_test']:.4f}"
    spread = f" ± {row['replicated_test_std']:.4f}" if seeds > 1 else ""
    return f"{mean}{spread} ({seeds:.0f}{f', {diverged:.0f} diverged' if diverged else ''})"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
