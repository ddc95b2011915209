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
from spaces.strategies import SAMPLERS
from trainable.catalog import Value, unknown
from trainable.config import derive_seed


def build_sampler(
    name: str, options: Mapping[str, Value], *, seed: int, trials: int
) -> BaseSampler:
    """A fresh sampler of Optuna's for one suggestion. ``trials`` is the study's budget.

    Raises ValueError for an unknown name or option.
    """
    if name not in SAMPLERS:
        raise ValueError(unknown("sampler", name, SAMPLERS))
    given: dict[str, Any] = SAMPLERS[name].complete(f"sampler {name!r}", options)
    seed %= 2**32
    # Optuna's default of 10 random trials would use up a study of 12.
    startup = given.get("n_startup_trials") or min(10, max(2, trials // 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "tpe":
                return TPESampler(
                    seed=seed,
                    multivariate=True,
                    group=True,
                    n_startup_trials=startup,
                    n_ei_candidates=given["n_ei_candidates"],
                )
            case "gp":
                return GPSampler(seed=seed, n_startup_trials=startup)
            case "cmaes":
                return CmaEsSampler(
                    seed=seed,
                    sigma0=given["sigma0"],
                    n_startup_trials=startup,
                    warn_independent_sampling=False,
                )
    return RandomSampler(seed=seed)


def correct(asked: optuna.Trial, space: Space, values: Mapping[str, Value]) -> None:
    """Put the parameters that a trial really has in the place of those suggested.

    So Optuna's history is that of the recorded rows, to the last bit.
    """
    parameters, distributions = space.encode(values)
    for name, distribution in distributions.items():
        internal = distribution.to_internal_repr(parameters[name])
        asked.storage.set_trial_param(asked._trial_id, name, internal, distribution)


def sequence(
    name: str, options: Mapping[str, Value], space: Space, seed: int
) -> Iterator[dict[str, Value]] | None:
    """The points of a sampler that needs no history, in order; None for the others."""
    if name == "grid":
        return _grid(space, seed)
    if name == "qmc":
        kind = SAMPLERS[name].complete("sampler 'qmc'", options)["sequence"]
        return _quasi_random(space, str(kind), seed)
    return None


def _grid(space: Space, seed: int) -> Iterator[dict[str, Value]]:
    points = list(space.grid())
    random.Random(seed).shuffle(points)
    yield from points


def _quasi_random(space: Space, kind: str, seed: int) -> Iterator[dict[str, Value]]:
    # scipy takes half a second to import, which only this sampler needs.
    from scipy.stats import qmc

    names = list(space.varies)
    if not names:
        return
    engine = (qmc.Sobol if kind == "sobol" else qmc.Halton)(
        len(names), scramble=True, rng=derive_seed(seed, kind)
    )
    while True:
        # Powers of two, as Sobol's balance wants it.
        for row in engine.random(64):
            yield space.at(dict(zip(names, map(float, row), strict=True)))
