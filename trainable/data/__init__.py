"""Data sets, and the part of one that a trial sees."""

from trainable.data.dataset import (
    DataError,
    Dataset,
    Images,
    Ints,
    TrialData,
    load_dataset,
    normalisation,
    split_holdout,
    stratified_subset,
    subset_index,
    trial_data,
)

__all__ = [
    "DataError",
    "Dataset",
    "Images",
    "Ints",
    "TrialData",
    "load_dataset",
    "normalisation",
    "split_holdout",
    "stratified_subset",
    "subset_index",
    "trial_data",
]
