import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from trainable.catalog import SCHEDULES
from trainable.network.schedules import cycle_ends, learning_rate


def rates(name: str, epochs: int, lr: float = 0.1, **parameters: object) -> list[float]:
    complete = SCHEDULES[name].complete(name, parameters)
    return [
        learning_rate(name, complete, lr=lr, epoch=epoch, max_epochs=epochs)
        for epoch in range(1, epochs + 1)
    ]


def torch_rates(scheduler_class: type, epochs: int, lr: float = 0.1, **arguments) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = scheduler_class(optimiser, **arguments)
    rates = []
    for _ in range(epochs):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def test_constant_never_moves():
    assert rates("constant", 3) == [0.1, 0.1, 0.1]


def test_multistep_drops_after_each_milestone():
    assert rates("multistep", 6, milestones=(2, 4), gamma=0.5) == [
        0.1,
        0.1,
        0.05,
        0.05,
        0.025,
        0.025,
    ]


def test_cosine_is_at_half_height_half_way():
    assert rates("cosine", 4, lr=1.0, eta_min=0.2)[2] == pytest.approx(0.6)


def test_cosine_warm_restarts_starts_each_cycle_at_lr():
    curve = rates("cosine_warm_restarts", 70, t_0=10, t_mult=2)
    assert [epoch for epoch, lr in enumerate(curve, 1) if lr == 0.1] == [1, 11, 31]


def test_one_cycle_peaks_after_its_warm_up():
    curve = rates("one_cycle", 20, warm_up=0.5)
    assert curve.index(max(curve)) + 1 == 10
    assert curve[0] == pytest.approx(0.1 * 0.04)
    assert curve[-1] == pytest.approx(0.1 * 4e-6)


@pytest.mark.parametrize("epochs", [1, 2, 10])
def test_one_cycle_without_warm_up_starts_at_lr(epochs):
    curve = rates("one_cycle", epochs, warm_up=0.0)
    assert curve[0] == 0.1
    assert curve == sorted(curve, reverse=True)


def test_multistep_agrees_with_torch():
    expected = torch_rates(lr_scheduler.MultiStepLR, 120, milestones=[40, 80], gamma=0.01)
    assert rates("multistep", 120) == pytest.approx(expected)


def test_cosine_agrees_with_torch():
    expected = torch_rates(lr_scheduler.CosineAnnealingLR, 50, T_max=50, eta_min=0.01)
    assert rates("cosine", 50, eta_min=0.01) == pytest.approx(expected)


@pytest.mark.parametrize("t_mult", [1, 2, 3])
def test_cosine_warm_restarts_agrees_with_torch(t_mult):
    expected = torch_rates(
        lr_scheduler.CosineAnnealingWarmRestarts, 90, T_0=7, T_mult=t_mult, eta_min=0.001
    )
    assert rates("cosine_warm_restarts", 90, t_0=7, t_mult=t_mult) == pytest.approx(expected)


@pytest.mark.parametrize(("epochs", "warm_up"), [(40, 0.3), (40, 0.5), (5, 0.9), (20, 0.97)])
def test_one_cycle_agrees_with_torch(epochs, warm_up):
    expected = torch_rates(
        lr_scheduler.OneCycleLR, epochs, max_lr=0.1, total_steps=epochs, pct_start=warm_up
    )
    assert rates("one_cycle", epochs, warm_up=warm_up) == pytest.approx(expected)


@pytest.mark.parametrize("name", SCHEDULES)
@given(lr=st.floats(1e-5, 1.0), epochs=st.integers(1, 60))
def test_schedule_stays_between_0_and_lr(name, lr, epochs):
    assert all(0 < rate <= lr * (1 + 1e-12) for rate in rates(name, epochs, lr=lr))


def test_cosine_eta_min_above_lr_stays_at_lr():
    assert rates("cosine_warm_restarts", 5, lr=1e-4, eta_min=0.001) == pytest.approx([1e-4] * 5)


@pytest.mark.parametrize("epoch", [0, 6, -1])
def test_learning_rate_refuses_an_epoch_outside_the_trial(epoch):
    with pytest.raises(ValueError, match=rf"epoch = {epoch} is not a whole number in \[1, 5\]"):
        learning_rate("constant", {}, lr=0.1, epoch=epoch, max_epochs=5)


@pytest.mark.parametrize(
    ("t_0", "t_mult", "max_epochs", "expected"),
    [
        (10, 1, 35, (10, 20, 30)),
        (10, 1, 30, (10, 20, 30)),
        (10, 2, 100, (10, 30, 70)),
        (10, 1, 9, ()),
        (1, 1, 3, (1, 2, 3)),
    ],
)
def test_cycle_ends_are_the_last_epochs_of_cycles(t_0, t_mult, max_epochs, expected):
    parameters = {"t_0": t_0, "t_mult": t_mult, "eta_min": 0.001}
    assert cycle_ends("cosine_warm_restarts", parameters, max_epochs) == expected


@given(t_0=st.integers(1, 12), t_mult=st.integers(1, 3))
def test_cycle_ends_come_right_before_the_restarts(t_0, t_mult):
    parameters = {"t_0": t_0, "t_mult": t_mult, "eta_min": 0.001}
    curve = rates("cosine_warm_restarts", 60, **parameters)
    restarts = [epoch for epoch in range(2, 61) if curve[epoch - 1] == 0.1]
    ends = cycle_ends("cosine_warm_restarts", parameters, 59)
    assert [end + 1 for end in ends] == restarts


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "cosine_warm_restarts"])
def test_cycle_ends_other_schedules_have_none(name):
    parameters = SCHEDULES[name].complete(name, {})
    assert cycle_ends(name, parameters, 100) == ()


def test_schedule_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        learning_rate("cosin", {}, lr=0.1, epoch=1, max_epochs=10)
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        cycle_ends("cosin", {}, 10)


def test_schedules_need_no_torch():
    code = "import sys, trainable.network.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
