import math
from itertools import pairwise

import pytest
import torch
import torchvision

from trainable.catalog import NETWORKS
from trainable.network.networks import Network, build_network, initialise

SHAPES = [(1, 8), (1, 28), (3, 32)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def initialised(name: str, seed: int = 0, channels: int = 3, size: int = 8) -> Network:
    network = build_network(name, channels=channels, size=size, num_classes=10)
    initialise(network, generator(seed))
    return network


def num_parameters(name: str, channels: int, size: int) -> int:
    with torch.device("meta"):
        network = build_network(name, channels=channels, size=size, num_classes=10)
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("channels", "size"), SHAPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_network_maps_images_to_features_to_logits(name, channels, size):
    network = build_network(name, channels=channels, size=size, num_classes=7).eval()
    images = torch.randn(2, channels, size, size, generator=generator())
    features = network.features(images)
    logits = network(images)
    assert features.shape == (2, network.head.in_features)
    assert logits.shape == (2, 7)
    torch.testing.assert_close(logits, network.head(features))


@pytest.mark.parametrize("name", NETWORKS)
def test_network_every_parameter_has_a_gradient(name):
    network = initialised(name)
    network(torch.randn(4, 3, 8, 8, generator=generator())).logsumexp(1).sum().backward()
    flat = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert flat == []


@pytest.mark.parametrize("depth", [18, 34])
def test_resnet_equals_torchvision_s_with_a_small_stem(depth):
    ours = initialised(f"resnet{depth}", size=32).eval()
    theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=10)
    theirs.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = torch.nn.Identity()
    weights = zip(theirs.state_dict(), ours.state_dict().values(), strict=True)
    theirs.load_state_dict(dict(weights))
    images = torch.randn(2, 3, 32, 32, generator=generator())
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs.eval()(images))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet34", 21_282_122),
        ("resnet18", 11_173_962),
        ("preact_resnet18", 11_171_274),  # DivideMix's PreActResNet18
        ("wrn28_10", 36_479_194),  # table 4 of arXiv 1605.07146: 36.5M
        ("resnet9", 6_573_130),
    ],
)
def test_resnet_has_the_published_number_of_parameters(name, expected):
    assert num_parameters(name, 3, 32) == expected


def test_cnn8_has_the_layers_of_its_sources():
    convolutions = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 196), (196, 196)]
    expected = sum(9 * i * o + o + 2 * o for i, o in convolutions)  # weights, biases, batch norm
    expected += 4 * 4 * 196 * 256 + 256 + 2 * 256  # the hidden layer and its batch norm
    expected += 256 * 10 + 10
    assert num_parameters("cnn8", 3, 32) == expected


def test_preact_resnet18_skips_with_the_activated_input():
    network = initialised("preact_resnet18").eval()
    stem, block = network.features[:3], network.features[3]
    assert [type(m) for m in stem] == [torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.ReLU]
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.features[3:])
    x = torch.randn(2, 64, 8, 8, generator=generator())
    activated = block.bn1(x).relu()
    expected = activated + block.conv2(block.bn2(block.conv1(activated)).relu())
    torch.testing.assert_close(block(x), expected)


def test_wide_resnet_skips_with_the_input_as_it_is():
    network = build_network("wrn28_10", channels=3, size=8, num_classes=10, depth=16, width=1)
    block = network.eval().features[2]  # the stem, the block that changes the width, this one
    x = torch.randn(2, 16, 8, 8, generator=generator())
    expected = x + block.conv2(block.bn2(block.conv1(block.bn1(x).relu())).relu())
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [("resnet9", {"width": 8}), ("resnet9", {"width": 16}), ("wrn28_10", {"width": 2})],
)
def test_width_is_the_channels_of_every_stage(name, options):
    narrow = build_network(name, channels=3, size=8, num_classes=10, **options)
    full = build_network(name, channels=3, size=8, num_classes=10)
    share = options["width"] / NETWORKS[name].parameters["width"].default
    assert narrow.head.in_features == share * full.head.in_features
    assert len(narrow.state_dict()) == len(full.state_dict())


@pytest.mark.parametrize("depth", [10, 16, 40])
def test_depth_of_a_wide_resnet_counts_its_convolutions(depth):
    with torch.device("meta"):
        network = build_network(
            "wrn28_10", channels=3, size=8, num_classes=10, depth=depth, width=1
        )
    kernels = [m.kernel_size for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    # The paper's 6 n + 4: 6 n in the blocks, the stem, and the shortcuts of three stages.
    assert kernels.count((3, 3)) + 3 == depth


def test_build_network_refuses_parameters_that_it_does_not_have():
    shape = {"channels": 3, "size": 8, "num_classes": 10}
    with pytest.raises(ValueError, match="unknown parameter of resnet34 'width'"):
        build_network("resnet34", width=16, **shape)
    with pytest.raises(ValueError, match=r"width = 2 is not a whole number in \[4, 512\]"):
        build_network("resnet9", width=2, **shape)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_small_cnn_has_about_94000_parameters(channels, size):
    assert abs(num_parameters("small_cnn", channels, size) - 94_000) < 500


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "preact_resnet18"])
def test_resnet_halves_the_image_three_times(name):
    network = initialised(name).eval()
    sides = []
    for module in network.features:
        module.register_forward_hook(lambda m, i, output: sides.append(output.shape[-1]))
    network(torch.randn(1, 3, 32, 32))
    # The last two are the pooled map and the flat features.
    assert sides[0] == 32
    assert sides[-3] == 4
    assert all(after in (before, before // 2) for before, after in pairwise(sides[:-2]))


@pytest.mark.parametrize("name", NETWORKS)
def test_initialise_same_generator_same_weights(name):
    first, second = initialised(name, seed=3), initialised(name, seed=3)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_initialise_other_generator_other_weights():
    first, second = initialised("tiny_cnn", seed=0), initialised("tiny_cnn", seed=1)
    assert not torch.equal(first.head.weight, second.head.weight)


def test_initialise_undoes_training_and_leaves_the_global_generator():
    network = initialised("tiny_cnn")
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()(torch.randn(4, 3, 8, 8))  # moves the batch-norm statistics
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    before = torch.get_rng_state()
    initialise(network, generator())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, fresh[name]) for name, value in network.state_dict().items())


def test_initialise_draws_torch_s_default_distribution():
    network = initialised("resnet18", size=32)
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    for layer in layers:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_build_network_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'resnet34'"):
        build_network("resnet43", channels=3, size=32, num_classes=10)


def test_build_network_refuses_images_too_small():
    with pytest.raises(ValueError, match="size = 4 is not"):
        build_network("tiny_cnn", channels=1, size=4, num_classes=10)
