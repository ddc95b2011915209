"""Losses for training with noisy labels, one value per example."""

from trainable.losses.losses import LOSSES, Loss, build_loss

__all__ = ["LOSSES", "Loss", "build_loss"]
