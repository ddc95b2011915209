"""The class maps of asymmetric noise."""

import numpy as np
import pytest

from trainable.catalog import DATASETS
from trainable.noise.class_maps import class_map, superclass_of


def test_superclasses_divide_the_hundred_classes_by_five():
    coarse = superclass_of(DATASETS["cifar100"])
    np.testing.assert_array_equal(np.bincount(coarse), np.full(20, 5))
    # apple, aquarium fish, baby; willow, wolf, woman, worm
    assert [*coarse[:3], *coarse[-4:]] == [4, 1, 14, 17, 8, 14, 13]
    ring = class_map(DATASETS["cifar100"])
    assert sorted(ring) == list(range(100))
    np.testing.assert_array_equal(ring[ring[ring[ring[ring]]]], np.arange(100))


def test_class_map_contiguous_ring_leaves_the_superclass_94_times_in_100():
    mapped = class_map(DATASETS["cifar100"], "contiguous")
    np.testing.assert_array_equal(mapped[:5], [1, 2, 3, 4, 0])
    coarse = superclass_of(DATASETS["cifar100"])
    assert (coarse[mapped] == coarse).sum() == 6


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("cifar100", "files")])
def test_class_map_of_ten_classes_moves_five_and_swaps_two_of_them(name):
    mapped = class_map(DATASETS[name])
    moved = np.flatnonzero(mapped != np.arange(10))
    assert len(moved) == len(set(mapped[moved])) == 5
    assert (mapped[mapped[moved]] == moved).sum() == 2
