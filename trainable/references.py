"""Reference hyperparameters: what the literature, or we, set for a data set and a noise kind.

The catalogue's defaults are those for CIFAR-10 with symmetric noise; here is what differs
elsewhere. The ``paper`` presets and the first points of a search start from these. No torch.
"""

import math

from trainable.catalog import DATASETS, NOISE_KINDS, Value, unknown
from trainable.config import complete_loss

_ELR: dict[tuple[int, str], tuple[float, float]] = {
    (10, "symmetric"): (0.7, 3.0),
    (10, "asymmetric"): (0.9, 1.0),
    (100, "symmetric"): (0.9, 7.0),
    (100, "asymmetric"): (0.9, 7.0),
}
"""(classes, noise kind) -> (beta, lam): Liu et al. 2020, arXiv 2007.00151."""

_LAM_SHARE: dict[str, float] = {"adam_scalar": 1 / 3, "lion": 1 / 2}
"""Target -> lam over ELR's lam (ours): these two make a longer target and so a larger gradient."""

_TRUNCATE_FROM: dict[str, int] = {"cifar10": 40, "cifar100": 80}
"""Data set -> first epoch of truncated GCE, of 120 and 150: Zhang & Sabuncu 2018, 1805.07836."""

_SCE: dict[int, tuple[float, float]] = {10: (0.1, 1.0), 100: (6.0, 0.1)}
"""Classes -> (alpha, beta): Wang et al. 2019, arXiv 1908.06112."""


def reference_parameters(
    loss: str, dataset: str, noise_kind: str, target: str = "adam"
) -> dict[str, Value]:
    """All parameters of ``loss`` at their reference values; only adam_elr reads ``target``.

    What was set for CIFAR serves every data set of about as many classes, but for epochs:
    truncation starts only where it was tried. Noise kinds other than asymmetric take symmetric's
    setting. A refined target takes ELR's beta as its beta1 (ours: the paper's is not known).

    Raises:
        ValueError: For a name that the catalogue does not have.
    """
    if dataset not in DATASETS:
        raise ValueError(unknown("data set", dataset, DATASETS))
    if noise_kind not in NOISE_KINDS:
        raise ValueError(unknown("noise kind", noise_kind, NOISE_KINDS))
    return complete_loss(loss, _differing(loss, dataset, noise_kind, target))


def _differing(loss: str, dataset: str, noise_kind: str, target: str) -> dict[str, Value]:
    classes = _nearest(DATASETS[dataset].num_classes)
    beta, lam = _ELR[classes, "asymmetric" if noise_kind == "asymmetric" else "symmetric"]
    if loss == "elr":
        return {"beta": beta, "lam": lam}
    if loss == "adam_elr":
        return {"target": target, "beta1": beta, "lam": lam * _LAM_SHARE.get(target, 1.0)}
    if loss == "gce":
        return {"truncate_from": _TRUNCATE_FROM.get(dataset)}
    if loss == "sce":
        alpha, beta = _SCE[classes]
        return {"alpha": alpha, "beta": beta}
    return {}


def _nearest(classes: int) -> int:
    """The number of classes that has settings, nearest in proportion; 10 for what is not known."""
    return min((10, 100), key=lambda known: abs(math.log(known / max(classes, 1))))
