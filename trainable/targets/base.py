"""What every refined target is: moments of an example's predictions, moved at each visit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

CLAMP = 1e-4
"""ELR's code clamps probabilities to [CLAMP, 1 - CLAMP] before it averages them."""


def clamped(p: Tensor) -> Tensor:
    """Rows of ``p`` [B, C] clamped away from 0 and 1 as ELR does, then made to sum to 1."""
    p = p.clamp(CLAMP, 1 - CLAMP)
    return p / p.sum(1, keepdim=True)


def hold(module: nn.Module, **values: float) -> None:
    """Keep hyperparameters as 0-dim tensors that move with ``module``.

    As Python numbers they would be constants of a compiled graph, and every new trial would
    compile again. They belong to the config, so the module's ``state_dict`` leaves them out.
    """
    for name, value in values.items():
        module.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)


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

    def __init__(self, num_examples: int, num_classes: int) -> None:
        super().__init__()
        self.widths = [num_classes] * self.moments + [1] * self.scalars
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
    """What the targets with Adam's second moment share.

    beta1, beta2 in [0, 1) decay the moments, eps > 0 is added to sqrt(v^). The last column of the
    state is b = 1 - beta2^n, the weight a zero-started v has gathered in n visits: v^ = v / b.
    """

    scalars = 1
    step1: Tensor
    step2: Tensor
    eps: Tensor
    one: Tensor

    def __init__(
        self, num_examples: int, num_classes: int, *, beta1: float, beta2: float, eps: float
    ) -> None:
        super().__init__(num_examples, num_classes)
        hold(self, step1=1 - beta1, step2=1 - beta2, eps=eps, one=1.0)

    def _move_second(self, v: Tensor, x: Tensor, b: Tensor) -> None:
        """One visit: v towards ``x``, and b towards 1, by 1 - beta2."""
        v.lerp_(x, self.step2)
        b.lerp_(self.one, self.step2)

    def _gated(self, m: Tensor, v_hat: Tensor, weight: Tensor) -> Tensor:
        """Rows r = m m / (sqrt(v^) + eps) scaled to ``weight``, whatever the scale of m."""
        return on_simplex(m.square() / (v_hat.sqrt() + self.eps), weight)
