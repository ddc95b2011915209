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

from search.studies.afterwards import following, why_afresh
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
    deeper: int  # trials that give the best of them a larger budget
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
    # Studies share the slots, and how many run side by side decides who arrives at a rung first.
    share = max(1, round(slots / len(cells)))
    after = {cell.study: _afterwards(spec, cell) for cell in cells}
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
        deeper=sum(deeper for deeper, _, _ in after.values()),
        confirmations=sum(again for _, again, _ in after.values()),
        full_epochs=sum(n * c.max_epochs + after[c.study][2] for c, n, _ in simulated),
        epochs={c.study: epochs + after[c.study][2] for c, _, epochs in simulated},
        trial_epochs={cell.study: epochs / trials for cell, trials, epochs in simulated},
    )


def _afterwards(spec: SweepSpec, cell: Cell) -> tuple[int, int, int]:
    """What follows the search of one study: deeper trials, replicates, and the epochs of both."""
    planned = cell.planned(spec.search.sampler, spec.budget.trials)
    deeper, again = following(spec, planned)
    if spec.deepen is None:
        return deeper, again, again * cell.max_epochs
    budget = spec.deepen.max_epochs
    trained = budget - _kept_epochs(spec, cell, budget)
    return deeper, again, round(deeper * trained) + again * budget


def _kept_epochs(spec: SweepSpec, cell: Cell, budget: int) -> float:
    """Epochs that a deeper trial does not train again, in the mean over the schedules."""
    varied = cell.space.varies.get("lr_schedule")
    schedules = varied.points() if varied else (cell.reference["lr_schedule"],)
    points = [cell.space.nearest({**cell.reference, "lr_schedule": name}) for name in schedules]
    kept = [not why_afresh(cell.trial(point, spec.seed), budget) for point in points]
    return cell.max_epochs * sum(kept) / len(kept)


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
    # What follows the search trains in full, and is counted elsewhere.
    alone = {"search": search, "budget": budget, "deepen": None, "confirm": None}
    spec = spec.model_copy(update=alone)
    sweep = Sweep(spec, {cell.study: Study(spec, cell)})
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
