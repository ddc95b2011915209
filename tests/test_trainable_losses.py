import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from trainable.catalog import Parameter, Value
from trainable.losses import LOSSES, Loss, build_loss
from trainable.losses.functions import FLOOR
from trainable.targets import TARGETS

N, B, C = 12, 6, 5
LABELS = torch.tensor([0, 1, 2, 3, 4, 2])
INDEX = torch.tensor([3, 0, 11, 7, 5, 8])
GIVEN_TRUE = torch.tensor(
    [
        [0.7, 0.3, 0.0, 0.0, 0.0],
        [0.1, 0.6, 0.1, 0.1, 0.1],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.2, 0.2, 0.2, 0.2, 0.2],
        [0.0, 0.25, 0.0, 0.25, 0.5],
    ]
)
EARLY_LEARNING = ("elr", "adam_elr")


def built(name: str, **hyperparameters: Any) -> Loss:
    if name == "forward":
        hyperparameters.setdefault("transition", GIVEN_TRUE)
    return build_loss(name, num_examples=N, num_classes=C, **hyperparameters)


def random_logits(seed: int = 0, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(B, C, generator=generator, dtype=torch.float64)


def gradient(loss: Loss, logits: Tensor, labels: Tensor = LABELS) -> Tensor:
    leaf = logits.detach().clone().requires_grad_()
    loss(leaf, labels, INDEX).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def cross_entropy(logits: Tensor, labels: Tensor = LABELS) -> Tensor:
    return -logits.log_softmax(1)[torch.arange(B), labels]


# Gradients with respect to the logits, in closed form.


def closed_form(name: str, p: Tensor, y: Tensor, given: dict[str, float]) -> Tensor:
    p_y = (p * y).sum(1, keepdim=True)
    if name == "bootstrap_soft":
        entropy = -(p * p.log()).sum(1, keepdim=True)
        return given["beta"] * (p - y) - (1 - given["beta"]) * p * (p.log() + entropy)
    if name == "bootstrap_hard":
        likeliest = torch.eye(C, dtype=p.dtype)[p.argmax(1)]
        return p - given["beta"] * y - (1 - given["beta"]) * likeliest
    if name == "forward":
        to_label = GIVEN_TRUE.double().T[LABELS]
        return p - p * to_label / (p * to_label).sum(1, keepdim=True)
    if name == "gce":
        return p_y ** given["q"] * (p - y)
    if name == "sce":
        return (given["alpha"] - given["beta"] * given["A"] * p_y) * (p - y)
    return p - y


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("ce", {}),
        ("bootstrap_soft", {"beta": 0.25}),
        ("bootstrap_hard", {"beta": 0.25}),
        ("forward", {}),
        ("gce", {"q": 0.75}),
        ("gce", {"q": 1.0}),
        ("sce", {"alpha": 0.5, "beta": 2.0, "A": -4.0}),
    ],
)
def test_loss_gradient_is_the_closed_form(name: str, given: dict[str, float]) -> None:
    logits = random_logits()
    y = torch.eye(C, dtype=torch.float64)[LABELS]
    expected = closed_form(name, logits.softmax(1), y, given)
    assert torch.allclose(gradient(built(name, **given).double(), logits), expected, atol=1e-12)


def every_loss() -> list[Any]:
    """Name and target of every loss, with each target where it takes one."""
    refined = [("adam_elr", {"target": target}) for target in TARGETS if target != "ema"]
    return [(name, {}) for name in LOSSES] + refined


@pytest.mark.parametrize(("name", "given"), every_loss())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_backward_is_a_visit_that_gives_the_mean_loss_its_gradient(
    name: str, given: dict[str, Any], dtype: torch.dtype
) -> None:
    called, gone_back = built(name, **given), built(name, **given)
    if dtype == torch.float64:
        called, gone_back = called.double(), gone_back.double()
    for seed in range(4):
        logits = random_logits(seed).to(dtype)
        logits[0] *= 20  # agrees so well with its target that the regulariser is clipped
        leaf = logits.clone().requires_grad_()
        gone_back.backward(leaf, LABELS, INDEX)
        assert leaf.grad is not None
        expected = (gradient(called, logits) / B).to(leaf.grad.dtype)
        within = torch.finfo(dtype).eps
        assert torch.allclose(leaf.grad, expected, rtol=8 * within, atol=8 * within)
        states = zip(called.buffers(), gone_back.buffers(), strict=True)
        assert all(torch.equal(one, other) for one, other in states)


@pytest.mark.parametrize(("name", "given"), every_loss())
def test_last_visits_are_what_the_calls_came_to(name: str, given: dict[str, Any]) -> None:
    loss = built(name, **given)
    loss.start_epoch(1)
    logits = torch.randn(N, C, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(N) % C
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        values = torch.empty(N)
        for index in order.split(5):
            values[index] = loss(logits[index], labels[index], index)
    before = {name: state.clone() for name, state in loss.state_dict().items()}
    visits = loss.last_visits(logits.log_softmax(1), labels)
    assert torch.allclose(visits.losses, values, rtol=1e-5)
    assert all(torch.equal(state, before[name]) for name, state in loss.state_dict().items())
    targets = loss.targets()
    assert (visits.targets is None) == (targets is None)
    if targets is not None:
        assert torch.equal(visits.targets, targets)


@pytest.mark.parametrize("target", TARGETS)
def test_early_learning_gradient_is_the_closed_form(target: str) -> None:
    named = {} if target == "ema" else {"target": target}
    loss = built("elr" if target == "ema" else "adam_elr", lam=2.5, **named).double()
    for seed in range(4):
        logits = random_logits(seed)
        actual = gradient(loss, logits)
        targets = loss.targets()
        assert targets is not None
        t, p = targets[INDEX], logits.softmax(1)
        S = (p * t).sum(1, keepdim=True)
        g = p * (S - t) / (1 - S)
        assert torch.allclose(g.sum(1), torch.zeros(B, dtype=torch.float64), atol=1e-12)
        y = torch.eye(C, dtype=torch.float64)[LABELS]
        assert torch.allclose(actual, p - y + 2.5 * g, atol=1e-12)


# Values and limits.


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        # p = (.5, .2, .1, .1, .1), label 1
        ("ce", {}, -math.log(0.2)),
        (
            "bootstrap_soft",
            {"beta": 0.5},
            -0.5 * math.log(0.2)
            - 0.5 * (0.5 * math.log(0.5) + 0.2 * math.log(0.2) + 0.3 * math.log(0.1)),
        ),
        ("bootstrap_hard", {"beta": 0.25}, -0.25 * math.log(0.2) - 0.75 * math.log(0.5)),
        # p^T T = .5 * .3 + .2 * .6 + .1 * 0 + .1 * .2 + .1 * .25
        ("forward", {}, -math.log(0.315)),
        ("gce", {"q": 0.5}, (1 - 0.2**0.5) / 0.5),
        ("sce", {"alpha": 0.1, "beta": 2.0, "A": -4.0}, -0.1 * math.log(0.2) + 2 * 4 * 0.8),
        # t = .3 p at the first visit, <p, t> = .3 * .32
        ("elr", {"beta": 0.7, "lam": 3.0}, -math.log(0.2) + 3 * math.log(1 - 0.096)),
        ("adam_elr", {"beta1": 0.7, "lam": 3.0}, -math.log(0.2) + 3 * math.log(1 - 0.096)),
    ],
)
def test_loss_value_is_the_hand_computed_one(
    name: str, given: dict[str, float], expected: float
) -> None:
    logits = torch.tensor([[0.5, 0.2, 0.1, 0.1, 0.1]]).log() + 3.0
    value = built(name, **given)(logits, torch.tensor([1]), torch.tensor([4]))
    assert value.tolist() == pytest.approx([expected], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("bootstrap_soft", {"beta": 1.0}),
        ("bootstrap_hard", {"beta": 1.0}),
        ("forward", {"transition": np.eye(C)}),
        ("gce", {"q": 0.0}),
        ("sce", {"alpha": 1.0, "beta": 0.0}),
        ("elr", {"lam": 0.0}),
        ("adam_elr", {"lam": 0.0}),
    ],
)
def test_loss_in_its_limit_is_cross_entropy(name: str, given: dict[str, Any]) -> None:
    logits = random_logits()
    loss = built(name, **given).double()
    assert torch.allclose(loss(logits, LABELS, INDEX), cross_entropy(logits), rtol=1e-5)
    assert torch.allclose(gradient(loss, logits), gradient(built("ce"), logits), atol=1e-5)


def test_gce_with_q_one_is_the_missing_probability() -> None:
    logits = random_logits()
    expected = 1 - logits.softmax(1)[torch.arange(B), LABELS]
    assert torch.allclose(built("gce", q=1.0).double()(logits, LABELS, INDEX), expected)


def test_sce_without_ce_is_the_mean_absolute_error() -> None:
    logits = random_logits()
    y = torch.eye(C, dtype=torch.float64)[LABELS]
    expected = 1.5 * (logits.softmax(1) - y).abs().sum(1)
    loss = built("sce", alpha=0.0, beta=1.5, A=-2.0).double()
    assert torch.allclose(loss(logits, LABELS, INDEX), expected)


def test_forward_with_uniform_noise_learns_nothing() -> None:
    logits = random_logits()
    loss = built("forward", transition=torch.full((C, C), 1 / C)).double()
    value = loss(logits, LABELS, INDEX)
    assert torch.allclose(value, torch.full_like(value, math.log(C)))
    assert gradient(loss, logits).abs().max() < 1e-12


def test_forward_of_an_impossible_label_is_large_and_finite() -> None:
    logits = torch.zeros(B, C)
    logits[:, 2] = 300.0  # true class 2 is never given another label
    loss = built("forward")
    value = loss(logits, LABELS, INDEX)
    assert value.isfinite().all()
    assert (value[LABELS != 2] > 50).all()
    assert gradient(loss, logits).isfinite().all()


def test_gce_is_truncated_from_its_epoch_on_and_not_before() -> None:
    logits = random_logits()
    doubtful = logits.softmax(1)[torch.arange(B), LABELS] <= 0.4
    assert 0 < doubtful.sum() < B
    loss = built("gce", q=0.7, k=0.4, truncate_from=3).double()
    full = gradient(built("gce", q=0.7).double(), logits)
    for epoch, truncated in [(1, False), (2, False), (3, True), (4, True), (1, False)]:
        loss.start_epoch(epoch)
        actual = gradient(loss, logits)
        assert torch.equal(actual[~doubtful], full[~doubtful])
        assert (actual[doubtful].abs().max().item() == 0) is truncated
    loss.start_epoch(3)
    values = loss(logits, LABELS, INDEX)[doubtful]
    assert torch.allclose(values, torch.full_like(values, (1 - 0.4**0.7) / 0.7), rtol=1e-6)


def test_gce_with_k_zero_truncates_nothing() -> None:
    loss = built("gce", k=0.0, truncate_from=1)
    loss.start_epoch(1)
    logits = random_logits(scale=30.0)
    assert torch.equal(gradient(loss, logits), gradient(built("gce"), logits))


def test_early_learning_with_a_uniform_target_is_cross_entropy_s_gradient() -> None:
    loss = built("elr", lam=5.0).double()
    loss.target.state.fill_(0.15)
    loss.target.step = 0.0
    logits = random_logits()
    assert torch.allclose(gradient(loss, logits), gradient(built("ce"), logits), atol=1e-12)


def test_early_learning_with_a_one_hot_target_pulls_towards_it() -> None:
    loss = built("elr", lam=1.0).double()
    loss.target.state[:, 2] = 1.0
    loss.target.step = 0.0
    logits = random_logits()
    p = logits.softmax(1)
    expected = p * p[:, 2:3] / (1 - p[:, 2:3])
    expected[:, 2] = -p[:, 2]
    g = gradient(loss, logits) - gradient(built("ce"), logits)
    assert torch.allclose(g, expected, atol=1e-12)


def test_elr_follows_the_reference_recursion() -> None:
    beta, lam = 0.7, 3.0
    loss = built("elr", beta=beta, lam=lam)
    t = np.zeros((N, C))
    rng = np.random.default_rng(0)
    for _ in range(20):
        index = rng.permutation(N)[:B]
        logits = 2 * rng.standard_normal((B, C))
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        bounded = np.clip(p, 1e-4, 1 - 1e-4)
        bounded /= bounded.sum(1, keepdims=True)
        t[index] = beta * t[index] + (1 - beta) * bounded
        expected = -np.log(p[range(B), LABELS]) + lam * np.log(1 - (p * t[index]).sum(1))
        actual = loss(torch.tensor(logits, dtype=torch.float32), LABELS, torch.tensor(index))
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    current = loss.targets()
    assert current is not None
    np.testing.assert_allclose(current, t, atol=1e-6)


# What every loss promises.


@pytest.mark.parametrize("name", LOSSES)
def test_loss_with_references_gives_a_finite_value_and_gradient_per_example(name: str) -> None:
    loss = built(name)
    loss.start_epoch(1)
    for scale in (0.0, 1.0, 1000.0):
        logits = random_logits(scale=scale).float().requires_grad_()
        values = loss(logits, LABELS, INDEX)
        assert values.shape == (B,)
        values.sum().backward()
        assert values.isfinite().all()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_loss_permutes_with_the_classes(name: str) -> None:
    order = torch.tensor([3, 0, 4, 1, 2])
    given = {"transition": GIVEN_TRUE[order][:, order]} if name == "forward" else {}
    plain, permuted = built(name), built(name, **given)
    for seed in range(4):
        logits = random_logits(seed)
        actual = permuted(logits[:, order], order.argsort()[LABELS], INDEX)
        assert torch.allclose(actual, plain(logits, LABELS, INDEX), rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_an_example_does_not_depend_on_its_batch(name: str) -> None:
    whole, single = built(name), built(name)
    logits = random_logits()
    values = whole(logits, LABELS, INDEX)
    for i in range(B):
        one = single(logits[i : i + 1], LABELS[i : i + 1], INDEX[i : i + 1])
        assert torch.allclose(one, values[i : i + 1])


@pytest.mark.parametrize("name", LOSSES)
def test_loss_tells_its_targets(name: str) -> None:
    loss = built(name)
    loss(random_logits(), LABELS, INDEX)
    if name not in EARLY_LEARNING:
        assert loss.targets() is None
        return
    current = loss.targets()
    assert current is not None
    assert current.shape == (N, C)
    assert (current[INDEX].sum(1) > 0).all()
    assert current.abs().sum(1).count_nonzero() == B


@pytest.mark.parametrize("name", LOSSES)
def test_loss_continues_identically_from_its_state_dict(name: str) -> None:
    first, second = built(name), built(name)
    for seed in range(3):
        first(random_logits(seed), LABELS, INDEX)
    second.load_state_dict(first.state_dict())
    logits = random_logits(9)
    assert torch.equal(first(logits, LABELS, INDEX), second(logits, LABELS, INDEX))


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_computed_in_float32_under_autocast(name: str) -> None:
    logits = random_logits().bfloat16()
    plain, cast = built(name), built(name)
    for _ in range(3):
        expected = plain(logits.float(), LABELS, INDEX)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            actual = cast(logits, LABELS, INDEX)
        assert actual.dtype == torch.float32
        assert torch.equal(actual, expected)
    assert all(buffer.dtype == torch.float32 for buffer in cast.buffers())


@pytest.mark.parametrize("name", LOSSES)
def test_loss_never_waits_for_the_device(name: str) -> None:
    loss = built(name)
    with FakeTensorMode() as fake:
        loss._apply(fake.from_tensor)
        loss.start_epoch(1)
        logits = torch.randn(B, C, requires_grad=True)
        values = loss(logits, torch.zeros(B, dtype=torch.int64), torch.arange(B))
        values.mean().backward()
        loss.backward(logits, torch.zeros(B, dtype=torch.int64), torch.arange(B))
        loss.last_visits(torch.randn(N, C).log_softmax(1), torch.zeros(N, dtype=torch.int64))
        loss.targets()
        with pytest.raises(DataDependentOutputException):
            values.mean().item()
        with pytest.raises(DynamicOutputShapeException):
            values[values > 0].sum()


def test_early_learning_clips_and_marks_what_agrees_with_its_target_entirely() -> None:
    loss = built("adam_elr", target="adam_scalar", beta1=0.0, lam=2.0)
    logits = torch.zeros(B, C)
    logits[0, 1] = 40.0
    for _ in range(2):
        values = loss(logits, LABELS, INDEX)
    log_p = torch.zeros(N, C)
    log_p[INDEX] = logits.log_softmax(1)
    clipped = loss.last_visits(log_p, torch.zeros(N, dtype=torch.int64)).clipped
    assert clipped is not None
    assert clipped.nonzero().flatten().tolist() == [INDEX[0]]
    assert values[0].item() == pytest.approx(40 + 2 * math.log(FLOOR), rel=1e-5)
    y = torch.eye(C)[LABELS]
    assert torch.allclose(gradient(loss, logits)[0], (logits.softmax(1) - y)[0])


# What goes in.


def edges(parameter: Parameter) -> list[tuple[Value, bool]]:
    """Values at and just past a parameter's limits, and whether the catalogue allows them."""
    if parameter.options is not None:
        return [("no such thing", False)]
    step = 1 if parameter.kind is int else 0.001
    values: list[tuple[Value, bool]] = [(math.nan, False), (math.inf, False), ("a", False)]
    if parameter.low is not None:
        values += [(parameter.low, not parameter.open_low), (parameter.low - step, False)]
    if parameter.high is not None:
        values += [(parameter.high, not parameter.open_high), (parameter.high + step, False)]
    return values


@pytest.mark.parametrize(
    ("name", "parameter", "value", "allowed"),
    [
        (name, parameter, value, allowed)
        for name, entry in LOSSES.items()
        for parameter, spec in entry.parameters.items()
        for value, allowed in edges(spec)
    ],
)
def test_loss_accepts_what_the_catalogue_allows_and_stays_finite(
    name: str, parameter: str, value: Value, allowed: bool
) -> None:
    if not allowed:
        with pytest.raises(ValueError, match=str(value).replace("(", r"\(")):
            built(name, **{parameter: value})
        return
    loss = built(name, **{parameter: value})
    loss.start_epoch(1)
    for _ in range(3):
        assert loss(random_logits(), LABELS, INDEX).isfinite().all()


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "ema"])
def test_adam_elr_takes_the_parameters_of_its_target(target: str) -> None:
    built("adam_elr", target=target, beta1=0.5)
    with pytest.raises(ValueError, match="unknown parameter of adam_elr 'beta9'"):
        built("adam_elr", target=target, beta9=0.5)


def test_build_loss_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown loss 'elrr': did you mean 'elr'"):
        built("elrr")
    with pytest.raises(ValueError, match="unknown parameter of gce 'p'"):
        built("gce", p=0.7)
    with pytest.raises(ValueError, match="unknown parameter of forward 'beta'"):
        built("forward", beta=0.7)
    with pytest.raises(ValueError, match="unknown target 'adan': did you mean 'adam'"):
        built("adam_elr", target="adan")
    with pytest.raises(ValueError, match="num_classes = 1 is not"):
        build_loss("ce", num_examples=10, num_classes=1)


def test_forward_makes_its_transition_when_the_first_epoch_starts_and_only_then() -> None:
    made = []

    def make() -> Tensor:
        made.append(GIVEN_TRUE)
        return GIVEN_TRUE

    logits = random_logits()
    first = built("forward", transition=make)
    assert first(logits, LABELS, INDEX).isnan().all()
    first.start_epoch(1)
    expected = built("forward")(logits, LABELS, INDEX)
    assert torch.equal(first(logits, LABELS, INDEX), expected)
    restored = built("forward", transition=make)
    restored.load_state_dict(first.state_dict())
    restored.start_epoch(2)
    assert torch.equal(restored(logits, LABELS, INDEX), expected)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        (None, "forward needs its transition matrix, not None"),
        ("estimated", "not 'estimated'.*resolve_transition"),
        (np.eye(C + 1), r"shape \[6, 6\] is not \[5, 5\]"),
        (np.ones(C), r"shape \[5\] is not \[5, 5\]"),
        (np.ones((C, C)), "rows do not sum to 1"),
        (2 * np.eye(C) - np.full((C, C), 0.2), "rows do not sum to 1"),
        (np.full((C, C), np.nan), "rows do not sum to 1"),
    ],
)
def test_forward_refuses_what_is_no_transition(transition: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_loss("forward", num_examples=N, num_classes=C, transition=transition)
