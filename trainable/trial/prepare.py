"""From a data set and its settings to the data of one trial.

In three steps: a stratified subset if one is asked for, noise over all of it, then a split into a
training part and a hold-out. So the hold-out's labels carry the same noise as the training labels.
"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from trainable.data import DataConfig, Dataset, TrialData, split_holdout, subset_index
from trainable.dtypes import Ints
from trainable.noise import Noise, NoiseError, NoisyLabels, draw_labels
from trainable.seeds import derive_seed
from trainable.trial.reference_classifier import reference


def prepare(
    dataset: Dataset,
    data: DataConfig,
    noise: Noise,
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
        What the trial reads, and the noisy labels of the whole subset; their ``rate`` is NaN and
        the rest of what they say of true labels means nothing where nobody knows these.

    Raises:
        NoiseError: noise that this data set cannot have, or given labels that do not fit.
        DataError: the files hold fewer examples than asked for.
    """
    subset = subset_index(dataset, data, seed)
    true = dataset.train_labels[subset]
    if noise.needs_truth and not dataset.truth_known:
        raise NoiseError(
            f"noise kind {noise.kind!r} is drawn over true labels, and nobody knows those of "
            f'{data.root}: take kind = "given", or say train_labels = "clean" under [data]'
        )
    if given is None:
        noisy = _draw(dataset, subset, data, noise, seed)
    else:
        noisy = NoisyLabels.of(true, given, dataset.num_classes)
    # A hold-out that is stated to be clean keeps its labels, whatever noise was drawn over all.
    if dataset.val_start is not None and dataset.val_clean:
        labels = np.where(subset < dataset.val_start, noisy.labels, true)
        noisy = NoisyLabels.of(true, labels, dataset.num_classes)
    if not dataset.truth_known:
        # Compared with themselves the labels would be right by definition: no rate, rather than 0.
        noisy = replace(noisy, rate=float("nan"))
    return trial_data(dataset, data, noisy, seed), noisy


def _draw(
    dataset: Dataset, subset: Ints, data: DataConfig, noise: Noise, seed: int
) -> NoisyLabels:
    looks: dict[str, Any] = {}  # the arrays that the kind looks at beside the labels, by name
    if noise.needs_classifier:
        looks = asdict(reference(dataset, data, seed))
    elif noise.rate and noise.looks_at:
        looks = {"images": dataset.train_images[subset]}
    return draw_labels(
        noise,
        dataset.train_labels[subset],
        num_classes=dataset.num_classes,
        seed=seed,
        dataset=dataset.info,
        index=None if data.train_examples is None else subset,
        given=None if dataset.given is None else dataset.given[subset],
        **looks,
    )


def trial_data(
    dataset: Dataset, config: DataConfig, noisy_labels: NoisyLabels, seed: int
) -> TrialData:
    """Split a data set with its noisy labels into what the trial with ``seed`` reads.

    Args:
        dataset: the whole data set.
        config: subset and hold-out.
        noisy_labels: of the examples in ``subset_index(dataset, config, seed)``, in that order.
        seed: the trial's; the split is drawn from ``derive_seed(seed, "split")``.

    Raises:
        ValueError: the labels are not as many as the examples.
    """
    subset = subset_index(dataset, config, seed)
    if len(noisy_labels.labels) != len(subset):
        raise ValueError(f"{len(noisy_labels.labels)} labels given for {len(subset)} examples")
    true, given = dataset.train_labels[subset], noisy_labels.labels
    if dataset.val_start is None:
        train, val = split_holdout(true, config.holdout, derive_seed(seed, "split"))
    else:
        held_out = subset >= dataset.val_start
        train, val = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    # Without a test set the hold-out is evaluated twice, and every output says so.
    alone = dataset.tested_on == "holdout"
    return TrialData(
        info=dataset.info,
        images=dataset.train_images,
        train_index=subset[train],
        train_given=given[train],
        train_true=true[train],
        val_index=subset[val],
        val_given=given[val],
        val_true=true[val],
        test_images=dataset.train_images[subset[val]] if alone else dataset.test_images,
        test_labels=given[val] if alone else dataset.test_labels,
        transition=noisy_labels.transition,
        truth_known=dataset.truth_known,
    )
