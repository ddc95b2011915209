"""One trial: a network, a loss, an optimiser and their data, trained epoch by epoch.

Images lie on the device as uint8 and are augmented there. Nothing inside the batch loop waits for
the device: order and augmentation of an epoch are drawn before it, and what is measured is read
after it. One code path serves CPU and GPU.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainable.config import TrialConfig
from trainable.data import TrialData
from trainable.losses import Loss
from trainable.losses.functions import log_probabilities
from trainable.metrics import EpochMetrics
from trainable.network.augment import Augmentation, Normalisation
from trainable.network.averaging import WeightAverage
from trainable.network.device import (
    autocast_dtype,
    choose_device,
    peak_memory_mb,
    start_trial,
    upload,
)
from trainable.network.evaluate import Evaluator, autocast, memorization, read
from trainable.network.networks import Network, build_network, initialise
from trainable.network.schedules import learning_rate
from trainable.seeds import derive_seed
from trainable.trial.beliefs import Beliefs

EVALUATION_BATCH = {"cpu": 128, "cuda": 2048}
"""Images at a time: on a CPU what stays in its caches is fastest."""
INPUT_BYTES = {"cpu": 2**20, "cuda": 2**24}
"""Inputs made at a time: those of several batches where batches are small."""


class Batch(NamedTuple):
    """Part of an epoch: places in the training set [B], given labels [B], what the network sees.

    ``inputs`` are augmented and normalised, float32 [B, channels, H, W].
    """

    places: Tensor
    given: Tensor
    inputs: Tensor


class Trainer:
    """Trains the trial that ``config`` describes on ``data``.

    Everything random derives from ``config.seed`` and, for order and augmentation, the epoch: on
    a CPU the same config gives the same trial bit for bit, interrupted or not.

    Args:
        config: the trial.
        data: what it reads; images on the CPU are shared, not copied.
        loss: what it minimises, not yet called (``trial_loss.build_trainer`` makes it from the
            config); moved to the device.
        device: None: the first CUDA device where there is one, else the CPU.

    Attributes:
        epoch: epochs trained so far.
        beliefs: what the network made of each given label over these epochs.
    """

    network: Network  # channels last
    # On the device, as ``TrialData`` has them.
    _images: Tensor
    """All images, uint8 [N, channels, H, W]."""
    _rows: Tensor  # [n]: rows of those that are trained on
    _given: Tensor  # [n]: their given labels
    _true: Tensor  # [n]: their true ones
    _val_rows: Tensor  # [v]: rows of the hold-out
    _val_given: Tensor  # [v]: its labels
    _test_images: Tensor  # uint8 [M, channels, H, W]
    _test_labels: Tensor  # [M]
    _test_predicted: Tensor | None  # classes after the last epoch with a test, [M]
    # How they are seen, trained on and evaluated.
    _augmentation: Augmentation  # crops and flips
    _normalisation: Normalisation  # from uint8 to what the network sees
    _forward: Callable[[Tensor], Tensor]  # the network, compiled if the config says so
    _dtype: torch.dtype | None  # of autocast; None: there is none
    _optimiser: torch.optim.SGD  # of the network's weights
    _average: WeightAverage | None  # these weights' running mean; None: not asked for
    _evaluator: Evaluator  # scores and predicts

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        loss: Loss,
        device: torch.device | str | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.device = choose_device(device)
        self.epoch = 0
        start_trial(self.device)
        self._place_data()
        self.loss = loss.to(self.device)
        self._build_model()

    def _place_data(self) -> None:
        """Put images and labels on the device."""
        data = self.data
        self._images = upload(data.images, self.device)
        self._test_images = upload(data.test_images, self.device)
        labels = (data.train_index, data.train_given, data.train_true)
        self._rows, self._given, self._true = (self._on_device(array) for array in labels)
        self._val_rows = self._on_device(data.val_index)
        self._val_given = self._on_device(data.val_given)
        self._test_labels = self._on_device(data.test_labels)
        self._test_predicted = None
        self.beliefs = Beliefs(self._given, data.num_classes)
        self._augmentation = self._usual_augmentation()
        self._normalisation = Normalisation(data.info.mean, data.info.std, self.device)

    def _usual_augmentation(self) -> Augmentation:
        """Crops and flips as the data set's usually are, or none where the config wants none."""
        info, shape = self.data.info, self.data.images.shape[1:]
        if not self.config.data.augment:
            return Augmentation(shape, pad=0, flip=False)
        return Augmentation(shape, pad=info.crop_pad, flip=info.flip)

    def _build_model(self) -> None:
        """Make network and optimiser anew, initialised from the seed."""
        config, (_, channels, *size) = self.config, self._images.shape
        with torch.device("meta"):  # weights that are drawn below need not be drawn here
            network = build_network(
                config.network,
                channels=channels,
                size=(size[0], size[1]),
                num_classes=self.data.num_classes,
                **config.network_parameters,
            )
        network.to_empty(device=self.device)
        self.network = network.to(memory_format=torch.channels_last)
        initialise(self.network, self._generator("init"))
        self._forward = torch.compile(self.network) if config.compile else self.network
        self._dtype = autocast_dtype(config.precision, self.device)
        self._optimiser = torch.optim.SGD(
            self.network.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov and config.momentum > 0,  # else the same, which torch refuses
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        averaging = config.averaging
        self._average = WeightAverage(self.network, averaging) if averaging > 0 else None
        batch_size = EVALUATION_BATCH.get(self.device.type, 128)
        self._evaluator = Evaluator(self._normalisation, self._dtype, batch_size)

    def run_epoch(self, *, test: bool = True) -> EpochMetrics:
        """Train on every training example once, then evaluate; on the test set only if ``test``.

        A diverged epoch shows in ``train_loss``: NaN or infinite.

        Raises:
            ValueError: the trial has trained ``max_epochs`` already.
        """
        begin = time.perf_counter()
        epoch = self.epoch + 1
        lr = self._start_epoch(epoch)
        training = time.perf_counter()  # not before: forward may have estimated its matrix first
        order = torch.randperm(len(self._rows), generator=self._generator(f"order {epoch}"))
        order = order.to(self.device)
        trained = self._training_columns(self._train(order, epoch))
        train_seconds = time.perf_counter() - training
        evaluated = read(self._evaluate(test))
        self.epoch = epoch
        return EpochMetrics(
            epoch=epoch,
            lr=lr,
            **trained,
            **evaluated,
            epoch_seconds=time.perf_counter() - begin,
            images_per_second=len(order) / train_seconds,
            peak_memory_mb=peak_memory_mb(self.device),
        )

    def _start_epoch(self, epoch: int) -> float:
        """Set learning rate and loss to ``epoch``; the learning rate."""
        config = self.config
        lr = learning_rate(
            config.lr_schedule,
            config.schedule_parameters,
            lr=config.lr,
            epoch=epoch,
            max_epochs=config.max_epochs,
        )
        for group in self._optimiser.param_groups:
            group["lr"] = lr
        self.loss.start_epoch(epoch)
        self.network.train()
        return lr

    def _train(self, order: Tensor, epoch: int) -> Tensor:
        """One step a batch, over the training set in ``order``; the logits [n, C], by place."""
        logits = torch.cat([self.step(batch) for batch in self.batches(order, epoch)])
        return torch.empty_like(logits).index_copy_(0, order, logits)

    def batches(self, order: Tensor, epoch: int) -> Iterator[Batch]:
        """The training set in ``order``, cut into batches, with the augmentation of ``epoch``."""
        starts = self._augmentation.draw(len(order), self._generator(f"augmentation {epoch}"))
        starts, rows = starts.to(self.device), self._rows[order]
        steps = number_of_steps(len(order), self.config.batch_size)
        places, given = order.tensor_split(steps), self._given[order].tensor_split(steps)
        largest = INPUT_BYTES.get(self.device.type, 2**20)
        at_once = max(1, largest // (4 * self._images[0].numel() * self.config.batch_size))
        begin = 0  # of these batches, in the order
        for first in range(0, steps, at_once):
            some = slice(first, first + at_once)
            sizes = [len(part) for part in places[some]]
            these = slice(begin, begin := begin + sum(sizes))
            inputs = torch.split(self._inputs(rows[these], starts[these]), sizes)
            yield from map(Batch, places[some], given[some], inputs)

    def step(self, batch: Batch) -> Tensor:
        """Learn from one batch; the logits [B, C] before. Nothing here waits for the device."""
        with autocast(self.device, self._dtype):
            logits = self._forward(batch.inputs)
        self._optimiser.zero_grad()
        self.loss.backward(logits, batch.given, batch.places)
        self._optimiser.step()
        if self._average is not None:
            self._average.update()
        return logits.detach()

    def _inputs(self, rows: Tensor, starts: Tensor) -> Tensor:
        """What the network sees of the images at ``rows``, their augmentation being ``starts``."""
        images = self._images.index_select(0, rows)
        return self._normalisation.apply(self._augmentation.apply(images, starts))

    def _training_columns(self, logits: Tensor) -> dict[str, float]:
        """What an epoch came to whose examples, each visited once, had these logits [n, C]."""
        log_p = log_probabilities(logits)
        self.beliefs.add(log_p)
        columns = memorization(log_p.argmax(1), self._given, self._true)
        known = self.data.truth_known
        if not known:
            columns = {"train_accuracy": columns["train_accuracy"]}
        visits = self.loss.last_visits(log_p, self._given)
        columns["train_loss"] = visits.losses.mean()
        if visits.clipped is not None:
            columns["clipped"] = visits.clipped.float().mean()
        if visits.targets is not None and known:
            columns["target_accuracy"] = (visits.targets.argmax(1) == self._true).float().mean()
        return read(columns)

    def _evaluate(self, test: bool) -> dict[str, Tensor]:
        """The columns of the hold-out and, if ``test``, of the test set, still on the device."""
        held_out: dict[str, tuple[Tensor, ...]] = {
            "val": (self._images, self._val_given, self._val_rows)
        }
        if test:
            held_out["test"] = (self._test_images, self._test_labels)
        columns: dict[str, Tensor] = {}
        for name, images in held_out.items():
            score = self._evaluator.score(self.network, *images)
            columns |= {f"{name}_loss": score.loss, f"{name}_accuracy": score.accuracy}
            if name == "test":
                self._test_predicted = score.predicted
            if self._average is not None:
                averaged = self._evaluator.score(self._average.network, *images)
                columns[f"averaged_{name}_accuracy"] = averaged.accuracy
        return columns

    def predict(
        self, images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities [N, C] and features [N, F] of uint8 ``images`` [N, channels, H, W].

        Features are what the last, linear layer sees. No augmentation; the raw weights.
        """
        shared = upload(images, torch.device("cpu"))
        probabilities, features = self._evaluator.predict(self.network, shared)
        return probabilities.cpu().numpy(), features.cpu().numpy()

    def test_confusion(self) -> NDArray[np.int64] | None:
        """Test images by true class (rows) and predicted class, counts [C, C].

        As of the last epoch that this trainer has tested, by the raw weights; None before it.
        """
        if self._test_predicted is None:
            return None
        counts = np.zeros((self.data.num_classes,) * 2, np.int64)
        np.add.at(counts, (self.data.test_labels, self._test_predicted.cpu().numpy()), 1)
        return counts

    def targets(self) -> NDArray[np.float32] | None:
        """The current target of every training example [n, C]; None for losses without."""
        targets = self.loss.targets()
        return None if targets is None else targets.cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """All that a later :meth:`load_state_dict` needs: tensors and plain values.

        The tensors are the live ones: save or copy them before training goes on.
        """
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "loss": self.loss.state_dict(),
            "beliefs": self.beliefs.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the trial that :meth:`state_dict` was taken from."""
        self.network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.loss.load_state_dict(state["loss"])
        if "beliefs" in state:  # checkpoints had none before they were kept
            self.beliefs.load_state_dict(state["beliefs"])
        self.epoch = state["epoch"]

    def _on_device(self, array: NDArray[np.int64]) -> Tensor:
        return torch.tensor(array, device=self.device)

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, purpose))


def number_of_steps(examples: int, batch_size: int) -> int:
    """Batches an epoch: as few as hold all examples, made equally large but for one example.

    So no small rest takes a step of full length. A batch of one is never made, batch norm having
    nothing to compare it with.
    """
    return max(1, min(-(-examples // batch_size), examples // 2))
