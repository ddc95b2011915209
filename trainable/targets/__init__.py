"""Refined targets of the ELR losses, one row of state an example."""

from trainable.catalog import TARGETS
from trainable.targets.base import Target
from trainable.targets.build import build_target

__all__ = ["TARGETS", "Target", "build_target"]
