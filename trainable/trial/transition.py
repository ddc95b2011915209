"""The transition matrix of the forward loss: T[i, j] = P(given label j | true class i)."""

import copy
import hashlib
import logging
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainable.config import TrialConfig
from trainable.data import TrialData
from trainable.losses import build_loss
from trainable.seeds import derive_seed
from trainable.trial.trainer import Trainer

OUTLIERS = 0.03
"""Share of the examples that count as outliers of a class, being the surest of it."""
UNFILTERED_CLASSES = 100
"""With so many classes, an example in a hundred being of each, none counts as an outlier."""

_log = logging.getLogger(__name__)
_estimates: dict[tuple[str, str, str], Tensor] = {}


def resolve_transition(config: TrialConfig, data: TrialData, device: torch.device) -> Tensor:
    """The matrix that ``config`` asks for, [C, C] float32, rows summing to 1.

    "true" is the realised one of the noise: an oracle, made from the true labels. "estimated" is
    :func:`estimate_transition` after training with cross-entropy, as in Patrini et al. 2017; it
    takes as long as a trial, on the trial's ``device``, once in a process for all trials on the
    same labels.
    """
    if config.matrix_from == "true":
        return torch.tensor(data.transition, dtype=torch.float32)
    plain = _plain_config(config)
    labels = hashlib.sha256(data.train_given.tobytes()).hexdigest()
    # The labels as well: a resumed sweep brings those that were drawn, whatever the config says.
    key = (plain.fingerprint, labels, str(device))
    if key not in _estimates:
        _log.info("estimating the transition matrix: %d epochs with ce", plain.max_epochs)
        matrix = estimate_transition(_predictions(plain, data, device), data.num_classes)
        _estimates[key] = torch.tensor(matrix, dtype=torch.float32)
    return _estimates[key]


def estimate_transition(
    probabilities: NDArray[np.floating], num_classes: int
) -> NDArray[np.float64]:
    """Estimate T from predictions: row i is that of the example most confidently of class i.

    Patrini et al. 2017, arXiv 1609.03683. With few classes their code drops, as outliers, the
    examples at or above the 97th percentile of p_i. We drop as many by rank: the same without
    ties, and where a sure network gives many examples the same p_i, one of them remains.

    Args:
        probabilities: [N, C], of all training examples, by a network trained with cross-entropy
            on the given labels.
        num_classes: C.

    Returns:
        [C, C], rows summing to 1.
    """
    last = len(probabilities) - 1
    # As many as lie at or above the percentile, as numpy interpolates it.
    outliers = math.floor(OUTLIERS * last) + 1 if num_classes < UNFILTERED_CLASSES else 0
    chosen = np.argsort(probabilities, axis=0, kind="stable")[max(0, last - outliers)]
    rows = np.asarray(probabilities[chosen], dtype=np.float64)
    normalised: NDArray[np.float64] = rows / rows.sum(axis=1, keepdims=True)
    return normalised


def _plain_config(config: TrialConfig) -> TrialConfig:
    """The training behind the estimate: the trial's data and network, reference optimiser.

    The trial's own learning rate plays no part, so that T is the same for all trials of a study.
    """
    return TrialConfig.build(
        data=config.data,
        noise=config.noise,
        loss="ce",
        network=config.network,
        max_epochs=config.max_epochs,
        seed=derive_seed(config.seed, "transition"),
        parameters=config.network_parameters,
        precision=config.precision,
        compile=config.compile,
    )


def _predictions(
    config: TrialConfig, data: TrialData, device: torch.device
) -> NDArray[np.float32]:
    """Probabilities [n, C] of the training examples, by the epoch of lowest validation loss.

    Raises:
        ValueError: If the training diverges at once.
    """
    plain = build_loss(
        config.loss, num_examples=len(data.train_index), num_classes=data.num_classes
    )
    trainer = Trainer(config, data, plain, device)
    lowest, best = float("inf"), None
    for _ in range(config.max_epochs):
        val_loss = trainer.run_epoch().val_loss
        if val_loss < lowest:
            lowest, best = val_loss, copy.deepcopy(trainer.network.state_dict())
    if best is None:
        raise ValueError("no transition matrix: the training with ce behind its estimate diverged")
    trainer.network.load_state_dict(best)
    probabilities, _ = trainer.predict(data.images[data.train_index])
    return probabilities
