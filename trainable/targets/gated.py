"""Targets that are Adam's gated mean: a class counts by how steadily it has been predicted.

Symbols as in :mod:`trainable.targets.moments`. After the target adam come readings of optimisers
that came after Adam: an optimiser's step is no probability, so each class says what it keeps of
the optimiser and what makes it a target. All are ours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainable.targets.moments import TwoMoments, on_simplex


class GatedMean(TwoMoments):
    """What they share: rows gated by Adam's ratio, m^ / (sqrt(v^) + eps)."""

    def _gated(self, m: Tensor, v_hat: Tensor, weight: Tensor) -> Tensor:
        """Rows r = m m / (sqrt(v^) + eps) scaled to ``weight``, whatever the scale of m."""
        return on_simplex(m.square() / (v_hat.sqrt() + self.eps), weight)


class Adam(GatedMean):
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


class AmsGrad(GatedMean):
    """Adam's gated mean with the largest v^ so far for v^: who was once sure is held to it.

    Reddi et al. 2018, arXiv 1904.09237, keep the largest v. With beta2 near 1, a zero-started v
    hardly falls within a training, so we keep the largest bias-corrected one.
    """

    moments = 3

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, v, largest, b = groups
        m.lerp_(p, self.step1)
        self._move_second(v, p.square(), b)
        largest.copy_(torch.maximum(largest, v / b))

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, _, largest, _ = groups
        return self._gated(m, largest, m.sum(1, keepdim=True))


class AdaBelief(GatedMean):
    """Adam's gated mean with the second moment about the mean: s of (p - m^)^2 for v.

    After Zhuang et al. 2020, arXiv 2010.07468: trust what comes as expected. For a steady p, s^ is
    0 and eps alone sets the gate: r is m^2 / eps, so t is sharper than ELR's (a constant p gives
    w p^2 / sum p^2). We take m^ for their m: about a zero-started mean, the first deviations
    would be those of the warm-up.
    """

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, s, b = groups
        m.lerp_(p, self.step1)
        self._move_second(s, (p - m / m.sum(1, keepdim=True)).square(), b)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, s, b = groups
        weight = m.sum(1, keepdim=True)
        return self._gated(m / weight, s / b, weight)


class AdEMAMix(GatedMean):
    """Adam's gated mean with a slow mean beside the fast one: m + alpha u for m.

    After Pagliardini et al. 2024, arXiv 2409.03137; u has decay beta3 and no bias correction, as
    there, so it comes in gradually. It remembers what the network said of an example long ago,
    before it could have memorised a wrong label. The warm-up is that of m alone. alpha 0 is the
    target adam; a constant p gives ELR's target as eps -> 0.
    """

    moments = 3

    def __init__(
        self, num_examples: int, num_classes: int, *, beta3: float, alpha: float, **adam: float
    ) -> None:
        super().__init__(num_examples, num_classes, **adam)
        self.step3 = 1 - beta3  # how far a visit moves u
        self.alpha = alpha  # weight of u

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, u, v, b = groups
        m.lerp_(p, self.step1)
        u.lerp_(p, self.step3)
        self._move_second(v, p.square(), b)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, u, v, b = groups
        mix = m + self.alpha * u
        return self._gated(mix, v / b, m.sum(1, keepdim=True))
