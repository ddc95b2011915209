"""Losses for training with noisy labels, one value per example.

p = softmax(logits), y the given (possibly wrong) label. Whatever the logits' precision, everything
here is computed in float32 at least, from log p, so that no probability is rounded to zero.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from trainable.catalog import LOSSES, Value
from trainable.config import complete_loss
from trainable.targets import build_target
from trainable.targets.adam import check_sizes
from trainable.targets.base import Target, hold

__all__ = ["LOSSES", "Loss", "build_loss"]

FLOOR = 1e-6
"""1 - <p, t> is clipped here: float32 says little about smaller differences from 1."""


class Loss(nn.Module):
    """A loss per example, and what the trainer may ask of it.

    ``last_clipped`` [B] bool belongs to the latest batch; None for a loss without a target. A call
    is a visit: a loss with a target takes in the predictions it is given, so it is called once per
    training batch and never for evaluation.
    """

    last_clipped: Tensor | None = None

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Losses [B] of a batch. Nothing here waits for the device.

        Args:
            logits: [B, C], float32, bfloat16, float16 or float64.
            labels: [B] int64, the given labels.
            index: [B] int64, positions in the training set, no two equal.
        """
        del index  # only a loss with a target remembers examples
        return self._values(log_probabilities(logits), labels)

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        """Losses [B] from log-probabilities [B, C] and labels [B]."""
        raise NotImplementedError

    def start_epoch(self, epoch: int) -> None:
        """Called by the trainer before epoch ``epoch``, counted from 1."""

    def targets(self) -> Tensor | None:
        """The current target of every training example [N, C], 0 for those never seen, or None."""
        return None


def log_probabilities(logits: Tensor) -> Tensor:
    """The log of softmax [B, C] in float32, or in the logits' own precision if that is finer."""
    return F.log_softmax(logits, 1, dtype=torch.promote_types(logits.dtype, torch.float32))


def cross_entropy(log_p: Tensor, labels: Tensor) -> Tensor:
    """-log p_y, [B]."""
    return F.nll_loss(log_p, labels, reduction="none")


class CrossEntropy(Loss):
    """-log p_y."""

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(log_p, labels)


class BootstrapSoft(Loss):
    """-sum_c (beta y_c + (1 - beta) p_c) log p_c, differentiated through p_c as well.

    Reed et al. 2014, arXiv 1412.6596; beta in [0, 1], there 0.95.
    """

    beta: Tensor

    def __init__(self, *, beta: float) -> None:
        super().__init__()
        hold(self, beta=beta)

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        entropy = -(log_p.exp() * log_p).sum(1)
        return self.beta * cross_entropy(log_p, labels) + (1 - self.beta) * entropy


class BootstrapHard(Loss):
    """-sum_c (beta y_c + (1 - beta) z_c) log p_c, z one-hot at the likeliest class.

    Reed et al. 2014, arXiv 1412.6596; beta in [0, 1], there 0.8.
    """

    beta: Tensor

    def __init__(self, *, beta: float) -> None:
        super().__init__()
        hold(self, beta=beta)

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        likeliest = log_p.max(1).values  # not amax: of tied classes one takes the gradient
        return self.beta * cross_entropy(log_p, labels) - (1 - self.beta) * likeliest


class Forward(Loss):
    """Forward correction: -log (p^T T)_y with T[i, j] = P(given j | true i).

    Patrini et al. 2017, arXiv 1609.03683. Summed in logs: an example whose p vanishes wherever T
    could give y has a large loss, not an infinite one.

    Args:
        num_classes: C.
        transition: [C, C], rows summing to 1; or a function that makes it, called when the first
            epoch starts. A trial that continues from a checkpoint has T in its state, and does
            not estimate it again.
    """

    log_given: Tensor

    def __init__(self, num_classes: int, transition: object) -> None:
        super().__init__()
        unknown = torch.full((num_classes, num_classes), math.nan)
        self.register_buffer("log_given", unknown)  # log T[true, given] at [given, true]
        self._make = transition if callable(transition) else None
        if self._make is None:
            self._set_transition(transition)

    def start_epoch(self, epoch: int) -> None:
        """Make T before the first epoch, if it was not given."""
        if epoch == 1 and self._make is not None:
            self._set_transition(self._make())

    def _set_transition(self, transition: object) -> None:
        matrix = _check_transition(transition, len(self.log_given))
        self.log_given.copy_(matrix.T.clamp(min=torch.finfo(matrix.dtype).tiny).log())

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        return -torch.logsumexp(log_p + self.log_given[labels], 1)


class GeneralisedCrossEntropy(Loss):
    """(1 - p_y^q) / q; from epoch ``truncate_from`` on constant at (1 - k^q) / q where p_y <= k.

    Zhang & Sabuncu 2018, arXiv 1805.07836. q in [0, 1], there 0.7: 0 is CE (taken as
    1e-6, five digits from it), 1 is 1 - p_y. k in [0, 1], there 0.5, switched on after a third
    (10 classes) or half (100) of the training. Truncation here stands for their pruning of
    examples: a constant has no gradient.
    """

    q: Tensor
    log_k: Tensor

    def __init__(self, *, q: float, k: float, truncate_from: int | None) -> None:
        super().__init__()
        self.k = k
        self.truncate_from = truncate_from
        hold(self, q=max(q, 1e-6), log_k=-math.inf)

    def start_epoch(self, epoch: int) -> None:
        """Switch the truncation on or off."""
        truncated = self.truncate_from is not None and epoch >= self.truncate_from and self.k > 0
        self.log_k.fill_(math.log(self.k) if truncated else -math.inf)

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        log_p_y = -cross_entropy(log_p, labels)
        return -torch.expm1(self.q * log_p_y.clamp(min=self.log_k)) / self.q


class SymmetricCrossEntropy(Loss):
    """alpha CE + beta RCE, RCE = -A (1 - p_y).

    Wang et al. 2019, arXiv 1908.06112. A < 0 stands for log 0 in the reverse
    cross-entropy; their code clips labels at 1e-4, which makes it ln 1e-4. References: alpha 0.1,
    beta 1 on CIFAR-10; alpha 6, beta 0.1 on CIFAR-100.
    """

    alpha: Tensor
    reverse: Tensor

    def __init__(self, *, alpha: float, beta: float, A: float) -> None:
        super().__init__()
        hold(self, alpha=alpha, reverse=-A * beta)

    def _values(self, log_p: Tensor, labels: Tensor) -> Tensor:
        ce = cross_entropy(log_p, labels)
        return self.alpha * ce - self.reverse * torch.expm1(-ce)


class EarlyLearning(Loss):
    """CE + lam log(1 - <p, t>), t the example's target (:mod:`trainable.targets`).

    Liu et al. 2020, arXiv 2007.00151; with a refined target, the Adam-refined loss (eq. 2 to 8).
    The target takes in p first and is then used; no gradient flows through it. Losses below 0 are
    normal. The gradient of the second term is lam g, g_c = p_c (S - t_c) / (1 - S), S = <p, t>,
    summing to 0: it keeps clean examples' gradient alive and cancels that of wrong ones.

    p in <p, t> is the softmax itself, which sums to 1 (ELR's code uses its clamped p there, whose
    sum may pass 1). So 1 - S = sum_c p_c (1 - t_c), a sum of positive numbers that stays exact
    where S is close to 1. Below :data:`FLOOR` it is clipped, and the example, marked in
    ``last_clipped``, has no gradient from this term.
    """

    lam: Tensor

    def __init__(self, *, lam: float, target: Target) -> None:
        super().__init__()
        self.target = target
        hold(self, lam=lam)

    def forward(self, logits: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Visit the examples at ``index`` with these predictions; their losses [B]."""
        log_p = log_probabilities(logits)
        p = log_p.exp()
        t = self.target.update(p.detach(), index)
        apart = (p * (1 - t)).sum(1)  # 1 - <p, t>
        self.last_clipped = apart.detach() < FLOOR
        return cross_entropy(log_p, labels) + self.lam * apart.clamp(min=FLOOR).log()

    def targets(self) -> Tensor:
        """The current target of every training example, [N, C]."""
        return self.target.current()


def _early_learning(
    num_examples: int, num_classes: int, lam: float, target: str = "ema", **parameters: Value
) -> EarlyLearning:
    built = build_target(target, num_examples=num_examples, num_classes=num_classes, **parameters)
    return EarlyLearning(lam=lam, target=built)


_CLASSES: dict[str, Callable[..., Loss]] = {
    "ce": CrossEntropy,
    "bootstrap_soft": BootstrapSoft,
    "bootstrap_hard": BootstrapHard,
    "forward": Forward,
    "gce": GeneralisedCrossEntropy,
    "sce": SymmetricCrossEntropy,
}


def build_loss(name: str, *, num_examples: int, num_classes: int, **hyperparameters: Any) -> Loss:
    """The loss ``name`` for N = ``num_examples`` training examples of C = ``num_classes`` classes.

    Parameters left out take their reference value (:data:`LOSSES`). ``adam_elr`` takes ``target``
    and that target's parameters. ``forward`` takes ``transition``, a [C, C] tensor or array, or a
    function that makes one (:class:`Forward`).

    Raises:
        ValueError: For an unknown name or parameter, a value out of its range, or a ``transition``
            that is missing or no matrix of probabilities.
    """
    check_sizes(num_examples, num_classes)
    if name == "forward":
        transition = hyperparameters.pop("transition", None)
        complete_loss(name, hyperparameters)  # refuses any other parameter
        return Forward(num_classes, transition)
    parameters = complete_loss(name, hyperparameters)
    if name in ("elr", "adam_elr"):
        return _early_learning(num_examples, num_classes, **parameters)  # type: ignore[arg-type]
    return _CLASSES[name](**parameters)


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
