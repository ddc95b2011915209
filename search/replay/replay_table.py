"""What ``replay`` prints."""

import math
from collections.abc import Sequence
from dataclasses import astuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.amounts import counted
from search.replay.curves import Curves
from search.replay.replay import BEST, BUDGETS, TOLERANCE, Run
from search.replay.summary import Estimate, of, ratio, summarise

_EXPLANATION = (
    "epochs: of the whole sweep, until the choice of every study is within "
    f"{100 * TOLERANCE:g} points of its pool's best, all that were spent counting where one never "
    "is; there: runs in which every study was; a success: the epochs of all runs over the number "
    "of those; of {first}: the epochs over those of {first}; "
    f"stopped: share of the best {BEST} trials of every pool that were stopped early; regret: "
    "points from the pool's best to the choice after so many full budgets a study. In brackets "
    "and behind ±: 95% intervals over seeds"
)


def print_replay(curves: Curves, runs: Sequence[Run], out: Console) -> None:
    """Print what the strategies spent and lost, then the regret of their choices."""
    for study, pool in curves.studies.items():
        best = min(pool, key=lambda curve: curve.key)
        title = (
            f"{study}: {counted(len(pool), 'trial')}, best val {100 * best.final:.2f}, "
            f"its test {100 * best.test[-1]:.2f}"
        )
        out.print(Text(title), soft_wrap=True)
    out.print(_costs(runs))
    out.print(_regrets(runs, "regret"))
    out.print(_regrets(runs, "test_regret"))
    explanation = _EXPLANATION.format(first=runs[0].strategy)
    out.print(Text(explanation, style="dim"), soft_wrap=True)


def _costs(runs: Sequence[Run]) -> Table:
    first = runs[0].strategy
    table = _table("strategy", "epochs", "there", "a success", f"of {first}", "stopped")
    for summary in summarise(runs):
        share = ratio(of(runs, summary.strategy), of(runs, first))
        table.add_row(
            summary.strategy,
            _interval(summary.epochs, ",.0f"),
            f"{summary.there:.0%}",
            "never" if summary.success == math.inf else f"{summary.success:,.0f}",
            "" if summary.strategy == first else _interval(share, ".2f"),
            _points(summary.lost, "%"),
        )
    return table


def _regrets(runs: Sequence[Run], name: str) -> Table:
    table = _table(name.replace("_", " "), *map(str, BUDGETS))
    for summary in summarise(runs):
        table.add_row(summary.strategy, *map(_points, getattr(summary, name)))
    return table


def _table(name: str, *columns: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(name, no_wrap=True, min_width=18)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _interval(estimate: Estimate, form: str) -> str:
    mean, low, high = (f"{value:{form}}" for value in astuple(estimate))
    return mean if math.isnan(estimate.low) else f"{mean} ({low}-{high})"


def _points(estimate: Estimate, unit: str = "") -> str:
    """A fraction in points, with half its interval."""
    half = 50 * (estimate.high - estimate.low)
    mean = f"{100 * estimate.mean:.2f}{unit}"
    return mean if math.isnan(half) else f"{mean}±{half:.2f}"
