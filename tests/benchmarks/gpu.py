"""Training speed on a GPU: images a second, memory, and the share of what the device can do.

    python tests/benchmarks/gpu.py [--network resnet34] [--batch 128] [--images 45000]

Whole training epochs of adam_elr on random images shaped like CIFAR-10, augmentation included, in
bfloat16 and float32, with and without torch.compile. As many images as a trial on CIFAR-10 has
make batches of two sizes, 127 and 128, and so all graphs that such a trial compiles. The device's
peak is what it reaches in a large matrix product of the same precision, measured here; the
operations of a training step are counted by torch. Without a GPU it says so and stops; ``--device
cpu`` tries the script itself.
"""

import argparse
import itertools
import statistics
import time

import torch
from side_by_side import machine, print_table, random_data
from torch.utils.flop_counter import FlopCounterMode

from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.noise import make_noise
from trainable.trial.trainer import Trainer
from trainable.trial.trial_loss import build_trainer

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def trainer_of(arguments: argparse.Namespace, precision: str, compiled: bool) -> Trainer:
    """A trainer of random images, with epochs enough."""
    config = TrialConfig.build(
        data=DataConfig("cifar10"),
        noise=make_noise("none"),
        loss="adam_elr",
        network=arguments.network,
        max_epochs=100,
        seed=0,
        parameters={"batch_size": arguments.batch},
        precision=precision,
        compile=compiled,
    )
    return build_trainer(config, random_data("cifar10", arguments.images), arguments.device)


def operations_per_image(trainer: Trainer) -> float:
    """Floating-point operations of forward and backward pass, two for each multiply-add."""
    order = torch.arange(len(trainer.data.train_index), device=trainer.device)
    batch = next(trainer.batches(order, 1))
    with FlopCounterMode(display=False) as counter:
        trainer.network(batch.inputs).sum().backward()
    trainer.network.zero_grad()
    return counter.get_total_flops() / len(batch.places)


def peak_operations(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Operations a second in products of square matrices of ``size``."""
    left = torch.randn(size, size, device=device).to(dtype)
    right = torch.randn(size, size, device=device).to(dtype)
    left @ right
    repeats = 20
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        left @ right
    synchronise(device)
    return repeats * 2 * size**3 / (time.perf_counter() - begin)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(
    arguments: argparse.Namespace, precision: str, compiled: bool, peak: float
) -> list[str]:
    """A row of the table."""
    trainer = trainer_of(arguments, precision, compiled)
    needed = operations_per_image(trainer)
    first = trainer.run_epoch()
    epochs = [trainer.run_epoch() for _ in range(arguments.epochs)]
    speed = statistics.median(epoch.images_per_second for epoch in epochs)
    return [
        precision,
        "yes" if compiled else "no",
        f"{speed:,.0f}",
        f"{first.epoch_seconds:.1f}",
        f"{epochs[-1].peak_memory_mb:,.0f}",
        f"{speed * needed / 1e12:.2f}",
        f"{peak / 1e12:.1f}",
        f"{speed * needed / peak:.0%}",
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="resnet34")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--images", type=int, default=45_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--matrix", type=int, default=8192)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: nothing to measure.")
        return
    device = torch.device(arguments.device)
    torch.set_float32_matmul_precision("high")  # TF32, which convolutions use anyway
    rows = []
    for precision, compiled in itertools.product(DTYPES, (False, True)):
        peak = peak_operations(device, DTYPES[precision], arguments.matrix)
        rows.append(measure(arguments, precision, compiled, peak))
    print(f"{machine()}.")
    print(
        f"{arguments.network}, batches of {arguments.batch}, medians of {arguments.epochs} epochs."
    )
    header = ["precision", "compiled", "images/s", "first epoch, s", "peak memory, MiB"]
    print_table([*header, "TFLOP/s", "peak TFLOP/s", "share of peak"], rows)


if __name__ == "__main__":
    main()
