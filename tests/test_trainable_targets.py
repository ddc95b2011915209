import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from trainable.catalog import Parameter
from trainable.losses.modules import EarlyLearning
from trainable.targets import TARGETS, build_target
from trainable.targets.moments import Target, clamped

N, C = 7, 4
ELR_AT_CONSTANT = ("ema", "adam", "amsgrad", "nadam", "ademamix", "schedule_free", "cautious")
WARMED_BY_M = (*ELR_AT_CONSTANT, "adabelief")


def built(name: str, classes: int = C, **hyperparameters: float) -> Target:
    return build_target(name, num_examples=N, num_classes=classes, **hyperparameters)


def one_hot(k: int) -> list[float]:
    return [float(c == k) for c in range(C)]


STREAMS: dict[str, Callable[[int], list[float]]] = {
    "one-hot": lambda step: one_hot(2),
    "uniform": lambda step: [1 / C] * C,
    "alternating": lambda step: one_hot(step % 2),
    "jumping": lambda step: one_hot(0 if step < 25 else 3),
    "rotating": lambda step: one_hot(step % C),
    "one spike": lambda step: one_hot(1) if step == 10 else one_hot(0),
    "rare spikes": lambda step: one_hot(1) if step % 17 == 0 else [0.97, 0.01, 0.01, 0.01],
    "drifting": lambda step: [0.7 + 0.005 * step, 0.3 - 0.005 * step, 0.0, 0.0],
}


def visit(target: Target, *predictions: list[float]) -> Tensor:
    """The target of example 3 after these predictions."""
    for p in predictions:
        t = target.update(torch.tensor([p]), torch.tensor([3]))
    return t[0]


def close(actual: Tensor, expected: list[float], tolerance: float = 1e-6) -> bool:
    return torch.allclose(actual, torch.tensor(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("name", TARGETS)
def test_target_of_any_stream_keeps_the_loss_and_its_gradient_finite(
    name: str, stream: str
) -> None:
    target = built(name)
    loss = EarlyLearning(lam=3.0, target=target)
    for step in range(40):
        p = torch.tensor([STREAMS[stream](step)])
        logits = p.clamp(min=1e-30).log().requires_grad_()
        value = loss(logits, torch.tensor([1]), torch.tensor([3]))
        value.sum().backward()
        t = loss.targets()[[3]]
        assert not t.requires_grad
        assert (t >= 0).all()
        assert (logits.detach().double().softmax(1) * t.double()).sum() < 1
        assert value.isfinite().all()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@given(
    logits=st.lists(
        st.lists(st.floats(-30, 30, width=32), min_size=C, max_size=C), min_size=1, max_size=12
    ),
    name=st.sampled_from(list(TARGETS)),
)
@settings(max_examples=150)
def test_target_of_random_streams_is_a_sub_probability_in_the_dot_product(
    logits: list[list[float]], name: str
) -> None:
    target = built(name)
    for row in logits:
        p = torch.tensor([row]).softmax(1)
        t = target.update(p, torch.tensor([0]))
        assert t.isfinite().all()
        assert (t >= 0).all()
        assert (p * t).sum() < 1


@pytest.mark.parametrize("name", WARMED_BY_M)
def test_target_sums_to_the_warm_up(name: str) -> None:
    beta = 0.7
    target = built(name)
    for n in range(1, 30):
        t = visit(target, STREAMS["rare spikes"](n))
        assert t.sum().item() == pytest.approx(1 - beta**n, rel=1e-5)


@pytest.mark.parametrize("name", ELR_AT_CONSTANT)
def test_target_of_a_constant_prediction_is_elr_s(name: str) -> None:
    p = [0.6, 0.3, 0.07, 0.03]
    target = built(name)
    for n in range(1, 40):
        assert close(visit(target, p), [(1 - 0.7**n) * x for x in p], 1e-5)


@pytest.mark.parametrize(
    ("name", "hyperparameters", "expected"),
    [
        # p = (.8, .2), then (.4, .6); beta1 .5: m = (.4, .1), then (.4, .35), w = .75
        ("ema", {"beta": 0.5}, [0.4, 0.35]),
        # beta2 .5: v = (.32, .02), (.24, .19); v^ = v / .75; r = m^2 / sqrt(v^)
        (
            "adam",
            {"beta1": 0.5, "beta2": 0.5},
            [
                0.75 * (0.16 / 0.24**0.5) / (0.16 / 0.24**0.5 + 0.1225 / 0.19**0.5),
                0.75 * (0.1225 / 0.19**0.5) / (0.16 / 0.24**0.5 + 0.1225 / 0.19**0.5),
            ],
        ),
        (
            "adam_literal",
            {"beta1": 0.5, "eps": 0.01},
            [0.4 / (0.24**0.5 + 0.01), 0.35 / (0.19**0.5 + 0.01)],
        ),
        # v of |p|^2: .34, then .17 + .26 = .43; v^ = .5733, more than |m^|^2 = .5022
        (
            "adam_scalar",
            {"beta1": 0.5, "beta2": 0.5},
            [0.4 / (0.43 / 0.75) ** 0.5, 0.35 / (0.43 / 0.75) ** 0.5],
        ),
        # v^ is (.64, .04) after the first and (.32, .2533) after the second visit
        (
            "amsgrad",
            {"beta1": 0.5, "beta2": 0.5},
            [
                0.75 * 0.2 / (0.2 + 0.1225 / (0.19 / 0.75) ** 0.5),
                0.75 - 0.75 * 0.2 / (0.2 + 0.1225 / (0.19 / 0.75) ** 0.5),
            ],
        ),
        # m^ = (.5333, .4667), half a step towards (.4, .6): (.4667, .5333)
        ("nadam", {"beta1": 0.5, "look_ahead": 1.0}, [0.35, 0.4]),
        # three half steps: (.3333, .6667); twenty: outside the simplex, all on the second class
        ("nadam", {"beta1": 0.5, "look_ahead": 3.0}, [0.25, 0.5]),
        ("nadam", {"beta1": 0.5, "look_ahead": 10.0}, [0.0, 0.75]),
        # s: 0, then .5 * .1333^2 for both classes, so that both gates are the same
        (
            "adabelief",
            {"beta1": 0.5, "beta2": 0.5},
            [0.75 * 0.16 / 0.2825, 0.75 * 0.1225 / 0.2825],
        ),
        # u = (.2, .05), then (.25, .1875); m + 2 u = (.9, .725)
        (
            "ademamix",
            {"beta1": 0.5, "beta2": 0.5, "beta3": 0.75, "alpha": 2.0},
            [
                0.75 * (0.81 / 0.24**0.5) / (0.81 / 0.24**0.5 + 0.525625 / 0.19**0.5),
                0.75 * (0.525625 / 0.19**0.5) / (0.81 / 0.24**0.5 + 0.525625 / 0.19**0.5),
            ],
        ),
        # power 1: x = p, then (p_1 + 2 p_2) / 3 = (.5333, .4667); w = .75
        ("schedule_free", {"beta1": 0.5, "power": 1.0}, [0.4, 0.35]),
        ("schedule_free", {"beta1": 0.5, "power": 0.0}, [0.75 * 0.6, 0.75 * 0.4]),
        # m^ = (.8, .2); a = .44 / sqrt(.68 .52); m^ moves by a .5 / .75 of (-.4, .4)
        ("cautious", {"beta1": 0.5, "caution": 0.0}, [0.4, 0.35]),
        (
            "cautious",
            {"beta1": 0.5, "caution": 1.0},
            [
                0.75 * 0.8 - 0.2 * 0.44 / (0.68 * 0.52) ** 0.5,
                0.75 * 0.2 + 0.2 * 0.44 / (0.68 * 0.52) ** 0.5,
            ],
        ),
        # m = (.08, .02); c = .5 m + .5 (.4, .6) = (.24, .31): all .55 on the second class
        ("lion", {"beta1": 0.5, "beta2": 0.9}, [0.55e-4, 0.55 * (1 - 1e-4)]),
    ],
)
def test_target_after_two_visits_is_the_hand_computed_one(
    name: str, hyperparameters: dict[str, float], expected: list[float]
) -> None:
    target = built(name, classes=2, **hyperparameters)
    assert close(visit(target, [0.8, 0.2], [0.4, 0.6]), expected)


@pytest.mark.parametrize("name", TARGETS)
def test_target_of_the_first_visit(name: str) -> None:
    p = [0.5, 0.3, 0.15, 0.05]
    expected = {
        "adam_literal": [0.3 * x / (0.3**0.5 * x + 0.01) for x in p],
        "adam_scalar": [0.3 * x / math.hypot(*p) for x in p],
        "adabelief": [0.3 * x * x / math.hypot(*p) ** 2 for x in p],
        "lion": [0.3 * x for x in clamped(torch.tensor([one_hot(0)]))[0].tolist()],
    }
    assert close(visit(built(name), p), expected.get(name, [0.3 * x for x in p]))


def test_adam_literal_stays_below_its_bound() -> None:
    target = built("adam_literal", beta1=0.9, eps=1e-3)
    for n in range(1, 40):
        t = visit(target, STREAMS["rotating"](n))
        assert (t <= math.sqrt(1 - 0.9**n) / (1 + 1e-3) + 1e-6).all()


def test_adam_literal_of_a_constant_prediction_forgets_its_size() -> None:
    p = [0.6, 0.3, 0.07, 0.03]
    t = visit(built("adam_literal"), *[p] * 9)
    warm = 1 - 0.7**9
    assert close(t, [warm * x / (warm**0.5 * x + 0.01) for x in p], 1e-5)


def test_adam_literal_has_one_decay() -> None:
    with pytest.raises(ValueError, match="unknown parameter of adam_literal 'beta2'"):
        built("adam_literal", beta1=0.9, beta2=0.9)


def test_adam_of_an_unsteady_class_is_below_elr_s() -> None:
    p = [[0.5, 0.3, 0.15, 0.05] if n % 2 else [0.5, 0.05, 0.15, 0.3] for n in range(20)]
    adam, ema = visit(built("adam"), *p), visit(built("ema"), *p)
    assert adam[0] > ema[0]
    assert adam[2] > ema[2]
    assert adam[1] < ema[1]
    assert adam[3] < ema[3]


def test_adam_with_a_large_eps_approaches_squared_means() -> None:
    p = [0.6, 0.3, 0.07, 0.03]
    t = visit(built("adam", eps=1e6), p)
    assert close(t, [0.3 * x * x / math.hypot(*p) ** 2 for x in p], 1e-5)


@pytest.mark.parametrize("stream", STREAMS)
def test_adam_scalar_is_no_longer_than_its_warm_up(stream: str) -> None:
    target = built("adam_scalar")
    for n in range(1, 41):
        t = visit(target, STREAMS[stream](n))
        assert t.norm().item() <= (1 - 0.7**n) * (1 + 1e-5)


def test_adam_scalar_of_a_steady_prediction_has_elr_s_direction() -> None:
    p = [0.6, 0.3, 0.07, 0.03]
    t = visit(built("adam_scalar"), *[p] * 5)
    assert close(t, [(1 - 0.7**5) * x / math.hypot(*p) for x in p], 1e-5)


def test_amsgrad_holds_a_class_to_its_former_confidence() -> None:
    p = [[0.9, 0.1, 0.0, 0.0], *[[0.5, 0.5, 0.0, 0.0]] * 30]
    decays = {"beta1": 0.5, "beta2": 0.9}
    assert visit(built("amsgrad", **decays), *p)[0] < visit(built("adam", **decays), *p)[0]


def test_ademamix_without_the_slow_mean_is_adam() -> None:
    ours, adam = built("ademamix", alpha=0.0), built("adam")
    for n in range(20):
        p = STREAMS["rare spikes"](n)
        assert torch.equal(visit(ours, p), visit(adam, p))


def test_ademamix_remembers_longer_than_adam() -> None:
    p = [*[[0.9, 0.1, 0.0, 0.0]] * 20, *[[0.1, 0.9, 0.0, 0.0]] * 8]
    assert visit(built("ademamix"), *p)[0] > 2 * visit(built("adam"), *p)[0]


def test_nadam_without_look_ahead_is_elr() -> None:
    ours, elr = built("nadam", look_ahead=0.0), built("ema")
    for n in range(20):
        p = STREAMS["rare spikes"](n)
        assert torch.allclose(visit(ours, p), visit(elr, p))


def test_schedule_free_looks_back_further_the_more_it_has_seen() -> None:
    turned = [one_hot(1)] * 2
    for before, follows in ((2, True), (20, False)):
        t = visit(built("schedule_free"), *[one_hot(0)] * before, *turned)
        assert (t.argmax().item() == 1) is follows


def test_cautious_lets_a_class_named_once_more_often_pass_than_a_sure_one_that_turns() -> None:
    unsure, sure = [0.3, 0.3, 0.2, 0.2], [0.97, 0.01, 0.01, 0.01]
    for before, follows in ((unsure, True), (sure, False)):
        t = visit(built("cautious", caution=2.0), *[before] * 10, *[one_hot(1)] * 2)
        assert (t.argmax().item() == 1) is follows


def test_cautious_follows_what_is_said_again_and_again() -> None:
    t = visit(built("cautious", caution=1.0), *[one_hot(0)] * 10, *[one_hot(1)] * 400)
    assert t.argmax().item() == 1


def test_lion_shares_a_tie() -> None:
    assert close(visit(built("lion"), [0.25] * 4), [0.3 / 4] * 4)
    t = visit(built("lion"), [0.4, 0.1, 0.1, 0.4])
    assert t[0] == t[3]


@pytest.mark.parametrize("name", TARGETS)
def test_target_permutes_with_the_classes(name: str) -> None:
    order = torch.tensor([2, 0, 3, 1])
    plain, permuted = built(name), built(name)
    index = torch.tensor([5, 0, 3])
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        p = torch.randn(3, C, generator=generator).mul(4).softmax(1)
        t = plain.update(p, index)
        assert torch.allclose(permuted.update(p[:, order], index), t[:, order], atol=1e-6)


@pytest.mark.parametrize("name", TARGETS)
def test_target_of_examples_not_visited_does_not_change(name: str) -> None:
    target = built(name)
    generator = torch.Generator().manual_seed(0)
    target.update(torch.randn(N - 1, C, generator=generator).softmax(1), torch.arange(N - 1))
    before, state = target.current(), target.state.clone()
    t = target.update(torch.randn(2, C, generator=generator).softmax(1), torch.tensor([4, 1]))
    after, others = target.current(), torch.tensor([0, 2, 3, 5, 6])
    assert torch.equal(target.state[others], state[others])
    assert torch.equal(after[others], before[others])
    assert torch.equal(after[[4, 1]], t)
    assert torch.equal(after[6], torch.zeros(C))


@pytest.mark.parametrize("name", TARGETS)
def test_target_continues_identically_from_its_state_dict(name: str) -> None:
    first, second = built(name), built(name)
    generator = torch.Generator().manual_seed(0)
    batches = torch.randn(8, N, C, generator=generator).softmax(2)
    for p in batches[:4]:
        first.update(p, torch.arange(N))
    second.load_state_dict(first.state_dict())
    for p in batches[4:]:
        assert torch.equal(first.update(p, torch.arange(N)), second.update(p, torch.arange(N)))


@pytest.mark.parametrize("name", TARGETS)
def test_target_never_waits_for_the_device(name: str) -> None:
    with FakeTensorMode(), torch.device("cpu"):
        target = built(name)
        p, index = torch.full((3, C), 1 / C), torch.arange(3)
        target.update(p, index)
        target.current()
        with pytest.raises(DataDependentOutputException):
            target.state.sum().item()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_target_state_is_float32_whatever_the_predictions(dtype: torch.dtype) -> None:
    t = built("adam").update(
        torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=dtype), torch.tensor([0])
    )
    assert t.dtype == torch.float32
    assert close(t[0], [0.15, 0.075, 0.0375, 0.0375])


def edges(parameter: Parameter) -> list[tuple[float, bool]]:
    """Values at and just past a parameter's limits, and whether the catalogue allows them."""
    values = []
    if parameter.low is not None:
        values += [(parameter.low, not parameter.open_low), (parameter.low - 0.001, False)]
    if parameter.high is not None:
        values += [(parameter.high, not parameter.open_high), (parameter.high + 0.001, False)]
    return [*values, (math.nan, False), (math.inf, False)]


@pytest.mark.parametrize(
    ("name", "parameter", "value", "allowed"),
    [
        (name, parameter, value, allowed)
        for name, entry in TARGETS.items()
        for parameter, spec in entry.parameters.items()
        for value, allowed in edges(spec)
    ],
)
def test_target_accepts_what_the_catalogue_allows_and_stays_finite(
    name: str, parameter: str, value: float, allowed: bool
) -> None:
    given = {parameter: value}
    if not allowed:
        with pytest.raises(ValueError, match=f"{parameter[:4]}.* = {value!r} is not"):
            built(name, **given)
        return
    target = built(name, **given)
    for n in range(5):
        t = visit(target, STREAMS["rotating"](n))
        assert t.isfinite().all()
        assert (t >= 0).all()


def test_build_target_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown target 'adan': did you mean 'adam'"):
        built("adan")
    with pytest.raises(ValueError, match="unknown parameter of ema 'beta1': did you mean 'beta'"):
        built("ema", beta1=0.5)


@pytest.mark.parametrize(("examples", "classes"), [(0, 10), (-1, 10), (5, 1)])
def test_build_target_refuses_impossible_sizes(examples: int, classes: int) -> None:
    with pytest.raises(ValueError, match="whole number above"):
        build_target("adam", num_examples=examples, num_classes=classes)
