"""What each choice in the small networks and their training step saves on a CPU.

    python tests/benchmarks/network_choices.py [--repeats 15]

Every row undoes one choice and gives the time of a training step, or of an evaluation, over that
of the choice as it is: above 1 the choice pays. Steps are bare, with SGD and cross-entropy, on
batches of 128 that are ready; the evaluation is one of 2,048 images.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from side_by_side import in_own_process, in_turns, machine, print_table
from torch import Tensor, nn

from trainable.network.augment import Normalisation
from trainable.network.device import start_trial
from trainable.network.evaluate import Evaluator
from trainable.network.networks import Network, build_network
from trainable.trial.trainer import EVALUATION_BATCH

CASES = [(name, shape) for name in ("tiny_cnn", "small_cnn") for shape in ((1, 28), (3, 32))]
"""Network, and channels and pixels of the images."""
BATCH = 128
EVALUATED = 2048
STEP = "a step, as it is"


class PooledByMaximum(nn.Module):
    """2x2 maxima by comparing four views, where max pooling keeps the places of its maxima."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H / 2, W / 2], rounded down."""
        x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
        upper = torch.maximum(x[:, :, ::2, ::2], x[:, :, ::2, 1::2])
        return torch.maximum(upper, torch.maximum(x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]))


def pooled_last(features: nn.Sequential) -> nn.Sequential:
    """Batch norm and ReLU before max pooling instead of after it."""
    layers = list(features)
    for place, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            layers[place : place + 3] = [features[place + 1], features[place + 2], layer]
    return nn.Sequential(*layers)


def replaced(
    kind: type, make: Callable[[], nn.Module]
) -> Callable[[nn.Sequential], nn.Sequential]:
    """Every layer of this kind replaced by another."""

    def edit(features: nn.Sequential) -> nn.Sequential:
        return nn.Sequential(*(make() if isinstance(x, kind) else x for x in features))

    return edit


def narrower(features: nn.Sequential) -> nn.Sequential:
    """One channel fewer in every layer but the last: no multiples of 8."""
    layers, inputs = list(features), 0
    widths = [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)]
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            outputs = layer.out_channels - (layer.out_channels != widths[-1])
            inputs = inputs or layer.in_channels
            layers[place] = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            inputs = outputs
        elif isinstance(layer, nn.BatchNorm2d):
            layers[place] = nn.BatchNorm2d(inputs)
    return nn.Sequential(*layers)


EDITS: dict[str, Callable[[nn.Sequential], nn.Sequential]] = {
    "pooled after batch norm and ReLU": pooled_last,
    "pooled by maxima of views": replaced(nn.MaxPool2d, PooledByMaximum),
    "ReLU not in place": replaced(nn.ReLU, nn.ReLU),
    "a channel fewer, not a multiple of 8": narrower,
}


def built(name: str, channels: int, size: int) -> Network:
    """The network with weights of a fixed seed."""
    torch.manual_seed(0)
    return build_network(name, channels=channels, size=size, num_classes=10)


def step_of(
    network: Network, images: Tensor, *, zeroed: bool = False, fused: bool = True
) -> Callable[[], None]:
    """A training step; ``zeroed`` gradients are filled with 0 and added to, else set."""
    labels = torch.randint(10, (len(images),))
    optimiser = torch.optim.SGD(
        network.parameters(), 0.01, 0.9, weight_decay=1e-3, fused=fused, foreach=False
    )

    def step() -> None:
        loss = F.cross_entropy(network(images), labels)
        optimiser.zero_grad(set_to_none=not zeroed)
        loss.backward()
        optimiser.step()

    return step


def steps(name: str, channels: int, size: int) -> dict[str, Callable[[], object]]:
    """The step as it is, and with one choice undone at a time."""
    last = torch.channels_last
    images = torch.randn(BATCH, channels, size, size).to(memory_format=last)

    def network() -> Network:
        return built(name, channels, size).to(memory_format=last)

    sides: dict[str, Callable[[], object]] = {STEP: step_of(network(), images)}
    for what, edit in EDITS.items():
        edited = network()
        edited.features = edit(edited.features).to(memory_format=last)
        sides[what] = step_of(edited, images)
    contiguous = images.contiguous(memory_format=torch.contiguous_format)
    sides["images and weights contiguous"] = step_of(built(name, channels, size), contiguous)
    sides["gradients filled with 0, then added"] = step_of(network(), images, zeroed=True)
    sides["optimiser not fused"] = step_of(network(), images, fused=False)
    return sides


def given_back(name: str, channels: int, size: int, repeats: int) -> float:
    """A step's time where freed memory goes back to the kernel, over that where it is kept.

    Each in a process of its own: what one keeps it does not give back later.
    """
    kept, returned = (
        in_own_process(fresh_step, name, channels, size, repeats, keep) for keep in (True, False)
    )
    return returned / kept


def fresh_step(name: str, channels: int, size: int, repeats: int, kept: bool) -> float:
    """Seconds of a step in this process, which ``kept`` what a step frees or did not."""
    if kept:
        start_trial(torch.device("cpu"))
    return in_turns({STEP: steps(name, channels, size)[STEP]}, repeats)[STEP]


def evaluations(name: str, channels: int, size: int) -> dict[str, Callable[[], object]]:
    """The evaluation with batches as they are, and smaller and larger ones."""
    images = torch.randint(0, 256, (EVALUATED, channels, size, size), dtype=torch.uint8)
    labels = torch.randint(10, (EVALUATED,))
    network = built(name, channels, size).to(memory_format=torch.channels_last)
    normalisation = Normalisation([0.5] * channels, [0.25] * channels, "cpu")

    def evaluation(batch_size: int) -> Callable[[], object]:
        evaluator = Evaluator(normalisation, None, batch_size)
        return lambda: evaluator.score(network, images, labels)

    sizes = (EVALUATION_BATCH["cpu"], 32, 64, 256, 1024)
    return {f"an evaluation, {size} at a time": evaluation(size) for size in sizes}


def main() -> None:
    """Run and print: a column a network and shape."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    start_trial(torch.device("cpu"))
    columns: list[dict[str, str]] = []
    for name, (channels, size) in CASES:
        column = {}
        for sides in (steps(name, channels, size), evaluations(name, channels, size)):
            seconds = in_turns(sides, repeats)
            whole = next(iter(seconds.values()))
            column |= {side: f"{value / whole:.2f}" for side, value in seconds.items()}
            column[next(iter(seconds))] = f"{1e3 * whole:.1f} ms"
            if STEP in sides:
                ratio = given_back(name, channels, size, repeats)
                column["freed memory given back"] = f"{ratio:.2f}"
        columns.append(column)
    print(f"{machine()}. Medians of {repeats}.")
    header = ["undone", *(f"{name}, {size}x{size}x{c}" for name, (c, size) in CASES)]
    print_table(header, [[side, *(column[side] for column in columns)] for side in columns[0]])


if __name__ == "__main__":
    main()
