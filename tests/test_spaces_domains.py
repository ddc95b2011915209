"""What a parameter varies over: ranges, choices, and their way to Optuna and back."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.domains import MAX_GRID, Choice, Range

FRACTION = st.floats(0, 1, exclude_max=True)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    """Ranges of every sort, all valid."""
    whole = draw(st.booleans())
    low = draw(st.integers(1, 1000)) if whole else draw(st.floats(1e-6, 1e3))
    if draw(st.booleans()):
        step = draw(st.integers(1, 50)) if whole else draw(st.sampled_from([0.1, 0.25, 0.01, 3.0]))
        low = low if whole else draw(st.sampled_from([0.0, 0.1, 0.5, 2.0]))
        high = round(low + draw(st.integers(0, 200)) * step, 6)
        return Range(low, high, step=step, whole=whole)
    high = low + draw(st.integers(0, 1000)) if whole else low * draw(st.floats(1, 1e4))
    return Range(low, high, log=draw(st.booleans()), whole=whole)


@given(ranges(), FRACTION)
def test_range_at_any_fraction_is_a_value_that_optuna_holds(domain: Range, fraction: float):
    value = domain.at(fraction)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distribution = domain.distribution
    assert domain.low <= value <= domain.high
    assert distribution._contains(distribution.to_internal_repr(domain.encode(value)))
    assert domain.decode(domain.encode(value)) == value
    assert isinstance(value, int) or not domain.whole


@given(ranges(), st.floats(-1e6, 1e6))
def test_range_nearest_is_idempotent_and_no_point_is_nearer(domain: Range, value: float):
    near = domain.nearest(value)
    assert domain.nearest(near) == near
    others = [domain.low, domain.high, domain.at(0.5)]
    assert all(abs(near - value) <= abs(other - value) + 1e-9 for other in others)


@given(ranges(), FRACTION, FRACTION)
def test_range_at_rises_with_the_fraction(domain: Range, one: float, two: float):
    assert (domain.at(one) <= domain.at(two)) == (one <= two) or domain.at(one) == domain.at(two)


def test_range_at_halves_the_logarithm():
    assert Range(0.01, 1.0, log=True).at(0.5) == pytest.approx(0.1)
    assert Range(0.0, 1.0).at(0.5) == 0.5


def test_range_at_gives_whole_numbers_equal_shares():
    shares = [Range(1, 3, whole=True).at(i / 300) for i in range(300)]
    assert [shares.count(n) for n in (1, 2, 3)] == [100, 100, 100]
    shares = [Range(0.0, 1.0, step=0.5).at(i / 300) for i in range(300)]
    assert [shares.count(x) for x in (0.0, 0.5, 1.0)] == [100, 100, 100]


def test_range_nearest_keeps_to_the_range_the_step_and_whole_numbers():
    assert Range(0.5, 0.9).nearest(2.0) == 0.9
    assert Range(0.5, 0.9).nearest(None) == 0.5
    assert Range(0.5, 0.9, step=0.1).nearest(0.71) == 0.7
    assert Range(16, 64, whole=True).nearest(31.6) == 32


def test_range_points_are_free_of_binary_noise():
    assert Range(0.1, 0.7, step=0.2).points() == (0.1, 0.3, 0.5, 0.7)
    assert Range(2, 5, whole=True).points() == (2, 3, 4, 5)
    assert Range(2, 8, step=3, whole=True).points() == (2, 5, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 2, "high": 1}, "low = 2 is above high = 1"),
        ({"low": 0, "high": 1, "log": True}, "low = 0 is not above 0, as log"),
        ({"low": 1, "high": 2, "log": True, "step": 0.5}, "log and step exclude"),
        ({"low": 1, "high": 2, "step": 0}, "step = 0 is not a number above 0"),
        ({"low": 1, "high": 9, "step": 0.5, "whole": True}, r"step = 0\.5 is not a whole number"),
        ({"low": 0, "high": 1, "step": 1e-9}, "step = 1e-09 makes more than 1,000,000 values"),
        ({"low": 0.5, "high": 0.99, "step": 0.1}, "high = 0.99 is not low plus .* is 0.9$"),
        ({"low": 1, "high": 9, "prior": 9.5}, r"prior = 9\.5 is not between low = 1 and high = 9"),
    ],
)
def test_range_refuses_what_makes_no_range(arguments: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        Range(**arguments)


def test_range_points_of_too_many_or_a_continuum_are_refused():
    with pytest.raises(ValueError, match="not a continuous range"):
        Range(0.0, 1.0).points()
    with pytest.raises(ValueError, match="10,001 values are too many for a grid"):
        Range(0, MAX_GRID, whole=True).points()


@given(st.lists(st.one_of(st.integers(), st.text(max_size=5), st.none()), min_size=1, unique=True))
def test_choice_encodes_and_decodes_every_option(options: list[object]):
    domain = Choice(tuple(options))
    for option in options:
        assert domain.encode(option) in domain.distribution.choices
        assert domain.decode(domain.encode(option)) is option


def test_choice_of_lists_travels_as_text():
    domain = Choice(((40, 80), (80, 120)))
    assert domain.distribution.choices == ("40 80", "80 120")
    assert domain.decode("80 120") == (80, 120)


def test_choice_nearest_is_the_option_the_closest_number_or_the_first():
    assert Choice((0.9, 0.99, 0.999)).nearest(0.98) == 0.99
    assert Choice(("cosine", "multistep")).nearest("multistep") == "multistep"
    assert Choice(("cosine", "multistep")).nearest("constant") == "cosine"
    assert Choice((None, 40)).nearest(None) is None


@given(st.integers(1, 30), FRACTION)
def test_choice_at_any_fraction_is_an_option(count: int, fraction: float):
    domain = Choice(tuple(range(count)))
    assert domain.at(fraction) == int(fraction * count)
    assert domain.points() == tuple(range(count))


@pytest.mark.parametrize(("options", "message"), [((), "nothing to choose"), ((1, 1), "twice")])
def test_choice_of_nothing_or_of_twins_is_refused(options: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match=message):
        Choice(options)
