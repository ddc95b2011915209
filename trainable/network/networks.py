"""The networks, each features and a linear head, for any image size and number of channels.

All are built from plain modules, so any two of one name and shape run the same compiled code:
``torch.compile`` compiles once a process, not once a trial (its guards look at the structure,
the weights are inputs).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from trainable.catalog import NETWORKS, Value, named
from trainable.data.sets import SMALLEST_SIDE

Size: TypeAlias = tuple[int, int]
"""Height and width of the images in pixels."""

Backbone: TypeAlias = tuple[nn.Module, int]
"""What makes features [B, F] of normalised images, and F."""


class Network(nn.Module):
    """``features``, [B, channels, H, W] -> [B, F], then the linear ``head``, -> [B, C]."""

    def __init__(self, features: nn.Module, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, C] of normalised ``images``."""
        return self.head(self.features(images))  # type: ignore[no-any-return]


class BasicBlock(nn.Module):
    """He et al. 2015 (arXiv 1512.03385): two 3x3 convolutions, ReLU after the addition."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv3x3(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class PreActBlock(nn.Module):
    """He et al. 2016 (arXiv 1603.05027): batch norm and ReLU before each convolution.

    A block that changes shape projects the activated input, as the authors' code does. The others
    skip with the input as it is or, with ``activated_skip``, with the activated one.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, *, activated_skip: bool = False
    ) -> None:
        super().__init__()
        self.activated_skip = activated_skip
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv3x3(outputs, outputs)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        y = F.relu(self.bn1(x))
        skip = y if self.activated_skip else x
        residual = skip if self.shortcut is None else self.shortcut(y)
        y = self.conv1(y)
        return self.conv2(F.relu(self.bn2(y))) + residual  # type: ignore[no-any-return]


class Residual(nn.Module):
    """``x`` plus what ``layers`` make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return x + self.layers(x)  # type: ignore[no-any-return]


def build_network(
    name: str, *, channels: int, size: int | Size, num_classes: int, **parameters: Value
) -> Network:
    """The network called ``name``, on the CPU, with torch's own random weights.

    Args:
        name: one of ``catalog.NETWORKS``.
        channels: of the images, at least 1.
        size: of the images in pixels, each at least 8: height and width, or one number for both.
        num_classes: at least 2.
        parameters: the network's own, such as ``width``; its defaults where left out.

    Raises:
        ValueError: for an unknown name, a parameter the network does not have or take, or images
            too small.
    """
    entry = named("network", name, NETWORKS)
    both = (size, size) if isinstance(size, int) else size
    if min(both) < SMALLEST_SIDE:
        raise ValueError(f"size = {size} is not a whole number of at least {SMALLEST_SIDE} pixels")
    complete = entry.complete(name, parameters)
    features, num_features = entry.builder()(channels, both, **complete)
    return Network(features, num_features, num_classes)


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights of ``network`` anew, in place, as torch's layers do by default.

    Convolutions and linear layers: uniform in +-1/sqrt(fan-in); batch norms: 1, 0 and fresh
    statistics. ``generator`` is on the CPU, and so the weights are the same on every device.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            for parameter in module.parameters(recurse=False):
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(drawn)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _conv_bn_relu(inputs: int, outputs: int) -> list[nn.Module]:
    return [_conv3x3(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _global_average() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def _conv_pool_bn_relu(inputs: int, outputs: int) -> list[nn.Module]:
    # Pooled first: batch norm and ReLU then have a quarter of the work.
    return [
        _conv3x3(inputs, outputs),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


# -- the networks of catalog.NETWORKS: (channels, size, own parameters) -> features --------------


def tiny_cnn(channels: int, size: Size) -> Backbone:
    """16 and 32 channels; the features are all places of the last map."""
    layers = [*_conv_pool_bn_relu(channels, 16), *_conv_pool_bn_relu(16, 32), nn.Flatten()]
    return nn.Sequential(*layers), 32 * (size[0] // 4) * (size[1] // 4)


def small_cnn(channels: int, size: Size) -> Backbone:
    """16 to 120 channels, averaged over all places."""
    layers = [
        *_conv_pool_bn_relu(channels, 16),
        *_conv_pool_bn_relu(16, 32),
        *_conv_pool_bn_relu(32, 64),
        *_conv_bn_relu(64, 120),
        *_global_average(),
    ]
    return nn.Sequential(*layers), 120


def resnet9(channels: int, size: Size, width: int) -> Backbone:
    """``width`` to 8 ``width`` channels, the largest value over all places."""

    def residual(width: int) -> Residual:
        return Residual(*_conv_bn_relu(width, width), *_conv_bn_relu(width, width))

    layers = [
        *_conv_bn_relu(channels, width),
        *_conv_pool_bn_relu(width, 2 * width),
        residual(2 * width),
        *_conv_pool_bn_relu(2 * width, 4 * width),
        *_conv_pool_bn_relu(4 * width, 8 * width),
        residual(8 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    ]
    return nn.Sequential(*layers), 8 * width


def cnn8(channels: int, size: Size) -> Backbone:
    """As its sources have it: biases before the batch norms, and no global pooling."""
    layers: list[nn.Module] = []
    inputs = channels
    for outputs in (64, 128, 196):
        for _ in range(2):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
            layers.append(nn.ReLU(inplace=True))
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    hidden = [
        nn.Linear(196 * (size[0] // 8) * (size[1] // 8), 256),
        nn.BatchNorm1d(256),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, nn.Flatten(), *hidden), 256


def _stages(
    block: Callable[[int, int, int], nn.Module],
    inputs: int,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
) -> list[nn.Module]:
    """Stages of blocks; each but the first halves the image."""
    layers: list[nn.Module] = []
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for position in range(depth):
            stride = 2 if stage > 0 and position == 0 else 1
            layers.append(block(inputs, width, stride))
            inputs = width
    return layers


_WIDTHS = (64, 128, 256, 512)


def resnet18(channels: int, size: Size) -> Backbone:
    """Two blocks a stage."""
    return _resnet(channels, (2, 2, 2, 2))


def resnet34(channels: int, size: Size) -> Backbone:
    """Three to six blocks a stage."""
    return _resnet(channels, (3, 4, 6, 3))


def _resnet(channels: int, depths: tuple[int, ...]) -> Backbone:
    stem, stages = _conv_bn_relu(channels, 64), _stages(BasicBlock, 64, _WIDTHS, depths)
    return nn.Sequential(*stem, *stages, *_global_average()), 512


def preact_resnet18(channels: int, size: Size) -> Backbone:
    """As DivideMix, ELR+ and SOP have it: no batch norm at the end, where He et al. have one."""
    block = partial(PreActBlock, activated_skip=True)
    stem, stages = _conv_bn_relu(channels, 64), _stages(block, 64, _WIDTHS, (2, 2, 2, 2))
    return nn.Sequential(*stem, *stages, *_global_average()), 512


def wide_resnet(channels: int, size: Size, depth: int, width: int) -> Backbone:
    """Three stages of (depth - 4) / 6 blocks, the first of 16 ``width`` channels."""
    widths, blocks = (16 * width, 32 * width, 64 * width), (depth - 4) // 6
    layers = [_conv3x3(channels, 16), *_stages(PreActBlock, 16, widths, (blocks,) * 3)]
    last = [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *last, *_global_average()), widths[-1]
