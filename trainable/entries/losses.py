"""Losses: what is minimised, with what their papers set, and train them with.

What a reference sets of ``lr``, ``weight_decay``, ``nesterov`` or ``gamma`` is the optimiser's or
the schedule's: studies of that loss start from it. Without one they have ELR's.
"""

from dataclasses import dataclass

from trainable.entries.targets import EMA, REFINED
from trainable.parameters import Entry, Parameter, Reference


@dataclass(frozen=True, kw_only=True)
class LossEntry(Entry):
    """A loss.

    ``build`` is a pure function of (log p [B, C], labels [B], parameters) to losses [B]; if it
    ``has_state``, a function of (num_examples, num_classes, parameters) to a
    :class:`trainable.losses.Loss`.
    """

    label: str
    """How tables, figures and reports print it: as papers do."""
    has_state: bool = False  # which of the two forms ``build`` has
    matrix_from: str = ""
    """The parameter that says where its transition matrix comes from, "estimated" or "true", and
    whose place the matrix takes when it is made; empty: it needs none."""


_BETA_SEARCH = {"low": 0.5, "high": 0.99}
_LAM = Parameter(
    3.0,
    "weight of the regulariser log(1 - <p, t>)",
    low=0.0,
    search={"low": 0.5, "high": 10.0, "log": True},
)

_ELR = "Liu et al. 2020, arXiv 2007.00151, and the settings in their code"
_ELR_START = "ours: ELR's, since the paper's choice is not known"
_GCE = (
    "Zhang & Sabuncu 2018, arXiv 1805.07836, as the PyTorch reproduction AlanChou/Truncated-Loss "
    "has it, which keeps the paper's settings"
)
_SCE = "Wang et al. 2019, arXiv 1908.06112, and their code"
_SCE_TRAINING = (
    "the reproduction that the authors' code points to, HanxunH/SCELoss-Reproduce: Nesterov, "
    "weight decay 5e-4 (an earlier version: 5e-3), 0.01 on the first linear layer, which we do "
    "not tell apart. The authors' own code has neither Nesterov nor weight decay but that 0.01, "
    "and lr 0.1 on CIFAR-100"
)
_FORWARD = (
    "Patrini et al. 2017, arXiv 1609.03683, and their code: CIFAR-10 120 epochs, CIFAR-100 150. "
    "The row that papers print was trained by Zhang & Sabuncu 2018, with lr 0.01"
)

LOSSES: dict[str, LossEntry] = {
    "ce": LossEntry(
        "cross-entropy: -log p_y",
        label="CE",
        build="trainable.losses.functions:cross_entropy",
    ),
    "bootstrap_soft": LossEntry(
        "cross-entropy against a mix of the label and the prediction",
        "Reed et al. 2014, arXiv 1412.6596; nothing is set there for training on CIFAR, so it is "
        "trained as ELR, whose authors trained the row that papers print",
        {
            "beta": Parameter(
                0.95,
                "share of the given label in the mix",
                low=0.0,
                high=1.0,
                search=_BETA_SEARCH,
            )
        },
        label="Bootstrap (soft)",
        build="trainable.losses.functions:bootstrap_soft",
    ),
    "bootstrap_hard": LossEntry(
        "cross-entropy against a mix of the label and the predicted class",
        "Reed et al. 2014, arXiv 1412.6596; trained as bootstrap_soft",
        {
            "beta": Parameter(
                0.8,
                "share of the given label in the mix",
                low=0.0,
                high=1.0,
                search=_BETA_SEARCH,
            )
        },
        label="Bootstrap (hard)",
        build="trainable.losses.functions:bootstrap_hard",
    ),
    "forward": LossEntry(
        "cross-entropy of predictions sent through the transition matrix: -log (p^T T)_y",
        "Patrini et al. 2017, arXiv 1609.03683",
        {
            "transition": Parameter(
                "estimated",
                "where T comes from: the paper's estimate, or the true one of the noise",
                kind=str,
                options=("estimated", "true"),
            ),
        },
        (
            Reference(_FORWARD, {"lr": 0.1, "weight_decay": 1e-4, "gamma": 0.1}),
            Reference(_FORWARD, {"weight_decay": 1e-3}, classes=100),
        ),
        label="Forward",
        build="trainable.losses.modules:Forward",
        has_state=True,
        matrix_from="transition",
    ),
    "gce": LossEntry(
        "generalised cross-entropy (1 - p_y^q) / q, truncated at p_y <= k from an epoch on",
        "Zhang & Sabuncu 2018, arXiv 1805.07836",
        {
            "q": Parameter(
                0.7,
                "0 is cross-entropy, 1 is 1 - p_y",
                low=0.0,
                high=1.0,
                search={"low": 0.1, "high": 0.95},
            ),
            "k": Parameter(
                0.5,
                "probability up to which the truncated form is constant",
                low=0.0,
                high=1.0,
            ),
            "truncate_from": Parameter(
                None,
                "first epoch of the truncated form; empty: never",
                kind=int,
                low=1,
                optional=True,
                in_epochs=True,
            ),
        },
        (
            Reference(_GCE, {"lr": 0.01, "weight_decay": 1e-4, "gamma": 0.1}),
            Reference(_GCE, {"truncate_from": 40}, dataset="cifar10", epochs=120),
            Reference(_GCE, {"truncate_from": 80}, dataset="cifar100", epochs=150),
        ),
        label="GCE",
        build="trainable.losses.modules:TruncatedGeneralisedCrossEntropy",
        has_state=True,
    ),
    "sce": LossEntry(
        "symmetric cross-entropy: alpha CE + beta RCE, RCE = -A (1 - p_y)",
        "Wang et al. 2019, arXiv 1908.06112",
        {
            "alpha": Parameter(
                0.1,
                "weight of cross-entropy",
                low=0.0,
                search={"low": 0.01, "high": 10.0, "log": True},
            ),
            "beta": Parameter(
                1.0,
                "weight of reverse cross-entropy",
                low=0.0,
                search={"low": 0.05, "high": 5.0, "log": True},
            ),
            "A": Parameter(
                -9.210340371976182,
                "stands for log 0; ln 1e-4, as their code clips labels (their paper says -4)",
                high=0.0,
                open_high=True,
            ),
        },
        (
            Reference(_SCE, {"alpha": 6.0, "beta": 0.1}, classes=100),
            Reference(
                _SCE_TRAINING,
                {"lr": 0.01, "weight_decay": 5e-4, "nesterov": True, "gamma": 0.1},
            ),
        ),
        label="SL",
        build="trainable.losses.functions:symmetric_cross_entropy",
    ),
    "elr": LossEntry(
        "cross-entropy + lam log(1 - <p, t>), t a running average of the predictions",
        "Liu et al. 2020, arXiv 2007.00151",
        {"lam": _LAM, **EMA.parameters},
        (
            Reference(_ELR, {"beta": 0.9, "lam": 1.0}, noise_kind="asymmetric"),
            Reference(_ELR, {"beta": 0.9, "lam": 7.0}, classes=100),
        ),
        label="ELR",
        build="trainable.losses.modules:early_learning",
        has_state=True,
    ),
    "adam_elr": LossEntry(
        "ELR with the target refined as Adam refines momentum",
        "eq. 2 to 8",
        {
            "lam": _LAM,
            "target": Parameter(
                "adam",
                "how the target is refined; brings its own parameters",
                kind=str,
                options=REFINED,
            ),
        },
        (
            Reference(_ELR_START, {"beta1": 0.9, "lam": 1.0}, noise_kind="asymmetric"),
            Reference(_ELR_START, {"beta1": 0.9, "lam": 7.0}, classes=100),
        ),
        label="Adam-refined ELR",
        build="trainable.losses.modules:early_learning",
        has_state=True,
    ),
}
"""Losses in the papers' order, and their own parameters; ``adam_elr`` also takes its target's."""
