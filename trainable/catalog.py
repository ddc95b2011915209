"""Everything a sweep can name, with its parameters, defaults and valid ranges.

These tables are importable without torch, so a sweep file is checked on any laptop. The modules
that define the other members (``losses``, ``targets``, ``networks``, ``schedules``) build from the
same tables; data sets and kinds of noise are listed where they are defined. One contract suite
runs over all of them.
"""

from trainable.data.sets import DATASETS
from trainable.noise.kinds import NOISE_KINDS
from trainable.parameters import Entry, Parameter, Value, shown, unknown

__all__ = [
    "DATASETS",
    "LOSSES",
    "NETWORKS",
    "NOISE_KINDS",
    "OPTIMISER",
    "SCHEDULES",
    "TARGETS",
    "Entry",
    "Parameter",
    "Value",
    "shown",
    "unknown",
]


def _unit(default: float, meaning: str, **kwargs: bool) -> Parameter:
    return Parameter(default, meaning, low=0.0, high=1.0, **kwargs)  # type: ignore[arg-type]


def _decay(default: float, meaning: str) -> Parameter:
    return Parameter(default, meaning, low=0.0, high=1.0, open_high=True)


def _positive(default: float, meaning: str) -> Parameter:
    return Parameter(default, meaning, low=0.0, open_low=True)


_BETA1 = _decay(0.7, "decay of the first moment (eq. 6)")
_BETA2 = _decay(0.999, "decay of the second moment (eq. 7)")
_EPS = _positive(1e-8, "added to the square root of the second moment (eq. 8)")
_LAM = Parameter(3.0, "weight of the regulariser log(1 - <p, t>)", low=0.0)

TARGETS: dict[str, Entry] = {
    "ema": Entry(
        "running average of the predictions: ELR's own target",
        "Liu et al. 2020, arXiv 2007.00151",
        {"beta": _decay(0.7, "decay of the running average of predictions")},
    ),
    "adam": Entry(
        "ELR's mean gated by Adam's ratio, renormalised, with ELR's warm-up kept",
        "our well-posed reading of eq. 6 to 8",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS},
    ),
    "adam_literal": Entry(
        "eq. 8 as printed: one shared beta, no bias correction, eps at least 1e-3",
        "eq. 6 to 8",
        {
            "beta1": _BETA1,
            "beta2": Parameter(
                None,
                "decay of the second moment: empty, or equal to beta1",
                low=0.0,
                high=1.0,
                open_high=True,
                optional=True,
            ),
            "eps": Parameter(1e-2, _EPS.meaning, low=1e-3),
        },
    ),
    "adam_scalar": Entry(
        "one second moment an example (of the norm of p), warm-up kept; wants lam about 1",
        "our reading of eq. 6 to 8",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS},
    ),
    "amsgrad": Entry(
        "adam with the largest second moment seen",
        "after Reddi et al. 2018, arXiv 1904.09237",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _EPS},
    ),
    "nadam": Entry(
        "look-ahead of the first moment, projected to the simplex",
        "after Dozat 2016",
        {
            "beta1": _BETA1,
            "look_ahead": Parameter(1.0, "size of the look-ahead step", low=0.0, high=10.0),
        },
    ),
    "adabelief": Entry(
        "adam with the second moment of p - m",
        "after Zhuang et al. 2020, arXiv 2010.07468",
        {"beta1": _BETA1, "beta2": _BETA2, "eps": _positive(1e-2, _EPS.meaning)},
    ),
    "ademamix": Entry(
        "adam with a slow mean of the predictions beside the fast one",
        "after Pagliardini et al. 2024, arXiv 2409.03137",
        {
            "beta1": _BETA1,
            "beta2": _BETA2,
            "beta3": _decay(0.98, "decay of the slow mean"),
            "alpha": Parameter(1.0, "weight of the slow mean; 0 is adam", low=0.0, high=10.0),
            "eps": _EPS,
        },
    ),
    "lion": Entry(
        "the likeliest class alone, by a mean of the predictions, with a warm-up",
        "after Chen et al. 2023, arXiv 2302.06675",
        {"beta1": _BETA1, "beta2": _decay(0.9, "decay of the mean that is kept")},
    ),
}

LOSSES: dict[str, Entry] = {
    "ce": Entry("cross-entropy: -log p_y"),
    "bootstrap_soft": Entry(
        "cross-entropy against a mix of the label and the prediction",
        "Reed et al. 2014, arXiv 1412.6596",
        {"beta": _unit(0.95, "share of the given label in the mix")},
    ),
    "bootstrap_hard": Entry(
        "cross-entropy against a mix of the label and the predicted class",
        "Reed et al. 2014, arXiv 1412.6596",
        {"beta": _unit(0.8, "share of the given label in the mix")},
    ),
    "forward": Entry(
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
    ),
    "gce": Entry(
        "generalised cross-entropy (1 - p_y^q) / q, truncated at p_y <= k from an epoch on",
        "Zhang & Sabuncu 2018, arXiv 1805.07836",
        {
            "q": Parameter(0.7, "0 is cross-entropy, 1 is 1 - p_y", low=0.0, high=1.0),
            "k": _unit(0.5, "probability up to which the truncated form is constant"),
            "truncate_from": Parameter(
                None,
                "first epoch of the truncated form; empty: never",
                kind=int,
                low=1,
                optional=True,
            ),
        },
    ),
    "sce": Entry(
        "symmetric cross-entropy: alpha CE + beta RCE, RCE = -A (1 - p_y)",
        "Wang et al. 2019, arXiv 1908.06112",
        {
            "alpha": Parameter(0.1, "weight of cross-entropy", low=0.0),
            "beta": Parameter(1.0, "weight of reverse cross-entropy", low=0.0),
            "A": Parameter(
                -9.210340371976182, "stands for log 0; ln 1e-4", high=0.0, open_high=True
            ),
        },
    ),
    "elr": Entry(
        "cross-entropy + lam log(1 - <p, t>), t a running average of the predictions",
        "Liu et al. 2020, arXiv 2007.00151",
        {"lam": _LAM, **TARGETS["ema"].parameters},
    ),
    "adam_elr": Entry(
        "ELR with the target refined as Adam refines momentum",
        "eq. 2 to 8",
        {
            "lam": _LAM,
            "target": Parameter(
                "adam",
                "how the target is refined; brings its own parameters",
                kind=str,
                options=tuple(name for name in TARGETS if name != "ema"),
            ),
        },
    ),
}
"""Losses and their own parameters. ``adam_elr`` also takes those of the target it names."""

SCHEDULES: dict[str, Entry] = {
    "constant": Entry("lr all the way"),
    "multistep": Entry(
        "lr times gamma at each milestone",
        "ELR, GCE",
        {
            "milestones": Parameter(
                (40, 80), "epochs after which lr drops, of max_epochs", kind=tuple
            ),
            "gamma": Parameter(0.01, "factor at each milestone", low=0.0, high=1.0, open_low=True),
        },
    ),
    "cosine": Entry(
        "half a cosine from lr to eta_min over the trial",
        "Loshchilov & Hutter 2017, arXiv 1608.03983",
        {"eta_min": Parameter(0.0, "learning rate at a cycle's end", low=0.0)},
    ),
    "cosine_warm_restarts": Entry(
        "cosine from lr to eta_min over a cycle, then again from lr",
        "Loshchilov & Hutter 2017, arXiv 1608.03983",
        {
            "t_0": Parameter(10, "epochs of the first cycle", kind=int, low=1),
            "t_mult": Parameter(1, "each cycle is this many times longer", kind=int, low=1),
            "eta_min": Parameter(0.001, "learning rate at a cycle's end", low=0.0),
        },
    ),
    "one_cycle": Entry(
        "up to lr, then down to almost nothing, both along a cosine",
        "Smith & Topin 2018, arXiv 1708.07120",
        {
            "warm_up": _unit(0.3, "share of the epochs spent going up", open_high=True),
            "start_factor": Parameter(
                0.04, "first learning rate over lr", low=0.0, high=1.0, open_low=True
            ),
            "end_factor": Parameter(4e-6, "last learning rate over lr", low=0.0, high=1.0),
        },
    ),
}

OPTIMISER: Entry = Entry(
    "SGD with momentum, its learning rate schedule and its batches",
    parameters={
        "lr": _positive(0.02, "peak learning rate"),
        "lr_schedule": Parameter(
            "cosine_warm_restarts",
            "how lr moves over the epochs; brings its own parameters",
            kind=str,
            options=tuple(SCHEDULES),
        ),
        "momentum": Parameter(0.9, "momentum of SGD", low=0.0, high=1.0, open_high=True),
        "weight_decay": Parameter(1e-3, "L2 penalty of SGD", low=0.0),
        "batch_size": Parameter(128, "images a step", kind=int, low=2),
        "averaging": Parameter(
            0.0,
            "decay a step of the averaged weights that are evaluated beside the raw ones; 0: none",
            low=0.0,
            high=1.0,
            open_high=True,
        ),
    },
)


NETWORKS: dict[str, Entry] = {
    "tiny_cnn": Entry("two convolutions and a linear layer: digits on a CPU"),
    "small_cnn": Entry("four convolutions: 28x28 and 32x32 on a CPU"),
    "resnet9": Entry(
        "convolution-pool stages with two residual blocks: narrow on a CPU, wide on a GPU",
        "after Page 2018, DAWNBench",
        {
            "width": Parameter(
                64, "channels of the first convolution; the last has 8 times as many", int, 4, 512
            )
        },
    ),
    "cnn8": Entry(
        "six convolutions and two linear layers: of SCE's and APL's CIFAR-10 rows",
        "Wang et al. 2019, arXiv 1908.06112; Ma et al. 2020, arXiv 2006.13554",
    ),
    "resnet18": Entry(
        "post-activation, 3x3 stem, no max-pool", "He et al. 2015, arXiv 1512.03385"
    ),
    "resnet34": Entry(
        "post-activation, 3x3 stem, no max-pool: the paper's and ELR's",
        "He et al. 2015, arXiv 1512.03385",
    ),
    "preact_resnet18": Entry(
        "pre-activation ResNet-18 as in DivideMix, ELR+ and SOP",
        "after He et al. 2016, arXiv 1603.05027",
        revision=2,  # the first was that of He et al.
    ),
    "wrn28_10": Entry(
        "wide ResNet, pre-activation, no dropout: WRN-28-10 unless told otherwise",
        "Zagoruyko & Komodakis 2016, arXiv 1605.07146",
        {
            "depth": Parameter(
                28, "convolutions in a row: 6 n + 4", int, options=(10, 16, 22, 28, 34, 40)
            ),
            "width": Parameter(10, "channels of the first stage, in 16s", int, 1, 20),
        },
    ),
}
