"""Where suggestions come from: fixed sequences of points, or Optuna's samplers.

``grid`` and ``qmc`` are functions of (seed, number) alone. Optuna's samplers are made anew for
every suggestion, with a seed from (study, number), and keep nothing in between: a suggestion is a
function of (seed, study, history, number). The one exception is ``cmaes``, which writes its state
into the history as it goes: after a resume it starts again from the prior.
"""

import random
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler

from spaces.space import Space
from spaces.strategies import SAMPLERS, builder
from trainable.catalog import Value, unknown
from trainable.config import derive_seed

Options = Mapping[str, Any]


def build_sampler(
    name: str, options: Mapping[str, Value], *, seed: int, trials: int
) -> BaseSampler:
    """A fresh sampler of Optuna's for one suggestion. ``trials`` is the study's budget.

    Raises ValueError for an unknown name or option.
    """
    build, given = _entry(name, options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler: BaseSampler = build(given, seed=seed % 2**32, trials=trials)
    return sampler


def sequence(
    name: str, options: Mapping[str, Value], space: Space, seed: int
) -> Iterator[dict[str, Value]] | None:
    """The points of a sampler that needs no history, in order; None for the others.

    Raises ValueError for an unknown name or option.
    """
    build, given = _entry(name, options)
    if SAMPLERS[name].needs_history:
        return None
    points: Iterator[dict[str, Value]] = build(given, seed=seed, space=space)
    return points


def _entry(name: str, options: Mapping[str, Value]) -> tuple[Any, Options]:
    if name not in SAMPLERS:
        raise ValueError(unknown("sampler", name, SAMPLERS))
    entry = SAMPLERS[name]
    return builder(entry), entry.complete(f"sampler {name!r}", options)


def correct(asked: optuna.Trial, space: Space, values: Mapping[str, Value]) -> None:
    """Put the parameters that a trial really has in the place of those suggested.

    So Optuna's history is that of the recorded rows, to the last bit.
    """
    parameters, distributions = space.encode(values)
    for name, distribution in distributions.items():
        internal = distribution.to_internal_repr(parameters[name])
        asked.storage.set_trial_param(asked._trial_id, name, internal, distribution)


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
    random.Random(seed).shuffle(points)
    yield from points


def quasi_random(options: Options, *, seed: int, space: Space) -> Iterator[dict[str, Value]]:
    """Scrambled Sobol or Halton points."""
    # scipy takes half a second to import, which only this sampler needs.
    from scipy.stats import qmc

    kind, names = str(options["sequence"]), list(space.varies)
    if not names:
        return
    engine = (qmc.Sobol if kind == "sobol" else qmc.Halton)(
        len(names), scramble=True, rng=derive_seed(seed, kind)
    )
    while True:
        # Powers of two, as Sobol's balance wants it.
        for row in engine.random(64):
            yield space.at(dict(zip(names, map(float, row), strict=True)))
