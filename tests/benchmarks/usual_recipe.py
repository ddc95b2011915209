"""A sweep against the usual recipe: seconds an epoch trained, everything included.

    python tests/benchmarks/usual_recipe.py [--trials 8] [--epochs 9] [--root FOLDER] [--quick]

The recipe is what its users write: a function trainable, torchvision's dataset and transforms
behind a DataLoader, OptunaSearch, one Tuner for every noise setting. Both sides train the same
network with the same loss on 4,500 images of Fashion-MNIST and search the same space on two slots,
every trial for as many epochs: none is stopped, so that both train the same. The recipe evaluates
hold-out and test set after every epoch; so does one sweep, the other tests as seldom as sweeps do.
Start-up, from the start of a Tuner to that of its first epoch, stands apart.
Needs Fashion-MNIST: Debian's package dataset-fashion-mnist, or --root.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from side_by_side import machine, print_table
from sweeps import own_ray, run_sweep
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from spaces.sweep import SweepSpec
from spaces.sweep_file import parse_sweep
from trainable.data import TrialData, load_dataset
from trainable.losses import build_loss
from trainable.network.networks import build_network
from trainable.trial.prepare import prepare

SPEC = """
name = "ours"
losses = ["elr"]
network = "small_cnn"
[data]
name = "fashion_mnist"
train_examples = 5000
[[noise]]
kind = "symmetric"
rates = [0.4, 0.6]
[search]
early_stopping = "none"
[space]
preset = "paper"
lr_schedule = "cosine"
lam = { low = 0.5, high = 10.0, log = true }
beta = { low = 0.5, high = 0.99 }
lr = { low = 0.005, high = 0.1, log = true }
"""
SLOTS = 2
RECIPE = "usual recipe"


@dataclass(frozen=True)
class Spent:
    """What one side took: seconds of wall-clock until a first epoch began and after it."""

    start_up: float
    training: float
    epochs: int

    @property
    def an_epoch(self) -> float:
        """Seconds for each epoch trained, without the start-up."""
        return self.training / self.epochs


class Images(Dataset[tuple[torch.Tensor, int, int]]):
    """Images with their labels and places, transformed one by one."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Any) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int, int]:
        image = transforms.functional.to_pil_image(self.images[place, 0])
        return self.transform(image), int(self.labels[place]), place


def loaders(data: TrialData) -> list[DataLoader[Any]]:
    """Training, hold-out and test loader, as in any example."""
    plain = [transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))]
    augment = [transforms.RandomCrop(28, padding=2), transforms.RandomHorizontalFlip()]
    train = transforms.Compose([*augment, *plain])
    evaluate = transforms.Compose(plain)
    parts = [
        (data.images[data.train_index], data.train_given, train),
        (data.images[data.val_index], data.val_given, evaluate),
        (data.test_images, data.test_labels, evaluate),
    ]
    return [DataLoader(Images(*part), batch_size=128, shuffle=part[2] is train) for part in parts]


def accuracy(network: torch.nn.Module, loader: DataLoader[Any]) -> float:
    """Share of a loader's labels that the network predicts."""
    network.eval()
    with torch.no_grad():
        right = sum(
            (network(images).argmax(1) == labels).sum().item() for images, labels, _ in loader
        )
    return right / len(loader.dataset)  # type: ignore[arg-type]


def train(config: dict[str, Any], data: TrialData, epochs: int) -> None:
    """The function trainable."""
    torch.set_num_threads(1)
    train_loader, val_loader, test_loader = loaders(data)
    network = build_network("small_cnn", channels=1, size=28, num_classes=10)
    loss = build_loss(
        "elr", num_examples=len(data.train_index), num_classes=10,
        lam=config["lam"], beta=config["beta"],
    )  # fmt: skip
    optimiser = torch.optim.SGD(
        network.parameters(), lr=config["lr"], momentum=0.9, weight_decay=1e-3
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        network.train()
        for images, labels, places in train_loader:
            optimiser.zero_grad()
            loss(network(images), labels, places).mean().backward()
            optimiser.step()
        schedule.step()
        tune.report(
            {
                "val_accuracy": accuracy(network, val_loader),
                "test_accuracy": accuracy(network, test_loader),
            }
        )


def recipe(spec: SweepSpec, folder: Path) -> Spent:
    """One Tuner for every noise setting."""
    begin, start_up, epochs = time.time(), 0.0, 0
    for cell in spec.cells():
        started = time.time()
        data, _ = prepare(load_dataset(cell.data), cell.data, cell.noise, spec.seed)
        trainable = tune.with_parameters(train, data=data, epochs=cell.max_epochs)
        space = {
            "lam": tune.loguniform(0.5, 10.0),
            "beta": tune.uniform(0.5, 0.99),
            "lr": tune.loguniform(0.005, 0.1),
        }
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="val_accuracy",
                mode="max",
                search_alg=OptunaSearch(seed=spec.seed),
                num_samples=spec.budget.trials,
            ),
            run_config=tune.RunConfig(storage_path=str(folder), name=cell.study, verbose=0),
        )
        reported = pd.concat([result.metrics_dataframe for result in tuner.fit()])
        start_up += (reported["timestamp"] - reported["time_this_iter_s"]).min() - started
        epochs += len(reported)
    return Spent(start_up, time.time() - begin - start_up, epochs)


def ours(spec: SweepSpec, folder: Path) -> Spent:
    """A sweep, from its start to its last table on disk."""
    begin = time.time()
    epochs = run_sweep(spec, folder).epochs
    seconds = time.time() - begin
    arrived = epochs["recorded_at"].astype("datetime64[us, UTC]").astype("int64") / 1e6
    start_up = float((arrived - epochs["epoch_seconds"]).min()) - begin
    return Spent(start_up, seconds - start_up, len(epochs))


def main() -> None:
    """Run both, each with a Ray of its own whose start is not counted; print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=4, help="trials of each noise setting")
    parser.add_argument("--epochs", type=int, default=9, help="epochs of every trial")
    parser.add_argument("--root", help="folder of Fashion-MNIST's files")
    parser.add_argument("--quick", action="store_true", help="two trials of two epochs each")
    arguments = parser.parse_args()
    trials, epochs = (2, 2) if arguments.quick else (arguments.trials, arguments.epochs)
    changes = [f"budget.trials={trials}", f"budget.max_epochs={epochs}"]
    changes += [f"data.root={arguments.root}"] if arguments.root else []
    spec = parse_sweep(SPEC, changes)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # else Tune's table is printed in between
    tested = parse_sweep(SPEC, [*changes, "training.test_every=1"])
    sides = {
        RECIPE: lambda folder: recipe(spec, folder),
        "elr-tune, tested every epoch": lambda folder: ours(tested, folder),
        "elr-tune": lambda folder: ours(spec, folder),
    }
    found = {}
    for name, side in sides.items():
        with own_ray(num_cpus=SLOTS) as folder:
            found[name] = side(folder)
    rows = [
        [
            name,
            f"{spent.start_up:.0f}",
            f"{spent.training:.0f}",
            str(spent.epochs),
            f"{spent.an_epoch:.2f}",
            f"{found[RECIPE].an_epoch / spent.an_epoch:.1f}",
        ]
        for name, spent in found.items()
    ]
    print(machine())
    header = ["", "start-up, s", "training, s", "epochs", "seconds an epoch", "times sooner"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
