"""What every refined target is: moments of an example's predictions, moved at each visit.

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
from torch import Tensor, nn

CLAMP = 1e-4
"""ELR's code clamps probabilities to [CLAMP, 1 - CLAMP] before it averages them."""


def clamped(p: Tensor) -> Tensor:
    """Rows of ``p`` [B, C] clamped away from 0 and 1 as ELR does, then made to sum to 1."""
    p = p.clamp(CLAMP, 1 - CLAMP)
    return p / p.sum(1, keepdim=True)


class Target(nn.Module):
    """Target probabilities t of N training examples over C classes, refined at each visit.

    A row of ``state`` [N, width], float32, is all that is known of one example, so that a visit
    costs one gather and one scatter. It is ``moments`` groups of C columns, then ``scalars``
    single ones; a subclass says how a visit moves these groups (``_advance``) and how they read as
    a target (``_read``). The first group must be a moment of p: positive once there was a visit.
    """

    moments = 2
    scalars = 0
    state: Tensor
    """[N, width] float32."""

    def __init__(self, num_examples: int, num_classes: int) -> None:
        super().__init__()
        self.widths = [num_classes] * self.moments + [1] * self.scalars  # columns of each group
        self.register_buffer("state", torch.zeros(num_examples, sum(self.widths)))

    @torch.no_grad()
    def update(self, probabilities: Tensor, index: Tensor) -> Tensor:
        """Take in the predictions of a batch, and return its targets. No wait for the device.

        Args:
            probabilities: [B, C], softmax outputs of any float dtype.
            index: [B] int64, positions in the training set. No two may be equal: of two
                predictions for one example, an arbitrary one would count.

        Returns:
            t [B, C], detached, in the state's dtype.
        """
        rows = self.state.index_select(0, index)
        groups = torch.split(rows, self.widths, dim=1)
        self._advance(clamped(probabilities.to(rows.dtype)), groups)
        self.state.index_copy_(0, index, rows)
        return self._read(groups)

    @torch.no_grad()
    def current(self) -> Tensor:
        """The target of every example as of its last visit, [N, C]; 0 where there was none."""
        seen = self.state[:, :1] > 0
        return self._read(torch.split(self.state, self.widths, dim=1)).where(seen, 0.0)

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        """Move ``groups`` in place by one visit with the clamped predictions ``p`` [B, C]."""
        raise NotImplementedError

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        """The targets that ``groups`` stand for; may be NaN where there was no visit."""
        raise NotImplementedError


def on_simplex(r: Tensor, weight: Tensor) -> Tensor:
    """Rows of ``r`` [B, C], not negative, scaled to the sums ``weight`` [B, 1]."""
    return r * (weight / r.sum(1, keepdim=True))


class TwoMoments(Target):
    """A target with Adam's second moment.

    beta1, beta2 in [0, 1) decay the moments, eps > 0 is added to sqrt(v^). The last column of the
    state is b = 1 - beta2^n, the weight a zero-started v has gathered in n visits: v^ = v / b.
    """

    scalars = 1

    def __init__(
        self, num_examples: int, num_classes: int, *, beta1: float, beta2: float, eps: float
    ) -> None:
        super().__init__(num_examples, num_classes)
        # how far a visit moves m and v; eps
        self.step1, self.step2, self.eps = 1 - beta1, 1 - beta2, eps

    def _move_second(self, v: Tensor, x: Tensor, b: Tensor) -> None:
        """One visit: v towards ``x``, and b towards 1, by 1 - beta2."""
        v.lerp_(x, self.step2)
        b.add_(1 - b, alpha=self.step2)
