"""The kinds of noise that a sweep can name. To add one, write its class and list it here."""

from dataclasses import MISSING
from typing import Any

from trainable.noise.base import Noise
from trainable.noise.human import Human
from trainable.noise.instance_dependent import InstanceDependent
from trainable.noise.synthetic import (
    Asymmetric,
    FeatureDependent,
    Given,
    LocallyConcentrated,
    NoNoise,
    Symmetric,
)
from trainable.wording import named, unknown

NOISE_KINDS: dict[str, type[Noise]] = {
    "none": NoNoise,
    "given": Given,
    "symmetric": Symmetric,
    "asymmetric": Asymmetric,
    "locally_concentrated": LocallyConcentrated,
    "feature_dependent": FeatureDependent,
    "instance_dependent": InstanceDependent,
    "human": Human,
}


def make_noise(kind: str, rate: float = 0.0, **options: Any) -> Noise:
    """The noise of that kind with its options: pydantic checks them by the kind's class.

    An option of another kind may be there with its default, or None: results of the versions
    whose kinds shared one class hold all options for every kind.

    Raises:
        ValueError: an unknown kind, an option that it does not have or a value that makes no
            sense (then pydantic's ValidationError, which is one).
    """
    noise = named("noise kind", kind, NOISE_KINDS)
    own = noise.options()
    for name in options.keys() - own.keys():
        _check_foreign(name, options[name], kind, own)
    return noise(rate, **{name: options[name] for name in options if name in own})


def _check_foreign(name: str, value: Any, kind: str, own: dict[str, Any]) -> None:
    theirs = {k: cls.options()[name] for k, cls in NOISE_KINDS.items() if name in cls.options()}
    if not theirs:
        raise ValueError(unknown(f"option of noise kind {kind!r}", name, own))
    for other, default in theirs.items():
        if value is not None and (default is MISSING or value != default):
            raise ValueError(f"{name} is for noise kind {other!r}, not {kind!r}")
