"""What is measured: predictions on held-out images, and memorisation on training images."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from trainable.network.augment import Normalisation
from trainable.network.networks import Network


class Score(NamedTuple):
    """How well labels were predicted, on the device."""

    loss: Tensor
    """0-dim: mean cross-entropy in nats."""
    accuracy: Tensor
    """0-dim, a fraction."""
    predicted: Tensor
    """int64 [N]: the most probable class of each image."""


class Evaluator:
    """Runs networks on images as they are: no augmentation, no gradients.

    Args:
        normalisation: of the data set.
        dtype: to autocast to; None: float32.
        batch_size: images at a time; it changes speed and memory only.
    """

    def __init__(
        self, normalisation: Normalisation, dtype: torch.dtype | None, batch_size: int
    ) -> None:
        self.normalisation = normalisation
        self.dtype = dtype
        self.batch_size = batch_size

    @torch.inference_mode()
    def score(
        self, network: Network, images: Tensor, labels: Tensor, rows: Tensor | None = None
    ) -> Score:
        """Predict images and compare with ``labels``; nothing waits for the device.

        Args:
            network: put into evaluation mode.
            images: uint8 [N, channels, H, W].
            labels: int64 [N], or as many as ``rows``.
            rows: int64, which images; None: all.
        """
        logits = torch.cat([logits for logits, _ in self._outputs(network, images, rows)])
        predicted = logits.argmax(1)
        accuracy = (predicted == labels).float().mean()
        return Score(F.cross_entropy(logits, labels), accuracy, predicted)

    @torch.inference_mode()
    def predict(self, network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities [N, C] and features [N, F] of all ``images``, float32."""
        logits, features = zip(*self._outputs(network, images, None), strict=True)
        return torch.cat(logits).softmax(1), torch.cat(features)

    def _outputs(
        self, network: Network, images: Tensor, rows: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and features, float32, a batch at a time."""
        network.eval()
        device = self.normalisation.mean.device
        batches = torch.split(images if rows is None else rows, self.batch_size)
        for batch in batches:
            chosen = batch.to(device) if rows is None else images.index_select(0, batch)
            with autocast(device, self.dtype):
                features = network.features(self.normalisation.apply(chosen))
                logits = network.head(features)
            yield logits.float(), features.float()


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[None]:
    """The context in which networks run on ``device``; ``dtype`` None is float32."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def memorization(predictions: Tensor, given: Tensor, true: Tensor) -> dict[str, Tensor]:
    """Training accuracies and ELR's fractions (figure 1 of arXiv 2007.00151).

    Args:
        predictions: int64 [n], classes predicted while training.
        given: int64 [n], labels the loss saw.
        true: int64 [n].

    Returns:
        Columns of ``EpochMetrics`` as 0-dim tensors; shares of an empty part are NaN.
    """
    wrong = given != true
    as_given, as_true = predictions == given, predictions == true
    neither = ~as_given & ~as_true
    return {
        "train_accuracy": as_given.float().mean(),
        "train_true_accuracy": as_true.float().mean(),
        "clean_correct": _share(as_true, ~wrong),
        "wrong_correct": _share(as_true, wrong),
        "wrong_memorized": _share(as_given, wrong),
        "wrong_neither": _share(neither, wrong),
    }


def _share(hits: Tensor, part: Tensor) -> Tensor:
    return (hits & part).sum() / part.sum()


def read(columns: dict[str, Tensor]) -> dict[str, float]:
    """The values of 0-dim tensors, fetched from the device at once."""
    values = torch.stack([value.double() for value in columns.values()]).tolist()
    return dict(zip(columns, values, strict=True))
