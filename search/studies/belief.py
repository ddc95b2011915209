"""Where the user of a sweep believes that the best lies: the ``prior`` of ranges and choices.

A belief is a density over the points of a space. It acts on suggestions with a weight that falls
with the number of trials, so that it decides at first and evidence does later, as in piBO
(Hvarfner et al. 2022, arXiv 2204.11051).
"""

import math

import numpy as np

from spaces.domains import Choice, Range
from spaces.space import Space
from trainable.catalog import Value
from trainable.dtypes import Floats

WIDTH = 0.2
"""Standard deviation of a belief about a number, of its range."""
OTHER = math.exp(-2.0)
"""Weight of an option that is not believed in, that of the other 1: as two deviations off."""
DOUBT = 0.5
"""Share of a belief that is spread evenly: so nothing is ever ruled out."""


class Belief:
    """The beliefs about the parameters of one study.

    Points are fractions [n, parameters] of the ranges, in the order of ``space.varies``, in
    [0, 1), NaN where a point lacks the parameter.
    """

    def __init__(self, space: Space) -> None:
        varies, priors = space.varies, space.priors
        # The parameters with a prior: which column of the fractions each is.
        self._columns = [i for i, name in enumerate(varies) if name in priors]
        # and over what each varies, by qualified name.
        self._domains = {name: varies[name] for name in priors}

    def __bool__(self) -> bool:
        """Whether anything is believed."""
        return bool(self._domains)

    def log_density(self, fractions: Floats) -> Floats:
        """The logarithm of the density [n], that of a uniform draw being 1."""
        total = np.zeros(len(fractions))
        for column, domain in zip(self._columns, self._domains.values(), strict=True):
            density = DOUBT + (1 - DOUBT) * _density(domain, fractions[:, column])
            total += np.nan_to_num(np.log(density), nan=0.0)
        return total

    def drawn_into(self, fractions: Floats, rng: np.random.Generator) -> Floats:
        """``fractions`` with the parameters that have a prior drawn from it, without a doubt."""
        drawn = fractions.copy()
        for column, domain in zip(self._columns, self._domains.values(), strict=True):
            drawn[:, column] = _draws(domain, rng, len(drawn))
        return drawn

    def draw(self, rng: np.random.Generator) -> dict[str, Value]:
        """A value for each parameter that has a prior, by qualified name, without a doubt."""
        return {
            name: domain.at(float(_draws(domain, rng, 1)[0]))
            for name, domain in self._domains.items()
        }


def _density(domain: Range | Choice, fractions: Floats) -> Floats:
    from scipy.special import ndtr

    if isinstance(domain, Choice):
        believed = np.floor(fractions * len(domain.options)) == domain.prior
        weights = np.where(np.isnan(fractions), np.nan, np.where(believed, 1.0, OTHER))
        density = weights * len(domain.options) / (1 + OTHER * (len(domain.options) - 1))
        return np.asarray(density, dtype=np.float64)
    low, high = _ends(domain)
    deviation = (fractions - domain.fraction(domain.believed)) / WIDTH
    normal = np.exp(-(deviation**2) / 2) / np.sqrt(2 * np.pi) / WIDTH
    return np.asarray(normal / (ndtr(high) - ndtr(low)), dtype=np.float64)


def _draws(domain: Range | Choice, rng: np.random.Generator, count: int) -> Floats:
    from scipy.special import ndtr, ndtri

    if isinstance(domain, Choice):
        weights = np.full(len(domain.options), OTHER)
        weights[domain.prior] = 1.0
        options = rng.choice(len(weights), count, p=weights / weights.sum())
        return np.asarray((options + rng.random(count)) / len(weights), dtype=np.float64)
    low, high = map(ndtr, _ends(domain))
    deviations = ndtri(low + (high - low) * rng.random(count))
    there = domain.fraction(domain.believed) + WIDTH * deviations
    return np.asarray(np.clip(there, 0.0, np.nextafter(1, 0)), dtype=np.float64)


def _ends(domain: Range) -> tuple[float, float]:
    """Where a range ends, in deviations from what is believed."""
    centre = domain.fraction(domain.believed)
    return -centre / WIDTH, (1 - centre) / WIDTH
