"""The data sets that a sweep can name: one entry says all that is known about one.

To add a data set, write a reader beside those of :mod:`trainable.data.files` and an entry here.
Nothing in this module needs torch, so a sweep file is checked on any laptop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as checked_dataclass

from trainable.data.splits import holdout_size
from trainable.wording import named, shown

SMALLEST_SIDE = 8
"""Pixels of the smallest images that networks take."""
STRICT = ConfigDict(extra="forbid", strict=True)
"""How the classes of a sweep file's tables are checked: values keep their type."""


@dataclass(frozen=True)
class DatasetInfo:
    """All that is known about a data set; of a user's own files, once they are read.

    Attributes:
        summary: what it is, in a few words.
        read: ``module:name`` of its reader, from the folder of its files (None: the usual places)
            to training and test set; empty: the user's own files, which
            :mod:`trainable.data.own` reads.
        shape: channels, height and width in pixels of every image.
        class_names: in the order of the labels.
        train_examples: of the training set, as published.
        test_examples: likewise.
        mean: per channel, of the training images scaled to [0, 1], over all pixels of all images:
            ``x = images / 255; x.mean((0, 2, 3))``, to four decimals.
        std: likewise, ``x.std((0, 2, 3))``.
        crop_pad: random crops after zero-padding by that many pixels; 0: none.
        flip: whether one image in two is mirrored, left to right.
        mistaken_for: class -> the class that asymmetric noise moves it to; classes left out stay.
        superclasses: name -> its classes; where there are some, asymmetric noise moves each class
            to the next of a ring instead (``trainable.noise.class_maps``).
        legacy_sequential: whether ELR's code moves the classes of this map one after the other
            (``trainable.noise.synthetic.Asymmetric``).
        human_labels: whether CIFAR-N has labels for it (``trainable.noise.human``).
        epochs: full budget of a trial.
        multistep_epochs: the same where the learning rate falls at milestones.
        milestones: these, as shares of the budget.
        network: what trains on it where a sweep names none.
        cpu_network: the same where there is no GPU.
    """

    summary: str
    read: str = ""
    shape: tuple[int, int, int] = (0, 0, 0)
    class_names: tuple[str, ...] = ()
    train_examples: int = 0
    test_examples: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    crop_pad: int = 0
    flip: bool = False
    mistaken_for: Mapping[int, int] = field(default_factory=dict)
    superclasses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    legacy_sequential: bool = False
    human_labels: bool = False
    epochs: int = 150
    multistep_epochs: int = 150
    milestones: tuple[float, ...] = (1 / 3, 2 / 3)
    network: str = "resnet34"
    cpu_network: str = "small_cnn"

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


_SUPERCLASSES: dict[str, str] = {
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
"""CIFAR-100's superclasses in the order of its coarse labels; its classes are in that of the
alphabet."""

DATASETS: dict[str, DatasetInfo] = {
    "digits": DatasetInfo(
        summary="scikit-learn's handwritten digits, embedded",
        read="trainable.data.files:read_digits",
        shape=(1, 8, 8),
        class_names=tuple("0123456789"),
        train_examples=1_437,
        test_examples=360,
        mean=(0.3045,),
        std=(0.3755,),
        # The commonest mistakes of logistic regression (1,437 images, 3-fold, about 144 a class):
        # 8 -> 1 twelve times and back 7, then those of classes outside that pair which lead to a
        # class outside it: 5 -> 9 four, 2 -> 3 four, 4 -> 7 three. A mirrored digit is none: no
        # flips.
        mistaken_for={1: 8, 2: 3, 4: 7, 5: 9, 8: 1},
        epochs=20,
        multistep_epochs=20,
        network="tiny_cnn",
        cpu_network="tiny_cnn",
    ),
    "fashion_mnist": DatasetInfo(
        summary="Fashion-MNIST",
        read="trainable.data.files:read_fashion_mnist",
        shape=(1, 28, 28),
        class_names=(
            *("T-shirt", "trouser", "pullover", "dress", "coat"),
            *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
        ),
        train_examples=60_000,
        test_examples=10_000,
        mean=(0.2860,),
        std=(0.3530,),
        crop_pad=2,
        flip=True,
        # The pairs that extremely randomised trees on pixels confuse most (12,000 images, 3-fold,
        # errors among about 1,200 images a class): shirt -> T-shirt 229 and back 97, pullover ->
        # coat 146, sneaker -> ankle boot 71, sandal -> sneaker 40.
        mistaken_for={0: 6, 2: 4, 5: 7, 6: 0, 7: 9},
        epochs=50,
        multistep_epochs=50,
        network="small_cnn",
    ),
    "cifar10": DatasetInfo(
        summary="CIFAR-10",
        read="trainable.data.files:read_cifar10",
        shape=(3, 32, 32),
        class_names=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        train_examples=50_000,
        test_examples=10_000,
        # As published everywhere. ELR's code divides by 0.2023, 0.1994, 0.2010 instead: the mean
        # over images of each image's own deviation.
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        crop_pad=4,
        flip=True,
        # Patrini et al. 2017 (arXiv 1609.03683), which every paper uses.
        mistaken_for={2: 0, 3: 5, 4: 7, 5: 3, 9: 1},
        legacy_sequential=True,
        human_labels=True,
        multistep_epochs=120,
    ),
    "cifar100": DatasetInfo(
        summary="CIFAR-100",
        read="trainable.data.files:read_cifar100",
        shape=(3, 32, 32),
        class_names=tuple(sorted(" ".join(_SUPERCLASSES.values()).split())),
        train_examples=50_000,
        test_examples=10_000,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        crop_pad=4,
        flip=True,
        superclasses={name: tuple(of.split()) for name, of in _SUPERCLASSES.items()},
        human_labels=True,
        milestones=(8 / 15, 12 / 15),
    ),
    "files": DatasetInfo(
        summary="your own images: folders, Parquet or arrays, with a labels file or without",
        epochs=50,
        multistep_epochs=50,
        network="resnet18",
    ),
}
"""Milestones are ELR's: epochs 40 and 80 of 120, for CIFAR-100 80 and 120 of 150. The class maps
of ten classes have the shape of CIFAR-10's: five classes move, two of them swap with each other,
so a rate within the moving classes makes half that rate overall."""


@checked_dataclass(frozen=True, config=STRICT)
class DataConfig:
    """``[data]``: which images a trial sees, of the data set ``name``.

    ``root`` is the folder of the data set's files (None: ``~/.cache/elr-tune``'s), ``holdout`` the
    share in (0, 1) of the training set held out for validation, ``train_examples`` the size of a
    stratified subset taken before the split (None: all). ``augment``: whether training images are
    cropped and flipped as the data set's usually are.
    """

    name: str
    root: str | None = None
    holdout: float = 0.1
    train_examples: int | None = None
    augment: bool = True

    def __post_init__(self) -> None:
        info = named("data set", self.name, DATASETS)
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout = {self.holdout} is not a number in (0, 1)")
        if info.train_examples:
            self.check_sizes(info)

    @property
    def held_out(self) -> int:
        """Examples of the hold-out; of a user's own images ``Dataset.held_out`` knows them."""
        return self.held_out_of(DATASETS[self.name].train_examples)

    def held_out_of(self, examples: int) -> int:
        """The same of a data set of so many."""
        return holdout_size(self.holdout, self.train_examples or examples)

    def check_sizes(self, info: DatasetInfo) -> None:
        """Raises ValueError if a data set of the size of ``info`` cannot be cut as asked."""
        largest = info.train_examples
        smallest = 10 * info.num_classes
        if self.train_examples is not None and not smallest <= self.train_examples <= largest:
            raise ValueError(
                f"train_examples = {self.train_examples} is not in [{smallest}, {largest}]"
            )
        examples = self.train_examples or largest
        held_out = self.held_out_of(largest)
        if not 0 < held_out < examples - 1:
            raise ValueError(
                f"holdout = {self.holdout} of {examples} examples leaves {held_out} to validate "
                f"on and {examples - held_out} to train on"
            )


Stated: TypeAlias = Literal["clean", "given"]
"""What a user says of labels: that they are right, or only that they are what they are."""


@checked_dataclass(frozen=True, config=STRICT)
class OwnData(DataConfig):
    """``[data]`` with ``name = "files"``: a user's own images and labels.

    ``root``: a folder or file, or its URI, that every node sees; ``labels``: a labels file beside
    it. ``size``: pixels of the shorter side (None: that of the smallest image, at most 64).
    ``flip`` and ``crop_pad`` (None: an eighth of the shorter side): the augmentation.

    ``train_labels``, ``val_labels`` and ``test_labels`` state what is known about each split's
    labels. ``train_labels = "clean"``: those of the images' own files are true, so that noise can
    be drawn over them, and a labels file has the given ones. ``holdout`` is not read where the
    files have a split named val, valid or validation.
    """

    name: str = "files"
    labels: str | None = None
    size: int | None = None
    flip: bool = True
    crop_pad: int | None = None
    train_labels: Stated = "given"
    val_labels: Stated = "given"
    test_labels: Stated = "clean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise ValueError("root is missing: the folder or file of your images")
        if self.size is not None and self.size < SMALLEST_SIDE:
            raise ValueError(
                f"size = {self.size} is not a whole number of at least {SMALLEST_SIDE} pixels"
            )
        if self.crop_pad is not None and self.crop_pad < 0:
            raise ValueError(f"crop_pad = {self.crop_pad} is not a whole number of 0 or more")


def data_class(name: object) -> type[DataConfig]:
    """The class whose options a data set has."""
    return OwnData if name == "files" else DataConfig


def make_data(name: str, **options: Any) -> DataConfig:
    """The settings of the data set of that name, checked by pydantic.

    Raises:
        ValueError: a name or option that there is not, or a value that makes no sense.
    """
    named("data set", name, DATASETS)
    own = [option.name for option in fields(data_class(name))]
    for option, value in options.items():
        if option not in own and value is not None:
            raise ValueError(f"{option} = {shown(value)} is for data set 'files', not {name!r}")
    return data_class(name)(name, **{n: v for n, v in options.items() if n in own})
