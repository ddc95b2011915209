"""What an earlier sweep leaves to a later one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from search.studies.features import LabelStatistics
from spaces.sweep import Cell
from trainable.catalog import Value
from trainable.config import TrialConfig


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier sweep."""

    study: str  # its name there
    config: TrialConfig  # what it trained
    values: tuple[float, ...]  # after every epoch, what it was selected by
    diverged: bool  # whether it ended for that
    labels: LabelStatistics | None = None  # of the labels it was trained with, if known

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "EarlierTrial":
        """The inverse of :meth:`as_dict`. Raises ValueError for a config that is none."""
        config, values = TrialConfig.from_dict(kept["config"]), tuple(kept["values"])
        found = kept.get("labels")  # folders had none before they were features
        labels = None if found is None else LabelStatistics(*found)
        return cls(kept["study"], config, values, kept["diverged"], labels)

    def as_dict(self) -> dict[str, Any]:
        """Values that JSON has."""
        return asdict(self)


@dataclass(frozen=True)
class Earlier:
    """What a sweep takes from earlier ones; empty for one that starts cold."""

    points: Mapping[str, Sequence[Mapping[str, Value]]] = field(default_factory=dict)
    """First points in the spaces of today's studies, by study."""
    trials: Sequence[EarlierTrial] = ()  # to learn from, as they were


def as_studies(
    trials: Sequence[EarlierTrial], cells: Sequence[Cell]
) -> list[tuple[Cell, list[EarlierTrial]]]:
    """The earlier studies of losses that ``cells`` have, each with its trials.

    Their cells have the space of today's, so that a place means the same in all of them; their
    names are no study's of today.
    """
    # Reversed: of several cells of a loss the first one stays.
    space_of = {cell.loss: cell for cell in reversed(cells)}
    studies: dict[str, tuple[Cell, list[EarlierTrial]]] = {}
    for trial in trials:
        config, name = trial.config, f"earlier/{trial.study}"
        if config.loss not in space_of:
            continue
        cell = replace(
            space_of[config.loss],
            study=name,
            data=config.data,
            noise=config.noise,
            network=config.network,
        )
        studies.setdefault(name, (cell, []))[1].append(trial)
    return list(studies.values())
