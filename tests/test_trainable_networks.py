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
    [("resnet34", 21_282_122), ("resnet18", 11_173_962), ("preact_resnet18", 11_172_170)],
)
def test_resnet_has_the_published_number_of_parameters(name, expected):
    assert num_parameters(name, 3, 32) == expected


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
