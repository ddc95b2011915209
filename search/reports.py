"""What ``plan`` and ``replay`` print."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.printed.text import counted
from search.driver.progress import duration
from search.planning.outline import Outline
from search.replay.curves import Curves
from search.replay.replay import BASELINE, TOLERANCE, Summary

if TYPE_CHECKING:
    from search.planning.plan import NodeType, Plan

_COLUMNS = {
    "strategy": 18,
    "epochs to best val": 19,
    "fewer": 5,
    "to its test": 19,
    "fewer ": 5,
    "hit": 4,
}


def one_line(sketch: Outline) -> str:
    """What is about to run: studies, trials, how many at a time, epochs."""
    return (
        f"{sketch.name}: {counted(len(sketch.epochs), 'study', 'studies')}, "
        f"{counted(sketch.trials, 'trial')}, "
        f"{sketch.slots} at a time; about {sketch.expected_epochs:,} epochs under "
        f"{sketch.early_stopping}, {sketch.full_epochs:,} if all ran in full"
    )


def print_plan(plan: "Plan", out: Console) -> None:
    """Print a plan as a table of facts, with its notes below."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(plan):
        table.add_row(name, Text(value))
    out.print(table)
    for note in plan.notes:
        out.print(Text(f"note: {note}", style="yellow"), soft_wrap=True)


def _facts(plan: "Plan") -> list[tuple[str, str]]:
    sketch, trial = plan.outline, plan.trial
    facts = [
        ("studies", f"{len(sketch.epochs)}, {counted(sketch.trials, 'trial')}"),
        (
            "epochs",
            f"about {sketch.expected_epochs:,} under {sketch.early_stopping} "
            f"(simulated), {sketch.full_epochs:,} if all ran in full",
        ),
        ("trials at once", f"{sketch.slots}, each {trial.cpus:g} CPUs and {trial.gpus:g} GPUs"),
        *(("nodes", _node(node)) for node in plan.node_types),
        ("wall-clock", f"about {duration(3600 * plan.hours)}"),
        ("core-hours", f"{plan.trial_hours * trial.cpus:.3g}"),
    ]
    if trial.gpus:
        facts.append(("GPU-hours", f"{plan.trial_hours * trial.gpus:.3g}"))
    facts.append(("disk", f"at most {_size(plan.disk_bytes)}"))
    if plan.trials_per_gpu:
        facts.append(
            (
                "GPU sharing",
                f"{plan.trials_per_gpu} trials fit one GPU: gpus_per_trial = "
                f"{plan.gpus_per_trial:g} (they share its speed: worth it while a trial alone "
                "leaves it idle)",
            )
        )
    return facts


def _node(node: "NodeType") -> str:
    seconds = sorted({round(cost.epoch_seconds, 2) for cost in node.costs.values()})
    epoch = f"{seconds[0]:g}" if len(seconds) == 1 else f"{seconds[0]:g} to {seconds[-1]:g}"
    device = next(iter(node.costs.values())).device
    memory = f"{_size(node.memory_mb * 2**20)} a trial"
    total = next(iter(node.costs.values())).gpu_memory_mb
    if total is not None:
        memory += f" of {_size(total * 2**20)}"
    return f"{node.nodes} x {device}: {epoch} s an epoch, {memory}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


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
    best = max(pool, key=lambda curve: curve.rank)
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
