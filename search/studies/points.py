"""The points of a study that follow from its seed alone, whatever comes of them."""

import itertools
from collections.abc import Mapping, Sequence

from search.studies.samplers import is_common, sequence
from spaces.strategies import SAMPLERS
from spaces.sweep import Cell, SweepSpec
from trainable.catalog import Value


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
    common = is_common(sampler, options)
    points = sequence(sampler, options, cell.space, spec.seed if common else own_seed, shared)
    # Every point of a finite space is dealt anyway.
    first = () if SAMPLERS[sampler].finite else first
    # A trial's number says which common draw it is: first points stand in the place of some.
    rest = itertools.islice(points or (), len(first) if common else 0, None)
    return list(itertools.islice(itertools.chain(first, rest), spec.budget.trials))
