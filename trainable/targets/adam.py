"""Refined targets: what a training example's predictions so far say its label is.

ELR keeps a running average t of each example's predictions. Call that average momentum, and the
next question is what optimisers did after momentum; each target here is one answer. In their
descriptions p is the prediction after ELR's clamp, n the number of visits to the example,
m_n = beta1 m_(n-1) + (1 - beta1) p_n and v_n = beta2 v_(n-1) + (1 - beta2) p_n^2 (eq. 6 and 7)
start at zero, x^ is x with Adam's bias correction, and w = sum_c m = 1 - beta1^n.

Eq. 8 as printed, t = m / (sqrt(v) + eps), is not well-posed: elementwise the ratio tends to 1 for
*every* class of a steady prediction, and where beta1 and beta2 differ it passes 1, so that
log(1 - <p, t>) is NaN. So every target states its reading. What they share: t >= 0, and <p, t> < 1
for every p on the simplex; the zero start scales t by a warm-up, w in most (with bias correction
alone ELR does not train); permuting the classes permutes t; examples not visited do not change.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainable.catalog import TARGETS, Value, unknown
from trainable.config import check_one_decay
from trainable.targets.after_adam import AdaBelief, AdEMAMix, AmsGrad, Lion, Nadam
from trainable.targets.base import Target, TwoMoments, hold

__all__ = ["TARGETS", "Target", "build_target"]


class Ema(Target):
    """ELR's target: t_n = beta t_(n-1) + (1 - beta) p_n, t_0 = 0.

    Source: Liu et al. 2020, arXiv 2007.00151. beta in [0, 1), there searched in {.5, .7, .9, .99};
    at 0 the target is the prediction itself and the method collapses.
    """

    moments = 1
    step: Tensor

    def __init__(self, num_examples: int, num_classes: int, *, beta: float) -> None:
        super().__init__(num_examples, num_classes)
        hold(self, step=1 - beta)

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        groups[0].lerp_(p, self.step)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        return groups[0]


class AdamLiteral(Target):
    """Eq. 8 as printed, where that is well-posed: t = m / (sqrt(v) + eps), beta1 = beta2 = beta.

    Without bias correction m^2 <= (1 - beta^n) v then, so t <= sqrt(1 - beta^n) / (1 + eps) < 1
    and <p, t> < 1. A constant p gives (1 - beta^n) p / (sqrt(1 - beta^n) p + eps), which is near 1
    for every class with p >> eps: the ratio says how steady a prediction was, not how large, and
    only eps keeps the difference between classes. Hence eps >= 1e-3, and 1e-2 as our reference.
    lam and beta interact: lam 3 goes with beta .7, lam 7 with .9.

    Raises:
        ValueError: If ``beta2`` is given and not ``beta1``.
    """

    step: Tensor
    eps: Tensor

    def __init__(
        self, num_examples: int, num_classes: int, *, beta1: float, beta2: float | None, eps: float
    ) -> None:
        check_one_decay(beta1, beta2)
        super().__init__(num_examples, num_classes)
        hold(self, step=1 - beta1, eps=eps)

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, v = groups
        m.lerp_(p, self.step)
        v.lerp_(p.square(), self.step)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, v = groups
        return m / (v.sqrt() + self.eps)


class Adam(TwoMoments):
    """Gated mean: t = w r / sum(r), r = m^ m^ / (sqrt(v^) + eps).

    Ours, in place of eq. 8: ELR's mean m^, each class gated by Adam's ratio m^ / sqrt(v^), which
    is 1 for a class predicted steadily and less for one that comes and goes; renormalised to the
    simplex; ELR's warm-up w kept. sum t = w; the first target is (1 - beta1) p; a constant p gives
    ELR's target at every n as eps -> 0.
    """

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, v, b = groups
        m.lerp_(p, self.step1)
        self._move_second(v, p.square(), b)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, v, b = groups
        return self._gated(m, v / b, m.sum(1, keepdim=True))


class AdamScalar(TwoMoments):
    """One second moment an example: t = w m^ / max(sqrt(v^) + eps, |m^|), v of |p|^2.

    Ours. A scalar leaves the direction of ELR's target and stretches it to about unit length, so a
    steady prediction at least doubles ELR's gradient: a third of ELR's lam suits it. Where
    predictions have sharpened, |m^| passes sqrt(v^) and <p, t> would pass 1; the maximum is our
    guard: |t| <= w, hence <p, t> < 1.
    """

    moments = 1
    scalars = 2

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, v, b = groups
        m.lerp_(p, self.step1)
        self._move_second(v, p.square().sum(1, keepdim=True), b)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, v, b = groups
        length = torch.linalg.vector_norm(m, dim=1, keepdim=True) / m.sum(1, keepdim=True)
        return m / torch.maximum((v / b).sqrt() + self.eps, length)


_CLASSES: dict[str, type[Target]] = {
    "ema": Ema,
    "adam": Adam,
    "adam_literal": AdamLiteral,
    "adam_scalar": AdamScalar,
    "amsgrad": AmsGrad,
    "nadam": Nadam,
    "adabelief": AdaBelief,
    "ademamix": AdEMAMix,
    "lion": Lion,
}


def build_target(
    name: str, *, num_examples: int, num_classes: int, **hyperparameters: Value
) -> Target:
    """The target ``name`` for N = ``num_examples`` examples of C = ``num_classes`` classes.

    Parameters left out take their reference value (:data:`TARGETS`).

    Raises:
        ValueError: For an unknown name or parameter, a value out of its range, or sizes that no
            training set has.
    """
    if name not in TARGETS:
        raise ValueError(unknown("target", name, TARGETS))
    check_sizes(num_examples, num_classes)
    parameters = TARGETS[name].complete(name, hyperparameters)
    return _CLASSES[name](num_examples, num_classes, **parameters)


def check_sizes(num_examples: int, num_classes: int) -> None:
    """Raise ValueError unless there are an example and two classes at least."""
    if num_examples < 1:
        raise ValueError(f"num_examples = {num_examples} is not a whole number above 0")
    if num_classes < 2:
        raise ValueError(f"num_classes = {num_classes} is not a whole number above 1")
