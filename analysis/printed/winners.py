"""The best configurations as a table for a document."""

from analysis.amounts import percent, short
from analysis.best import parameters, records, varied_parameters
from analysis.frames.evidence import alerts, holdout, test_labels
from analysis.printed.grid import escaped, latex_float, latex_row
from analysis.printed.text import best_table, test_again
from analysis.results import Results

HEADER = ("Study", "Trial", "Val (%)", "Test (%)", "Test again (%)", "Parameters")
COLUMNS = "lrrrrp{0.4\\linewidth}"
"""The same for LaTeX: the last has lines as long as it needs."""


def format_winners(results: Results, how: str, *, confirmed: bool = False, top: int = 1) -> str:
    """What ``best`` prints, as ``markdown`` or ``latex``; studies without a winner are left out.

    LaTeX needs the packages that its first line names.
    """
    rows = _rows(results, confirmed, top)
    against = "".join(f"{alert}. " for alert in alerts(results))
    note = f"{against}Val: {holdout(results)}; test: {test_labels(results)}."
    if how == "markdown":
        table: list[tuple[str, ...]] = [HEADER, ("---", *["---:"] * 4, "---"), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in table) + f"\n{note}\n"
    lines = [latex_row(map(escaped, line)) for line in (HEADER, *rows)]
    caption = (
        f"The best configuration of each study of {results.name} is given with its accuracies."
    )
    body = [lines[0], "\\midrule", *lines[1:]]
    return latex_float(caption, f"best {results.name}", COLUMNS, body, note)


def _rows(results: Results, confirmed: bool, top: int) -> list[tuple[str, ...]]:
    varied = varied_parameters(results)
    best = best_table(results, confirmed=confirmed, top=top).dropna(subset="trial_id")
    rows: list[tuple[str, ...]] = []
    for row in records(best):
        own = {k: v for k, v in parameters(row).items() if k in varied[row["study"]]}
        said = ", ".join(f"{name} = {short(value)}" for name, value in own.items())
        accuracies = percent(row["val_accuracy"]), percent(row["test_accuracy"])
        rows.append((row["study"], f"{row['number']:.0f}", *accuracies, test_again(row), said))
    return rows
