"""Losses as the trainer calls them: a formula of :mod:`trainable.losses.functions`, and its state.

Whatever the logits' precision, everything here is computed in float32 at least.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainable.losses import functions
from trainable.losses.functions import log_probabilities
from trainable.targets import Target, build_target


class LastVisits(NamedTuple):
    """What the latest visit to each training example came to."""

    losses: Tensor
    """[N]."""
    targets: Tensor | None = None
    """[N, C], what the examples were drawn to; None: the loss has no targets."""
    clipped: Tensor | None = None
    """[N] bool, examples that had no gradient from the regulariser."""


class Loss(nn.Module):
    """A loss per example, and what the trainer may ask of it.

    A call is a visit: a loss with a target takes in the predictions it is given, so each training
    batch is visited once, by a call or by :meth:`backward`, and no other.
    """

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Losses [B] of a batch. Nothing here waits for the device.

        Args:
            logits: [B, C], float32, bfloat16, float16 or float64.
            labels: [B] int64, the given labels.
            index: [B] int64, positions in the training set, no two equal.
        """
        raise NotImplementedError

    def backward(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Visit a batch, and take the gradient of its mean loss back to the network's weights.

        A loss may do so without its values, which :meth:`last_visits` tells of a whole epoch.
        """
        self(logits, labels, index).mean().backward()

    def last_visits(self, log_p: Tensor, labels: Tensor) -> LastVisits:
        """What the latest visits came to; nothing is visited.

        Args:
            log_p: [N, C], log softmax of what each training example was last visited with.
            labels: [N] int64, their given labels.
        """
        raise NotImplementedError(f"{type(self).__name__} has no last_visits")

    def start_epoch(self, epoch: int) -> None:
        """Called by the trainer before epoch ``epoch``, counted from 1."""

    def targets(self) -> Tensor | None:
        """The current target of every training example [N, C], 0 for those never seen, or None."""
        return None


class Formula(Loss):
    """A loss that is its formula and nothing else.

    Args:
        function: of log p [B, C], labels [B] and ``parameters`` to losses [B].
        parameters: the formula's hyperparameters.
    """

    def __init__(self, function: Callable[..., Tensor], **parameters: Any) -> None:
        super().__init__()
        self._function = function  # the formula
        self._given = parameters  # what it is called with

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Losses [B] of a batch; ``index`` is for losses that remember examples."""
        del index
        return self._values(log_probabilities(logits), labels)

    def last_visits(self, log_p: Tensor, labels: Tensor) -> LastVisits:
        """The formula anew: it has no state."""
        return LastVisits(self._values(log_p, labels))

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        return self._function(log_p, labels, **self._given)


class Forward(Formula):
    """Forward correction, with its transition matrix as state.

    Args:
        num_examples: N.
        num_classes: C.
        transition: T [C, C], rows summing to 1; or a function that makes it, called when the
            first epoch starts. A trial that continues from a checkpoint has T in its state, and
            does not estimate it again.
    """

    log_given: Tensor
    """log T[true, given] at [given, true]; NaN until T is there."""

    def __init__(self, num_examples: int, num_classes: int, *, transition: object) -> None:
        super().__init__(functions.forward_corrected)
        unknown = torch.full((num_classes, num_classes), math.nan)
        self.register_buffer("log_given", unknown)
        # what estimates T, if it is not given
        self._make = transition if callable(transition) else None
        if self._make is None:
            self._set_transition(transition)

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        self._given = {"log_given": self.log_given}  # which a move to the device replaces
        return super()._values(log_p, labels)

    def start_epoch(self, epoch: int) -> None:
        """Make T before the first epoch, if it was not given."""
        if epoch == 1 and self._make is not None:
            self._set_transition(self._make())

    def _set_transition(self, transition: object) -> None:
        matrix = _check_transition(transition, len(self.log_given))
        self.log_given.copy_(matrix.T.clamp(min=torch.finfo(matrix.dtype).tiny).log())


class TruncatedGeneralisedCrossEntropy(Formula):
    """Generalised cross-entropy, truncated from an epoch on.

    Zhang & Sabuncu 2018, arXiv 1805.07836, switch it on after a third (10 classes) or half (100)
    of the training.

    Args:
        num_examples: N.
        num_classes: C.
        q: :func:`trainable.losses.functions.generalised_cross_entropy`'s.
        k: that of the truncated form.
        truncate_from: its first epoch; None: never truncated.
    """

    def __init__(
        self, num_examples: int, num_classes: int, *, q: float, k: float, truncate_from: int | None
    ) -> None:
        super().__init__(functions.generalised_cross_entropy, q=q)
        self._k = k  # while it is truncated
        self._truncate_from = truncate_from  # the first epoch that is; None: none

    def start_epoch(self, epoch: int) -> None:
        """Switch the truncation on or off."""
        truncated = self._truncate_from is not None and epoch >= self._truncate_from
        self._given["k"] = self._k if truncated else 0.0


class EarlyLearning(Loss):
    """CE + lam log(1 - <p, t>) (:func:`trainable.losses.functions.early_learning`).

    The target t (:mod:`trainable.targets`) takes in p first and is then used.
    """

    def __init__(self, *, lam: float, target: Target) -> None:
        super().__init__()
        self.target = target  # t, with a row of state an example
        self._lam = lam  # weight of the regulariser

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Visit the examples at ``index`` with these predictions; their losses [B]."""
        log_p = log_probabilities(logits)
        p = log_p.exp()
        apart = functions.disagreement(p, self.target.update(p, index))
        return functions.early_learning(log_p, labels, apart=apart, lam=self._lam)

    @torch.no_grad()
    def backward(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """The same by the gradient's closed form."""
        p = log_probabilities(logits).exp_()
        t = self.target.update(p, index)
        gradient = functions.early_learning_gradient(p, labels, target=t, lam=self._lam)
        torch.autograd.backward(logits, gradient.mul_(1 / len(labels)).to(logits.dtype))

    def last_visits(self, log_p: Tensor, labels: Tensor) -> LastVisits:
        """With the targets as they stand, which are those that the latest visits left."""
        targets = self.target.current()
        apart = functions.disagreement(log_p.exp(), targets)
        losses = functions.early_learning(log_p, labels, apart=apart, lam=self._lam)
        return LastVisits(losses, targets, clipped=apart < functions.FLOOR)

    def targets(self) -> Tensor:
        """The current target of every training example, [N, C]."""
        return self.target.current()


def early_learning(
    num_examples: int, num_classes: int, *, lam: float, target: str = "ema", **parameters: Any
) -> EarlyLearning:
    """The loss with the target of this name, made with ``parameters``."""
    built = build_target(target, num_examples=num_examples, num_classes=num_classes, **parameters)
    return EarlyLearning(lam=lam, target=built)


def _check_transition(transition: object, num_classes: int) -> Tensor:
    if transition is None or isinstance(transition, str):
        raise ValueError(
            f"forward needs its transition matrix, not {transition!r}: "
            "trainable.trial.transition.resolve_transition makes one of 'estimated' or 'true'"
        )
    given = transition if isinstance(transition, Tensor) else torch.tensor(transition)
    matrix = given.to(torch.float32)
    if matrix.shape != (num_classes, num_classes):
        shape = list(matrix.shape)
        raise ValueError(f"transition of shape {shape} is not [{num_classes}, {num_classes}]")
    if not (matrix >= 0).all() or not ((matrix.sum(1) - 1).abs() <= 1e-4).all():
        raise ValueError("transition is no matrix of probabilities: its rows do not sum to 1")
    return matrix
