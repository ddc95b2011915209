"""Stratified subsets and hold-outs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainable.data.splits import split_holdout, stratified_subset

label_lists = st.lists(st.integers(0, 6), min_size=2, max_size=200)


@given(labels=label_lists, share=st.floats(0, 1), seed=st.integers(0, 2**62))
def test_stratified_subset_keeps_every_class_s_share(labels, share, seed):
    labels = np.array(labels)
    size = int(share * len(labels))
    subset = stratified_subset(labels, size, seed)
    assert len(subset) == len(np.unique(subset)) == size
    assert (np.diff(subset) > 0).all()
    exact = np.bincount(labels) * size / len(labels)
    assert (abs(np.bincount(labels[subset], minlength=len(exact)) - exact) < 1).all()


@given(labels=label_lists, holdout=st.floats(0.01, 0.99), seed=st.integers(0, 2**62))
def test_split_holdout_takes_every_position_once(labels, holdout, seed):
    labels = np.array(labels)
    size = round(holdout * len(labels))
    if not 0 < size < len(labels):
        with pytest.raises(ValueError, match="holdout"):
            split_holdout(labels, holdout, seed)
        return
    train, val = split_holdout(labels, holdout, seed)
    assert len(val) == size
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(len(labels)))


def test_stratified_subset_differs_by_seed_only():
    labels = np.arange(100) % 10
    first, again, other = (stratified_subset(labels, 30, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("size", [-1, 11])
def test_stratified_subset_of_impossible_size_is_refused(size):
    with pytest.raises(ValueError, match=f"size = {size} is not in \\[0, 10\\]"):
        stratified_subset(np.zeros(10, np.int64), size, 0)
