"""Conditional spaces: what exists when, and the way to Optuna and back."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.studies.samplers import build_sampler
from spaces.domains import Choice, Fixed, Range
from spaces.space import Group, Space

SPACE = Space(
    (
        Group("elr", {"lam": Range(0.5, 10.0, log=True), "beta": Fixed(0.7)}),
        Group(
            "optimiser",
            {"lr": Range(0.01, 0.1), "lr_schedule": Choice(("constant", "multistep", "cosine"))},
        ),
        Group("constant", {}, ("lr_schedule", "constant")),
        Group(
            "multistep",
            {"milestones": Choice(((4, 8), (6, 9))), "gamma": Range(0.1, 0.5)},
            ("lr_schedule", "multistep"),
        ),
        Group("cosine", {"eta_min": Choice((0.0, 0.001))}, ("lr_schedule", "cosine")),
    )
)


def test_varies_names_what_is_not_fixed_branches_by_their_owner():
    assert list(SPACE.varies) == [
        "lam", "lr", "lr_schedule", "multistep.milestones", "multistep.gamma", "cosine.eta_min",
    ]  # fmt: skip


def test_domain_is_that_of_a_parameter_every_trial_has():
    assert SPACE.domain("beta") == Fixed(0.7)
    with pytest.raises(KeyError):
        SPACE.domain("gamma")


def test_suggest_has_only_the_parameters_of_its_branch():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    own = {"constant": set(), "multistep": {"milestones", "gamma"}, "cosine": {"eta_min"}}
    seen = set()
    for _ in range(30):
        trial = study.ask()
        values = SPACE.suggest(trial)
        schedule = values["lr_schedule"]
        seen.add(schedule)
        assert set(values) == {"lam", "beta", "lr", "lr_schedule"} | own[schedule]
        assert values["beta"] == 0.7
        parameters, distributions = SPACE.encode(values)
        assert parameters == trial.params
        assert distributions == trial.distributions
        assert SPACE.nearest(values) == values
    assert seen == set(own)


def test_encode_gives_a_trial_that_optuna_takes_and_can_learn_from():
    sampler = build_sampler("tpe", {"n_startup_trials": 2}, seed=0, trials=12)
    study = optuna.create_study(sampler=sampler)
    for fraction in (0.1, 0.5, 0.6, 0.9):
        values = SPACE.at(dict.fromkeys(SPACE.varies, fraction))
        parameters, distributions = SPACE.encode(values)
        study.add_trial(
            optuna.trial.create_trial(params=parameters, distributions=distributions, value=1.0)
        )
    assert set(SPACE.suggest(study.ask())) >= {"lam", "lr", "lr_schedule"}


def test_encode_without_a_parameter_is_an_error():
    with pytest.raises(KeyError, match="lr"):
        SPACE.encode({"lam": 1.0, "beta": 0.7})


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=6, max_size=6))
def test_at_is_a_point_of_the_space_and_its_own_nearest(fractions: list[float]):
    point = SPACE.at(dict(zip(SPACE.varies, fractions, strict=True)))
    assert SPACE.nearest(point) == point
    assert 0.5 <= point["lam"] <= 10
    SPACE.encode(point)


def test_nearest_takes_qualified_names_before_plain_ones():
    values = {"lr_schedule": "multistep", "gamma": 0.2, "multistep.gamma": 0.3, "lam": 99}
    assert SPACE.nearest(values) == {
        "lam": 10.0,
        "beta": 0.7,
        "lr": 0.01,
        "lr_schedule": "multistep",
        "milestones": (4, 8),
        "gamma": 0.3,
    }


def test_grid_has_every_point_of_every_branch_once():
    space = Space(
        (
            Group("optimiser", {"lr": Choice((1, 2)), "lr_schedule": Choice(("a", "b"))}),
            Group("a", {"x": Range(0, 2, whole=True)}, ("lr_schedule", "a")),
            Group("b", {"y": Fixed(5)}, ("lr_schedule", "b")),
        )
    )
    points = list(space.grid())
    assert points == [
        {"lr": lr, **branch}
        for lr in (1, 2)
        for branch in (
            *({"lr_schedule": "a", "x": x} for x in (0, 1, 2)),
            {"lr_schedule": "b", "y": 5},
        )
    ]


def test_grid_of_a_continuum_or_of_too_many_points_is_refused():
    with pytest.raises(ValueError, match="lam: a grid needs"):
        list(SPACE.grid())
    side = Range(1, 200, whole=True)
    square = Space((Group("elr", {"x": side, "y": side}),))
    with pytest.raises(ValueError, match="the grid has more than 10,000 points"):
        list(square.grid())
