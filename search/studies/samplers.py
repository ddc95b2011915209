"""Where suggestions come from: fixed sequences of points, or Optuna's samplers.

What learns across studies is in :mod:`search.studies.multitask`.

``grid`` and ``qmc`` are functions of (seed, number) alone. Optuna's samplers are made anew for
every suggestion, with a seed from (study, number), and keep nothing in between: a suggestion is a
function of (seed, study, history, number). The one exception is ``cmaes``, which writes its state
into the history as it goes: after a resume it starts again from the prior.
"""

import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from analysis.schema import COMPLETED, DIVERGED, FAILED
from search import compat
from search.studies.belief import Belief
from search.studies.trial import Trial
from spaces.sections import SearchSpec
from spaces.space import Space
from spaces.strategies import SAMPLERS
from spaces.sweep import Cell, SweepSpec
from trainable.catalog import Value, named
from trainable.parameters import resolved
from trainable.seeds import derive_seed

Options = Mapping[str, Any]

BELIEVED = 2.0
"""Over the number of a trial, the probability that its point is drawn around the priors."""


class History(Protocol):
    """What is known of a study's trials, and what is suggested from that."""

    def suggest(self, cell: Cell, number: int) -> dict[str, Value]:
        """The point for trial ``number`` of a study, which is to be entered next."""

    def enter(self, trial: Trial) -> None:
        """A trial is dealt: the one suggested last, or one from elsewhere."""

    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """A trial of the search had an epoch, or has one again after a recovery."""

    def end(self, trial: Trial) -> None:
        """A trial of the search has ended."""


class OptunaHistory:
    """What Optuna knows of one study, and what it suggests from that.

    Trials enter and end in any order of their ends, but are numbered as they are dealt.
    """

    def __init__(self, search: SearchSpec, space: Space, *, seed: int, trials: int) -> None:
        """``seed`` is the study's own, ``trials`` its budget."""
        self._search = search  # names the sampler, and the metric
        self._space = space  # what is searched
        self._belief = Belief(space)  # where the user believes that the best lies
        self._seed = seed  # that of each suggestion is derived from it
        self._budget = trials  # of the study
        self._storage = optuna.storages.InMemoryStorage()  # where Optuna keeps the study
        # the trials, as Optuna has them
        self.study = optuna.create_study(storage=self._storage, direction="maximize")
        self._asked: optuna.Trial | None = None  # suggested, but not entered yet

    def suggest(self, cell: Cell, number: int) -> dict[str, Value]:
        """The point for trial ``number``, which is to be entered next."""
        seed = derive_seed(self._seed, f"trial/{number}")
        self.study.sampler = build_sampler(
            self._search.sampler, self._search.sampler_options, seed=seed, trials=self._budget
        )
        with warnings.catch_warnings():
            # The Gaussian process takes -inf for the worst value seen, and says so.
            warnings.filterwarnings("ignore", message="Clip non-finite values")
            self._asked = self.study.ask()
            return cell.space.suggest(self._asked, self._believed(number, seed))

    def _believed(self, number: int, seed: int) -> dict[str, Value]:
        """What the user's belief says of trial ``number``, by qualified name; seldom anything."""
        rng = np.random.default_rng(derive_seed(seed, "belief"))
        trusted = bool(self._belief) and rng.random() < BELIEVED / max(number, 1)
        return self._belief.draw(rng) if trusted else {}

    def enter(self, trial: Trial) -> None:
        """Take in a trial that is dealt: the one suggested last, or one from elsewhere.

        It counts with the parameters that it really has, which may not be those suggested: so
        Optuna's history is that of the recorded rows, to the last bit.
        """
        parameters, distributions = self._space.encode(trial.config.parameters)
        if self._asked is None:
            state = TrialState.RUNNING
            self.study.add_trial(
                create_trial(state=state, params=parameters, distributions=distributions)
            )
            return
        correct(self._asked, self._space, trial.config.parameters)
        self._asked = None

    def report(self, trial: Trial, epoch: int, value: float) -> None:
        """A trial had an epoch: Optuna hears of the last one."""

    def end(self, trial: Trial) -> None:
        """Take in how a trial ended; a diverged one, or one without a value, was the worst."""
        value = getattr(trial.last, self._search.metric) if trial.last else math.nan
        if trial.status == FAILED:
            self.study.tell(trial.number, state=TrialState.FAIL)
        elif trial.status == DIVERGED or math.isnan(value):
            # Told as failed, samplers would ignore it and be drawn into the region that diverges.
            state, least = _worst(self._search.sampler)
            self.study.tell(trial.number, values=least, state=state)
        else:
            compat.set_value(self.study, self._storage, trial.number, trial.epochs, value)
            full = trial.status == COMPLETED
            state = TrialState.COMPLETE if full else TrialState.PRUNED
            self.study.tell(trial.number, values=value if full else None, state=state)


def _worst(sampler: str) -> tuple[TrialState, float | None]:
    """The state and value that a sampler ranks below every other trial.

    Where pruned trials rank below complete ones it is a pruned one that reported nothing. The
    other samplers read complete trials only.
    """
    return (
        (TrialState.PRUNED, None)
        if SAMPLERS[sampler].pruned_are_worst
        else (TrialState.COMPLETE, -math.inf)
    )


def correct(asked: optuna.Trial, space: Space, values: Mapping[str, Value]) -> None:
    """Put the parameters that a trial really has in the place of those suggested."""
    parameters, distributions = space.encode(values)
    for name, distribution in distributions.items():
        internal = distribution.to_internal_repr(parameters[name])
        compat.set_parameter(asked, name, internal, distribution)


def build_sampler(
    name: str, options: Mapping[str, Value], *, seed: int, trials: int
) -> BaseSampler:
    """A fresh sampler of Optuna's for one suggestion. ``trials`` is the study's budget.

    Raises ValueError for an unknown name or option.
    """
    build, given = _entry(name, options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Optuna hands seeds to numpy's old generators, which take 32 bits.
        sampler: BaseSampler = build(given, seed=seed % 2**32, trials=trials)
    return sampler


def sequence(
    name: str, options: Mapping[str, Value], space: Space, seed: int, shared: Sequence[str] = ()
) -> Iterator[dict[str, Value]] | None:
    """The points of a sampler that needs no history, in order; None for the others.

    ``shared``: the parameters that any study of the sweep varies, by qualified name. Common draws
    are of all of them, and each study takes those it has. Raises ValueError for an unknown name or
    option.
    """
    build, given = _entry(name, options)
    if given.get("common"):
        draw = resolved(SAMPLERS[name].summary, "common", SAMPLERS[name].common)
        return map(space.at, draw(given, seed=seed, names=shared))
    if SAMPLERS[name].needs_history or SAMPLERS[name].across:
        return None
    points: Iterator[dict[str, Value]] = build(given, seed=seed, space=space)
    return points


def fixed_points(
    spec: SweepSpec,
    cell: Cell,
    first: Sequence[Mapping[str, Value]],
    shared: Sequence[str],
    own_seed: int,
) -> list[Mapping[str, Value]]:
    """The points to try before the sampler is asked, as many as there are trials at most.

    Args:
        spec: names the sampler; one that needs no history gives all of its points here.
        cell: of the study.
        first: what is tried before the sampler's own points.
        shared: the parameters that any study of the sweep varies, by qualified name.
        own_seed: of the study, for draws that are not common to the sweep's.
    """
    sampler, options = spec.search.sampler, spec.search.sampler_options
    common = _entry(sampler, options)[1].get("common", False)
    points = sequence(sampler, options, cell.space, spec.seed if common else own_seed, shared)
    # Every point of a finite space is dealt anyway.
    first = () if SAMPLERS[sampler].finite else first
    # A trial's number says which common draw it is: first points stand in the place of some.
    rest = islice(points or (), len(first) if common else 0, None)
    return list(islice(chain(first, rest), spec.budget.trials))


def _entry(name: str, options: Mapping[str, Value]) -> tuple[Any, Options]:
    entry = named("sampler", name, SAMPLERS)
    return entry.builder(), entry.complete(f"sampler {name!r}", options)


def learns_across(name: str, options: Mapping[str, Value]) -> bool:
    """Whether one model learns from all studies of the sweep, and from those of an earlier one."""
    _, given = _entry(name, options)
    return bool(given.get("shared"))


# -- the samplers of spaces.strategies.SAMPLERS --------------------------------------------------


def tpe(options: Options, *, seed: int, trials: int) -> BaseSampler:
    """Multivariate TPE, grouped by branch."""
    return TPESampler(
        seed=seed,
        multivariate=True,
        group=True,
        n_startup_trials=_startup(options, trials),
        n_ei_candidates=options["n_ei_candidates"],
    )


def gp(options: Options, *, seed: int, trials: int) -> BaseSampler:
    """A Gaussian process."""
    return GPSampler(seed=seed, n_startup_trials=_startup(options, trials))


def cmaes(options: Options, *, seed: int, trials: int) -> BaseSampler:
    """CMA-ES."""
    return CmaEsSampler(
        seed=seed,
        sigma0=options["sigma0"],
        n_startup_trials=_startup(options, trials),
        warn_independent_sampling=False,
    )


def uniform(options: Options, *, seed: int, trials: int) -> BaseSampler:
    """Independent and uniform."""
    return RandomSampler(seed=seed)


def _startup(options: Options, trials: int) -> int:
    """Random trials at first: Optuna's default of 10 would use up a study of 12."""
    return int(options.get("n_startup_trials") or min(10, max(2, trials // 4)))


def grid(options: Options, *, seed: int, space: Space) -> Iterator[dict[str, Value]]:
    """Every point of the space, in a shuffled order."""
    points = list(space.grid())
    # In order, the last parameter alone would vary at first.
    random.Random(seed).shuffle(points)
    yield from points


def quasi_random(options: Options, *, seed: int, space: Space) -> Iterator[dict[str, Value]]:
    """Scrambled Sobol or Halton points."""
    return map(space.at, common_quasi_random(options, seed=seed, names=list(space.varies)))


# -- draws common to the studies of a sweep: fractions in [0, 1), by qualified name --------------


def common_uniform(
    options: Options, *, seed: int, names: Sequence[str]
) -> Iterator[dict[str, float]]:
    """Uniform, each a function of ``seed``, its place in the sequence and its name alone."""
    for number in count():
        yield {
            name: np.random.default_rng(derive_seed(seed, f"common/{number}/{name}")).random()
            for name in names
        }


def common_quasi_random(
    options: Options, *, seed: int, names: Sequence[str]
) -> Iterator[dict[str, float]]:
    """The rows of a scrambled Sobol or Halton sequence with a dimension for each name."""
    # scipy takes half a second to import, which only this sampler needs.
    from scipy.stats import qmc

    if not names:
        return
    kind = str(options["sequence"])
    # A sequence a kind: the same seed would scramble both alike.
    engine = (qmc.Sobol if kind == "sobol" else qmc.Halton)(
        len(names), scramble=True, rng=derive_seed(seed, kind)
    )
    while True:
        # Powers of two, as Sobol's balance wants it.
        for row in engine.random(64):
            yield dict(zip(names, map(float, row), strict=True))
