"""What a terminal shows while a sweep runs: a line a study, its best below, a bar for all."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from analysis.amounts import percent
from search.driver.states import StudyState

HEADERS = (
    "\nstudy",
    "trials\nended",
    "stopped\nearly",
    "\nlost",
    "best:\n{metric}",
    "{test}\ntest",
    "running,\nat epoch",
)
"""``lost``: diverged or failed; ``{metric}``: what trials are judged by."""
MIN_NAME, MIN_RUNNING = 12, 9
"""Characters that a study's name and its running trials keep in a narrow terminal."""
INDENT = 2


def live_view(
    states: Sequence[StudyState],
    epochs: tuple[float, float],
    line: str,
    metric: str,
    width: int,
    height: int,
    *,
    published: bool,
) -> Group:
    """As much as a terminal of ``width`` x ``height`` characters holds.

    Studies that run come first where not all fit; the parameters of the best stand below each
    study where there is room for all of them. ``epochs``: trained, and expected in the end;
    ``published``: whether all data sets are, so that test labels are right.
    """
    total = Text(line, style="dim")
    room = max(1, height - 4 - -(-len(line) // width))
    ranked = sorted(states, key=lambda state: not (state.running or state.waiting))
    names = {state.name for state in ranked[: room if len(states) <= room else room - 1]}
    shown = [state for state in states if state.name in names]
    below = {s.name: Padding(Text(s.parameters, "dim"), (0, 0, 0, INDENT)) for s in shown}
    lines = sum(-(-len(s.parameters) // (width - INDENT)) for s in shown)
    fits = len(shown) == len(states) and len(shown) + lines <= room
    parts: list[RenderableType] = []
    rows = [_cells(state, metric) for state in shown]
    headers = _headers(metric, published)
    widths = _widths(rows, headers, width)
    parts.append(_table([headers], widths, "bold"))
    for state, row in zip(shown, rows, strict=True):
        parts.append(_table([row], widths, _style(state)))
        if fits and state.parameters:
            parts.append(below[state.name])
    if len(shown) < len(states):
        parts.append(Text(f"and {len(states) - len(shown)} more studies", style="dim"))
    return Group(*parts, _bar(*epochs, width), total)


def _headers(metric: str, published: bool) -> list[str]:
    # Of a user's own images nobody knows which labels are right.
    noisy, clean = ("noisy ", "clean") if published else ("", "")
    name = metric.replace("_accuracy", "").replace("_", " ")
    said = f"{noisy}{name}" if metric == "val_accuracy" else name
    return [header.format(metric=said, test=clean) for header in HEADERS]


def _cells(state: StudyState, metric: str) -> list[str]:
    last = state.best.last if state.best else None
    return [
        state.name,
        f"{state.ended}/{state.planned}",
        str(state.stopped),
        str(state.diverged + state.failed),
        percent(getattr(last, metric)) if last else "",
        percent(last.test_accuracy) if last else "",
        " ".join(f"{epoch}/{full}" for epoch, full in state.epochs_of),
    ]


def _widths(rows: Sequence[Sequence[str]], headers: Sequence[str], width: int) -> list[int]:
    """Of the columns: where it is narrow, names lose their middle and then running trials go."""
    above = [max(map(len, header.split("\n"))) for header in headers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else above
    widths = [max(pair) for pair in zip(widths, above, strict=True)]
    room = width - sum(widths[1:-1]) - 2 * (len(widths) - 1)
    widths[0] = max(MIN_NAME, min(widths[0], room - MIN_RUNNING))
    widths[-1] = max(1, room - widths[0])
    return widths


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int], style: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for number, width in enumerate(widths):
        left = number in (0, len(widths) - 1)
        table.add_column(
            justify="left" if left else "right",
            no_wrap=True,
            overflow="ellipsis",
            width=width,
        )
    for name, *cells in rows:
        table.add_row(shortened(name, widths[0]), *cells, style=style)
    return table


def _style(state: StudyState) -> str:
    """Green: it has ended; red: it lost a trial; dim: it has not begun."""
    if state.diverged + state.failed:
        return "red"
    if state.ended == state.planned:
        return "green"
    return "" if state.running or state.ended else "dim"


def _bar(done: float, expected: float, width: int) -> Table:
    share = min(1.0, done / expected) if expected else 0.0
    text = f"{done:,.0f} of about {expected:,.0f} epochs, {share:.0%}"
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(ProgressBar(1.0, share, width=max(10, width - len(text) - 2)), Text(text))
    return bar


def shortened(name: str, width: int) -> str:
    """``name``, its middle left out where it is too long."""
    if len(name) <= width:
        return name
    end = width // 2
    return f"{name[: width - end - 1]}…{name[-end:]}"
