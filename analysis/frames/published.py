"""Accuracies printed in papers, with what has to be said about where each row comes from."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from trainable.catalog import DATASETS
from trainable.config import make_noise

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

NETWORK = "resnet34"
"""What all printed rows were trained with, on all training images."""

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


def deviations(config: Mapping[str, Any], protocol: str) -> str:
    """What a configuration was trained with that its printed row was not; empty for nothing.

    Looks at network, epochs, training images and schedule: ``small_cnn instead of resnet34; 20
    epochs instead of 150``. The hold-out is not compared.

    Args:
        config: a row of ``best.chosen_configs`` on a data set that something is printed about.
        protocol: that of :func:`published`.
    """
    starred = protocol == _STARRED
    images = DATASETS[config["dataset"]].train_examples
    used = json.loads(config["config"]).get("data", {}).get("train_examples") or images
    schedule = config.get("param_lr_schedule")
    theirs = "cosine_warm_restarts" if starred else "multistep"
    epochs = 150 if starred or config["dataset"] == "cifar100" else 120
    pairs = [
        (config["model"], NETWORK, ""),
        (int(config["epochs"]), epochs, "epochs"),
        (used, images, "training images"),
        (theirs if pd.isna(schedule) else schedule, theirs, ""),
    ]
    return "; ".join(
        f"{_said(ours)} {unit} instead of {_said(printed)}".replace("  ", " ")
        for ours, printed, unit in pairs
        if ours != printed
    )


def _said(value: object) -> str:
    """``5,000``, ``cosine warm restarts``; the name of a network as it is."""
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("cosine_warm_restarts", "cosine warm restarts")


def _settings(table: pd.DataFrame, dataset: str) -> pd.Series:
    """The name of the noise setting that each row is about, in our terms."""
    ring = "contiguous" if dataset == "cifar100" else "superclass"
    names = [
        make_noise(kind, rate, ring=ring if kind == "asymmetric" else "superclass").setting
        for kind, rate in zip(table["noise_kind"], table["noise_rate"], strict=True)
    ]
    return pd.Series(names, index=table.index)
