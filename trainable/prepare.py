"""From a data set and its settings to the data of one trial."""

from dataclasses import asdict

from trainable.config import DataConfig, NoiseConfig
from trainable.data import Dataset, Ints, TrialData, subset_index, trial_data
from trainable.noise import NoisyLabels, corrupt


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
        noise: kind, rate and options.
        seed: the trial's, from which each step derives its own.
        given: labels drawn before, int64 ``[examples of the subset]``: used instead of drawing, so
            that a resumed study or another machine sees exactly the labels that were stored.

    Returns:
        What the trial reads, and the noisy labels of the whole subset.
    """
    subset = subset_index(dataset, data, seed)
    true = dataset.train_labels[subset]
    if given is None:
        noisy = _draw(dataset, subset, noise, seed)
    else:
        noisy = NoisyLabels.of(true, given, dataset.num_classes)
    return trial_data(dataset, data, noisy, seed), noisy


def _draw(dataset: Dataset, subset: Ints, noise: NoiseConfig, seed: int) -> NoisyLabels:
    images = dataset.train_images[subset] if noise.kind == "instance_dependent" else None
    return corrupt(
        dataset.train_labels[subset],
        num_classes=dataset.num_classes,
        seed=seed,
        dataset=dataset.name,
        images=images,
        index=subset,
        **asdict(noise),
    )
