"""A trial's trainer with its loss: where the forward loss gets its transition matrix from."""

from functools import partial
from typing import Any

import torch

from trainable.catalog import LOSSES
from trainable.config import TrialConfig
from trainable.data import TrialData
from trainable.losses import Loss, build_loss
from trainable.network.device import choose_device
from trainable.trial.trainer import Trainer
from trainable.trial.transition import resolve_transition


def build_trainer(
    config: TrialConfig, data: TrialData, device: torch.device | str | None = None
) -> Trainer:
    """The trainer of the trial that ``config`` describes, on ``device`` (:class:`Trainer`)."""
    chosen = choose_device(device)
    return Trainer(config, data, build_trial_loss(config, data, chosen), chosen)


def build_trial_loss(config: TrialConfig, data: TrialData, device: torch.device) -> Loss:
    """The loss of a trial; the forward loss with its transition matrix, estimated or true.

    ``device`` is where the estimate trains; the loss itself is still on the CPU. Estimating the
    matrix trains a trial of its own, so it waits for the first epoch.
    """
    parameters: dict[str, Any] = dict(config.loss_parameters)
    if config.matrix_from is not None:
        matrix = partial(resolve_transition, config, data, device)
        parameters[LOSSES[config.loss].matrix_from] = matrix
    return build_loss(
        config.loss,
        num_examples=len(data.train_index),
        num_classes=data.num_classes,
        **parameters,
    )
