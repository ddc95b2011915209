"""From a data set and its settings to the data of one trial."""

from dataclasses import asdict
from typing import Any

from trainable.config import DataConfig, NoiseConfig
from trainable.data import Dataset, Ints, TrialData, subset_index, trial_data
from trainable.noise import NoisyLabels, corrupt
from trainable.trial.reference_classifier import reference


def prepare(
    dataset: Dataset,
    data: DataConfig,
    noise: NoiseConfig,
    seed: int,
    given: Ints | None = None,
) -> tuple[TrialData, NoisyLabels]:
    """Take the subset, make its labels noisy, split: the same seed gives the same trial data.

    Args:
        dataset: the whole data set, loaded.
        data: subset and hold-out.
        noise: kind, rate and options. The kinds that read a reference classifier train it here,
            once per data set and seed: minutes on a CPU.
        seed: the trial's, from which each step derives its own.
        given: labels drawn before, int64 ``[examples of the subset]``: used instead of drawing, so
            that a resumed study or another machine sees exactly the labels that were stored.

    Returns:
        What the trial reads, and the noisy labels of the whole subset.

    Raises:
        NoiseError: noise that this data set cannot have, or given labels that do not fit.
        DataError: the files hold fewer examples than asked for.
    """
    subset = subset_index(dataset, data, seed)
    if given is None:
        noisy = corrupt(
            dataset.train_labels[subset],
            num_classes=dataset.num_classes,
            seed=seed,
            dataset=dataset.name,
            index=None if data.train_examples is None else subset,
            **_looks(dataset, subset, data, noise, seed),
            **asdict(noise),
        )
    else:
        noisy = NoisyLabels.of(dataset.train_labels[subset], given, dataset.num_classes)
    return trial_data(dataset, data, noisy, seed), noisy


def _looks(
    dataset: Dataset, subset: Ints, data: DataConfig, noise: NoiseConfig, seed: int
) -> dict[str, Any]:
    """What the kind of noise looks at beside the labels: ``corrupt``'s arrays by name."""
    if noise.rate == 0:
        return {}
    if noise.kind == "instance_dependent":
        return {"images": dataset.train_images[subset]}
    if noise.kind in ("locally_concentrated", "feature_dependent"):
        return asdict(reference(dataset, data, seed))
    return {}
