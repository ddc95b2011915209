"""The sweep file: everything a sweep is, checked before anything starts."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from spaces.domains import Fixed
from spaces.overrides import parse_space
from spaces.presets import OPTIMISER_OWNER, PRESETS, Domains, build_space, reference_setting
from spaces.space import Space
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from trainable.catalog import DATASETS, LOSSES, NETWORKS, NOISE_KINDS, Value, unknown
from trainable.config import PRECISIONS, DataConfig, NoiseConfig, TrialConfig
from trainable.metrics import TEST_METRICS, VALIDATION_METRICS

T = TypeVar("T")
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


OneOrMore = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]


class Section(BaseModel):
    """A table of the sweep file: unknown keys are errors, values keep their type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataSpec(Section):
    """``[data]``: which images, and what part of them is held out."""

    name: OneOrMore = ["digits"]
    root: str | None = None
    holdout: float = Field(default=0.1, gt=0, lt=1)
    train_examples: int | None = Field(default=None, ge=1)

    def configs(self) -> list[DataConfig]:
        """A DataConfig per data set named."""
        return [DataConfig(n, self.root, self.holdout, self.train_examples) for n in self.name]


class NoiseSpec(Section):
    """One ``[[noise]]``: a kind of label noise at one or several rates."""

    kind: str
    rates: list[float] = []
    include_true: bool = True
    ring: str = "superclass"
    legacy_sequential: bool = False
    labels_file: str | None = None
    labels_key: str | None = Field(default=None, pattern=NAME)

    @field_validator("rates")
    @classmethod
    def _rates(cls, rates: list[float]) -> list[float]:
        for rate in rates:
            if not 0 <= rate < 1:
                raise ValueError(f"noise rate {rate:g} is not a number in [0, 1)")
        return rates

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind not in NOISE_KINDS:
            raise ValueError(unknown("noise kind", self.kind, NOISE_KINDS))
        rated = self.kind not in ("none", "human")
        if rated and not self.rates:
            raise ValueError(f"noise kind {self.kind!r} needs rates, such as rates = [0.2, 0.4]")
        if not rated and self.rates:
            raise ValueError(f"noise kind {self.kind!r} takes no rates")
        if self.kind == "human" and not (self.labels_file and self.labels_key):
            raise ValueError("noise kind 'human' needs labels_file and labels_key (CIFAR-N's)")
        self.configs()
        return self

    def configs(self) -> list[NoiseConfig]:
        """A NoiseConfig per rate."""
        options = self.model_dump(exclude={"kind", "rates"})
        return [NoiseConfig(self.kind, rate, **options) for rate in self.rates or [0.0]]


class BudgetSpec(Section):
    """``[budget]``: ``trials`` per study, epochs per trial, and the rungs between."""

    trials: int = Field(default=64, ge=1)
    max_epochs: int | None = Field(default=None, ge=1)
    grace_epochs: int = Field(default=10, ge=1)
    reduction_factor: int = Field(default=3, ge=2)


class SearchSpec(Section):
    """``[search]``: how points are suggested, how trials are stopped, what is maximised."""

    sampler: str = "tpe"
    sampler_options: dict[str, Any] = {}
    early_stopping: str = "asha"
    metric: str = "val_accuracy"
    allow_test_selection: bool = False

    @model_validator(mode="after")
    def _names(self) -> Self:
        if self.sampler not in SAMPLERS:
            raise ValueError(unknown("sampler", self.sampler, SAMPLERS))
        SAMPLERS[self.sampler].complete(f"sampler {self.sampler!r}", self.sampler_options)
        if self.early_stopping not in EARLY_STOPPING:
            raise ValueError(unknown("early_stopping rule", self.early_stopping, EARLY_STOPPING))
        if self.metric in TEST_METRICS and not self.allow_test_selection:
            raise ValueError(
                f"metric {self.metric!r} selects on the test set, which leaks it into the result; "
                f"use {VALIDATION_METRICS[0]!r}, or say allow_test_selection = true"
            )
        if self.metric not in VALIDATION_METRICS + TEST_METRICS:
            raise ValueError(unknown("metric", self.metric, VALIDATION_METRICS))
        return self


class TrainingSpec(Section):
    """``[training]``: arithmetic of the trainer. ``compile``: torch.compile the network."""

    precision: str = "auto"
    compile: bool = False

    @field_validator("precision")
    @classmethod
    def _known(cls, precision: str) -> str:
        return _member("precision", precision, PRECISIONS)


class ResourcesSpec(Section):
    """``[resources]``: what a trial gets. Empty: a GPU each where there are any, else a core."""

    cpus_per_trial: float | None = Field(default=None, gt=0)
    gpus_per_trial: float | None = Field(default=None, ge=0)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_failures: int = Field(default=3, ge=0)


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: what one study searches."""

    study: str
    data: DataConfig
    noise: NoiseConfig
    loss: str
    network: str
    max_epochs: int
    space: Space
    reference: Mapping[str, Value]
    training: TrainingSpec

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


class SweepSpec(Section):
    """A whole sweep file. Only ``name`` and one ``[[noise]]`` are required."""

    name: str = Field(pattern=NAME)
    seed: int = Field(default=0, ge=0)
    losses: OneOrMore = ["elr", "adam_elr"]
    network: OneOrMore = ["resnet34"]
    data: DataSpec = DataSpec()
    noise: list[NoiseSpec] = Field(min_length=1)
    budget: BudgetSpec = BudgetSpec()
    search: SearchSpec = SearchSpec()
    training: TrainingSpec = TrainingSpec()
    resources: ResourcesSpec = ResourcesSpec()
    space: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, given, valid in (
            ("loss", self.losses, LOSSES),
            ("network", self.network, NETWORKS),
            ("data set", self.data.name, DATASETS),
            ("preset", [self.preset], PRESETS),
        ):
            for name in given:
                _member(what, name, valid)
        cells = self.cells()
        for twin in {c.study for c in cells if sum(c.study == d.study for d in cells) > 1}:
            raise ValueError(f"two studies are named {twin!r}: a noise setting or loss is doubled")
        for cell in cells:
            self._check_cell(cell)
        return self

    def _check_cell(self, cell: Cell) -> None:
        grace = self.budget.grace_epochs
        if self.search.early_stopping != "none" and grace > cell.max_epochs:
            raise ValueError(f"grace_epochs = {grace} is above max_epochs = {cell.max_epochs}")
        if self.search.metric.startswith("averaged_"):
            domain = cell.space.groups[1].domains["averaging"]
            if domain == Fixed(0.0):
                raise ValueError(
                    f"metric {self.search.metric!r} needs averaging above 0 in [space]"
                )
        if self.search.sampler == "grid":
            next(cell.space.grid())
        cell.trial(cell.reference, self.seed)

    @property
    def preset(self) -> str:
        """The preset that ``[space]`` names."""
        return str(self.space.get("preset", "default"))

    def overrides(self) -> Domains:
        """What ``[space]`` puts over the preset, by owner. Raises ValueError where it is wrong."""
        table = {name: value for name, value in self.space.items() if name != "preset"}
        return parse_space(table, self.losses, self.preset)

    def cells(self) -> list[Cell]:
        """The grid: data sets x networks x noise settings x losses, in this order."""
        noises = [config for spec in self.noise for config in spec.configs()]
        grid = itertools.product(self.data.configs(), self.network, noises, self.losses)
        return [self._cell(*coordinates) for coordinates in grid]

    def _cell(self, data: DataConfig, network: str, noise: NoiseConfig, loss: str) -> Cell:
        max_epochs = self.budget.max_epochs or PRESETS[self.preset].max_epochs[data.name]
        setting = {"dataset": data.name, "noise_kind": noise.kind, "max_epochs": max_epochs}
        space = build_space(
            loss,
            preset=self.preset,
            overrides=self.overrides(),
            **setting,  # type: ignore[arg-type]
        )
        reference = {
            name if owner in (loss, OPTIMISER_OWNER) else f"{owner}.{name}": domain.value
            for owner, domains in reference_setting(loss, **setting).items()  # type: ignore[arg-type]
            for name, domain in domains.items()
        }
        several = [(self.data.name, data.name), (self.network, network)]
        prefix = [name for names, name in several if len(names) > 1]
        return Cell(
            study="-".join([*prefix, noise.setting, loss]),
            data=data,
            noise=noise,
            loss=loss,
            network=network,
            max_epochs=max_epochs,
            space=space,
            reference=space.nearest(reference),
            training=self.training,
        )


def _member(what: str, name: str, valid: Any) -> str:
    if name not in valid:
        raise ValueError(unknown(what, name, valid))
    return name
