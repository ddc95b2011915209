"""What a sweep says when it has ended: where the results are, and what to type next."""

from rich.console import Console
from rich.text import Text

from search.driver.shell import python
from trainable.folder.storage import Folder


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
