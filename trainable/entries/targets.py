"""Targets of the ELR losses: what an example's predictions so far say its label is."""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from trainable.parameters import Entry, Parameter


@dataclass(frozen=True, kw_only=True)
class TargetEntry(Entry):
    """A target: ``build`` is a subclass of :class:`trainable.targets.Target`."""

    lam_share: float = 1.0
    """Reference lam over ELR's: a longer target makes a larger gradient (ours)."""
    dropped: tuple[str, ...] = ()
    """Parameters that it once had: earlier results may give them, and fingerprints count them."""


def decay(default: float, meaning: str, search: Mapping[str, Any] | None = None) -> Parameter:
    """A decay in [0, 1)."""
    return Parameter(default, meaning, low=0.0, high=1.0, open_high=True, search=search)


def small(default: float, low: float, high: float) -> Parameter:
    """What is added to a root so that nothing is divided by zero, with the range to search."""
    meaning = "added to the square root of the second moment (eq. 8)"
    search = {"low": low, "high": high, "log": True}
    return Parameter(default, meaning, low=0.0, open_low=True, search=search)


_BETA1 = decay(0.7, "decay of the first moment (eq. 6)", {"low": 0.5, "high": 0.95})
_BETA2 = decay(0.999, "decay of the second moment (eq. 7)", {"choice": [0.9, 0.99, 0.999]})
_EPS = small(1e-8, 1e-8, 1e-3)

EMA = TargetEntry(
    "running average of the predictions: ELR's own target",
    "Liu et al. 2020, arXiv 2007.00151",
    {
        "beta": decay(
            0.7, "decay of the running average of predictions", {"low": 0.5, "high": 0.99}
        )
    },
    build="trainable.targets.ungated:Ema",
)

REFINED: dict[str, TargetEntry] = {
    "adam": TargetEntry(
        "ELR's mean gated by Adam's ratio, renormalised, with ELR's warm-up kept",
        "our well-posed reading of eq. 6 to 8",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS},
        build="trainable.targets.gated:Adam",
    ),
    "adam_literal": TargetEntry(
        "eq. 8 as printed: one shared beta, no bias correction, eps at least 1e-3",
        "eq. 6 to 8",
        {
            "beta1": _BETA1,
            "eps": Parameter(
                1e-2, _EPS.meaning, low=1e-3, search={"low": 1e-3, "high": 0.1, "log": True}
            ),
        },
        build="trainable.targets.ungated:AdamLiteral",
        dropped=("beta2",),  # it could only repeat beta1
    ),
    "adam_scalar": TargetEntry(
        "one second moment an example (of the norm of p), warm-up kept; wants lam about 1",
        "our reading of eq. 6 to 8",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS},
        build="trainable.targets.ungated:AdamScalar",
        lam_share=1 / 3,
    ),
    "amsgrad": TargetEntry(
        "adam with the largest second moment seen",
        "after Reddi et al. 2018, arXiv 1904.09237",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS},
        build="trainable.targets.gated:AmsGrad",
    ),
    "nadam": TargetEntry(
        "look-ahead of the first moment, projected to the simplex",
        "after Dozat 2016",
        {
            "beta1": _BETA1,
            "look_ahead": Parameter(
                1.0,
                "size of the look-ahead step",
                low=0.0,
                high=10.0,
                search={"low": 0.1, "high": 2.0},
            ),
        },
        build="trainable.targets.ungated:Nadam",
    ),
    "adabelief": TargetEntry(
        "adam with the second moment of p - m",
        "after Zhuang et al. 2020, arXiv 2010.07468",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": small(1e-2, 1e-3, 0.1)},
        build="trainable.targets.gated:AdaBelief",
    ),
    "ademamix": TargetEntry(
        "adam with a slow mean of the predictions beside the fast one",
        "after Pagliardini et al. 2024, arXiv 2409.03137",
        {
            "beta1": _BETA1,
            "beta2": _BETA2,
            "beta3": decay(0.98, "decay of the slow mean", {"low": 0.9, "high": 0.99}),
            "alpha": Parameter(
                1.0,
                "weight of the slow mean; 0 is adam",
                low=0.0,
                high=10.0,
                search={"low": 0.1, "high": 5.0, "log": True},
            ),
            "eps": _EPS,
        },
        build="trainable.targets.gated:AdEMAMix",
    ),
    "lion": TargetEntry(
        "the likeliest class alone, by a mean of the predictions, with a warm-up",
        "after Chen et al. 2023, arXiv 2302.06675",
        {
            "beta1": _BETA1,
            "beta2": decay(0.9, "decay of the mean that is kept", {"low": 0.5, "high": 0.99}),
        },
        build="trainable.targets.ungated:Lion",
        lam_share=1 / 2,
    ),
    "schedule_free": TargetEntry(
        "a mean over all visits so far, so that its memory grows; ELR's warm-up kept",
        "after Defazio et al. 2024, arXiv 2405.15682",
        {
            "beta1": decay(
                0.7, "decay of the warm-up 1 - beta1^n, that of ELR's mean", _BETA1.search
            ),
            "power": Parameter(
                2.0,
                "visit k weighs as k^power; 0 is the plain mean",
                low=0.0,
                high=100.0,
                search={"low": 0.0, "high": 6.0},
            ),
        },
        build="trainable.targets.ungated:ScheduleFree",
    ),
    "cautious": TargetEntry(
        "ELR's mean, moved less by predictions that contradict it",
        "after Liang et al. 2024, arXiv 2411.16085",
        {
            "beta1": _BETA1,
            "caution": Parameter(
                1.0,
                "power of the agreement of prediction and mean; 0 is ELR",
                low=0.0,
                high=10.0,
                search={"low": 0.3, "high": 4.0, "log": True},
            ),
        },
        build="trainable.targets.ungated:Cautious",
    ),
}
"""The targets that adam_elr may have. A first decay is called ``beta1``: it takes ELR's beta."""

TARGETS: MutableMapping[str, TargetEntry] = ChainMap(REFINED, {"ema": EMA})
"""Every target: ELR's own first, then those of adam_elr."""
