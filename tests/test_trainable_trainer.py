import dataclasses
import io
import itertools
import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.catalog import LOSSES, NETWORKS, SCHEDULES, TARGETS
from trainable.config import TrialConfig
from trainable.data import DATASETS, DataConfig, TrialData, load_dataset
from trainable.folder.layout import CONFUSION
from trainable.metrics import METRIC_COLUMNS, EpochMetrics
from trainable.network.averaging import WeightAverage
from trainable.network.device import autocast_dtype, choose_device, upload
from trainable.network.evaluate import memorization
from trainable.noise import make_noise
from trainable.trial.final_targets import targets_table
from trainable.trial.prepare import prepare
from trainable.trial.trainer import Batch, Trainer, number_of_steps
from trainable.trial.trial_loss import build_trainer

DATA = DataConfig("digits", train_examples=120)
NOISE = make_noise("symmetric", 0.4)
REFINED = [name for name in TARGETS if name != "ema"]
TIMINGS = ("epoch_seconds", "images_per_second", "peak_memory_mb")


@lru_cache
def tiny_data(seed: int = 0) -> TrialData:
    """108 training images, 12 held out, 60 to test on."""
    dataset = load_dataset("digits")
    data, _ = prepare(dataset, DATA, NOISE, seed)
    return dataclasses.replace(
        data, test_images=dataset.test_images[:60], test_labels=dataset.test_labels[:60]
    )


def trial(loss: str = "ce", *, seed: int = 0, max_epochs: int = 3, **options: Any) -> TrialConfig:
    keys = ("network", "precision", "compile")
    chosen = {key: options.pop(key) for key in keys if key in options}
    options.setdefault("batch_size", 40)
    if loss == "forward":
        options.setdefault("transition", "true")
    return TrialConfig.build(
        data=DATA,
        noise=NOISE,
        loss=loss,
        network=chosen.pop("network", "tiny_cnn"),
        max_epochs=max_epochs,
        seed=seed,
        parameters=options,
        **chosen,
    )


def trainer(loss: str = "ce", **options: Any) -> Trainer:
    return build_trainer(trial(loss, **options), tiny_data(), "cpu")


def measured(metrics: EpochMetrics) -> list[float]:
    """Every column but the clock's and the memory's; NaN as a number that equals itself."""
    values = dataclasses.asdict(metrics)
    return [-99.0 if math.isnan(v) else v for k, v in values.items() if k not in TIMINGS]


def saved(trained: Trainer) -> bytes:
    buffer = io.BytesIO()
    torch.save(trained.state_dict(), buffer)
    return buffer.getvalue()


def restored(config: TrialConfig, state: bytes) -> Trainer:
    resumed = build_trainer(config, tiny_data(), "cpu")
    resumed.load_state_dict(torch.load(io.BytesIO(state), weights_only=True))
    return resumed


def leaves(state: Any) -> list[Any]:
    if isinstance(state, dict):
        return [leaf for value in state.values() for leaf in leaves(value)]
    if isinstance(state, list):
        return [leaf for value in state for leaf in leaves(value)]
    return [state.tolist() if isinstance(state, torch.Tensor) else state]


# Repeatable and resumable


def assert_resumes_exactly(config: TrialConfig) -> None:
    straight = build_trainer(config, tiny_data(), "cpu")
    states, curve = [], []
    for _ in range(config.max_epochs):
        curve.append(measured(straight.run_epoch()))
        states.append(saved(straight))
    for epoch, state in enumerate(states[:-1], 1):
        resumed = restored(config, state)
        assert resumed.epoch == epoch
        rest = [measured(resumed.run_epoch()) for _ in range(epoch, config.max_epochs)]
        assert rest == curve[epoch:]
        assert leaves(resumed.state_dict()) == leaves(straight.state_dict())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_resumed_trial_equals_an_uninterrupted_one_at_any_epoch(loss, schedule):
    special = {"multistep": {"milestones": (1, 2)}, "cosine_warm_restarts": {"t_0": 2}}
    special_loss = {"gce": {"truncate_from": 2}}
    options = {**special.get(schedule, {}), **special_loss.get(loss, {})}
    assert_resumes_exactly(trial(loss, lr_schedule=schedule, **options))


@pytest.mark.parametrize("target", REFINED)
def test_resumed_trial_equals_an_uninterrupted_one_with_every_target(target):
    assert_resumes_exactly(trial("adam_elr", target=target, averaging=0.9))


def test_resumed_trial_keeps_its_estimated_transition():
    assert_resumes_exactly(trial("forward", transition="estimated"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_seed_same_trial(precision):
    config = trial("adam_elr", averaging=0.9, precision=precision)
    torch.manual_seed(1)
    first = build_trainer(config, tiny_data(), "cpu")
    torch.manual_seed(2)
    second = build_trainer(config, tiny_data(), "cpu")
    for _ in range(2):
        assert measured(first.run_epoch()) == measured(second.run_epoch())
    assert saved(first) == saved(second)


def test_other_seed_other_trial():
    first, second = trainer(seed=0), trainer(seed=1)
    assert not torch.equal(first.network.head.weight, second.network.head.weight)
    assert measured(first.run_epoch()) != measured(second.run_epoch())


def test_trials_in_one_process_do_not_touch_each_other():
    alone = trainer("elr")
    curve = [measured(alone.run_epoch()) for _ in range(3)]
    first, other = trainer("elr"), trainer("adam_elr", seed=5)
    mixed = []
    for _ in range(3):
        mixed.append(measured(first.run_epoch()))
        other.run_epoch()
    assert mixed == curve


def test_trial_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    trainer("adam_elr").run_epoch()
    assert torch.equal(torch.get_rng_state(), before)


def test_every_epoch_has_an_order_of_its_own():
    seen = []
    watched = trainer()
    step = watched.step
    watched.step = lambda batch: seen.append(batch.places) or step(batch)
    watched.run_epoch()
    watched.run_epoch()
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert first.tolist() != second.tolist()
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(108))


# What is measured


def test_memorization_of_hand_made_predictions():
    given_ = torch.tensor([0, 0, 1, 1, 2, 2, 2, 0])
    true = torch.tensor([0, 0, 1, 0, 1, 1, 0, 2])  # the last five are wrong
    predictions = torch.tensor([0, 1, 1, 1, 1, 2, 1, 0])
    values = {k: v.item() for k, v in memorization(predictions, given_, true).items()}
    assert values == pytest.approx(
        {
            "train_accuracy": 5 / 8,
            "train_true_accuracy": 3 / 8,
            "clean_correct": 2 / 3,
            "wrong_correct": 1 / 5,
            "wrong_memorized": 3 / 5,
            "wrong_neither": 1 / 5,
        }
    )


def test_memorization_without_wrong_labels_is_undefined():
    labels = torch.tensor([0, 1])
    values = memorization(labels, labels, labels)
    assert values["clean_correct"] == 1
    assert all(values[k].isnan() for k in ("wrong_correct", "wrong_memorized", "wrong_neither"))


def test_first_epoch_of_an_indifferent_network():
    """A head of zeros that does not learn: every class equally likely, class 0 predicted."""
    still = trainer("elr", lam=2.0, beta=0.7)
    still.network.head.requires_grad_(False)
    torch.nn.init.zeros_(still.network.head.weight)
    torch.nn.init.zeros_(still.network.head.bias)
    data, metrics = tiny_data(), still.run_epoch()
    wrong = data.train_given != data.train_true
    # t = 0.3 p after one visit, so <p, t> = 0.3 sum p^2 = 0.03.
    assert metrics.train_loss == pytest.approx(math.log(10) + 2 * math.log(0.97), rel=1e-5)
    assert metrics.train_accuracy == pytest.approx(np.mean(data.train_given == 0))
    assert metrics.train_true_accuracy == pytest.approx(np.mean(data.train_true == 0))
    assert metrics.clean_correct == pytest.approx(np.mean(data.train_true[~wrong] == 0))
    assert metrics.wrong_correct == pytest.approx(np.mean(data.train_true[wrong] == 0))
    assert metrics.wrong_memorized == pytest.approx(np.mean(data.train_given[wrong] == 0))
    assert metrics.val_loss == pytest.approx(math.log(10), rel=1e-5)
    assert metrics.val_accuracy == pytest.approx(np.mean(data.val_given == 0))
    assert metrics.test_loss == pytest.approx(math.log(10), rel=1e-5)
    assert metrics.test_accuracy == pytest.approx(np.mean(data.test_labels == 0))
    assert metrics.clipped == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_epoch_metrics_are_shares_that_add_up(loss):
    trained = trainer(loss, averaging=0.9)
    metrics = [trained.run_epoch() for _ in range(3)][-1]
    parts = (metrics.wrong_correct, metrics.wrong_memorized, metrics.wrong_neither)
    assert sum(parts) == pytest.approx(1)
    shares = [c for c in METRIC_COLUMNS if "accuracy" in c or c.startswith(("clean_", "wrong_"))]
    undefined = [] if loss in ("elr", "adam_elr") else ["target_accuracy"]
    assert [c for c in shares if math.isnan(getattr(metrics, c))] == undefined
    assert all(0 <= getattr(metrics, c) <= 1 for c in shares if c not in undefined)


def test_epoch_metrics_tell_epoch_rate_and_cost():
    trained = trainer(lr=0.1, lr_schedule="multistep", milestones=(1,), gamma=0.5)
    first, second = trained.run_epoch(), trained.run_epoch()
    assert [(m.epoch, m.lr) for m in (first, second)] == [(1, 0.1), (2, 0.05)]
    assert trained.epoch == 2
    # Training is part of the epoch: 108 images in at most epoch_seconds.
    assert second.images_per_second >= 108 / second.epoch_seconds
    assert second.peak_memory_mb > 50


def test_target_accuracy_is_that_of_the_final_targets():
    trained = trainer("adam_elr")
    metrics = [trained.run_epoch() for _ in range(2)][-1]
    targets = trained.targets()
    assert targets.shape == (108, 10)
    right = targets.argmax(1) == tiny_data().train_true
    assert metrics.target_accuracy == pytest.approx(right.mean())


def test_targets_of_a_loss_without():
    assert trainer("ce").targets() is None


def test_training_fits_the_given_labels():
    learner = trainer("ce", max_epochs=40, lr=0.05, lr_schedule="cosine", batch_size=16)
    curve = [learner.run_epoch() for _ in range(40)]
    assert curve[-1].train_accuracy > 0.9
    assert curve[-1].wrong_memorized > 0.8


@pytest.mark.parametrize("loss", LOSSES)
def test_diverged_trial_shows_in_train_loss(loss):
    diverging = trainer(loss, lr=1e15, lr_schedule="constant", weight_decay=0.1)
    losses = [diverging.run_epoch().train_loss for _ in range(3)]
    assert not math.isfinite(losses[-1])


def test_run_epoch_past_the_budget_is_refused():
    finished = trainer(max_epochs=1)
    finished.run_epoch()
    with pytest.raises(ValueError, match=r"epoch = 2 is not a whole number in \[1, 1\]"):
        finished.run_epoch()
    assert finished.epoch == 1


# Prediction


def test_predict_is_softmax_of_the_head_on_features():
    trained = trainer()
    trained.run_epoch()
    before = saved(trained)
    probabilities, features = trained.predict(tiny_data().test_images)
    assert probabilities.dtype == features.dtype == np.float32
    assert probabilities.shape == (60, 10)
    assert features.shape == (60, trained.network.head.in_features)
    logits = trained.network.head(torch.from_numpy(features))
    np.testing.assert_allclose(probabilities, logits.softmax(1).detach().numpy(), rtol=1e-5)
    assert saved(trained) == before


def test_predict_agrees_with_the_metrics():
    trained = trainer()
    metrics = trained.run_epoch()
    data = tiny_data()
    test, _ = trained.predict(data.test_images)
    val, _ = trained.predict(data.images[data.val_index])
    assert metrics.test_accuracy == pytest.approx(np.mean(test.argmax(1) == data.test_labels))
    assert metrics.val_accuracy == pytest.approx(np.mean(val.argmax(1) == data.val_given))
    cross_entropy = -np.log(test[np.arange(60), data.test_labels])
    assert metrics.test_loss == pytest.approx(cross_entropy.mean(), rel=1e-4)


def test_confusion_counts_the_test_images_of_the_last_epoch_that_was_tested():
    trained = trainer()
    assert trained.test_confusion() is None
    trained.run_epoch(test=False)
    assert trained.test_confusion() is None
    metrics = trained.run_epoch()
    counts, data = trained.test_confusion(), tiny_data()
    assert counts.shape == (10, 10)
    np.testing.assert_array_equal(counts.sum(1), np.bincount(data.test_labels, minlength=10))
    assert counts.trace() / 60 == pytest.approx(metrics.test_accuracy)
    predicted = trained.predict(data.test_images)[0].argmax(1)
    np.testing.assert_array_equal(counts.sum(0), np.bincount(predicted, minlength=10))
    stored = targets_table(trained).schema.metadata[CONFUSION.encode()]
    assert json.loads(stored) == counts.tolist()


def test_predict_read_only_images():
    images = tiny_data().test_images.copy()
    images.flags.writeable = False
    probabilities, _ = trainer().predict(images)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


# Averaged weights


def test_weight_average_is_the_decayed_mean_of_all_steps():
    network = torch.nn.BatchNorm1d(2)
    average = WeightAverage(network, 0.8)
    steps = [[1.0, -1.0], [2.0, 5.0], [4.0, 0.0]]
    for step in steps:
        network.weight.data.copy_(torch.tensor(step))
        network.running_mean.copy_(10 * torch.tensor(step))
        average.update()
    decayed = np.array([0.8**2, 0.8, 1.0])
    expected = torch.tensor(decayed @ np.array(steps) / decayed.sum(), dtype=torch.float32)
    torch.testing.assert_close(average.network.weight.data, expected)
    torch.testing.assert_close(average.network.running_mean, 10 * expected)


def test_averaged_columns_after_one_step_are_the_raw_ones():
    once = trainer(averaging=0.99, batch_size=200)
    metrics = once.run_epoch()
    assert metrics.averaged_val_accuracy == metrics.val_accuracy
    assert metrics.averaged_test_accuracy == metrics.test_accuracy


def test_averaging_follows_the_steps_and_does_not_disturb_them():
    plain, averaged = trainer(averaging=0.0), trainer(averaging=0.7)
    decay, expected, total = 0.7, 0.0, 0.0
    step = averaged.step

    def watch(batch: Batch) -> Any:
        nonlocal expected, total
        outcome = step(batch)
        expected = decay * expected + averaged.network.head.weight.detach().clone()
        total = decay * total + 1
        return outcome

    averaged.step = watch
    for _ in range(2):
        raw, both = plain.run_epoch(), averaged.run_epoch()
        assert math.isnan(raw.averaged_val_accuracy)
        assert raw.val_accuracy == both.val_accuracy
    weight = averaged.state_dict()["average"]["network"]["head.weight"]
    torch.testing.assert_close(weight, expected / total)


# Batches


@given(examples=st.integers(2, 3000), batch_size=st.integers(2, 300))
def test_batches_hold_every_example_and_are_of_equal_size(examples, batch_size):
    steps = number_of_steps(examples, batch_size)
    sizes = {len(part) for part in torch.arange(examples).tensor_split(steps)}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2
    assert max(sizes) <= max(batch_size, 3)


@pytest.mark.parametrize("augment", [True, False])
def test_inputs_are_cropped_and_flipped_unless_the_config_says_no(augment):
    config = dataclasses.replace(trial(), data=dataclasses.replace(DATA, augment=augment))
    data = dataclasses.replace(tiny_data(), info=DATASETS["fashion_mnist"])
    built = build_trainer(config, data, "cpu")
    (batch,) = itertools.islice(built.batches(torch.arange(108), epoch=1), 1)
    plain = built._normalisation.apply(built._images[built._rows[batch.places]])
    assert torch.equal(batch.inputs, plain) is not augment


@pytest.mark.parametrize(
    ("examples", "batch_size", "expected"),
    [(45_000, 128, 352), (128, 128, 1), (129, 128, 2), (1, 8, 1), (5, 2, 2)],
)
def test_number_of_steps(examples, batch_size, expected):
    assert number_of_steps(examples, batch_size) == expected


# Devices and precision


@pytest.fixture
def without_values(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    """Makes a trainer on torch's meta device, whose tensors have no values to wait for.

    Reading one, or copying one to the CPU, raises. What draws weights, makes a transition matrix
    or autocasts, which that device cannot, is not in the batch loop or does nothing there.
    """
    monkeypatch.setattr("trainable.trial.trainer.initialise", lambda network, generator: None)
    monkeypatch.setattr("trainable.network.evaluate.autocast", lambda device, dtype: nullcontext())
    monkeypatch.setattr("trainable.trial.trainer.autocast", lambda device, dtype: nullcontext())
    monkeypatch.setattr("trainable.losses.modules.Forward.start_epoch", lambda loss, epoch: None)
    return lambda loss, **options: build_trainer(
        trial(loss, averaging=0.9, **options), tiny_data(), "meta"
    )


ON_META = torch.arange(108, device="meta")


@pytest.mark.parametrize(
    ("loss", "options"),
    [*((loss, {}) for loss in LOSSES), *(("adam_elr", {"target": name}) for name in REFINED)],
)
def test_batch_loop_never_waits_for_the_device(loss, options, without_values):
    built = without_values(loss, **options)
    built._start_epoch(1)
    logits = built._train(ON_META, epoch=1)
    assert logits.device.type == "meta"
    assert logits.shape == (108, 10)


def test_evaluation_never_waits_for_the_device(without_values):
    built = without_values("ce")
    columns = built._evaluate(test=True)
    assert len(columns) == 6  # loss, accuracy and that of the averaged weights, twice
    assert {column.device.type for column in columns.values()} == {"meta"}


WAITS = {
    "item": lambda losses: losses / losses.sum().item(),
    "cpu": lambda losses: losses / losses.sum().cpu(),
    "to": lambda losses: losses / losses.sum().to("cpu"),
    "tolist": lambda losses: losses / losses.tolist()[0],
    "if": lambda losses: losses if losses.isfinite().all() else -losses,
    "mask": lambda losses: losses[losses > 0],
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_batch_loop_that_waited_would_be_noticed(wait, without_values):
    built = without_values("ce")
    values = built.loss.forward
    built.loss.forward = lambda *arguments: wait(values(*arguments))
    with pytest.raises(RuntimeError, match=r"(?i)meta"):
        built._train(ON_META, epoch=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("loss", LOSSES)
def test_batch_loop_never_waits_for_a_gpu(loss):
    built = build_trainer(trial(loss, averaging=0.9), tiny_data(), "cuda")
    built.run_epoch()
    built._start_epoch(2)
    order = torch.arange(108, device="cuda")
    batches = list(built.batches(order, epoch=2))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            built.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_autocasts_the_network_and_not_the_loss():
    built = trainer("adam_elr", precision="bfloat16")
    kinds = []
    built.network.register_forward_hook(lambda module, inputs, logits: kinds.append(logits.dtype))
    metrics = built.run_epoch()
    assert set(kinds) == {torch.bfloat16}
    assert math.isfinite(metrics.train_loss)
    assert {p.dtype for p in built.network.parameters()} == {torch.float32}
    assert built.loss.targets().dtype == torch.float32


def test_autocast_dtype_auto_is_float32_on_a_cpu():
    cpu = torch.device("cpu")
    assert autocast_dtype("auto", cpu) is None
    assert autocast_dtype("float32", cpu) is None
    assert autocast_dtype("bfloat16", cpu) is torch.bfloat16


def test_choose_device_takes_what_is_there():
    assert choose_device(None).type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


def test_upload_shares_memory_with_the_cpu():
    array = np.arange(4)
    assert upload(array, torch.device("cpu")).data_ptr() == array.ctypes.data


def test_upload_copies_the_same_memory_to_another_device_once(monkeypatch):
    monkeypatch.setattr("trainable.network.device._uploaded", {})
    meta = torch.device("meta")
    array = np.arange(4)
    first = upload(array, meta)
    assert upload(array.view(), meta) is first
    assert upload(array.copy(), meta) is not first
    for _ in range(4):
        upload(array.copy(), meta)
    assert upload(array, meta) is not first


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains(name):
    metrics = trainer("adam_elr", network=name, batch_size=54).run_epoch()
    assert math.isfinite(metrics.train_loss)
    assert math.isfinite(metrics.test_loss)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Trains an epoch of a compiled trial; how many graphs the process has compiled so far."""
    # Without code generation, which plays no part in what is compiled again.
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: compile_(module, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    counters = torch._dynamo.utils.counters["stats"]

    def after(loss: str, **options: Any) -> int:
        trainer(loss, compile=True, **options).run_epoch()
        return counters["unique_graphs"]

    return after


OTHERS = {"lr": 0.5, "lam": 7.0, "beta1": 0.9, "weight_decay": 0.0, "seed": 3}


def test_next_trial_compiles_nothing(graphs):
    assert graphs("adam_elr") == 1
    assert graphs("adam_elr", **OTHERS) == 1
    # A second size of batch makes one more, for batches of any size.
    assert graphs("adam_elr", batch_size=30) == 2
    assert graphs("adam_elr", batch_size=20) == 2
    assert graphs("ce", lr_schedule="cosine") == 2


def test_next_trial_compiles_nothing_after_an_epoch_of_two_sizes_of_batch(graphs):
    assert {len(part) for part in torch.arange(108).tensor_split(number_of_steps(108, 25))} == {
        21,
        22,
    }
    assert graphs("adam_elr", batch_size=25) == 2
    assert graphs("adam_elr", batch_size=25, **OTHERS) == 2


@pytest.mark.slow
def test_compiled_trial_learns_what_an_eager_one_does():
    torch._dynamo.reset()
    compiled, eager = trainer("adam_elr", compile=True), trainer("adam_elr")
    for _ in range(2):
        expected, made = eager.run_epoch(), compiled.run_epoch()
    assert made.train_loss == pytest.approx(expected.train_loss, rel=1e-3)
