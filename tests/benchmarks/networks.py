"""What each network costs: parameters, arithmetic, and images trained a second on one core.

    python tests/benchmarks/networks.py [--repeats 5]

On images of 32 x 32 with three channels and ten classes. The arithmetic is that of a forward
pass, a multiplication and an addition counting as two; a training step has three times as much.
The seconds are those of whole steps with SGD and cross-entropy on batches that are ready.
"""

import argparse

import torch
import torch.nn.functional as F  # noqa: N812
from side_by_side import in_turns, machine, print_table
from torch.utils.flop_counter import FlopCounterMode

from trainable.catalog import NETWORKS
from trainable.network.networks import Network, build_network

CASES: list[tuple[str, dict[str, int]]] = [
    *((name, {}) for name in NETWORKS),
    *(("resnet9", {"width": width}) for width in (8, 16, 32)),
    ("wrn28_10", {"depth": 16, "width": 2}),
]
LARGE = 200.0
"""MFLOP of a forward pass past which batches of 16 are enough to be measured, else of 128."""


def build(name: str, options: dict[str, int]) -> Network:
    """The network on CIFAR-10's shape, as the trainer holds it."""
    network = build_network(name, channels=3, size=32, num_classes=10, **options)
    return network.to(memory_format=torch.channels_last)


def megaflops(network: Network) -> float:
    """Of a forward pass of one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32))
    return float(counter.get_total_flops()) / 1e6


def images_per_second(network: Network, batch_size: int, repeats: int) -> float:
    """Trained, by the median step."""
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    images = torch.randn(batch_size, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch_size,))

    def step() -> None:
        loss = F.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return batch_size / in_turns({"step": step}, repeats)["step"]


def row(name: str, options: dict[str, int], repeats: int) -> list[str]:
    """A row of the table."""
    network = build(name, options)
    mega = megaflops(network)
    rate = images_per_second(network, 16 if mega > LARGE else 128, repeats)
    label = ", ".join([f"`{name}`", *(f"{key} {value}" for key, value in options.items())])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [
        label,
        f"{parameters:,}",
        f"{mega:,.1f}",
        f"{rate:,.0f}" if rate > 9 else f"{rate:.1f}",
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    rows = [row(name, options, repeats) for name, options in CASES]
    print(f"{machine()}. Medians of {repeats} steps.")
    print_table(["network", "parameters", "MFLOP an image", "images/s"], rows)


if __name__ == "__main__":
    main()
