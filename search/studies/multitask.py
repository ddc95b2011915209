"""One model over all studies of a sweep: what one study tried, every other one learns from.

Studies of a sweep differ in noise, loss, network or data, but share most parameters, and what is
good in one is mostly good in the next. The model is a forest of extremely randomised trees
(Geurts et al. 2006) from a trial's hyperparameters and its study's coordinates to how good it was
among the trials of its study, as a normal score: so studies of different accuracy are comparable.
The next point of a study is the best of many candidates by the trees' mean plus ``optimism`` times
their spread; one in twenty or so (``explore``) is drawn at random.

A suggestion is a function of the seed, the epochs recorded, in their order, and the number of the
trial. The forest is fitted anew whenever a tenth more have been recorded.
"""

import bisect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.schema import DIVERGED
from search.studies.earlier import EarlierTrial, as_studies
from search.studies.features import Features, LabelStatistics
from search.studies.trial import Trial
from spaces.sweep import Cell
from trainable.catalog import Value
from trainable.dtypes import Floats
from trainable.seeds import derive_seed

TREES = 30
UNIFORM, NEAR, BELIEVED = 512, 256, 128
"""Candidates a suggestion: drawn from the whole space, near the best points so far, and around the
priors, if there are any."""
TRUST = 0.25
"""Weight of a belief's log density beside the trees, over the number of the trial."""
STEP = 0.1
"""Standard deviation of a step to a near candidate, of a parameter's range."""
FIRST_FIT, GROWTH = 4, 1.1
"""Full budgets whose epochs are behind the first fit, and how they grow to the next."""
SMOOTHED = 3
"""Epochs whose mean stands for the value of a trial that has not had its full budget."""


@dataclass
class Heard:
    """What is known of a trial: its place, and its value after every epoch."""

    study: str
    """Its name."""
    at: Floats
    """Fractions of the study's ranges, NaN for a parameter that it lacks
    (:class:`search.studies.features.Features`)."""
    max_epochs: int
    """Its full budget."""
    values: list[float] = field(default_factory=list)
    """By epoch."""
    arrivals: list[int] = field(default_factory=list)
    """By epoch, how many epochs the sweep had recorded with it."""
    diverged: bool = False
    """Whether it ended so."""

    def up_to(self, recorded: int) -> "Known":
        """What the first ``recorded`` epochs of the sweep say of it."""
        values = np.array(self.values[: bisect.bisect_right(self.arrivals, recorded)])
        over = self.diverged and len(values) == len(self.values)
        return Known(self, values, over or not np.isfinite(values).all())


@dataclass(frozen=True)
class Known:
    """A trial as it stood at some time."""

    trial: Heard  # where it lies in its space, and its budget
    values: Floats  # after every epoch so far
    diverged: bool  # whether it had, by then

    @property
    def share(self) -> float:
        """Of its full budget."""
        return 1.0 if self.diverged else len(self.values) / self.trial.max_epochs


class Surrogate:
    """The model of a sweep, and the trials that it learns from, running ones among them.

    The history (``samplers.History``) of each of its studies.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        seed: int,
        cells: Sequence[Cell],
        metric: str,
        earlier: Sequence[EarlierTrial] = (),
    ) -> None:
        """``seed`` is the sweep's; ``metric`` is what the trials are ranked by.

        ``earlier``: trials of another sweep, which are known from the start.
        """
        self._optimism = float(options["optimism"])  # weight of the trees' spread
        self._explore = float(options["explore"])  # share of points drawn at random
        self._seed = seed
        self._metric = metric
        before = as_studies(earlier, cells)
        grid = [*cells, *(cell for cell, _ in before)]
        self._features = {cell.study: Features(cell, grid) for cell in grid}  # by study
        self._budget = min(cell.max_epochs for cell in cells)  # the shortest full one
        self._trials: dict[str, Heard] = {}  # those that have had an epoch
        self._recorded = 0  # epochs, each counted once
        self._fitted = -1  # of these, those behind the forest; -1: none was fitted
        self._known: dict[str, list[Known]] = {}  # by study, what they say
        self._forest: Any = None  # None while too little is known
        self._labels = {  # by earlier study, how its labels came out; None: unknown
            cell.study: trials[0].labels for cell, trials in before
        }
        self._dealt: dict[str, list[Mapping[str, Value]]] = {  # by study, the points so far
            cell.study: [] for cell in cells
        }
        for cell, trials in before:
            for number, trial in enumerate(trials):
                at = self._features[cell.study].place(
                    cell.space.nearest({**cell.reference, **trial.config.parameters})
                )
                heard = Heard(cell.study, at, trial.config.max_epochs, list(trial.values))
                # At 0: before the first epoch of this sweep, so that every fit has them.
                heard.arrivals, heard.diverged = [0] * len(trial.values), trial.diverged
                self._trials[f"{cell.study}/{number}"] = heard

    @property
    def studies(self) -> Collection[str]:
        """The names of those that it suggests for."""
        return self._dealt

    def labelled(self, labels: Mapping[str, LabelStatistics]) -> None:
        """Take in, before the first trial, how the labels of studies came out, as far as known."""
        known = {**self._labels, **labels}
        if any(known.values()):
            for study, features in self._features.items():
                features.labelled(known.get(study))

    def enter(self, trial: Trial) -> None:
        """A trial was dealt."""
        self._dealt[trial.study].append(trial.config.parameters)

    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """A trial of the search had an epoch; one that comes again replaces the first."""
        if trial.trial_id not in self._trials:
            at = self._features[trial.study].place(trial.config.parameters)
            self._trials[trial.trial_id] = Heard(trial.study, at, trial.config.max_epochs)
        heard = self._trials[trial.trial_id]
        if epoch > len(heard.values):
            self._recorded += 1
            heard.arrivals.append(self._recorded)
        heard.values[epoch - 1 : epoch] = [value]

    def end(self, trial: Trial) -> None:
        """A trial has ended. Of one that failed for the machine's sake its epochs count."""
        if trial.trial_id in self._trials:
            self._trials[trial.trial_id].diverged = trial.status == DIVERGED

    def restore(self, rows: Sequence[tuple[str, int]]) -> None:
        """Bring all epochs recorded, as (trial_id, epoch), into their order of arrival."""
        for trial_id in {trial_id for trial_id, _ in rows} & set(self._trials):
            self._trials[trial_id].arrivals.clear()
        # Studies were restored one after the other, but fits follow the order of the sweep.
        self._recorded, self._fitted = 0, -1
        for trial_id, epoch in rows:
            trial = self._trials.get(trial_id)  # None: a replicate
            if trial is not None and epoch > len(trial.arrivals):
                self._recorded += 1
                trial.arrivals.append(self._recorded)

    def suggest(self, cell: Cell, number: int) -> dict[str, Value]:
        """The point for trial ``number`` of a study."""
        features = self._features[cell.study]
        rng = np.random.default_rng(derive_seed(self._seed, f"{cell.study}/trial/{number}"))
        self._fit()
        random = rng.random() < self._explore or self._forest is None
        places = self._candidates(cell, features, rng, random=random)
        lean = features.belief.log_density(features.present(places)) * TRUST / max(number, 1)
        if not random:
            order = np.argsort(-(self._promise(features, places) + lean), kind="stable")
        elif features.belief:
            # The largest of these is a draw in proportion to e^lean.
            order = np.argsort(-(rng.gumbel(size=len(places)) + lean), kind="stable")
        else:  # any order; candidates are drawn in one
            order = np.arange(len(places)) if cell.points is None else rng.permutation(len(places))
        if cell.points is not None:
            return dict(cell.points[order[0]])
        # Run again, a point on the same seed would give the same curve.
        points = (features.at(places[index]) for index in order)
        return next(
            (p for p in points if p not in self._dealt[cell.study]), features.at(places[0])
        )

    def _candidates(
        self, cell: Cell, features: Features, rng: np.random.Generator, *, random: bool
    ) -> Floats:
        """The points [n, parameters] to choose from: those of the cell, if only they are left."""
        if cell.points is not None:
            return np.array([features.place(point) for point in cell.points])
        drawn = [features.uniform(rng, UNIFORM)]
        if not random and self._known[cell.study]:
            drawn.append(self._near(features, rng))
        if not random and features.belief:
            drawn.append(features.belief.drawn_into(features.uniform(rng, BELIEVED), rng))
        return np.concatenate(drawn)

    def _near(self, features: Features, rng: np.random.Generator) -> Floats:
        """Steps in about half of the parameters from the best points of the study."""
        mine = self._known[features.study]
        order = np.argsort(-self._finals(mine), kind="stable")[:5]
        centres = np.array([mine[i].trial.at for i in order])[rng.integers(len(order), size=NEAR)]
        there = np.where(np.isnan(centres), rng.random(centres.shape), centres)
        # In half of them: a step in all at once is mostly worse than where it began.
        steps = rng.normal(0, STEP, there.shape) * (rng.random(there.shape) < 0.5)
        fresh = features.uniform(rng, NEAR)
        other = features.choices & (rng.random(there.shape) < 0.2)
        moved = np.clip(there + steps * ~features.choices, 0, np.nextafter(1, 0))
        return np.where(other, fresh, moved)

    def _promise(self, features: Features, places: Floats) -> Floats:
        """How good the forest expects ``places`` [n, parameters] to be, with its optimism: [n]."""
        # The trees' own type, checked once here and not by each of them.
        columns = features.columns(places).astype(np.float32)
        trees = [tree.predict(columns, check_input=False) for tree in self._forest.estimators_]
        promise = np.mean(trees, axis=0) + self._optimism * np.std(trees, axis=0)
        return np.asarray(promise, dtype=np.float64)

    def _fit(self) -> None:
        """Fit the forest to the first epochs recorded, as many as the schedule says."""
        wanted, following = 0, FIRST_FIT * self._budget
        while following <= self._recorded:
            wanted, following = following, max(following + self._budget, int(GROWTH * following))
        if wanted == self._fitted:
            return
        # scikit-learn takes a second to import, which only this sampler needs.
        from sklearn.ensemble import ExtraTreesRegressor

        self._fitted, self._known = wanted, {study: [] for study in self._features}
        for trial in self._trials.values():
            if (known := trial.up_to(wanted)).share:
                self._known[trial.study].append(known)
        rows, scores, weights = [], [], []
        for study, features in self._features.items():
            mine = self._known[study]
            if len(mine) > 1:
                rows.append(features.columns(np.array([known.trial.at for known in mine])))
                scores.append(_normal_scores(self._finals(mine)))
                # What is known of half a trial counts half.
                weights.append(np.array([known.share for known in mine]))
        if not rows:
            self._forest = None
            return
        seed = derive_seed(self._seed, f"forest/{wanted}") % 2**32
        forest = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed)
        self._forest = forest.fit(*map(np.concatenate, (rows, scores, weights)))

    def _finals(self, trials: Sequence[Known]) -> Floats:
        """What each trial has, or would have, after its full budget; -inf if it diverged.

        One that is not there yet is taken to gain as much as those did, in the median over all
        studies, that went on from the same epoch.
        """
        gains: dict[tuple[int, int], float] = {}
        finals = []
        for known in trials:
            epoch = len(known.values)
            if known.diverged or known.share == 1:
                finals.append(-math.inf if known.diverged else known.values[-1])
                continue
            at = epoch, known.trial.max_epochs
            if at not in gains:
                gains[at] = self._gain(*at)
            finals.append(_smoothed(known.values, epoch) + gains[at])
        return np.array(finals)

    def _gain(self, epoch: int, max_epochs: int) -> float:
        gained = [
            known.values[-1] - _smoothed(known.values, epoch)
            for mine in self._known.values()
            for known in mine
            if len(known.values) == known.trial.max_epochs == max_epochs and not known.diverged
        ]
        return float(np.median(gained)) if gained else 0.0


def _smoothed(values: Floats, epoch: int) -> float:
    """The mean of the last epochs up to ``epoch``."""
    return float(values[max(0, epoch - SMOOTHED) : epoch].mean())


def _normal_scores(values: Floats) -> Floats:
    """What values of a normal distribution would be expected to be at these ranks."""
    from scipy.stats import norm, rankdata

    return np.asarray(norm.ppf((rankdata(values) - 0.5) / len(values)), dtype=np.float64)
