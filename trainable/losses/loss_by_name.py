"""A loss by its name."""

from typing import Any

from trainable.catalog import LOSSES, named
from trainable.config import complete_loss
from trainable.losses.modules import Formula, Loss
from trainable.targets.target_by_name import check_sizes


def build_loss(name: str, *, num_examples: int, num_classes: int, **hyperparameters: Any) -> Loss:
    """The loss ``name`` for N = ``num_examples`` training examples of C = ``num_classes`` classes.

    Parameters left out take their reference value (:data:`LOSSES`). ``adam_elr`` takes ``target``
    and that target's parameters. ``forward`` takes ``transition``, a [C, C] tensor or array, or a
    function that makes one (:class:`trainable.losses.modules.Forward`).

    Raises:
        ValueError: For an unknown name or parameter, a value out of its range, or a ``transition``
            that is missing or no matrix of probabilities.
    """
    check_sizes(num_examples, num_classes)
    entry = named("loss", name, LOSSES)
    # A matrix here, where trials only say where it comes from.
    matrix = hyperparameters.pop(entry.matrix_from, None)
    parameters: dict[str, Any] = complete_loss(name, hyperparameters)
    if entry.matrix_from:
        parameters[entry.matrix_from] = matrix
    made = entry.builder()
    if entry.has_state:
        loss: Loss = made(num_examples, num_classes, **parameters)
        return loss
    return Formula(made, **parameters)
