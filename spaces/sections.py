"""The tables of a sweep file (``[data]``, ``[[noise]]``, …), each checked on its own."""

from collections.abc import Collection
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from spaces.strategies import EARLY_STOPPING, SAMPLERS
from trainable.catalog import DATASETS, NOISE_KINDS, unknown
from trainable.config import PRECISIONS, DataConfig, NoiseConfig
from trainable.metrics import TEST_METRICS, VALIDATION_METRICS

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What may become part of a file name: no separator, nothing hidden, not too long."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def known(what: str, valid: Collection[str]) -> AfterValidator:
    """Refuses a name, or a list with a name, that is not ``valid`` when it is checked."""

    def check(given: Any) -> Any:
        for name in _listed(given):
            if name not in valid:
                raise ValueError(unknown(what, name, valid))
        return given

    return AfterValidator(check)


OneOrMore = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]


class Section(BaseModel):
    """A table of the sweep file: unknown keys are errors, values keep their type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataSpec(Section):
    """``[data]``: which images, and what part of them is held out."""

    name: Annotated[OneOrMore, known("data set", DATASETS)] = ["digits"]
    root: str | None = None
    holdout: float = 0.1
    train_examples: int | None = None
    augment: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.configs()
        return self

    def configs(self) -> list[DataConfig]:
        """A DataConfig per data set named."""
        options = self.model_dump(exclude={"name"})
        return [DataConfig(name, **options) for name in self.name]


class NoiseSpec(Section):
    """One ``[[noise]]``: a kind of label noise at one or several rates."""

    kind: Annotated[str, known("noise kind", NOISE_KINDS)]
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
        rated = self.kind not in ("none", "human")
        if rated and not self.rates:
            raise ValueError(f"noise kind {self.kind!r} needs rates, such as rates = [0.2, 0.4]")
        if not rated and self.rates:
            raise ValueError(f"noise kind {self.kind!r} takes no rates: leave them out")
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

    trials: int = Field(default=64, ge=1, le=100_000)
    max_epochs: int | None = Field(default=None, ge=1, le=100_000)
    grace_epochs: int | None = Field(default=None, ge=1)
    reduction_factor: int = Field(default=3, ge=2)

    def grace(self, max_epochs: int) -> int:
        """Epochs before which no trial is stopped: 10 unless given, of under 30 a third."""
        return self.grace_epochs or min(10, max(1, max_epochs // 3))


class ConfirmSpec(Section):
    """``[confirm]``: how a study ends: its ``top`` best trials run again on ``seeds`` fresh seeds.

    At full budget, as ``replicate`` runs them. Without the table, or with ``top`` = 0, nothing is.
    """

    top: int = Field(default=1, ge=0)
    seeds: int = Field(default=5, ge=1, le=10_000)


class SearchSpec(Section):
    """``[search]``: how points are suggested, how trials are stopped, what is maximised."""

    sampler: Annotated[str, known("sampler", SAMPLERS)] = "tpe"
    sampler_options: dict[str, Any] = {}
    early_stopping: Annotated[str, known("early_stopping rule", EARLY_STOPPING)] = "asha"
    metric: str = "val_accuracy"
    allow_test_selection: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        SAMPLERS[self.sampler].complete(f"sampler {self.sampler}", self.sampler_options)
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

    precision: Annotated[str, known("precision", PRECISIONS)] = "auto"
    compile: bool = False


class ResourcesSpec(Section):
    """``[resources]``: what a trial gets. Empty: a GPU each where there are any, else a core."""

    cpus_per_trial: float | None = Field(default=None, ge=0.01, le=1e6)
    gpus_per_trial: float | None = Field(default=None, ge=0, le=1e6)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_failures: int = Field(default=3, ge=0)

    @field_validator("gpus_per_trial")
    @classmethod
    def _gpus(cls, gpus: float | None) -> float | None:
        if not gpus or 0.01 <= gpus <= 1:
            return gpus
        raise ValueError(f"{gpus:g} is neither 0 nor in [0.01, 1]: a trial trains on one GPU")

    @field_validator("cpus_per_trial", "gpus_per_trial")
    @classmethod
    def _decimals(cls, number: float | None) -> float | None:
        """Ray counts in ten-thousandths. A third is rounded down, so that three fit."""
        return None if number is None else int(number * 10_000 + 1e-6) / 10_000
