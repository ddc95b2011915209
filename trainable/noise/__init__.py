"""Wrong labels: the kinds of noise, and the given labels drawn with them."""

from trainable.noise.base import Draw, Noise, NoiseError
from trainable.noise.kinds import NOISE_KINDS, make_noise
from trainable.noise.noisy_labels import NoisyLabels, corrupt, draw_labels

__all__ = [
    "NOISE_KINDS",
    "Draw",
    "Noise",
    "NoiseError",
    "NoisyLabels",
    "corrupt",
    "draw_labels",
    "make_noise",
]
