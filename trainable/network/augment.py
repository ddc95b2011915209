"""Random crops and flips of whole batches, on the device, and normalisation.

The same distribution as torchvision's ``RandomCrop(size, padding=pad)`` on uint8 images, then
``RandomHorizontalFlip``, ``ToTensor`` and ``Normalize``: padding is 0 before normalisation.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class Augmentation:
    """Random crops after zero-padding by ``pad`` pixels, and horizontal flips if ``flip``.

    What happens to an image is one whole number, its ``start``. They are drawn for a whole epoch
    on the CPU, so that they are the same on every device and no batch waits for them.

    Args:
        shape: channels, height and width of the images.
        pad: pixels, 0 or more; 0: no crops.
        flip: whether one image in two is mirrored, left to right.
    """

    def __init__(self, shape: Sequence[int], *, pad: int, flip: bool) -> None:
        self.channels, self.height, self.width = shape  # of the images
        self.pad = pad
        self.sides = 2 if flip else 1  # as they are, and mirrored

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Starts int64 [count], on the CPU: all crops and sides are equally likely."""
        shifts = 2 * self.pad + 1
        if self.sides * shifts == 1:
            return torch.zeros(count, dtype=torch.int64)
        drawn = torch.randint(self.sides * shifts * shifts, (count,), generator=generator)
        x, drawn = drawn % shifts, drawn // shifts
        y, side = drawn % shifts, drawn // shifts
        return side * self._side_pixels + y * self._padded_width + x

    def apply(self, images: Tensor, starts: Tensor) -> Tensor:
        """Cropped and flipped copies of uint8 ``images`` [B, channels, height, width].

        Each row of a crop is a run of ``width`` neighbours in the flattened padded images (and
        their mirror images), so that one ``index_select`` copies them all.
        """
        if self.pad == 0 and self.sides == 1:
            return images
        sides = F.pad(images, (self.pad,) * 4).unsqueeze(1)
        if self.sides == 2:
            sides = torch.cat([sides, sides.flip(4)], 1)
        flat = sides.reshape(-1)
        runs = flat.as_strided((flat.numel() - self.width + 1, self.width), (1, 1))
        rows = self._run_starts(starts).view(-1)
        return runs.index_select(0, rows).view(images.shape)

    def _run_starts(self, starts: Tensor) -> Tensor:
        """Positions [B, channels, height] in the flattened batch at which the rows begin."""
        device, padded_height = starts.device, self.height + 2 * self.pad
        image = torch.arange(len(starts), device=device) * (self.sides * self._side_pixels)
        channel = torch.arange(self.channels, device=device) * (padded_height * self._padded_width)
        row = torch.arange(self.height, device=device) * self._padded_width
        return (image + starts)[:, None, None] + channel[:, None] + row

    @property
    def _padded_width(self) -> int:
        return self.width + 2 * self.pad

    @property
    def _side_pixels(self) -> int:
        return self.channels * (self.height + 2 * self.pad) * self._padded_width


class Normalisation:
    """(x / 255 - mean) / std per channel, of uint8 images, as float32 in channels_last.

    Args:
        mean: a channel, of images scaled to [0, 1].
        std: a channel, above 0.
        device: where the images are.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], device: torch.device | str
    ) -> None:
        self.mean = 255 * torch.tensor(mean, device=device)[:, None, None]  # of raw pixels
        # 1 / std of raw pixels
        self.scale = 1 / (255 * torch.tensor(std, device=device)[:, None, None])

    def apply(self, images: Tensor) -> Tensor:
        """uint8 [B, channels, H, W] -> float32, normalised."""
        # On a CPU the channels are scaled several times faster before they are laid out anew.
        scaled = images.float().sub_(self.mean).mul_(self.scale)
        return scaled.contiguous(memory_format=torch.channels_last)
