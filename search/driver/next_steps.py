"""What a sweep says when it has ended: where the results are, and what to type next."""

from rich.console import Console
from rich.text import Text

from analysis.best import best_configs
from analysis.results import Results
from search.driver.shell import python


def print_next(results: Results, report: str, console: Console) -> None:
    """Print where the results are, and the commands that go on from here: those not yet given."""
    folder = results.folder
    console.print(Text(f"\nresults  {folder}\nreport   {report}\n"), soft_wrap=True)
    place = folder.argument
    best = best_configs(results)
    replicates = best["replicates"].fillna(0)
    again = (f"search replicate {place} --top 1 --seeds 5", "confirm them on fresh seeds")
    if replicates.all():
        again = (f"analysis table {place}", "mean ± std beside the published numbers")
    chosen = [(f"analysis best {place}", "every parameter of the best"), again]
    for command, meaning in (
        *(chosen if best["val_accuracy"].notna().any() else []),
        (f"search extend {place} --trials 12", "more trials for every study"),
    ):
        console.print(
            Text(f"  {python()} -m {command}"), Text(f" # {meaning}", "dim"), soft_wrap=True
        )
