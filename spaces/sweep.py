"""The sweep file as a whole: the grid of its studies, checked before anything starts."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from spaces.domains import Choice, Domain, Fixed
from spaces.overrides import parse_space
from spaces.presets import PRESETS, Domains, build_space
from spaces.sections import (
    BudgetSpec,
    ConfirmSpec,
    DeepenSpec,
    OneOrMore,
    ResourcesSpec,
    SearchSpec,
    SweepTable,
    TrainingSpec,
    known,
)
from spaces.settings import DataTable, NoiseTable
from spaces.space import Space
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from trainable.catalog import DATASETS, LOSSES, NETWORKS, SCHEDULES, Entry, Value, unknown
from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.noise import Noise
from trainable.parameters import NAME


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: what one study searches."""

    study: str  # the study's name, unique in the sweep
    data: DataConfig  # as in the sweep file
    noise: Noise  # one rate of one kind
    loss: str  # its name
    network: str  # its name
    max_epochs: int  # full budget of a trial
    space: Space  # what the study searches
    reference: Mapping[str, Value]  # the point in it that is nearest to the reference setting
    training: TrainingSpec  # what all trials have in common

    def trial(self, values: Mapping[str, Value], seed: int) -> TrialConfig:
        """The trial at one point of the space. Raises ValueError for a value out of range."""
        return TrialConfig.build(
            data=self.data,
            noise=self.noise,
            loss=self.loss,
            network=self.network,
            max_epochs=self.max_epochs,
            seed=seed,
            parameters=values,
            precision=self.training.precision,
            compile=self.training.compile,
        )

    @property
    def points(self) -> Sequence[Mapping[str, Value]] | None:
        """The only points that are left to try; None: every one of the space."""
        return None

    def planned(self, sampler: str, trials: int) -> int:
        """Trials to search of a budget of ``trials``: no more than there are different ones."""
        if not self.space.varies:
            return 1
        if not SAMPLERS[sampler].finite:
            return trials
        # Counted up to the budget: the whole grid may be huge, and nobody asks how much.
        return sum(1 for _ in itertools.islice(self.space.grid(), trials))


class SweepSpec(SweepTable):
    """A whole sweep file. Only ``name`` and one ``[[noise]]`` are required.

    Without ``network`` it is the data set's default, which :meth:`with_network` writes into it
    once it is known whether the trials get a GPU.
    """

    name: str = Field(pattern=NAME)  # also that of the results folder
    seed: int = Field(default=0, ge=0, lt=2**32)  # everything random derives from it
    losses: Annotated[OneOrMore, known("loss", LOSSES)] = Field(default=["elr", "adam_elr"])
    network: Annotated[OneOrMore, known("network", NETWORKS)] | None = None
    data: DataTable = (DataConfig("digits"),)
    noise: list[NoiseTable] = Field(min_length=1)
    budget: BudgetSpec = BudgetSpec()
    search: SearchSpec = SearchSpec()
    deepen: DeepenSpec | None = None
    confirm: ConfirmSpec | None = None
    training: TrainingSpec = TrainingSpec()
    resources: ResourcesSpec = ResourcesSpec()
    space: dict[str, Any] = Field(default={})  # as written; ``overrides`` reads it
    _cells: list[Cell] = PrivateAttr(default_factory=list)  # the grid, built by the check

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.preset not in PRESETS:
            raise ValueError(f"space.preset: {unknown('preset', self.preset, PRESETS)}")
        cells = self._grid()
        for study, times in Counter(cell.study for cell in cells).items():
            if times > 1:
                raise ValueError(f"study {study} is there {times} times: name each setting once")
        for cell in cells:
            self._check_cell(cell)
        self._cells = cells
        return self

    def _check_cell(self, cell: Cell) -> None:
        """What holds between tables. Raises ValueError naming the table."""
        try:
            cell.noise.check_fits(cell.data.name, DATASETS[cell.data.name])
        except ValueError as error:
            raise ValueError(f"noise: {error}") from None
        grace = self.budget.grace(cell.max_epochs)
        if EARLY_STOPPING[self.search.early_stopping].stops and grace > cell.max_epochs:
            raise ValueError(
                f"budget: grace_epochs = {grace} is above max_epochs = {cell.max_epochs}"
            )
        if self.deepen is not None and self.deepen.max_epochs <= cell.max_epochs:
            raise ValueError(
                f"deepen: max_epochs = {self.deepen.max_epochs} is not above the "
                f"{cell.max_epochs} of the search"
            )
        averaged = self.search.metric.startswith("averaged_")
        if averaged and 0 in _extremes(cell.space.domain("averaging")):
            raise ValueError(
                f"search: metric {self.search.metric!r} needs averaging above 0 in [space], "
                "such as averaging = 0.99"
            )
        _check_epochs(cell)
        _check_priors(cell.space, self.search)
        # Only such a sampler walks all points; the others take continuous ranges.
        if SAMPLERS[self.search.sampler].finite:
            _check_finite(cell.space, self.search.sampler)
        # A config that cannot be made is a mistake now, not once the trial is due.
        cell.trial(cell.reference, self.seed)

    @property
    def preset(self) -> str:
        """The preset that ``[space]`` names."""
        return str(self.space.get("preset", "default"))

    def overrides(self) -> Domains:
        """What ``[space]`` puts over the preset, by owner. Raises ValueError where it is wrong."""
        table = {name: value for name, value in self.space.items() if name != "preset"}
        try:
            return parse_space(table, self.losses, self.network or [], self.preset)
        except ValueError as error:
            raise ValueError(f"space: {error}") from None

    def with_network(self, *, gpu: bool) -> Self:
        """The sweep with its network named: as it is, or else the default of its data set.

        Raises ValueError if it has several data sets whose defaults differ.
        """
        if self.network is not None:
            return self
        defaults = {
            name: default_network(name, gpu=gpu) for name in (data.name for data in self.data)
        }
        if len(set(defaults.values())) > 1:
            each = ", ".join(f"{network} for {name}" for name, network in defaults.items())
            raise ValueError(f"network: is missing, and the defaults differ ({each}): name one")
        return self.on_networks(list(defaults.values())[:1])

    def on_networks(self, names: Sequence[str] | None) -> Self:
        """The sweep with these networks, checked anew: its cells are theirs."""
        return self.model_validate(self.model_dump() | {"network": names})

    def cells(self) -> list[Cell]:
        """The grid: data sets x networks x noise settings x losses, in this order."""
        return list(self._cells)

    def _grid(self) -> list[Cell]:
        if self.network is None:
            # Either may be needed, so both have to be possible.
            self.with_network(gpu=False)
            return self.with_network(gpu=True).cells()
        overrides = self.overrides()
        noises = [noise for table in self.noise for noise in table]
        grid = itertools.product(self.data, self.network, noises, self.losses)
        return [self._cell(*coordinates, overrides) for coordinates in grid]

    def _cell(
        self, data: DataConfig, network: str, noise: Noise, loss: str, overrides: Domains
    ) -> Cell:
        max_epochs = self.budget.max_epochs or PRESETS[self.preset].max_epochs(data.name)
        space, reference = build_space(
            loss,
            dataset=data.name,
            noise_kind=noise.kind,
            max_epochs=max_epochs,
            network=network,
            preset=self.preset,
            overrides=overrides,
        )
        several = [([d.name for d in self.data], data.name), (self.network or [], network)]
        prefix = [name for names, name in several if len(names) > 1]
        return Cell(
            study="-".join([*prefix, noise.setting, loss]),
            data=data,
            noise=noise,
            loss=loss,
            network=network,
            max_epochs=max_epochs,
            space=space,
            reference=reference,
            training=self.training,
        )


def default_network(dataset: str, *, gpu: bool) -> str:
    """What trains on a data set where a sweep names no network."""
    return DATASETS[dataset].network if gpu else DATASETS[dataset].cpu_network


def _check_epochs(cell: Cell) -> None:
    """What is due after the last epoch would never happen, and nothing would say so."""
    entries: dict[str, Entry] = {**LOSSES, **SCHEDULES}
    owned = [(g, entries[g.owner].parameters) for g in cell.space.groups if g.owner in entries]
    for group, parameters in owned:
        due = [name for name in group.domains if parameters[name].in_epochs]
        for name, value in [(n, v) for n in due for v in _extremes(group.domains[n])]:
            # A list is of epochs after which something happens, a number the first to see it.
            first = value[0] + 1 if isinstance(value, tuple) else value
            # With one epoch no milestone can come in time, and multistep is as good as any.
            hopeless = isinstance(value, tuple) and cell.max_epochs == 1
            if isinstance(first, int | float) and first > cell.max_epochs and not hopeless:
                given = list(value) if isinstance(value, tuple) else int(first)
                never = f'; for that, {name} = "none"' if parameters[name].optional else ""
                raise ValueError(
                    f"space: {name} = {given} comes after the last of max_epochs = "
                    f"{cell.max_epochs} and would change nothing{never}"
                )


def _check_priors(space: Space, search: SearchSpec) -> None:
    """Points that follow from the seed alone know nothing of a prior, and nothing would say so."""
    common = search.sampler_options.get("common", False)
    if not space.priors or (SAMPLERS[search.sampler].priors and not common):
        return
    sampler = f"{search.sampler!r} with common draws" if common else repr(search.sampler)
    takers = ", ".join(name for name, entry in SAMPLERS.items() if entry.priors)
    raise ValueError(
        f"space: {space.priors[0]} has a prior, which sampler {sampler} does not take; "
        f"these do: {takers}"
    )


def _check_finite(space: Space, sampler: str) -> None:
    try:
        for _ in space.grid():  # raises for a continuous range, and past the largest grid
            pass
    except ValueError as error:
        raise ValueError(f"space: sampler {sampler!r}: {error}") from None


def _extremes(domain: Domain) -> tuple[Value, ...]:
    """The values that rules about the smallest and largest have to hold for."""
    if isinstance(domain, Fixed):
        return (domain.value,)
    return domain.options if isinstance(domain, Choice) else (domain.low, domain.high)
