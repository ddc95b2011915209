"""An exponential average of the weights, evaluated beside the raw ones."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainable.network.networks import Network


class WeightAverage:
    """Average over the weights after each step, k steps ago counting decay^k.

    It is bias-corrected: the weights of the sum are divided by what they add up to, so that the
    average of a short run is not held back by its first weights. Batch-norm statistics are
    averaged as well. ``torch.optim.swa_utils.AveragedModel`` starts without the correction, and
    waits for the device at every step.

    Args:
        network: what is averaged; it is not changed.
        decay: in [0, 1).
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.steps = 0  # taken in so far
        self._averages = _floating(self.network)  # the average, tensor by tensor
        self._weights = _floating(network)  # what it is taken of: the live tensors

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after one more step."""
        self.steps += 1
        newest = (1 - self.decay) / (1 - self.decay**self.steps)
        torch._foreach_lerp_(self._averages, self._weights, newest)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {"network": self.network.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from :meth:`state_dict`'s output."""
        self.network.load_state_dict(state["network"])
        self.steps = state["steps"]


def _floating(network: nn.Module) -> list[Tensor]:
    tensors = [*network.parameters(), *network.buffers()]
    return [t.detach() for t in tensors if t.is_floating_point()]
