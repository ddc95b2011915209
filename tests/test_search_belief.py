"""Where the user believes that the best lies, as a density over a space."""

import math

import numpy as np
import pytest

from search.studies.belief import DOUBT, OTHER, WIDTH, Belief
from simulated import spec
from spaces.space import Space


def space_of(*overrides: str) -> Space:
    return spec("losses=elr", *overrides).cells()[0].space


def only(space: Space, name: str, values: np.ndarray) -> np.ndarray:
    """Points [n, parameters] that differ in one parameter."""
    points = np.full((len(values), len(space.varies)), 0.5)
    points[:, list(space.varies).index(name)] = values
    return points


LAM = "space.lam={low=1.0, high=100.0, log=true, prior=10.0}"


def test_belief_without_priors_is_none():
    space = space_of()
    assert not Belief(space)
    np.testing.assert_array_equal(Belief(space).log_density(only(space, "lam", np.arange(3))), 0)


@pytest.mark.parametrize("prior", [1.0, 10.0, 80.0])
def test_density_of_a_number_has_its_peak_at_the_prior_and_the_mean_of_a_uniform_draw(prior):
    space = space_of(LAM.replace("prior=10.0", f"prior={prior}"))
    there = (np.arange(20_000) + 0.5) / 20_000
    density = np.exp(Belief(space).log_density(only(space, "lam", there)))
    assert density.mean() == pytest.approx(1.0, abs=1e-6)
    assert there[density.argmax()] == pytest.approx(math.log10(prior) / 2, abs=1e-4)
    assert density.min() >= 1 - DOUBT


def test_density_one_deviation_off_is_that_of_a_normal_distribution():
    space = space_of(LAM)
    at, off = np.exp(Belief(space).log_density(only(space, "lam", np.array([0.5, 0.5 + WIDTH]))))
    assert (off - DOUBT) / (at - DOUBT) == pytest.approx(math.exp(-0.5))


def test_density_of_a_choice_is_higher_at_the_option_and_that_of_an_absent_parameter_is_even():
    name = "lr_schedule"
    space = space_of('space.lr_schedule={choice=["cosine", "multistep"], prior="multistep"}')
    log = Belief(space).log_density(only(space, name, np.array([0.2, 0.7, math.nan])))
    other = DOUBT + (1 - DOUBT) * 2 * OTHER / (1 + OTHER)
    np.testing.assert_allclose(np.exp(log), [other, 2 - other, 1.0])


def test_draws_are_around_the_prior_and_leave_the_other_parameters():
    space = space_of(LAM)
    rng = np.random.default_rng(0)
    before = rng.random((2000, len(space.varies)))
    drawn = Belief(space).drawn_into(before, rng)
    lam = list(space.varies).index("lam")
    np.testing.assert_array_equal(np.delete(drawn, lam, axis=1), np.delete(before, lam, axis=1))
    assert drawn[:, lam].mean() == pytest.approx(0.5, abs=0.02)
    assert drawn[:, lam].std() == pytest.approx(WIDTH, abs=0.02)
    assert ((drawn[:, lam] >= 0) & (drawn[:, lam] < 1)).all()


def test_drawn_values_are_values_of_their_domains():
    space = space_of(
        "space.batch_size={low=32, high=128, step=32, prior=128}",
        'space.lr_schedule={choice=["cosine", "multistep"], prior="cosine"}',
    )
    rng = np.random.default_rng(0)
    draws = [Belief(space).draw(rng) for _ in range(300)]
    assert {draw["batch_size"] for draw in draws} == {32, 64, 96, 128}
    names = [draw["lr_schedule"] for draw in draws]
    assert names.count("cosine") / 300 == pytest.approx(1 / (1 + OTHER), abs=0.06)
