"""What goes into a paper, compiled by a real LaTeX."""

import re
import shutil
import subprocess

import pytest
from pypdf import PdfReader

from analysis.printed.answers import format_answers
from analysis.printed.paper_table import format_table
from analysis.printed.winners import format_winners
from analysis.results import load_results
from tests.recorded import SWEEP, record_sweep

PDFLATEX = shutil.which("pdflatex")
HAS_BOOKTABS = (
    PDFLATEX
    and not subprocess.run(
        ["kpsewhich", "booktabs.sty"], capture_output=True, check=False
    ).returncode
)

pytestmark = pytest.mark.skipif(
    not HAS_BOOKTABS, reason="needs pdflatex and booktabs (texlive-latex-recommended)"
)

MANY = SWEEP.replace('"digits"', '"cifar10"').replace("[0.4, 0.6]", "[0.2, 0.4, 0.5, 0.6, 0.8]")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """With published numbers beside it, more columns than a page is wide, and odd names."""
    folder = record_sweep(tmp_path_factory.mktemp("sweep"), MANY, replicates=3)
    return load_results(folder)


def compiled(tables, place):
    """The text of a document with the tables and a reference to each, and LaTeX's log."""
    packages = set(re.findall(r"\\usepackage\{(\w+)\}", "".join(tables)))
    labels = re.findall(r"\\label\{(.*?)\}", "".join(tables))
    assert len(set(labels)) == len(labels) >= len(tables)
    lines = [
        r"\documentclass{article}",
        *(rf"\usepackage{{{package}}}" for package in sorted(packages)),
        r"\begin{document}",
        *tables,
        *(rf"See Table~\ref{{{label}}}." for label in labels),
        r"\end{document}",
    ]
    (place / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    command = [PDFLATEX, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # the second time knows the references
        done = subprocess.run(command, cwd=place, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    pages = PdfReader(place / "paper.pdf").pages
    return " ".join(page.extract_text() for page in pages), (place / "paper.log").read_text(
        errors="replace"
    )


def test_every_table_compiles_fits_the_page_and_can_be_referred_to(results, tmp_path):
    tables = [
        format_table(results, "latex"),
        format_winners(results, "latex", top=2),
        format_answers(results, "latex"),
    ]
    text, log = compiled(tables, tmp_path)
    assert "Overfull \\hbox" not in log
    assert "undefined" not in log
    assert "??" not in text
    for said in ("Adam-refined ELR", "symmetric-0.8", "best configuration of each study", "±"):
        assert said in text
