"""Images a second on one core: the trainer's batches against torchvision and a DataLoader.

    python tests/benchmarks/input_pipeline.py [--images 4096] [--repeats 7]

Equal work: shuffle, zero-pad, random crop, random flip, scale, normalise, batches of 128 with
labels, as float32. Before timing, both sides are shown to make the same set of images out of one.
The usual recipe holds PIL images' arrays in memory and transforms them one at a time; "tensors"
is the same with torchvision's transforms on uint8 tensors, without PIL.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from side_by_side import in_turns, machine, print_table, random_data
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from trainable.catalog import DATASETS
from trainable.config import TrialConfig
from trainable.data import DataConfig, DatasetInfo, TrialData
from trainable.noise import make_noise
from trainable.trial.trainer import Trainer
from trainable.trial.trial_loss import build_trainer

BATCH = 128
TARGET = 20


class Images(TorchDataset[Any]):
    """The training images, transformed one at a time."""

    def __init__(self, data: TrialData, pil: bool) -> None:
        self.images = torch.from_numpy(data.images[:-1])
        self.pil = [to_pil(image) for image in data.images[:-1]] if pil else None
        self.labels = data.train_given
        self.transform = torchvision_transform(data.info, pil)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index] if self.pil is None else Image.fromarray(self.pil[index])
        return self.transform(image), int(self.labels[index])


def to_pil(image: np.ndarray) -> np.ndarray:
    """[channels, H, W] as the array a PIL image is made of."""
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


def torchvision_transform(info: DatasetInfo, pil: bool) -> Callable[[Any], Tensor]:
    """Crop, flip and normalise as the reference implementations do."""
    flip = [transforms.RandomHorizontalFlip()] if info.flip else []
    to_float = transforms.ToTensor() if pil else transforms.ConvertImageDtype(torch.float32)
    crop = transforms.RandomCrop(info.shape[1:], padding=info.crop_pad)
    return transforms.Compose([crop, *flip, to_float, transforms.Normalize(info.mean, info.std)])


def trainer_of(dataset: str, data: TrialData) -> Trainer:
    """A trainer whose batches are asked for and never trained on."""
    config = TrialConfig.build(
        data=DataConfig(dataset),
        noise=make_noise("none"),
        loss="ce",
        network="tiny_cnn",
        max_epochs=1,
        seed=0,
        parameters={"batch_size": BATCH},
    )
    return build_trainer(config, data, "cpu")


def one_pass(trainer: Trainer) -> int:
    """Make all batches of an epoch."""
    order = torch.randperm(len(trainer.data.train_index))
    return sum(len(batch.inputs) for batch in trainer.batches(order, 1))


def variants(batches: Any) -> set[bytes]:
    """The different images among ``batches``, to 1/1000."""
    return {
        image.mul(1000).round().short().numpy().tobytes() for batch in batches for image in batch
    }


def check_equal_work(dataset: str) -> int:
    """Both sides make the same variants of one image; how many there are."""
    data = random_data(dataset, 4000)
    data.images[:] = data.images[0]
    trainer = trainer_of(dataset, data)
    ours = variants(batch.inputs for batch in trainer.batches(torch.arange(4000), 1))
    loader = DataLoader(Images(data, pil=True), BATCH)
    theirs = variants(images for images, _ in loader)
    if ours != theirs:
        raise SystemExit(f"{dataset}: the sides differ: {len(ours ^ theirs)} variants")
    return len(ours)


def compare(dataset: str, images: int, repeats: int) -> list[list[str]]:
    """Rows of the table for one shape of images."""
    variety = check_equal_work(dataset)
    data = random_data(dataset, images)
    trainer = trainer_of(dataset, data)
    usual = DataLoader(Images(data, pil=True), BATCH, shuffle=True)
    tensors = DataLoader(Images(data, pil=False), BATCH, shuffle=True)
    seconds = in_turns(
        {
            "trainer": lambda: one_pass(trainer),
            "torchvision, DataLoader": lambda: sum(len(labels) for _, labels in usual),
            "the same on tensors": lambda: sum(len(labels) for _, labels in tensors),
        },
        repeats,
    )
    info = DATASETS[dataset]
    shape = f"{'x'.join(map(str, info.shape))}, {variety} variants of an image"
    ours = seconds["trainer"]
    return [
        [shape, side, f"{images / taken:,.0f}", f"{taken / ours:.1f}"]
        for side, taken in seconds.items()
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    rows: list[list[str]] = []
    for dataset in ("cifar10", "fashion_mnist"):
        rows += compare(dataset, arguments.images, arguments.repeats)
    print(
        f"{machine()}.\n"
        f"Median CPU time of {arguments.repeats} passes in turns; at least {TARGET}x asked."
    )
    print_table(["images", "pipeline", "images/s", "trainer is faster by"], rows)


if __name__ == "__main__":
    main()
