"""Losses as the trainer calls them: a formula of :mod:`trainable.losses.functions`, and its state.

Whatever the logits' precision, everything here is computed in float32 at least.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainable.losses import functions
from trainable.losses.functions import log_probabilities
from trainable.targets import Target, build_target


class Loss(nn.Module):
    """A loss per example, and what the trainer may ask of it.

    A call is a visit: a loss with a target takes in the predictions it is given, so it is called
    once per training batch and never for evaluation.
    """

    last_clipped: Tensor | None = None
    """[B] bool, examples of the latest batch without a regulariser; None: no target, no batch."""

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Losses [B] of a batch. Nothing here waits for the device.

        Args:
            logits: [B, C], float32, bfloat16, float16 or float64.
            labels: [B] int64, the given labels.
            index: [B] int64, positions in the training set, no two equal.
        """
        raise NotImplementedError

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
        return self._function(log_probabilities(logits), labels, **self._given)


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

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Losses [B] of a batch."""
        self._given = {"log_given": self.log_given}
        return super().forward(logits, labels, index)

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


class _WithGradient(torch.autograd.Function):
    """Values [B] whose gradient in the logits [B, C] is known."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, values: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient.to(logits.dtype))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer[:, None] * gradient, None, None


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
        log_p = log_probabilities(logits.detach())
        p = log_p.exp()
        t = self.target.update(p, index)
        values, gradient, self.last_clipped = functions.early_learning(
            log_p, labels, p=p, target=t, lam=self._lam
        )
        return _WithGradient.apply(logits, values, gradient)  # type: ignore[no-any-return]

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
