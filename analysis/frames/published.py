"""Accuracies printed in papers, with what has to be said about where each row comes from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from analysis.results import table_in
from analysis.schema import PARAM
from trainable.catalog import DATASETS
from trainable.noise import make_noise

SOURCES: dict[str, str] = {
    "paper": "the Adam-refined ELR paper, tables 1 and 2",
    "elr_paper": "the ELR paper, arXiv 2007.00151",
}

OTHER_METHODS: dict[str, str] = {"bootstrap": "Bootstrap"}
"""Methods in the tables of papers that are no loss here: they do not say which variant."""


@dataclass(frozen=True)
class Protocol:
    """How a printed row was obtained: ``str`` gives the words."""

    said: str  # in words
    starred: bool = False
    """Cosine warm restarts over 150 epochs (the star); else MultiStepLR."""
    sequential: bool | None = None
    """Whether asymmetric labels of CIFAR-10 were made by moving one class after the other, as
    ELR's code does; None: not known."""

    def __str__(self) -> str:
        """In words."""
        return self.said


@dataclass(frozen=True)
class Deviation:
    """A point in which a row here and a printed one differ; ``str`` gives the words."""

    ours: str  # what was done here
    printed: str  # what the printed row was made with

    def __str__(self) -> str:
        """In words: ``20 epochs instead of 150``."""
        return f"{self.ours} instead of {self.printed}"


_COPIED = Protocol(
    "copied from the GCE paper (Zhang & Sabuncu 2018): another schedule", sequential=False
)
_RERUN = Protocol("rerun by the ELR authors: another schedule", sequential=True)
_AS_PRINTED = Protocol("as printed")
_STAR = "cosine warm restarts (the star), 150 epochs"
PROTOCOLS: dict[tuple[str, str], Protocol] = {
    ("paper", "ce"): _COPIED,
    ("paper", "forward"): _COPIED,
    ("paper", "gce"): _COPIED,
    ("paper", "bootstrap"): _RERUN,
    ("paper", "sce"): _RERUN,
    ("paper", "elr"): Protocol(_STAR, starred=True, sequential=True),
    ("paper", "adam_elr"): Protocol(_STAR, starred=True),
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
def _printed_rows() -> pd.DataFrame:
    with files("analysis").joinpath("paper_tables.csv").open() as file:
        table = pd.read_csv(file)
    rows = table[["source", "method"]].itertuples(index=False, name=None)
    return table.assign(
        protocol=pd.Series([PROTOCOLS.get(row, _AS_PRINTED) for row in rows], dtype=object),
        published=table["accuracy_percent"] / 100,
        published_std=table["std_percent"] / 100,
        source=table["source"].map(SOURCES),
    )


def published(dataset: str, noise: str) -> pd.DataFrame:
    """What papers print for a data set under a noise setting (``symmetric-0.4``).

    Columns: method, published, published_std (fractions; NaN where none is printed), source,
    protocol (:class:`Protocol`). Empty where nothing comparable is published: asymmetric noise on
    CIFAR-100 counts only over contiguous classes. That on CIFAR-10 is compared whether classes
    move at once or one after the other; :func:`deviations` says where the two differ.
    """
    table = _printed_rows()
    printed = table[["dataset", "noise_kind", "noise_rate"]].itertuples(index=False, name=None)
    rows = table[[row[0] == dataset and noise in _settings_of(*row) for row in printed]]
    columns = ["method", "published", "published_std", "source", "protocol"]
    return rows[columns].reset_index(drop=True)


def _settings_of(dataset: str, kind: str, rate: float) -> tuple[str, ...]:
    """The noise settings that a printed row is about, in our terms."""
    if kind != "asymmetric":
        return (make_noise(kind, rate).setting,)
    info = DATASETS[dataset]
    if info.superclasses:
        return (make_noise(kind, rate, ring="contiguous").setting,)
    # Beside either way of moving classes: ``deviations`` says where a row was made by the other.
    ways = sorted({False, info.legacy_sequential})
    return tuple(make_noise(kind, rate, legacy_sequential=way).setting for way in ways)


def deviations(config: Mapping[str, Any], protocol: Protocol) -> tuple[Deviation, ...]:
    """What a configuration was trained with that its printed row was not.

    Looks at network, epochs, training images, schedule and, for asymmetric noise on CIFAR-10, at
    how classes move. The hold-out is not compared.

    Args:
        config: a row of ``best.chosen_configs`` on a data set that something is printed about.
        protocol: that of :func:`published`.
    """
    info = DATASETS[config["dataset"]]
    images = info.train_examples
    used = table_in(config["config"], "data").get("train_examples") or images
    schedule = config.get(f"{PARAM}lr_schedule")
    theirs = "cosine_warm_restarts" if protocol.starred else "multistep"
    epochs = info.epochs if protocol.starred else info.multistep_epochs
    pairs = [
        (config["model"], NETWORK, ""),
        (int(config["epochs"]), epochs, " epochs"),
        (used, images, " training images"),
        (theirs if pd.isna(schedule) else schedule, theirs, ""),
    ]
    found = [
        Deviation(_readable(ours) + unit, _readable(printed))
        for ours, printed, unit in pairs
        if ours != printed
    ]
    noise = table_in(config["config"], "noise")
    if info.legacy_sequential and noise.get("kind") == "asymmetric":
        sequential = noise.get("legacy_sequential", False)
        if protocol.sequential not in (None, sequential):
            ways = (sequential, protocol.sequential)
            found.append(Deviation(*(_moved(noise["rate"], bool(way)) for way in ways)))
    return tuple(found)


def in_words(found: Iterable[Deviation]) -> str:
    """``small_cnn instead of resnet34; 20 epochs instead of 150``."""
    return "; ".join(map(str, found))


def _moved(rate: float, sequential: bool) -> str:
    """How CIFAR-10's classes move: truck, bird, deer and dog to one class each, and cat to dog.

    One after the other, dogs move to cat when some of them have just come from there.
    """
    to_dog = rate * (1 - rate) if sequential else rate
    how = "one after the other" if sequential else "at once"
    wrong = (4 * rate + to_dog) / 10
    return f"classes moved {how} ({wrong:.1%} of the labels wrong, {to_dog:.2f} of the cats dogs)"


def _readable(value: object) -> str:
    """``5,000``, ``cosine warm restarts``; the name of a network as it is."""
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("cosine_warm_restarts", "cosine warm restarts")
