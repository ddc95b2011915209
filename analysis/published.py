"""Accuracies printed in papers, with what has to be said about where each row comes from."""

from functools import cache
from importlib.resources import files

import pandas as pd

from trainable.config import NoiseConfig

SOURCES: dict[str, str] = {
    "paper": "the Adam-refined ELR paper, tables 1 and 2",
    "elr_paper": "the ELR paper, arXiv 2007.00151",
}

_COPIED = "copied from the GCE paper (Zhang & Sabuncu 2018): another schedule"
_RERUN = "rerun by the ELR authors: another schedule"
_STARRED = "cosine warm restarts (the star), 150 epochs"
PROTOCOLS: dict[tuple[str, str], str] = {
    ("paper", "ce"): _COPIED,
    ("paper", "forward"): _COPIED,
    ("paper", "gce"): _COPIED,
    ("paper", "bootstrap"): _RERUN,
    ("paper", "sce"): _RERUN,
    ("paper", "elr"): _STARRED,
    ("paper", "adam_elr"): _STARRED,
}
"""How a row was obtained, by source and method; other rows are as printed in their source."""

REMARKS: dict[str, str] = {
    SOURCES["paper"]: (
        "Its rows do not share one protocol: CE, Forward and GCE were copied from the GCE "
        "paper, Bootstrap and SL rerun by the ELR authors, and only the ELR rows use the starred "
        "schedule."
    ),
    SOURCES["elr_paper"]: "As printed there.",
}
"""What has to be said wherever a source's numbers are printed."""


@cache
def _table() -> pd.DataFrame:
    with files("analysis").joinpath("paper_tables.csv").open() as file:
        table = pd.read_csv(file)
    table["protocol"] = [
        PROTOCOLS.get((source, method), "as printed")
        for source, method in zip(table["source"], table["method"], strict=True)
    ]
    return table.assign(
        published=table["accuracy_percent"] / 100,
        published_std=table["std_percent"] / 100,
        source=table["source"].map(SOURCES),
    )


def published(dataset: str, noise: str) -> pd.DataFrame:
    """What papers print for a data set under a noise setting (``symmetric-0.4``).

    Columns: method, published, published_std (fractions; NaN where none is printed), source,
    protocol. Empty where nothing comparable is published: the noise must mean the same, so
    asymmetric noise on CIFAR-100 counts only over contiguous classes.
    """
    table = _table()
    rows = table[(table["dataset"] == dataset) & (_settings(table, dataset) == noise)]
    columns = ["method", "published", "published_std", "source", "protocol"]
    return rows[columns].reset_index(drop=True)


def _settings(table: pd.DataFrame, dataset: str) -> pd.Series:
    """The name of the noise setting that each row is about, in our terms."""
    ring = "contiguous" if dataset == "cifar100" else "superclass"
    names = [
        NoiseConfig(kind, rate, ring=ring if kind == "asymmetric" else "superclass").setting
        for kind, rate in zip(table["noise_kind"], table["noise_rate"], strict=True)
    ]
    return pd.Series(names, index=table.index)
