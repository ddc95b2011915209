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

from spaces.settings import listed
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from trainable.catalog import unknown
from trainable.config import PRECISIONS
from trainable.metrics import TEST_METRICS, VALIDATION_METRICS

WHEN_OUT = ("finish", "stop")


def known(what: str, valid: Collection[str]) -> AfterValidator:
    """Refuses a name, or a list with a name, that is not ``valid`` when it is checked."""

    def check(given: Any) -> Any:
        for name in listed(given):
            if name not in valid:
                raise ValueError(unknown(what, name, valid))
        return given

    return AfterValidator(check)


OneOrMore = Annotated[list[str], BeforeValidator(listed), Field(min_length=1)]


class SweepTable(BaseModel):
    """A table of the sweep file: unknown keys are errors, values keep their type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class BudgetSpec(SweepTable):
    """``[budget]``: ``trials`` per study, epochs per trial, and the rungs between.

    ``hours`` of wall-clock, over all starts, and ``gpu_hours`` of all trials: no new trial starts
    after either. What runs then is finished or stopped, as ``when_out`` says.
    """

    trials: int = Field(default=64, ge=1, le=100_000)
    max_epochs: int | None = Field(default=None, ge=1, le=100_000)  # None: the data set's
    grace_epochs: int | None = Field(default=None, ge=1)  # of the lowest rung; see ``grace``
    reduction_factor: int = Field(default=3, ge=2)  # of trials from rung to rung, and of epochs
    hours: float | None = Field(default=None, gt=0, le=1e6)
    gpu_hours: float | None = Field(default=None, gt=0, le=1e9)
    when_out: Annotated[str, known("when_out", WHEN_OUT)] = "finish"

    @property
    def limited(self) -> bool:
        """Whether time may end the search."""
        return self.hours is not None or self.gpu_hours is not None

    def grace(self, max_epochs: int) -> int:
        """Epochs before which no trial is stopped: 10 unless given, of under 30 a third."""
        return self.grace_epochs or min(10, max(1, max_epochs // 3))


class ConfirmSpec(SweepTable):
    """``[confirm]``: how a study ends: its ``top`` best trials run again on ``seeds`` fresh seeds.

    At full budget, as ``replicate`` runs them. Without the table, or with ``top`` = 0, nothing is.
    """

    top: int = Field(default=1, ge=0)
    seeds: int = Field(default=5, ge=1, le=10_000)


class SearchSpec(SweepTable):
    """``[search]``: how points are suggested, how trials are stopped, what is maximised."""

    sampler: Annotated[str, known("sampler", SAMPLERS)] = "multitask"
    sampler_options: dict[str, Any] = {}  # those that differ from the sampler's defaults
    early_stopping: Annotated[str, known("early_stopping rule", EARLY_STOPPING)] = "asha_ties"
    early_stopping_options: dict[str, Any] = {}
    metric: str = "val_accuracy"  # of the last epoch; also what rungs compare
    allow_test_selection: bool = False  # a leak, marked in every output

    @model_validator(mode="after")
    def _complete(self) -> Self:
        SAMPLERS[self.sampler].complete(f"sampler {self.sampler}", self.sampler_options)
        rule = EARLY_STOPPING[self.early_stopping]
        rule.complete(f"early_stopping rule {self.early_stopping}", self.early_stopping_options)
        if self.metric in TEST_METRICS and not self.allow_test_selection:
            raise ValueError(
                f"metric {self.metric!r} selects on the test set, which leaks it into the result; "
                f"use {VALIDATION_METRICS[0]!r}, or say allow_test_selection = true"
            )
        if self.metric not in VALIDATION_METRICS + TEST_METRICS:
            raise ValueError(unknown("metric", self.metric, VALIDATION_METRICS))
        return self


class DeepenSpec(SweepTable):
    """``[deepen]``: once its search is out, the ``top`` trials of a study get ``max_epochs``.

    They go on from their checkpoints where that gives the trial of ``max_epochs`` itself, and
    start afresh where not. What is confirmed is the best of them.
    """

    max_epochs: int = Field(ge=1, le=100_000)  # above the budget of the search
    top: int = Field(default=3, ge=1)


class TrainingSpec(SweepTable):
    """``[training]``: how epochs run. ``compile``: torch.compile the network.

    ``test_every``: epochs from one evaluation on the test set to the next; None: so many that it
    costs next to nothing.
    """

    precision: Annotated[str, known("precision", PRECISIONS)] = "auto"
    compile: bool = False
    test_every: int | None = Field(default=None, ge=1)


class ResourcesSpec(SweepTable):
    """``[resources]``: what a trial gets. Empty: a GPU each where there are any, else a core.

    ``join_seconds``: how long the cluster that RAY_ADDRESS names may take to answer.
    """

    cpus_per_trial: float | None = Field(default=None, ge=0.01, le=1e6)
    gpus_per_trial: float | None = Field(default=None, ge=0, le=1e6)  # a share of one, at most 1
    max_concurrent: int | None = Field(default=None, ge=1)  # trials at once; None: what fits
    max_failures: int = Field(default=3, ge=0)  # in a row, of one trial; then it has failed
    join_seconds: float = Field(default=30.0, gt=0, le=3600)

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
        # 1e-6: a binary 0.0003 times 10,000 may come out just below 3.
        return None if number is None else int(number * 10_000 + 1e-6) / 10_000
