"""What a sweep is, known without running anything: its trials, and the epochs to expect.

The epochs come from a simulation: the real studies and early-stopping rules run on made-up curves.
A trial's quality is drawn uniformly from [0.5, 1), its accuracy rises towards it over the budget,
with a little noise. The rules look at the order of the values, and for asha hardly that: of trials
in random order the share that goes on is the rule's. A sampler that gets better over a study makes
its later trials survive more often, which costs some epochs more than expected here.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from search.studies.round_robin import Sweep
from search.studies.simulate import simulate
from search.studies.study import Study
from search.studies.trial import Trial
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from spaces.sweep import Cell, SweepSpec
from trainable.data import Dataset
from trainable.metrics import TEST_METRICS, VALIDATION_METRICS, EpochMetrics
from trainable.seeds import derive_seed

NONE_READ: Mapping[str, Dataset] = MappingProxyType({})
"""Enough where no data set is a user's own."""

SIMULATED = 200
"""Trials of a study that are simulated at most; the others take as many epochs each."""


@dataclass(frozen=True)
class Outline:
    """Counts of a whole sweep."""

    name: str  # the sweep's
    early_stopping: str  # the rule under which ``epochs`` are expected
    slots: int  # trials that run at once
    trials: int  # that are searched
    confirmations: int  # trials that run the best of them again
    full_epochs: int  # of all these, if none were stopped
    epochs: Mapping[str, int]  # of all these, to be expected, by study
    trial_epochs: Mapping[str, float]  # to be expected of one search trial, by study

    @property
    def expected_epochs(self) -> int:
        """Of all studies together."""
        return sum(self.epochs.values())


def outline(spec: SweepSpec, slots: int, datasets: Mapping[str, Dataset] = NONE_READ) -> Outline:
    """Count trials and simulate the early stopping on ``slots`` slots: in about a second.

    ``datasets``: by name, as far as they are read; a user's own have to be.
    """
    cells = spec.cells()
    share = max(1, round(slots / len(cells)))
    again = {cell.study: _confirmations(spec, cell) for cell in cells}
    simulated: list[tuple[Cell, int, int]] = []
    for cell in cells:
        # Studies of one space, such as a loss at several rates, are simulated once.
        counts = next((n for other, *n in simulated if _alike(other, cell)), None)
        simulated.append((cell, *(counts or _simulate(spec, cell, share, datasets))))
    return Outline(
        name=spec.name,
        early_stopping=spec.search.early_stopping,
        slots=slots,
        trials=sum(trials for _, trials, _ in simulated),
        confirmations=sum(again.values()),
        full_epochs=sum((n + again[c.study]) * c.max_epochs for c, n, _ in simulated),
        epochs={c.study: epochs + again[c.study] * c.max_epochs for c, _, epochs in simulated},
        trial_epochs={cell.study: epochs / trials for cell, trials, epochs in simulated},
    )


def _confirmations(spec: SweepSpec, cell: Cell) -> int:
    if spec.confirm is None:
        return 0
    return min(spec.confirm.top, cell.planned(spec.search.sampler, spec.budget.trials)) * (
        spec.confirm.seeds
    )


def _alike(one: Cell, two: Cell) -> bool:
    return (one.space, one.max_epochs) == (two.space, two.max_epochs)


def _simulate(
    spec: SweepSpec, cell: Cell, slots: int, datasets: Mapping[str, Dataset]
) -> tuple[int, int]:
    """Trials and epochs of one study on made-up curves; of a large study a part is enough."""
    planned = cell.planned(spec.search.sampler, spec.budget.trials)
    if not EARLY_STOPPING[spec.search.early_stopping].stops:
        return planned, planned * cell.max_epochs
    trials = min(planned, SIMULATED)
    epochs = _simulated_epochs(spec, cell, min(slots, trials), trials, datasets)
    return planned, round(epochs * planned / trials)


def _simulated_epochs(
    spec: SweepSpec, cell: Cell, slots: int, trials: int, datasets: Mapping[str, Dataset]
) -> int:
    search = spec.search
    if not SAMPLERS[search.sampler].finite:
        # Made-up curves know nothing of parameters, so the cheapest suggestions do.
        search = search.model_copy(update={"sampler": "random", "sampler_options": {}})
    budget = spec.budget.model_copy(update={"trials": trials})
    study = Study(cell=cell, search=search, budget=budget, seed=spec.seed)
    sweep = Sweep(spec, {study.name: study})
    sweep.judged_on(datasets)
    return sum(1 for _ in simulate(sweep, made_up, slots=slots))


def made_up(trial: Trial) -> EpochMetrics:
    """The next epoch of a plausible curve, the same for every metric."""
    epoch = trial.epochs + 1
    quality = random.Random(derive_seed(trial.number, "quality")).uniform(0.5, 1.0)
    noise = random.Random(derive_seed(trial.number, f"noise {epoch}")).gauss(0.0, 0.02)
    accuracy = quality * (1 - math.exp(-5 * epoch / trial.config.max_epochs)) + noise
    metrics = dict.fromkeys(VALIDATION_METRICS + TEST_METRICS, accuracy)
    return EpochMetrics(epoch=epoch, train_loss=0.0, **metrics)
