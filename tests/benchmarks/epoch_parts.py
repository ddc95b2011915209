"""Where the time of an epoch goes: its parts as shares of one with adam_elr, and of a test.

    python tests/benchmarks/epoch_parts.py [--repeats 9]

The epoch is a copy of the trainer's, with a clock between its parts. The hold-out is a
tenth of the training images, as in a sweep; an evaluation on all test images, which a sweep does
in few epochs, is a share of the epoch without it.
"""

import argparse
import statistics
import time
from collections.abc import Iterator

import torch
from side_by_side import in_own_process, machine, print_table, random_data

from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.network.evaluate import read
from trainable.noise import make_noise
from trainable.trial.trainer import Batch, Trainer
from trainable.trial.trial_loss import build_trainer

CASES = [
    ("tiny_cnn", "digits", 64, 1293, 360),
    ("tiny_cnn", "fashion_mnist", 128, 4500, 10_000),
    ("tiny_cnn", "cifar10", 128, 4500, 10_000),
    ("small_cnn", "fashion_mnist", 128, 4500, 10_000),
    ("small_cnn", "cifar10", 128, 4500, 10_000),
]
"""Network, shape of the images, batch size, images to train on and to test on."""
PARTS = ["inputs", "forward", "loss, target", "backward", "optimiser", "columns", "hold-out"]


def trainer_of(
    network: str, dataset: str, batch_size: int, examples: int, held_out: int = 1, tests: int = 1
) -> Trainer:
    """A trainer of one case, with all the epochs one may ask for."""
    config = TrialConfig.build(
        data=DataConfig(dataset),
        noise=make_noise("none"),
        loss="adam_elr",
        network=network,
        max_epochs=10_000,
        seed=0,
        parameters={"batch_size": batch_size},
        precision="float32",
    )
    return build_trainer(config, random_data(dataset, examples, held_out, tests), "cpu")


def timed_epoch(trainer: Trainer) -> dict[str, float]:
    """CPU seconds of each part, over a whole epoch, and of a test."""
    seconds = dict.fromkeys([*PARTS, "test"], 0.0)
    last = time.process_time()

    def spent(part: str) -> None:
        nonlocal last
        now = time.process_time()
        seconds[part] += now - last
        last = now

    def batches() -> Iterator[Batch]:
        for batch in trainer.batches(order, epoch=1):
            spent("inputs")
            yield batch

    order = torch.randperm(len(trainer.data.train_index))
    trainer.network.train()
    outputs = []
    for batch in batches():
        logits = trainer.network(batch.inputs)
        spent("forward")
        trainer._optimiser.zero_grad()
        leaf = logits.detach().requires_grad_()
        trainer.loss.backward(leaf, batch.given, batch.places)
        spent("loss, target")
        logits.backward(leaf.grad)
        spent("backward")
        trainer._optimiser.step()
        spent("optimiser")
        outputs.append(logits.detach())
    logits = torch.cat(outputs)
    trainer._training_columns(torch.empty_like(logits).index_copy_(0, order, logits))
    spent("columns")
    read(trainer._evaluate(test=False))
    spent("hold-out")
    read(trainer._evaluate(test=True))
    spent("test")
    seconds["test"] -= seconds["hold-out"]
    return seconds


def row(case: tuple[str, str, int, int, int], repeats: int) -> list[str]:
    """A row of the table: medians over epochs."""
    torch.set_num_threads(1)
    # Labels drawn at random drive gradients so close to 0 that a CPU is slow; real ones do not.
    torch.set_flush_denormal(True)
    network, dataset, batch_size, examples, tests = case
    trainer = trainer_of(network, dataset, batch_size, examples, examples // 10, tests)
    timed_epoch(trainer)  # warm
    epochs = [timed_epoch(trainer) for _ in range(repeats)]
    median = {part: statistics.median(epoch[part] for epoch in epochs) for part in epochs[0]}
    whole = sum(median[part] for part in PARTS)
    return [
        network,
        dataset,
        f"{examples:,}, by {batch_size}",
        f"{1e3 * whole:,.0f}",
        *(f"{median[part] / whole:.1%}" for part in [*PARTS, "test"]),
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)  # as each case, for what machine() says
    rows = [in_own_process(row, case, repeats) for case in CASES]
    print(f"{machine()}. Medians of {repeats} epochs.")
    print_table(["network", "images", "trained on", "epoch, ms", *PARTS, "+ a test"], rows)


if __name__ == "__main__":
    main()
