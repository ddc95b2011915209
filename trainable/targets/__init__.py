"""Refined targets of the ELR losses, one row of state an example."""

from trainable.targets.adam import TARGETS, build_target
from trainable.targets.base import Target

__all__ = ["TARGETS", "Target", "build_target"]
