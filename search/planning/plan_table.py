"""What ``plan`` prints."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.amounts import counted, duration
from analysis.printed.text import print_note
from search.planning.outline import Outline

if TYPE_CHECKING:
    from search.planning.plan import NodeType, Plan


def one_line(sketch: Outline, hours: float | None = None) -> str:
    """What is about to run: studies, trials, how many at a time, epochs, wall-clock if known."""
    time = "" if hours is None else f"; about {duration(3600 * hours)}"
    return (
        f"{sketch.name}: {counted(len(sketch.epochs), 'study', 'studies')}, "
        f"{_trials(sketch)}, {sketch.slots} at a time; "
        f"about {sketch.expected_epochs:,} epochs under "
        f"{sketch.early_stopping}, {sketch.full_epochs:,} if all ran in full{time}"
    )


def _trials(sketch: Outline) -> str:
    deeper = f", {sketch.deeper} that run the best deeper" if sketch.deeper else ""
    again = f" and {sketch.confirmations} that confirm the best" if sketch.confirmations else ""
    return counted(sketch.trials, "trial") + deeper + again


def print_plan(plan: "Plan", out: Console) -> None:
    """Print a plan as a table of facts, a line each where no terminal folds it; notes below."""
    facts = (*plan.understood, *_facts(plan))
    if out.is_terminal:
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts:
            table.add_row(name, Text(value))
        out.print(table)
    else:
        wide = max(len(name) for name, _ in facts)
        for name, value in facts:
            out.print(Text(f"{name:{wide}}  {value}"), soft_wrap=True)
    for note in (*plan.notes, *filter(None, [plan.limit, plan.too_long])):
        print_note(f"note: {note}", out, "yellow")


def _facts(plan: "Plan") -> list[tuple[str, str]]:
    sketch, trial = plan.outline, plan.trial
    facts = [
        ("studies", f"{len(sketch.epochs)}, {_trials(sketch)}"),
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
