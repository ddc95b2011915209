"""Losses as formulas: pure functions of log p and the labels, one value per example.

p = softmax(logits) [B, C], y the given (possibly wrong) label [B] int64. All are computed from
log p [B, C] (:func:`log_probabilities`), so that no probability is rounded to zero, and answer
losses [B] in its precision.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

FLOOR = 1e-6
"""1 - <p, t> is clipped here: float32 says little about smaller differences from 1."""


def log_probabilities(logits: Tensor) -> Tensor:
    """The log of softmax [B, C] in float32, or in the logits' own precision if that is finer."""
    return F.log_softmax(logits, 1, dtype=torch.promote_types(logits.dtype, torch.float32))


def cross_entropy(log_p: Tensor, labels: Tensor) -> Tensor:
    """-log p_y."""
    return F.nll_loss(log_p, labels, reduction="none")


def bootstrap_soft(log_p: Tensor, labels: Tensor, *, beta: float) -> Tensor:
    """-sum_c (beta y_c + (1 - beta) p_c) log p_c, differentiated through p_c as well.

    Reed et al. 2014, arXiv 1412.6596; beta in [0, 1], there 0.95: 1 is cross-entropy.
    """
    entropy = -(log_p.exp() * log_p).sum(1)
    return beta * cross_entropy(log_p, labels) + (1 - beta) * entropy


def bootstrap_hard(log_p: Tensor, labels: Tensor, *, beta: float) -> Tensor:
    """-sum_c (beta y_c + (1 - beta) z_c) log p_c, z one-hot at the likeliest class.

    Reed et al. 2014, arXiv 1412.6596; beta in [0, 1], there 0.8: 1 is cross-entropy.
    """
    likeliest = log_p.max(1).values  # not amax: of tied classes one takes the gradient
    return beta * cross_entropy(log_p, labels) - (1 - beta) * likeliest


def forward_corrected(log_p: Tensor, labels: Tensor, *, log_given: Tensor) -> Tensor:
    """-log (p^T T)_y with T[i, j] = P(given j | true i).

    Patrini et al. 2017, arXiv 1609.03683. Summed in logs: an example whose p vanishes wherever T
    could give y has a large loss, not an infinite one.

    Args:
        log_p: [B, C].
        labels: [B].
        log_given: [C, C], log T[true, given] at [given, true].
    """
    return -torch.logsumexp(log_p + log_given[labels], 1)


def generalised_cross_entropy(
    log_p: Tensor, labels: Tensor, *, q: float, k: float = 0.0
) -> Tensor:
    """(1 - p_y^q) / q; constant at (1 - k^q) / q where p_y <= k.

    Zhang & Sabuncu 2018, arXiv 1805.07836. q in [0, 1], there 0.7: 0 is cross-entropy (taken as
    1e-6, five digits from it), 1 is 1 - p_y. k in [0, 1], there 0.5: 0 truncates nothing.
    Truncation stands for their pruning of examples: a constant has no gradient.
    """
    q = max(q, 1e-6)
    log_p_y = -cross_entropy(log_p, labels)
    if k > 0:
        log_p_y = log_p_y.clamp(min=math.log(k))
    return -torch.expm1(q * log_p_y) / q


def symmetric_cross_entropy(
    log_p: Tensor, labels: Tensor, *, alpha: float, beta: float, A: float
) -> Tensor:
    """Alpha CE + beta RCE, RCE = -A (1 - p_y).

    Wang et al. 2019, arXiv 1908.06112. A < 0 stands for log 0 in the reverse cross-entropy; their
    code clips labels at 1e-4, which makes it ln 1e-4. alpha, beta >= 0, there 0.1 and 1 on
    CIFAR-10, 6 and 0.1 on CIFAR-100.
    """
    ce = cross_entropy(log_p, labels)
    return alpha * ce + A * beta * torch.expm1(-ce)


def disagreement(p: Tensor, target: Tensor) -> Tensor:
    """1 - <p, t> [B] for t [B, C] >= 0 with <p, t> < 1.

    p is the softmax itself, which sums to 1 (ELR's code uses its clamped p here, whose sum may
    pass 1). So it is sum_c p_c (1 - t_c), of numbers that are not negative, exact near 0.
    """
    return (p * (1 - target)).sum(1)


def early_learning(log_p: Tensor, labels: Tensor, *, apart: Tensor, lam: float) -> Tensor:
    """CE + lam log(1 - <p, t>).

    Liu et al. 2020, arXiv 2007.00151; with a refined target, the Adam-refined loss (eq. 2 to 8).
    Losses below 0 are normal. Below :data:`FLOOR`, 1 - <p, t> is clipped, and the example has no
    gradient from this term.

    Args:
        log_p: [B, C].
        labels: [B].
        apart: 1 - <p, t> [B] (:func:`disagreement`); no gradient flows through t.
        lam: weight of the regulariser, 0 or more; there 1 to 10.
    """
    return cross_entropy(log_p, labels) + lam * apart.clamp(min=FLOOR).log()


def early_learning_gradient(p: Tensor, labels: Tensor, *, target: Tensor, lam: float) -> Tensor:
    """The gradient of :func:`early_learning` in the logits, [B, C]: p - y + lam g.

    g_c = p_c (S - t_c) / (1 - S) with S = <p, t> sums to 0: it keeps clean examples' gradient
    alive and cancels that of wrong ones. Ten kernels, where autograd would run two dozen in every
    step.

    Args:
        p: [B, C], softmax of the logits.
        labels: [B].
        target: t [B, C], as in :func:`disagreement`.
        lam: as in the loss.
    """
    away = 1 - target
    apart = (p * away).sum(1, keepdim=True)  # 1 - S
    pull = lam / F.threshold(apart, FLOOR, torch.inf)  # 0 where it is clipped
    # S - t = (1 - t) - (1 - S)
    gradient = torch.addcmul(p, away.sub_(apart).mul_(p), pull)
    return gradient.scatter_(1, labels[:, None], -1.0, reduce="add")
