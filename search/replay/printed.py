"""What ``replay`` prints."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.replay.curves import Curves
from search.replay.replay import BASELINE, TOLERANCE, Summary

_COLUMNS = {
    "strategy": 18,
    "epochs to best val": 19,
    "fewer": 5,
    "to its test": 19,
    "fewer ": 5,
    "hit": 4,
}


def print_replay(curves: Curves, summaries: Sequence[Summary], seeds: int, out: Console) -> None:
    """Print the strategies study by study, then over all studies."""
    for study in dict.fromkeys(summary.study for summary in summaries):
        out.print(Text(_title(study, curves), style="bold"), soft_wrap=True)
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        for name, width in _COLUMNS.items():
            left = name == "strategy"
            table.add_column(
                name, justify="left" if left else "right", no_wrap=True, min_width=width
            )
        for summary in summaries:
            if summary.study == study:
                table.add_row(*_cells(summary))
        out.print(table)
    explanation = (
        f"epochs over all trials until the best so far is within {100 * TOLERANCE:g} points of "
        f"the pool's best: median (quartiles) of {seeds} seeds; fewer: how many times fewer than "
        f"{BASELINE} are spent, by all runs, for each run that gets there; hit: runs that do"
    )
    out.print(Text(explanation, style="dim"), soft_wrap=True)


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        summary.strategy,
        _quartiles(summary.to_value),
        _times(summary.value_ratio),
        _quartiles(summary.to_test),
        _times(summary.test_ratio),
        f"{summary.reached:.0%}",
    )


def _title(study: str, curves: Curves) -> str:
    if not study:
        return "all studies"
    pool = curves.studies[study]
    best = min(pool, key=lambda curve: curve.key)
    return (
        f"{study}: {len(pool)} trials, best val {100 * best.final:.2f}, "
        f"its test {100 * best.test[-1]:.2f}"
    )


def _quartiles(quartiles: tuple[float, float, float]) -> str:
    if math.isnan(quartiles[1]):
        return ""
    low, median, high = ("never" if v == math.inf else f"{v:,.0f}" for v in quartiles)
    return f"{median} ({low}-{high})"


def _times(ratio: float) -> str:
    return "-" if math.isnan(ratio) else f"{ratio:.1f}x"
