"""The reference classifier behind ``locally_concentrated`` and ``feature_dependent`` noise.

A small network trained on the clean labels of all examples that the noise is drawn for; noise
kinds read its features and probabilities for those same examples (Algan & Ulusoy 2020, arXiv
2003.10471). It is small on purpose: it has to be trained wherever labels are drawn, which may be a
cluster's head node without a GPU, and takes minutes there. ``tiny_cnn`` for the digits,
``small_cnn`` for the others; cross-entropy, one learning rate cycle up to 0.1, in float32.

It is trained once per data set (its subset included) and seed, and kept in the cache folder under
a fingerprint of the images, the labels and the trial's configuration. Devices and versions of
torch differ in the last digits of what they compute, so a reference trained elsewhere may rank two
examples the other way round: what is in the cache is used as it is, and a sweep stores the labels
it drew.
"""

import hashlib
import io
import logging
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainable.config import TrialConfig
from trainable.data import DATASETS, DataConfig, Dataset, TrialData, subset_index
from trainable.data.files import DataError, cache_folder
from trainable.dtypes import Ints
from trainable.folder.storage import Folder
from trainable.noise import make_noise
from trainable.seeds import derive_seed
from trainable.trial.trial_loss import build_trainer

EPOCHS = 15
_PROCEDURE = 1  # raise it when the training here changes: cached references are then left alone

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictions:
    """What the classifier says of each example of the subset, in the subset's order."""

    probabilities: NDArray[np.float32]  # [N, C], rows sum to 1
    features: NDArray[np.float32]  # [N, F]: what its last layer reads


def reference(
    dataset: Dataset, data: DataConfig, seed: int, folder: Path | None = None
) -> Predictions:
    """The reference for the examples of ``subset_index(dataset, data, seed)``.

    Trained if it is not in ``folder`` (None: ``references`` in the user's cache folder).

    Raises:
        DataError: the cached file is damaged.
        StorageError: the folder cannot be read or written.
    """
    config = reference_config(data, seed)
    subset = subset_index(dataset, data, seed)
    cache = Folder.open(cache_folder() / "references" if folder is None else folder)
    name = f"{dataset.name}-{_fingerprint(dataset, subset, config)}.npz"
    if not cache.exists(name):
        _log.info("training the reference classifier of %s, seed %d", dataset.name, seed)
        packed = io.BytesIO()
        np.savez(packed, **vars(_train(dataset, subset, config)))
        cache.write(name, packed.getvalue())
    try:
        with np.load(io.BytesIO(cache.read(name)), allow_pickle=False) as arrays:
            return Predictions(arrays["probabilities"], arrays["features"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        message = f"{cache}/{name} is damaged: delete it and it is trained again"
        raise DataError(message) from error


def reference_config(data: DataConfig, seed: int) -> TrialConfig:
    """The trial that is the reference classifier's training."""
    return TrialConfig.build(
        # What a sweep holds out or augments changes no label, so all share one classifier.
        data=replace(data, holdout=DataConfig.holdout, augment=DataConfig.augment),
        noise=make_noise("none"),
        loss="ce",
        network=DATASETS[data.name].cpu_network,
        max_epochs=EPOCHS,
        seed=derive_seed(seed, "reference"),
        parameters={"lr": 0.1, "lr_schedule": "one_cycle", "weight_decay": 5e-4},
        # "auto" would give other labels on a device with bfloat16.
        precision="float32",
    )


def _train(dataset: Dataset, subset: Ints, config: TrialConfig) -> Predictions:
    trainer = build_trainer(config, _clean_data(dataset, subset))
    for _ in range(config.max_epochs):
        trainer.run_epoch()
    return Predictions(*trainer.predict(dataset.train_images[subset]))


def _clean_data(dataset: Dataset, subset: Ints) -> TrialData:
    """All of the subset with its true labels to train on; next to nothing to evaluate on."""
    true = dataset.train_labels[subset]
    return TrialData(
        info=dataset.info,
        images=dataset.train_images,
        train_index=subset,
        train_given=true,
        train_true=true,
        # A trainer evaluates something; one image costs nothing.
        val_index=subset[:1],
        val_given=true[:1],
        val_true=true[:1],
        test_images=dataset.train_images[:1],
        test_labels=dataset.train_labels[:1],
        transition=np.eye(dataset.num_classes),
    )


def _fingerprint(dataset: Dataset, subset: Ints, config: TrialConfig) -> str:
    digest = hashlib.sha256(f"{_PROCEDURE}/{config.fingerprint}".encode())
    digest.update(dataset.train_images[subset].tobytes())
    digest.update(dataset.train_labels[subset].astype("<i8").tobytes())
    return digest.hexdigest()[:16]
