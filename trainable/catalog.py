"""Everything a sweep can name: one entry says all of a name.

These tables are importable without torch, so a sweep file is checked on any laptop. An entry names
what makes its member; data sets and kinds of noise are listed where they are defined. One contract
suite runs over all of them.
"""

from trainable.data import DATASETS
from trainable.entries.losses import LOSSES, LossEntry
from trainable.entries.optimiser import OPTIMISER, SCHEDULES, Schedule
from trainable.entries.targets import REFINED, TARGETS, TargetEntry
from trainable.noise import NOISE_KINDS
from trainable.parameters import Entry, Parameter, Reference, Value
from trainable.wording import named, shown, unknown

__all__ = [
    "DATASETS",
    "LOSSES",
    "NETWORKS",
    "NOISE_KINDS",
    "OPTIMISER",
    "REFINED",
    "SCHEDULES",
    "TARGETS",
    "Entry",
    "LossEntry",
    "Parameter",
    "Reference",
    "Schedule",
    "TargetEntry",
    "Value",
    "named",
    "shown",
    "unknown",
]


NETWORKS: dict[str, Entry] = {
    "tiny_cnn": Entry(
        "two convolutions and a linear layer: digits on a CPU",
        build="trainable.network.networks:tiny_cnn",
    ),
    "small_cnn": Entry(
        "four convolutions: 28x28 and 32x32 on a CPU",
        build="trainable.network.networks:small_cnn",
    ),
    "resnet9": Entry(
        "convolution-pool stages with two residual blocks: narrow on a CPU, wide on a GPU",
        "after Page 2018, DAWNBench",
        {
            "width": Parameter(
                64, "channels of the first convolution; the last has 8 times as many", int, 4, 512
            )
        },
        build="trainable.network.networks:resnet9",
    ),
    "cnn8": Entry(
        "six convolutions and two linear layers: of SCE's and APL's CIFAR-10 rows",
        "Wang et al. 2019, arXiv 1908.06112; Ma et al. 2020, arXiv 2006.13554",
        build="trainable.network.networks:cnn8",
    ),
    "resnet18": Entry(
        "post-activation, 3x3 stem, no max-pool",
        "He et al. 2015, arXiv 1512.03385",
        build="trainable.network.networks:resnet18",
    ),
    "resnet34": Entry(
        "post-activation, 3x3 stem, no max-pool: the paper's and ELR's",
        "He et al. 2015, arXiv 1512.03385",
        build="trainable.network.networks:resnet34",
    ),
    "preact_resnet18": Entry(
        "pre-activation ResNet-18 as in DivideMix, ELR+ and SOP",
        "after He et al. 2016, arXiv 1603.05027",
        build="trainable.network.networks:preact_resnet18",
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
        build="trainable.network.networks:wide_resnet",
    ),
}
