"""When the test set is evaluated: where somebody looks, and as seldom as costs nothing between."""

import math
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

from trainable.config import TrialConfig
from trainable.data import DataConfig, load_dataset
from trainable.noise import make_noise
from trainable.trial.prepare import prepare
from trainable.trial.tested import affordable_interval, epochs_with_test
from trainable.trial.trial_loss import build_trainer


def sizes(train: int, held_out: int, test: int) -> SimpleNamespace:
    """As much of a trial's data as its evaluation costs."""
    labels = [np.zeros(count, np.int64) for count in (train, held_out, test)]
    return SimpleNamespace(train_index=labels[0], val_index=labels[1], test_labels=labels[2])


CIFAR = sizes(45_000, 5_000, 10_000)


def config(max_epochs: int, **parameters) -> TrialConfig:
    return TrialConfig.build(
        data=DataConfig("digits"),
        noise=make_noise("symmetric", 0.4),
        loss="elr",
        network="tiny_cnn",
        max_epochs=max_epochs,
        seed=0,
        parameters={"lr_schedule": "cosine", "averaging": 0.9, **parameters},
    )


@pytest.mark.parametrize(
    ("data", "interval"),
    [
        (CIFAR, 4),  # 10,000 of 3 x 45,000 + 5,000 evaluations are 7.1%
        (sizes(4_050, 450, 10_000), 40),
        (sizes(45_000, 5_000, 1), 1),
    ],
)
def test_affordable_interval_keeps_the_test_set_under_two_percent(data, interval):
    assert affordable_interval(data) == interval


def test_epochs_with_test_are_the_regular_ones_the_rungs_and_the_last_ten():
    tested = epochs_with_test(config(150), CIFAR, (10, 30, 90), None)
    assert tested == {*range(4, 151, 4), 10, 30, 90, *range(141, 151)}


def test_epochs_with_test_of_a_short_budget_are_the_last_tenth_of_it():
    assert epochs_with_test(config(25), CIFAR, (), every=100) == {23, 24, 25}
    assert epochs_with_test(config(9), CIFAR, (3,), every=100) == {3, 9}
    assert epochs_with_test(config(1), CIFAR, (), every=100) == {1}


def test_epochs_with_test_hold_the_ends_of_warm_restarts():
    restarts = config(40, lr_schedule="cosine_warm_restarts", t_0=5, t_mult=2)
    assert epochs_with_test(restarts, CIFAR, (), every=100) == {5, 15, 35, 37, 38, 39, 40}


def test_epochs_with_test_are_all_where_every_one_is_asked_for():
    assert epochs_with_test(config(30), CIFAR, (), every=1) == {*range(1, 31)}


def test_epoch_without_the_test_set_is_the_same_epoch():
    data = prepare(load_dataset("digits"), DataConfig("digits"), make_noise("none"), 0)[0]
    data = replace(data, train_index=data.train_index[:96], train_given=data.train_given[:96])
    data = replace(data, train_true=data.train_true[:96])
    dense, thin = (build_trainer(config(3), data, "cpu") for _ in range(2))
    for test in (False, True, False):
        full, part = dense.run_epoch(), thin.run_epoch(test=test)
        for name, value in asdict(part).items():
            if name in ("epoch_seconds", "images_per_second", "peak_memory_mb"):
                continue
            if "test" in name and not test:
                assert math.isnan(value), name
            else:
                assert value == pytest.approx(getattr(full, name), abs=0, nan_ok=True), name
