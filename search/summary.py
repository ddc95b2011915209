"""What a sweep prints when it ends: the best configuration per study, and what to type next."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.best import best_configs, records, selected_on_test
from analysis.results import load_results
from spaces.sweep import SweepSpec
from trainable.storage import Folder


def print_summary(spec: SweepSpec, folder: Folder, console: Console) -> None:
    """Print the best configuration of every study, best first, with the next commands."""
    results = load_results(folder, columns=["val_accuracy"])
    best = best_configs(results)
    varies = {
        qualified.rpartition(".")[2] for cell in spec.cells() for qualified in cell.space.varies
    }
    table = Table(title="best configuration of each study", box=None, title_justify="left")
    for name in ("noise", "loss", "val", "test", "epochs", "parameters"):
        table.add_column(
            name,
            justify="right" if name in ("val", "test", "epochs") else "left",
            overflow="fold",
            no_wrap=name != "parameters",
        )
    for row in records(best.sort_values(["noise", "selection_value"], ascending=[True, False])):
        table.add_row(*_cells(row, varies))
    console.print(table)
    if selected_on_test(results):
        console.print("selected on the test set: these numbers leak", style="bold red")
    console.print(Text(f"\nresults: {folder}", overflow="fold"), soft_wrap=True)
    for command, meaning in (
        (f"python -m analysis best {folder}", "the same table, with every parameter"),
        (f"python -m search extend {folder} --trials 24", "more trials for every study"),
        (f"python -m search replicate {folder}", "confirm the best on fresh seeds"),
    ):
        console.print(Text(f"  {command}    # {meaning}"), soft_wrap=True)


def _cells(row: Mapping[str, Any], varies: set[str]) -> list[str]:
    values = {name: row.get(f"param_{name}") for name in sorted(varies)}
    text = " ".join(f"{name}={_short(v)}" for name, v in values.items() if not pd.isna(v))
    if pd.isna(row["val_accuracy"]):
        return [str(row["noise"]), str(row["loss"]), "", "", "", "no trial had its full budget"]
    return [
        str(row["noise"]),
        str(row["loss"]),
        f"{row['val_accuracy']:.4f}",
        f"{row['test_accuracy']:.4f}",
        f"{row['epochs']:.0f}",
        text,
    ]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
