"""Data sets: what is known about each, how each is read, and the part of one that a trial sees."""

from trainable.data.dataset import Dataset, TrialData, subset_index
from trainable.data.files import DataError
from trainable.data.load import load_dataset
from trainable.data.sets import DATASETS, DataConfig, DatasetInfo, OwnData, data_class, make_data
from trainable.data.splits import split_holdout, stratified_subset

__all__ = [
    "DATASETS",
    "DataConfig",
    "DataError",
    "Dataset",
    "DatasetInfo",
    "OwnData",
    "TrialData",
    "data_class",
    "load_dataset",
    "make_data",
    "split_holdout",
    "stratified_subset",
    "subset_index",
]
