"""Targets without a gate: a mean of the predictions, however it forgets, or its likeliest class.

Symbols as in :mod:`trainable.targets.moments`. All but ELR's own are our readings.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainable.targets.moments import Target, TwoMoments, clamped, on_simplex


class Ema(Target):
    """ELR's target: t_n = beta t_(n-1) + (1 - beta) p_n, t_0 = 0.

    Source: Liu et al. 2020, arXiv 2007.00151. beta in [0, 1), there searched in {.5, .7, .9, .99};
    at 0 the target is the prediction itself and the method collapses.
    """

    moments = 1

    def __init__(self, num_examples: int, num_classes: int, *, beta: float) -> None:
        super().__init__(num_examples, num_classes)
        self.step = 1 - beta  # how far a visit moves t

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
    lam and beta interact: lam 3 goes with beta .7, lam 7 with .9. There is no second decay: with
    two, m / (sqrt(v) + eps) passes 1 and log(1 - <p, t>) is NaN.
    """

    def __init__(self, num_examples: int, num_classes: int, *, beta1: float, eps: float) -> None:
        super().__init__(num_examples, num_classes)
        self.step = 1 - beta1  # how far a visit moves m and v
        self.eps = eps  # keeps the classes apart

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, v = groups
        m.lerp_(p, self.step)
        v.lerp_(p.square(), self.step)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        m, v = groups
        return m / (v.sqrt() + self.eps)


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


class Nadam(Target):
    """Look-ahead: t = w a / sum(a), a = max(0, m^ + g (1 - beta1) (p - m^)).

    After Dozat 2016, the numerator only; g is ``look_ahead``. g 1 is one step more of the average
    with the newest prediction; g (1 - beta1) > 1 goes past it and may leave the simplex, hence the
    maximum. g 0, and a constant p, give ELR's target.
    """

    def __init__(
        self, num_examples: int, num_classes: int, *, beta1: float, look_ahead: float
    ) -> None:
        super().__init__(num_examples, num_classes)
        self.step = 1 - beta1  # how far a visit moves m
        self.gain = look_ahead * (1 - beta1)  # g (1 - beta1)

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

    def __init__(self, num_examples: int, num_classes: int, *, beta1: float, beta2: float) -> None:
        super().__init__(num_examples, num_classes)
        self.step1 = 1 - beta1  # from m to p, for c
        self.step2 = 1 - beta2  # from m to p, for m

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        m, c = groups
        c.copy_(m.lerp(p, self.step1))
        m.lerp_(p, self.step2)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        c = groups[1]
        likeliest = (c == c.amax(1, keepdim=True)).to(c.dtype)
        vertex = clamped(likeliest / likeliest.sum(1, keepdim=True))
        return vertex * c.sum(1, keepdim=True)


class ScheduleFree(Target):
    """A mean whose memory grows: t = w x, x_n = x_(n-1) + (power + 1) / (power + n) (p - x_(n-1)).

    After Defazio et al. 2024, arXiv 2405.15682, who put a mean over all steps so far, which grows
    with the training, in the place of one whose length somebody has to set. x weighs visit k of n
    as k^power (exactly so for power 0, a plain mean, and 1), and so looks back over about
    n / (power + 1) visits: short while predictions improve, long once the network fits the wrong
    labels. ELR's beta can have one or the other. ``beta1`` is left with the warm-up,
    w = 1 - beta1^n. A constant p gives ELR's target.
    """

    moments = 1
    scalars = 2

    def __init__(self, num_examples: int, num_classes: int, *, beta1: float, power: float) -> None:
        super().__init__(num_examples, num_classes)
        self.step = 1 - beta1  # how far a visit moves the warm-up w to 1
        self.power = power  # how much later visits weigh more than earlier ones

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        x, w, visits = groups
        visits.add_(1)
        x.lerp_(p, (self.power + 1) / (self.power + visits))
        w.add_(1 - w, alpha=self.step)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        x, w, _ = groups
        return x * w


class Cautious(Target):
    """ELR's mean, moved less by predictions that contradict it: t = w m^.

    m^_n = m^_(n-1) + a (1 - beta1) / w_n (p - m^_(n-1)), w_n = 1 - beta1^n, where a is the cosine
    of the angle between p and m^_(n-1), to the power ``caution``. After Liang et al. 2024, arXiv
    2411.16085, who take no step along coordinates in which momentum and gradient disagree in sign.
    Probabilities have one sign, so an example disagrees as a whole, and by degrees: the network
    that suddenly names another class, as it does when it memorises, has to repeat itself before
    the target follows. ``caution`` 0, and a constant p, give ELR's target.
    """

    moments = 1
    scalars = 1

    def __init__(
        self, num_examples: int, num_classes: int, *, beta1: float, caution: float
    ) -> None:
        super().__init__(num_examples, num_classes)
        self.step = 1 - beta1  # how far a visit moves the warm-up w to 1, and m^ to p
        self.caution = caution  # how much less of a step disagreement leaves

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        mean, w = groups
        lengths = torch.linalg.vector_norm(p, dim=1) * torch.linalg.vector_norm(mean, dim=1)
        agreement = ((p * mean).sum(1) / lengths).clamp(max=1)
        # an example's first prediction has nothing to agree with
        agreement = agreement.where(lengths > 0, 1.0).pow(self.caution)[:, None]
        w.add_(1 - w, alpha=self.step)
        mean.lerp_(p, agreement * (self.step / w))

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        mean, w = groups
        return mean * w
