"""A table of results, and how it is written as text, in Markdown and in LaTeX.

What is in a cell is computed once, elsewhere; a format only writes it down.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trainable.catalog import unknown

STAR = "Starred"
"""A text has no bold: what would be has a star."""


@dataclass(frozen=True)
class Printed:
    """One cell of a table."""

    text: str = "-"  # the number, as in ``92.12 ± 0.35 (5)``
    bold: bool = False  # whether it is what one looks for


Line = tuple[str, tuple[Printed, ...]]
"""What it is about, and its cells."""
Blocks = tuple[tuple[str, tuple[Line, ...]], ...]
"""The parts of a table with their headings."""


@dataclass(frozen=True)
class Grid:
    """One table of a sweep."""

    sweep: str  # the sweep's name, for the label in LaTeX
    title: str  # a phrase, above the table
    header: tuple[str, ...]  # names of the columns, that of the first among them
    blocks: Blocks  # the lines, in parts with headings
    notes: tuple[str, ...]  # sentences below the table
    caption: str  # the title as a sentence, for a document
    bold: str = ""  # what holds of the cells that are bold; empty: none is

    def explained(self, mark: str = "Bold") -> tuple[str, ...]:
        """The notes, and what it means that a cell is bold, or has that ``mark`` instead."""
        return (*self.notes, f"{mark}: {self.bold}") if self.bold else self.notes

    @staticmethod
    def filled(blocks: Mapping[str, tuple[Line, ...]]) -> Blocks:
        """The parts that have lines."""
        return tuple((name, lines) for name, lines in blocks.items() if lines)


def narrowed(grid: Grid, width: int) -> list[Grid]:
    """The table in parts, each with its first column, whose text is at most so many signs wide.

    A part has one column at least. The notes, in lines as narrow, are below the last one.
    """
    texts = [[name] for name in grid.header]
    for _, block in grid.blocks:
        for method, cells in block:
            texts[0].append(f"  {method}")
            for column, cell in zip(texts[1:], cells, strict=True):
                column.append(f"*{cell.text}" if cell.bold else cell.text)
    first, *others = (max(map(len, column)) for column in texts)
    parts, room = [[0]], width - first - others[0] - 2
    for place, wide in enumerate(others[1:], start=1):
        room -= wide + 2
        if room < 0:
            parts.append([])
            room = width - first - wide - 2
        parts[-1].append(place)
    narrow = [_with_columns(grid, places) for places in parts]
    notes = tuple(textwrap.fill(note, width) for note in grid.explained(STAR))
    return [*narrow[:-1], replace(narrow[-1], notes=notes)]


def _with_columns(grid: Grid, places: Sequence[int]) -> Grid:
    """Some of the columns after the first, without the notes."""
    blocks = tuple(
        (name, tuple((method, tuple(cells[i] for i in places)) for method, cells in block))
        for name, block in grid.blocks
    )
    header = (grid.header[0], *(grid.header[i + 1] for i in places))
    return replace(grid, header=header, blocks=blocks, notes=(), bold="")


def _text(grid: Grid) -> str:
    lines = [grid.header]
    for name, block in grid.blocks:
        lines += [("",), (name,)]
        lines += [
            (f"  {method}", *(f"{'*' if c.bold else ''}{c.text}" for c in cells))
            for method, cells in block
        ]
    count = len(grid.header)
    table = [line + ("",) * (count - len(line)) for line in lines]
    widths = [max(len(line[i]) for line in table) for i in range(count)]
    # Headings have their line alone, so a long one makes no column wider.
    widths[0] = max((len(line[0]) for line in lines if len(line) > 1), default=0)
    body = [
        "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join([grid.title, "", *body, "", *grid.explained(STAR), ""])


def _markdown(grid: Grid) -> str:
    across = len(grid.header) - 1
    lines = [f"**{grid.title}**", "", f"| {' | '.join(grid.header)} |"]
    lines.append("|---|" + "---:|" * across)
    for name, block in grid.blocks:
        lines.append(f"| *{name}* |" + " |" * across)
        for method, cells in block:
            texts = [f"**{cell.text}**" if cell.bold else cell.text for cell in cells]
            lines.append(f"| {method.replace('*', chr(92) + '*')} | {' | '.join(texts)} |")
    return "\n".join([*lines, "", *(f"{note}  " for note in grid.explained()), ""])


def _latex(grid: Grid) -> str:
    columns = len(grid.header)
    body = [latex_row([escaped(grid.header[0]).capitalize(), *map(escaped, grid.header[1:])])]
    for name, block in grid.blocks:
        body += ["\\midrule", f"\\multicolumn{{{columns}}}{{l}}{{\\emph{{{escaped(name)}}}}} \\\\"]
        for method, cells in block:
            texts = [(escaped(cell.text), cell.bold) for cell in cells]
            bold = [f"\\textbf{{{text}}}" if bold else text for text, bold in texts]
            body.append(latex_row([escaped(method), *bold]))
    notes = " ".join(note if note.endswith(".") else f"{note}." for note in grid.explained())
    label = f"{grid.sweep} {grid.title}"
    return latex_float(grid.caption, label, f"l{'r' * (columns - 1)}", body, notes)


def latex_float(caption: str, label: str, columns: str, body: Iterable[str], notes: str) -> str:
    r"""A table of its own, no wider than the page, with ``notes`` below it.

    It needs the packages booktabs and graphicx. ``columns`` and ``body`` are LaTeX, the others
    are text; letters and digits of ``label`` become its ``\label{tab:…}``.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage{graphicx}",
        "\\begin{table}",
        "\\centering",
        "\\small",
        f"\\caption{{{escaped(caption)}}}",
        f"\\label{{tab:{slug}}}",
        # Shrunk to the page only where it is wider: a narrow one would be blown up.
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        *body,
        "\\bottomrule",
        "\\end{tabular}}",
        "",
        "\\medskip",
        f"\\footnotesize {escaped(notes)}",
        "\\end{table}",
        "",
    ]
    return "\n".join(lines)


def latex_row(cells: Iterable[str]) -> str:
    """One line of a tabular."""
    return " & ".join(cells) + " \\\\"


_LATEX: dict[str, str | int | None] = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "±": "$\\pm$",
    "≈": "$\\approx$",
    "−": "$-$",
}


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    # A minus sign, but the hyphen of a name stays one.
    text = re.sub(r"(?<!\w)-(?=\d)", "−", text)
    return text.translate(str.maketrans(_LATEX))


FORMATS: dict[str, Callable[[Grid], str]] = {
    "text": _text,
    "markdown": _markdown,
    "latex": _latex,
}


def written(grids: Iterable[Grid], how: str, width: int = 0) -> str:
    """Tables in one of :data:`FORMATS`; a text in parts no wider than ``width`` if it is not 0.

    Raises ValueError for an unknown format.
    """
    if how not in FORMATS:
        raise ValueError(unknown("format", how, [*FORMATS, "csv"]))
    if how == "text" and width:
        grids = [part for grid in grids for part in narrowed(grid, width)]
    return "\n".join(FORMATS[how](grid) for grid in grids)
