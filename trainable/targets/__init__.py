"""Refined targets of the ELR losses, one row of state an example."""

from trainable.catalog import TARGETS
from trainable.targets.moments import Target
from trainable.targets.target_by_name import build_target

__all__ = ["TARGETS", "Target", "build_target"]
