"""Wrong labels: the kinds of noise, and the given labels drawn with them."""

from trainable.noise.kinds import NoiseError, Options
from trainable.noise.noisy_labels import KINDS, NoisyLabels, corrupt

__all__ = ["KINDS", "NoiseError", "NoisyLabels", "Options", "corrupt"]
