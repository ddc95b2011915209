"""One model over all studies of a sweep: what one study tried, every other one learns from.

Studies of a sweep differ in noise, loss, network or data, but share most parameters, and what is
good in one is mostly good in the next. The model is a forest of extremely randomised trees
(Geurts et al. 2006) from a trial's hyperparameters and its study's coordinates to how good it was
among the trials of its study, as a normal score: so studies of different accuracy are comparable.
The next point of a study is the best of many candidates by the trees' mean plus ``optimism`` times
their spread; every tenth or so (``explore``) is drawn at random.

A suggestion is a function of the seed, the trials that have ended, in the order of their last
epochs, and the number of the trial. The forest is fitted anew whenever a fifth more have ended.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.schema import DIVERGED, FAILED
from search.studies.features import Features
from search.studies.trial import Trial
from spaces.sweep import Cell
from trainable.catalog import Value
from trainable.seeds import derive_seed

Floats = NDArray[np.float64]

TREES = 30
UNIFORM, NEAR = 512, 256
"""Candidates a suggestion: drawn from the whole space, and near the best points so far."""
STEP = 0.1
"""Standard deviation of a step to a near candidate, of a parameter's range."""
FIRST_FIT, GROWTH = 4, 1.2
"""Trials behind the first fit, and by what factor they grow to the next."""
SMOOTHED = 3
"""Epochs whose mean stands for the value of a trial that was stopped."""


@dataclass(frozen=True)
class Ended:
    """A trial that has ended: its study, its place, and its value after every epoch.

    ``at``: fractions of the study's ranges, NaN for a parameter that it lacks
    (:class:`search.studies.features.Features`). ``values`` may be cut short; those of a diverged
    trial are empty.
    """

    trial_id: str
    study: str
    at: Floats
    values: Floats
    max_epochs: int

    @property
    def full(self) -> bool:
        """Whether it had its full budget."""
        return len(self.values) == self.max_epochs


class Surrogate:
    """The model of a sweep, and the trials that it learns from."""

    def __init__(
        self, options: Mapping[str, Any], *, seed: int, cells: Sequence[Cell], metric: str
    ) -> None:
        """``seed`` is the sweep's; ``metric`` is what the trials are ranked by."""
        self._optimism = float(options["optimism"])  # weight of the trees' spread
        self._explore = float(options["explore"])  # share of points drawn at random
        self._seed = seed
        self._metric = metric
        self._features = {cell.study: Features(cell, cells) for cell in cells}  # by study
        self._ended: list[Ended] = []  # in the order of their last new epochs
        self._curves: dict[str, list[float]] = {}  # of the trials that have not ended
        self._heard = 0  # epochs
        self._places: dict[str, int] = {}  # of each trial's last new epoch among them
        self._fitted = 0  # trials behind the forest
        self._forest: Any = None  # None while too few have ended

    def window(self, cell: Cell) -> "SharedHistory":
        """The model as one study sees it."""
        return SharedHistory(self, cell)

    def report(self, trial_id: str, epoch: int, value: float) -> None:
        """A trial of the search had an epoch; one that comes again replaces the first."""
        values = self._curves.setdefault(trial_id, [])
        self._heard += 1
        if epoch > len(values):
            self._places[trial_id] = self._heard
        values[epoch - 1 : epoch] = [value]

    def end(self, trial: Trial) -> None:
        """A trial has ended. One that failed for the machine's sake says nothing."""
        values = np.array(self._curves.pop(trial.trial_id, []))
        if trial.status == FAILED:
            return
        if trial.status == DIVERGED or not np.isfinite(values).all():
            values = values[:0]
        at = self._features[trial.study].place(trial.config.parameters)
        ended = Ended(trial.trial_id, trial.study, at, values, trial.config.max_epochs)
        bisect.insort(self._ended, ended, key=self._place)
        if self._ended[-1] is not ended:  # it was paused, and is given up now
            self._fitted = 0

    def restore(self, rows: Sequence[tuple[str, int]]) -> None:
        """Bring the trials into order by all epochs recorded, as (trial_id, epoch)."""
        epochs: dict[str, int] = {}
        for place, (trial_id, epoch) in enumerate(rows):
            if epoch > epochs.get(trial_id, 0):
                epochs[trial_id], self._places[trial_id] = epoch, place
        self._heard = len(rows)
        self._ended.sort(key=self._place)
        self._fitted = 0

    def _place(self, ended: Ended) -> int:
        return self._places.get(ended.trial_id, 0)

    def suggest(self, cell: Cell, number: int) -> dict[str, Value]:
        """The point for trial ``number`` of a study."""
        features = self._features[cell.study]
        rng = np.random.default_rng(derive_seed(self._seed, f"{cell.study}/trial/{number}"))
        self._fit()
        random = rng.random() < self._explore or self._forest is None
        if cell.points is not None:
            places = np.array([features.place(point) for point in cell.points])
            chosen = int(rng.integers(len(places))) if random else self._best(features, places)
            return dict(cell.points[chosen])
        if random:
            return features.at(features.uniform(rng, 1)[0])
        near = [self._near(features, rng)] if self._mine(cell.study) else []
        drawn = np.concatenate([features.uniform(rng, UNIFORM), *near])
        return features.at(drawn[self._best(features, drawn)])

    def _mine(self, study: str) -> list[Ended]:
        return [ended for ended in self._ended[: self._fitted] if ended.study == study]

    def _near(self, features: Features, rng: np.random.Generator) -> Floats:
        """Steps in about half of the parameters from the best points of the study."""
        mine = self._mine(features.study)
        order = np.argsort(-self._finals(mine), kind="stable")[:5]
        centres = np.array([mine[i].at for i in order])[rng.integers(len(order), size=NEAR)]
        there = np.where(np.isnan(centres), rng.random(centres.shape), centres)
        steps = rng.normal(0, STEP, there.shape) * (rng.random(there.shape) < 0.5)
        fresh = features.uniform(rng, NEAR)
        other = features.choices & (rng.random(there.shape) < 0.2)
        moved = np.clip(there + steps * ~features.choices, 0, np.nextafter(1, 0))
        return np.where(other, fresh, moved)

    def _best(self, features: Features, places: Floats) -> int:
        columns = features.columns(places).astype(np.float32)
        trees = [tree.predict(columns, check_input=False) for tree in self._forest.estimators_]
        return int(np.argmax(np.mean(trees, axis=0) + self._optimism * np.std(trees, axis=0)))

    def _fit(self) -> None:
        """Fit the forest to the first trials that ended, as many as the schedule says."""
        wanted, following = 0, FIRST_FIT
        while following <= len(self._ended):
            wanted, following = following, max(following + 2, math.ceil(GROWTH * following))
        if wanted == self._fitted:
            return
        # scikit-learn takes a second to import, which only this sampler needs.
        from sklearn.ensemble import ExtraTreesRegressor

        self._fitted = wanted
        rows, scores = [], []
        for study, features in self._features.items():
            mine = self._mine(study)
            if len(mine) > 1:
                rows.append(features.columns(np.array([ended.at for ended in mine])))
                scores.append(_normal_scores(self._finals(mine)))
        if not rows:
            self._forest = None
            return
        seed = derive_seed(self._seed, f"forest/{wanted}") % 2**32
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed)
        self._forest = forest.fit(np.concatenate(rows), np.concatenate(scores))

    def _finals(self, trials: Sequence[Ended]) -> Floats:
        """What each trial has, or would have had, after its full budget; -inf if it diverged.

        A stopped one is taken to gain as much as those did, in the median over all studies, that
        went on from the same epoch.
        """
        gains: dict[tuple[int, int], float] = {}
        finals = []
        for trial in trials:
            epoch = len(trial.values)
            if trial.full or not epoch:
                finals.append(trial.values[-1] if epoch else -math.inf)
                continue
            at = epoch, trial.max_epochs
            if at not in gains:
                gains[at] = self._gain(*at)
            finals.append(_smoothed(trial.values, epoch) + gains[at])
        return np.array(finals)

    def _gain(self, epoch: int, max_epochs: int) -> float:
        gained = [
            ended.values[-1] - _smoothed(ended.values, epoch)
            for ended in self._ended[: self._fitted]
            if ended.full and ended.max_epochs == max_epochs
        ]
        return float(np.median(gained)) if gained else 0.0


class SharedHistory:
    """A study's window on the model of its sweep."""

    def __init__(self, surrogate: Surrogate, cell: Cell) -> None:
        self._surrogate = surrogate  # the sweep's
        self._cell = cell  # the study's

    def suggest(self, number: int) -> dict[str, Value]:
        """The point for trial ``number``."""
        return self._surrogate.suggest(self._cell, number)

    def enter(self, trial: Trial) -> None:
        """A trial was dealt. It counts once it has ended."""

    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """A trial had an epoch."""
        self._surrogate.report(trial.trial_id, epoch, value)

    def end(self, trial: Trial) -> None:
        """A trial has ended."""
        self._surrogate.end(trial)


def _smoothed(values: Floats, epoch: int) -> float:
    """The mean of the last epochs up to ``epoch``."""
    return float(values[max(0, epoch - SMOOTHED) : epoch].mean())


def _normal_scores(values: Floats) -> Floats:
    """What values of a normal distribution would be expected to be at these ranks."""
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)), dtype=np.float64)
