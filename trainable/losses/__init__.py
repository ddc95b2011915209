"""Losses for training with noisy labels, one value per example."""

from trainable.catalog import LOSSES
from trainable.losses.loss_by_name import build_loss
from trainable.losses.modules import Loss

__all__ = ["LOSSES", "Loss", "build_loss"]
