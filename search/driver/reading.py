"""A bar for the images that are being read: a user's own can take minutes the first time."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID

from trainable.data.own.pixels import Reading


@contextmanager
def reading(console: Console) -> Iterator[Reading]:
    """What to tell how far the reading is; the bar comes with the first word, and goes again."""
    bar = Progress(console=console, transient=True)
    tasks: dict[str, TaskID] = {}

    def told(step: str, done: int, total: int) -> None:
        if not tasks:
            bar.start()
        if step not in tasks:
            tasks[step] = bar.add_task(f"images {step}")
        bar.update(tasks[step], completed=done, total=total)

    try:
        yield told
    finally:
        if tasks:  # a bar that never came would leave an empty line
            bar.stop()
