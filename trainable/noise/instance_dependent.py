"""Labels that are wrong by what their image looks like."""

from statistics import NormalDist
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from trainable.data.dataset import channel_statistics
from trainable.data.sets import STRICT
from trainable.dtypes import Floats, Ints
from trainable.noise.base import Draw, Noise, NoiseError

FLIP_RATE_DEVIATION = 0.1
_WEIGHT_STEPS = 2**16


@dataclass(frozen=True, config=STRICT)
class InstanceDependent(Noise):
    """Flip each example at its own rate, to a class its pixels choose (Xia et al. 2020).

    Algorithm 2 of arXiv 2006.07836: the flip rate is ``TruncNorm(rate, 0.1, [0, 1])``, whose mean
    is above ``rate`` near 0; the wrong class is drawn from ``softmax(x W_y)`` over the classes
    other than y, ``W_y [S, C]`` of standard normals for each class y. Pixels x ``[S]`` are
    standardised per channel over ``images``. The softmax is sharp (largest probability on average
    0.87 on digits, 0.97 on Fashion-MNIST): the wrong class is nearly a function of the image.
    """

    summary: ClassVar[str] = "each example flips by its own rate to a class chosen by its pixels"
    looks_at: ClassVar[tuple[str, ...]] = ("images",)

    kind: Literal["instance_dependent"] = "instance_dependent"

    def given(self, draw: Draw) -> Ints:
        """See the class."""
        images = draw.rows("images")
        if images.dtype != np.uint8 or images.ndim != 4:
            raise NoiseError(f"images are {images.dtype} {images.shape}, not uint8 [N, C, H, W]")
        given = draw.true.copy()
        flips = draw.rng.random(len(given)) < _flip_rates(self.rate, draw.rng.random(len(given)))
        uniform = draw.rng.random(len(given))
        pixels = images.reshape(*images.shape[:2], -1)
        mean, deviation = channel_statistics(images)
        deviation = np.where(deviation > 0, deviation, 1.0)  # a channel that never varies
        for label in range(draw.num_classes):
            # Drawn for every class, also one without flips: the numbers after it stay the same.
            weights = draw.rng.standard_normal((*pixels.shape[1:], draw.num_classes))
            members = np.flatnonzero(flips & (draw.true == label))
            scores = _scores(pixels[members], mean, deviation, weights)
            # A flip never leads back to the true class.
            scores[:, label] = -np.inf
            share = np.cumsum(np.exp(scores - scores.max(1, keepdims=True)), axis=1)
            given[members] = (uniform[members, None] * share[:, -1:] >= share).sum(1)
        return given


def _flip_rates(rate: float, uniform: Floats) -> Floats:
    """TruncNorm(rate, 0.1, [0, 1]) by inverting its distribution function at ``uniform``."""
    normal = NormalDist(rate, FLIP_RATE_DEVIATION)
    low, high = normal.cdf(0.0), normal.cdf(1.0)
    return np.array([normal.inv_cdf(low + u * (high - low)) for u in uniform.tolist()])


def _scores(pixels: NDArray[np.uint8], mean: Floats, deviation: Floats, weights: Floats) -> Floats:
    """``x W_y [n, C]`` for standardised ``pixels [n, channels, S]``, ``weights [channels, S, C]``.

    Pixels are whole numbers and weights are rounded to multiples of 2^-16, so the products add up
    exactly in float64, whatever the order in which a linear algebra library adds them.
    """
    scores = np.zeros((len(pixels), weights.shape[-1]))
    for channel, channel_weights in enumerate(np.round(weights * _WEIGHT_STEPS) / _WEIGHT_STEPS):
        exact = pixels[:, channel].astype(np.float64) @ channel_weights
        scores += (exact - mean[channel] * channel_weights.sum(0)) / deviation[channel]
    return scores
