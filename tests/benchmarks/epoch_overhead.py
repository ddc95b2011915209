"""Time of an epoch with adam_elr against a bare training loop.

    python tests/benchmarks/epoch_overhead.py [--repeats 7]

The bare loop has the same network, optimiser and number of steps, plain cross-entropy, and its
batches ready in memory, augmented and normalised beforehand; it reads the mean loss once, at the
end. The trainer shuffles, augments, keeps the targets, and measures all its columns. Neither
evaluates: the trainer's hold-out is one image, and it does not test, as in most epochs of a sweep.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from epoch_parts import trainer_of
from side_by_side import in_own_process, in_turns, machine, print_table

from trainable.network.networks import build_network
from trainable.trial.trainer import Trainer

CASES = [
    ("small_cnn", "fashion_mnist", 128, 2560),
    ("small_cnn", "cifar10", 128, 2560),
    ("tiny_cnn", "digits", 64, 1293),
]
"""Network, shape of the images, batch size, training images: the last is the quickstart's."""
TARGETS = {"small_cnn": 1.05, "tiny_cnn": 1.10}


def bare_epoch(trainer: Trainer) -> Callable[[], float]:
    """An epoch as one would write it by hand, on batches that are ready."""
    config, data = trainer.config, trainer.data
    _, channels, size, _ = data.images.shape
    network = build_network(
        config.network, channels=channels, size=size, num_classes=data.num_classes
    ).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        network.parameters(),
        config.lr,
        config.momentum,
        weight_decay=config.weight_decay,
        fused=True,
    )
    order = torch.randperm(len(data.train_index))
    batches = [(batch.inputs, batch.given) for batch in trainer.batches(order, 1)]

    def epoch() -> float:
        total = torch.zeros(())
        for images, labels in batches:
            loss = F.cross_entropy(network(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach()
        return total.item() / len(batches)

    return epoch


def compare(network: str, dataset: str, batch_size: int, examples: int, repeats: int) -> list[str]:
    """A row of the table."""
    trainer = trainer_of(network, dataset, batch_size, examples)
    sides = {"bare": bare_epoch(trainer), "trainer": partial(trainer.run_epoch, test=False)}
    seconds = in_turns(sides, repeats)
    steps = -(-examples // batch_size)
    extra = (seconds["trainer"] - seconds["bare"]) / steps
    return [
        network,
        dataset,
        f"{steps} x {batch_size}",
        f"{1e3 * seconds['bare']:.1f}",
        f"{1e3 * seconds['trainer']:.1f}",
        f"{1e3 * extra:.2f}",
        f"{seconds['trainer'] / seconds['bare']:.3f}",
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as each case, for what machine() says
    rows = [in_own_process(compare, *case, arguments.repeats) for case in CASES]
    print(
        f"{machine()}.\n"
        f"Median CPU time of {arguments.repeats} epochs in turns; at most {TARGETS} asked."
    )
    header = ["network", "images", "steps", "bare, ms", "trainer, ms", "more a step, ms", "ratio"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
