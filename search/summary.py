"""What a sweep prints when it ends: the best configuration per study, and what to type next."""

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.best import best_configs, selected_on_test
from analysis.results import load_results
from trainable.storage import Folder


def print_summary(folder: Folder, console: Console) -> None:
    """Print the best configuration of every study, best first, with the next commands."""
    results = load_results(folder, columns=["val_accuracy"])
    best = best_configs(results)
    table = Table(title="best configuration of each study", box=None, title_justify="left")
    for name in ("noise", "loss", "val", "test", "epochs", "parameters"):
        table.add_column(
            name,
            justify="right" if name in ("val", "test", "epochs") else "left",
            overflow="fold",
            no_wrap=name != "parameters",
        )
    for _, row in best.sort_values(["noise", "test_accuracy"], ascending=[True, False]).iterrows():
        table.add_row(*_cells(row))
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


def _cells(row: "pd.Series[float]") -> list[str]:
    varying = {str(n): v for n, v in row.items() if str(n).startswith("param_") and not pd.isna(v)}
    text = " ".join(
        f"{name.removeprefix('param_')}={v:.3g}"
        if isinstance(v, float)
        else f"{name.removeprefix('param_')}={v}"
        for name, v in varying.items()
    )
    return [
        str(row["noise"]),
        str(row["loss"]),
        f"{row['val_accuracy']:.4f}",
        f"{row['test_accuracy']:.4f}",
        f"{row['epochs']:.0f}",
        text,
    ]
