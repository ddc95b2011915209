"""What a trial made of the given labels while it trained, for finding the wrong ones.

A network learns a right label sooner and holds it more firmly than a wrong one, so what it
thought of a label over all epochs says more than what it thinks in the end, when it may have
memorised it: the area under the margin of Pleiss et al. 2020 (arXiv 2001.10528), and the mean
probabilities of Swayamdipta et al. 2020 (arXiv 2009.10795).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class MeanBeliefs(NamedTuple):
    """Means over the epochs trained, all [n]."""

    margin: Tensor
    """float32: the given label's logit less the largest other one."""
    given_probability: Tensor
    """float32 in [0, 1]: of the given label."""
    rival: Tensor
    """int64: the other class that was the most probable."""
    rival_probability: Tensor
    """float32 in [0, 1]: of that class."""


class Beliefs:
    """Running sums over the epochs, on the device of ``given`` [n] int64."""

    def __init__(self, given: Tensor, num_classes: int) -> None:
        self._given = given
        self._epochs = 0  # taken in so far
        self._margins = torch.zeros(len(given), device=given.device)  # summed, [n]
        self._probabilities = torch.zeros(len(given), num_classes, device=given.device)  # summed

    def add(self, log_p: Tensor) -> None:
        """Take in an epoch: log softmax [n, C] of what it was trained by, float32.

        Nothing here waits for the device.
        """
        given = self._given[:, None]
        others = log_p.scatter(1, given, -torch.inf).amax(1)
        self._margins += log_p.gather(1, given)[:, 0] - others
        self._probabilities += log_p.exp()
        self._epochs += 1

    def summary(self) -> MeanBeliefs | None:
        """The means of every training example; None before the first epoch."""
        if self._epochs == 0:
            return None
        mean = self._probabilities / self._epochs
        given = self._given[:, None]
        # Below every probability: the given class is no rival of itself.
        rival_probability, rival = mean.scatter(1, given, -1.0).max(1)
        own = mean.gather(1, given)[:, 0]
        return MeanBeliefs(self._margins / self._epochs, own, rival, rival_probability)

    def state_dict(self) -> dict[str, Any]:
        """The live sums."""
        return {
            "epochs": self._epochs,
            "margins": self._margins,
            "probabilities": self._probabilities,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the sums of :meth:`state_dict`."""
        self._epochs = state["epochs"]
        self._margins.copy_(state["margins"])
        self._probabilities.copy_(state["probabilities"])
