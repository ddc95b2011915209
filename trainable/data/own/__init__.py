"""A user's own images: folders, Parquet or arrays, with a labels file or without."""

from trainable.data.own.found import OwnImages, OwnPart
from trainable.data.own.read import read_own

__all__ = ["OwnImages", "OwnPart", "read_own"]
