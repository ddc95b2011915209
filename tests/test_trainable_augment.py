from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import transforms

from trainable.network.augment import Augmentation, Normalisation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(seed))


def all_starts(augmentation: Augmentation) -> list[int]:
    return sorted(set(augmentation.draw(20_000, generator()).tolist()))


def crops(image: np.ndarray, pad: int, flip: bool) -> list[np.ndarray]:
    """Every crop, then its mirror images, cut by hand: by side, then row, then column."""
    height, width = image.shape[1:]
    sides = [image, image[:, :, ::-1]] if flip else [image]
    padded = [np.pad(side, ((0, 0), (pad, pad), (pad, pad))) for side in sides]
    shifts = range(2 * pad + 1)
    return [p[:, y : y + height, x : x + width] for p in padded for y in shifts for x in shifts]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [1, 2])
def test_augmentation_makes_every_crop_of_the_padded_image(pad, flip):
    image = random_images(2, 4, 3)
    augmentation = Augmentation(image.shape, pad=pad, flip=flip)
    starts = all_starts(augmentation)
    made = augmentation.apply(image.expand(len(starts), -1, -1, -1), torch.tensor(starts))
    expected = crops(image.numpy(), pad, flip)
    assert len(starts) == len(expected)
    np.testing.assert_array_equal(made.numpy(), np.stack(expected))


@given(
    batch=st.integers(1, 5),
    channels=st.integers(1, 3),
    size=st.integers(2, 7),
    pad=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 99),
)
def test_augmentation_treats_each_image_by_its_own_start(batch, channels, size, pad, flip, seed):
    images = random_images(batch, channels, size, size, seed=seed)
    augmentation = Augmentation(images.shape[1:], pad=pad, flip=flip)
    starts = augmentation.draw(batch, generator(seed))
    together = augmentation.apply(images, starts)
    alone = [augmentation.apply(images[i : i + 1], starts[i : i + 1]) for i in range(batch)]
    assert together.dtype == torch.uint8
    assert torch.equal(together, torch.cat(alone))


def test_augmentation_draws_all_choices_equally_often():
    augmentation = Augmentation((3, 32, 32), pad=4, flip=True)
    draws = 81_000
    counts = Counter(augmentation.draw(draws, generator()).tolist())
    expected = draws / 162
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert len(counts) == 162
    assert chi_square < 161 + 4 * (2 * 161) ** 0.5


def test_augmentation_has_torchvision_s_distribution():
    # 18 outcomes, all different, seen equally often from both.
    image, draws = random_images(1, 4, 4), 3600
    augmentation = Augmentation(image.shape, pad=1, flip=True)
    ours = augmentation.apply(
        image.expand(draws, -1, -1, -1), augmentation.draw(draws, generator())
    )
    theirs = transforms.Compose(
        [transforms.RandomCrop(4, padding=1), transforms.RandomHorizontalFlip()]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = Counter(theirs(image).numpy().tobytes() for _ in range(draws))
    counts = Counter(made.tobytes() for made in ours.numpy())
    assert counts.keys() == reference.keys()
    difference = sum((counts[k] - reference[k]) ** 2 / (counts[k] + reference[k]) for k in counts)
    assert difference < 17 + 4 * (2 * 17) ** 0.5


def test_normalisation_equals_torchvision_s():
    images = random_images(3, 2, 5, 5)
    mean, std = (0.3, 0.6), (0.2, 0.5)
    made = Normalisation(mean, std, "cpu").apply(images)
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    expected = torch.stack([theirs(image.permute(1, 2, 0).numpy()) for image in images])
    assert made.dtype == torch.float32
    assert made.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)


def test_padding_is_black_before_normalisation():
    image = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    augmentation = Augmentation((1, 2, 2), pad=1, flip=False)
    cropped = augmentation.apply(image, torch.tensor([0]))  # the corner up and left
    made = Normalisation((0.5,), (0.25,), "cpu").apply(cropped)
    expected = torch.tensor([[[[-2.0, -2.0], [-2.0, 2.0]]]])
    torch.testing.assert_close(made, expected)


def test_augmentation_leaves_its_input_alone():
    images = random_images(4, 3, 8, 8)
    before = images.clone()
    augmentation = Augmentation((3, 8, 8), pad=2, flip=True)
    made = augmentation.apply(images, augmentation.draw(4, generator()))
    Normalisation((0.5,) * 3, (0.5,) * 3, "cpu").apply(images)
    assert torch.equal(images, before)
    assert not torch.equal(made, before)


def test_augmentation_without_crop_and_flip_changes_nothing():
    images = random_images(4, 1, 8, 8)
    augmentation = Augmentation((1, 8, 8), pad=0, flip=False)
    assert torch.equal(augmentation.apply(images, augmentation.draw(4, generator())), images)


def test_augmentation_repeats_with_its_generator():
    augmentation = Augmentation((3, 32, 32), pad=4, flip=True)
    first, same, other = (augmentation.draw(50, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
