"""Data sets: what is known about each, how each is read, and the part of one that a trial sees."""

from trainable.data.dataset import Dataset, Images, Ints, TrialData, load_dataset, subset_index
from trainable.data.files import DataError
from trainable.data.sets import DATASETS, DataConfig, DatasetInfo
from trainable.data.splits import split_holdout, stratified_subset

__all__ = [
    "DATASETS",
    "DataConfig",
    "DataError",
    "Dataset",
    "DatasetInfo",
    "Images",
    "Ints",
    "TrialData",
    "load_dataset",
    "split_holdout",
    "stratified_subset",
    "subset_index",
]
