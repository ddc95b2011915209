"""Targets refined after optimisers newer than Adam: what the paper leaves as future work.

Symbols as in :mod:`trainable.targets.adam`. All readings are ours: an optimiser's step is no
probability, so each class says what it keeps of the optimiser and what makes it a target.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainable.targets.base import Target, TwoMoments, clamped, hold, on_simplex


class AmsGrad(TwoMoments):
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


class AdaBelief(TwoMoments):
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


class AdEMAMix(TwoMoments):
    """Adam's gated mean with a slow mean beside the fast one: m + alpha u for m.

    After Pagliardini et al. 2024, arXiv 2409.03137; u has decay beta3 and no bias correction, as
    there, so it comes in gradually. It remembers what the network said of an example long ago,
    before it could have memorised a wrong label. The warm-up is that of m alone. alpha 0 is the
    target adam; a constant p gives ELR's target as eps -> 0.
    """

    moments = 3
    step3: Tensor
    alpha: Tensor

    def __init__(
        self, num_examples: int, num_classes: int, *, beta3: float, alpha: float, **adam: float
    ) -> None:
        super().__init__(num_examples, num_classes, **adam)
        hold(self, step3=1 - beta3, alpha=alpha)

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, u, v, b = groups
        m.lerp_(p, self.step1)
        u.lerp_(p, self.step3)
        self._move_second(v, p.square(), b)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, u, v, b = groups
        mix = m + self.alpha * u
        return self._gated(mix, v / b, m.sum(1, keepdim=True))


class Nadam(Target):
    """Look-ahead: t = w a / sum(a), a = max(0, m^ + g (1 - beta1) (p - m^)).

    After Dozat 2016, the numerator only; g is ``look_ahead``. g 1 is one step more of the average
    with the newest prediction; g (1 - beta1) > 1 goes past it and may leave the simplex, hence the
    maximum. g 0, and a constant p, give ELR's target.
    """

    step: Tensor
    gain: Tensor

    def __init__(
        self, num_examples: int, num_classes: int, *, beta1: float, look_ahead: float
    ) -> None:
        super().__init__(num_examples, num_classes)
        hold(self, step=1 - beta1, gain=look_ahead * (1 - beta1))

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, last = groups
        m.lerp_(p, self.step)
        last.copy_(p)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, last = groups
        weight = m.sum(1, keepdim=True)
        return on_simplex((m / weight).lerp(last, self.gain).clamp(min=0), weight)


class Lion(Target):
    """The likeliest class alone: t = sum(c) onehot(argmax c), c = beta1 m + (1 - beta1) p.

    After Chen et al. 2023, arXiv 2302.06675, whose step is sign(c); m, of decay beta2, moves after
    c. The sign of probabilities is 1 for every class and says nothing. But sign(c) is also the
    point of the unit cube that agrees best with c, and of the simplex that point is a vertex: the
    class of the largest c (ties share). The vertex is clamped as p is, so <p, t> < 1. m starts at
    zero and is not corrected, as there: sum(c) = 1 - beta1 beta2^(n-1) is the warm-up. So long a
    target wants a smaller lam, about half of ELR's.
    """

    step1: Tensor
    step2: Tensor

    def __init__(self, num_examples: int, num_classes: int, *, beta1: float, beta2: float) -> None:
        super().__init__(num_examples, num_classes)
        hold(self, step1=1 - beta1, step2=1 - beta2)

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, c = groups
        c.copy_(m.lerp(p, self.step1))
        m.lerp_(p, self.step2)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        c = groups[1]
        likeliest = (c == c.amax(1, keepdim=True)).to(c.dtype)
        vertex = clamped(likeliest / likeliest.sum(1, keepdim=True))
        return vertex * c.sum(1, keepdim=True)
