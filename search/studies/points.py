"""The points of a study that follow from its seed alone, whatever comes of them."""

import itertools
from collections.abc import Mapping, Sequence

from search.studies.samplers import is_common, sequence
from spaces.strategies import SAMPLERS
from spaces.sweep import Cell, SearchSpec
from trainable.catalog import Value


def fixed_points(
    cell: Cell,
    search: SearchSpec,
    first: Sequence[Mapping[str, Value]],
    *,
    seed: int,
    own_seed: int,
    shared: Sequence[str],
    trials: int,
) -> list[Mapping[str, Value]]:
    """The points to try before the sampler is asked, ``trials`` at most.

    Args:
        cell: of the study.
        search: names the sampler; one that needs no history gives all of its points here.
        first: what is tried before the sampler's own points.
        seed: of the sweep, for draws common to its studies.
        own_seed: of the study, for the others.
        shared: the parameters that any study of the sweep varies, by qualified name.
        trials: the study's budget.
    """
    sampler, options = search.sampler, search.sampler_options
    common = is_common(sampler, options)
    points = sequence(sampler, options, cell.space, seed if common else own_seed, shared)
    # Every point of a finite space is dealt anyway.
    first = () if SAMPLERS[sampler].finite else first
    # A trial's number says which common draw it is: first points stand in the place of some.
    rest = itertools.islice(points or (), len(first) if common else 0, None)
    return list(itertools.islice(itertools.chain(first, rest), trials))
