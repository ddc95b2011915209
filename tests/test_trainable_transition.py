from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainable.config import TrialConfig
from trainable.data import DataConfig, TrialData, load_dataset
from trainable.losses import Loss
from trainable.noise import make_noise
from trainable.trial import transition, trial_loss
from trainable.trial.prepare import prepare
from trainable.trial.transition import estimate_transition, resolve_transition
from trainable.trial.trial_loss import build_trainer

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_estimated_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transition, "_estimates", {})


@pytest.fixture(scope="module")
def data() -> TrialData:
    noise = make_noise("symmetric", rate=0.4)
    return prepare(load_dataset("digits"), DataConfig("digits"), noise, seed=1)[0]


def forward_config(max_epochs: int = 2, **parameters: Any) -> TrialConfig:
    return TrialConfig.build(
        data=DataConfig("digits"),
        noise=make_noise("symmetric", rate=0.4),
        loss="forward",
        network="tiny_cnn",
        max_epochs=max_epochs,
        seed=1,
        parameters=parameters,
    )


class ScriptedTrainer:
    """A trainer whose epochs end with given validation losses and say which epoch predicts."""

    val_losses: tuple[float, ...] = (2.0, 1.0, 3.0)
    made: list[TrialConfig]
    devices: list[torch.device]

    def __init__(
        self, config: TrialConfig, data: TrialData, loss: Loss, device: torch.device
    ) -> None:
        self.made.append(config)
        self.devices.append(device)
        self.network = torch.nn.BatchNorm1d(1)  # counts the epochs in a buffer
        self.classes = data.num_classes

    def run_epoch(self) -> SimpleNamespace:
        assert self.network.num_batches_tracked is not None
        epoch = self.network.num_batches_tracked.add_(1).item()
        return SimpleNamespace(val_loss=self.val_losses[int(epoch) - 1])

    def predict(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], None]:
        assert self.network.num_batches_tracked is not None
        diagonal = 0.1 * self.network.num_batches_tracked.item()
        p = np.full((self.classes, self.classes), (1 - diagonal) / (self.classes - 1))
        np.fill_diagonal(p, diagonal)
        return np.tile(p, (100, 1)).astype(np.float32), None


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedTrainer]:
    trainer = type("Scripted", (ScriptedTrainer,), {"made": [], "devices": []})
    monkeypatch.setattr(transition, "Trainer", trainer)
    return trainer


def test_estimate_takes_the_most_confident_example_below_the_outliers() -> None:
    # 100 examples of two classes: p_0 = 0.00, 0.01, … 0.99. The 97th percentile is 0.97 for
    # class 0 and 0.98 (example 2) for class 1, so that examples 96 and 3 remain.
    p = np.stack([np.arange(100) / 100, 1 - np.arange(100) / 100], axis=1)
    np.testing.assert_allclose(estimate_transition(p, 2), [[0.96, 0.04], [0.03, 0.97]])


def test_estimate_of_many_classes_takes_the_most_confident_example() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(100, 0.1), size=400)
    expected = p[p.argmax(axis=0)]
    np.testing.assert_allclose(estimate_transition(p, 100), expected)


def test_estimate_recovers_the_matrix_from_exact_predictions() -> None:
    T = np.array([[0.7, 0.2, 0.1], [0.0, 0.9, 0.1], [0.3, 0.1, 0.6]])
    rng = np.random.default_rng(0)
    true = np.eye(3)[rng.integers(0, 3, 3000)]
    true[:30] = rng.dirichlet(np.ones(3), size=30)  # some images are ambiguous
    np.testing.assert_allclose(estimate_transition(true @ T, 3), T)


def test_estimate_leaves_the_predictions_alone_and_normalises_rows() -> None:
    p = np.random.default_rng(0).random((50, 4)).astype(np.float32)
    before = p.copy()
    rows = estimate_transition(p, 4)
    assert np.array_equal(p, before)
    np.testing.assert_allclose(rows.sum(axis=1), np.ones(4))


def test_estimate_of_a_handful_of_examples_is_still_a_matrix() -> None:
    np.testing.assert_allclose(
        estimate_transition(np.array([[0.25, 0.75]]), 2), [[0.25, 0.75]] * 2
    )


def test_true_transition_is_the_realised_one(data: TrialData) -> None:
    matrix = resolve_transition(forward_config(transition="true"), data, CPU)
    np.testing.assert_allclose(matrix, data.transition, rtol=1e-6)


def test_estimated_transition_reads_the_epoch_of_lowest_validation_loss(
    scripted: type[ScriptedTrainer], data: TrialData
) -> None:
    matrix = resolve_transition(forward_config(max_epochs=3), data, CPU)
    np.testing.assert_allclose(matrix.diag(), np.full(10, 0.2), rtol=1e-6)


def test_estimated_transition_is_made_once_for_all_trials_on_the_same_labels(
    scripted: type[ScriptedTrainer], data: TrialData
) -> None:
    first = resolve_transition(forward_config(max_epochs=3, lr=0.1), data, CPU)
    second = resolve_transition(forward_config(max_epochs=3, weight_decay=0.0), data, CPU)
    assert torch.equal(first, second)
    assert [config.loss for config in scripted.made] == ["ce"]
    other = replace(data, train_given=data.train_given[::-1].copy())
    resolve_transition(forward_config(max_epochs=3), other, CPU)
    assert len(scripted.made) == 2


def test_estimated_transition_is_made_on_the_device_of_the_trial(
    scripted: type[ScriptedTrainer], data: TrialData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is a GPU that the trial was not given."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    trained_on = build_trainer(forward_config(max_epochs=3), data, "cpu")
    trained_on.run_epoch()
    assert scripted.devices == [CPU]
    resolve_transition(forward_config(max_epochs=3), data, torch.device("meta"))
    assert scripted.devices == [CPU, torch.device("meta")]


def test_images_per_second_leaves_the_estimate_out(
    data: TrialData, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    clock = SimpleNamespace(perf_counter=lambda: now)

    def estimate(*arguments: Any) -> torch.Tensor:
        nonlocal now
        now += 1000
        return torch.eye(10)

    def steps(*arguments: Any) -> Any:
        nonlocal now
        now += 10
        return train(*arguments)

    monkeypatch.setattr("trainable.trial.trainer.time", clock)
    monkeypatch.setattr(trial_loss, "resolve_transition", estimate)
    trial = build_trainer(forward_config(), data, "cpu")
    train = trial._train
    monkeypatch.setattr(trial, "_train", steps)
    metrics = trial.run_epoch()
    assert metrics.images_per_second == len(data.train_index) / 10
    assert metrics.epoch_seconds == 1010


def test_estimated_transition_of_a_diverged_training_is_refused(
    scripted: type[ScriptedTrainer], data: TrialData
) -> None:
    scripted.val_losses = (float("nan"), float("nan"))
    with pytest.raises(ValueError, match="diverged"):
        resolve_transition(forward_config(max_epochs=2), data, CPU)


def test_estimated_transition_of_digits_resembles_the_true_one(data: TrialData) -> None:
    matrix = resolve_transition(forward_config(max_epochs=6), data, CPU).numpy()
    np.testing.assert_allclose(matrix.sum(axis=1), np.ones(10), rtol=1e-5)
    assert np.array_equal(matrix.argmax(axis=1), np.arange(10))
    assert np.abs(matrix.diagonal() - data.transition.diagonal()).max() < 0.35


def test_forward_trial_continues_from_a_checkpoint_without_estimating_again(
    scripted: type[ScriptedTrainer], data: TrialData
) -> None:
    config = forward_config(max_epochs=3)
    whole, first, second = (build_trainer(config, data, "cpu") for _ in range(3))
    expected = [whole.run_epoch().train_loss for _ in range(2)]
    assert first.run_epoch().train_loss == expected[0]
    transition._estimates.clear()
    second.load_state_dict(first.state_dict())
    assert second.run_epoch().train_loss == expected[1]
    assert len(scripted.made) == 1
