"""Which class an asymmetric label error leads to, for each data set.

The maps of ten classes have the shape of CIFAR-10's: five classes move, five stay, two of those
that move swap with each other. So a rate within the moving classes makes half that rate overall.

* ``cifar10``: the map of Patrini et al. 2017 (arXiv 1609.03683), which every paper uses.
* ``fashion_mnist``: the pairs that a classifier on pixels confuses most (extremely randomised
  trees, 12,000 images, 3-fold cross-validation, errors among about 1,200 images a class):
  shirt -> T-shirt/top 229 and back 97, pullover -> coat 146, sneaker -> ankle boot 71,
  sandal -> sneaker 40.
* ``digits``: likewise (logistic regression, 1,437 images, 3-fold, about 144 a class): 8 -> 1
  twelve times and back 7, then the commonest mistakes of classes outside that pair which lead to
  a class outside it: 5 -> 9 four, 2 -> 3 four, 4 -> 7 three.
* ``cifar100``: each class leads to the next of its ring of five, the last to the first. The ring
  "superclass" is the true superclass, alphabetically; "contiguous" is five consecutive fine
  labels, as in the public code behind published numbers. Fine labels are in alphabetical order
  over all superclasses, so only 6 of its 100 transitions stay within one.
"""

import numpy as np
from numpy.typing import NDArray

from trainable.catalog import DATASETS, RINGS, unknown

CLASS_MAPS: dict[str, dict[int, int]] = {
    "digits": {1: 8, 2: 3, 4: 7, 5: 9, 8: 1},
    "fashion_mnist": {0: 6, 2: 4, 5: 7, 6: 0, 7: 9},
    "cifar10": {2: 0, 3: 5, 4: 7, 5: 3, 9: 1},
}

SUPERCLASSES: dict[str, str] = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}
"""CIFAR-100's superclasses in the order of its coarse labels, with their fine classes."""


def cifar100_coarse_labels() -> NDArray[np.int64]:
    """The superclass of each fine label of CIFAR-100, int64 ``[100]`` in ``[0, 20)``."""
    pairs = [(n, c) for c, names in enumerate(SUPERCLASSES.values()) for n in names.split()]
    return np.array([coarse for _, coarse in sorted(pairs)], np.int64)


def class_map(dataset: str, ring: str = "superclass") -> NDArray[np.int64]:
    """The class that each class of ``dataset`` is mistaken for, int64 ``[C]``.

    A class that is never mistaken maps to itself. ``ring`` matters to ``cifar100`` only.

    Raises:
        ValueError: an unknown data set or ring.
    """
    if dataset not in DATASETS:
        raise ValueError(unknown("data set", dataset, DATASETS))
    if ring not in RINGS:
        raise ValueError(unknown("ring", ring, RINGS))
    if dataset == "cifar100":
        return _rings(cifar100_coarse_labels() if ring == "superclass" else np.arange(100) // 5)
    mapped = np.arange(DATASETS[dataset].num_classes)
    mapped[list(CLASS_MAPS[dataset])] = list(CLASS_MAPS[dataset].values())
    return mapped


def _rings(group: NDArray[np.int64]) -> NDArray[np.int64]:
    mapped = np.empty_like(group)
    for g in np.unique(group):
        members = np.flatnonzero(group == g)
        mapped[members] = np.roll(members, -1)
    return mapped
