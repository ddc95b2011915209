"""The tables of names, and what a parameter accepts."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    NOISE_KINDS,
    OPTIMISER,
    SCHEDULES,
    TARGETS,
    Entry,
    Parameter,
    shown,
    unknown,
)
from trainable.parameters import resolved

ENTRIES = {**LOSSES, **TARGETS, **SCHEDULES, "optimiser": OPTIMISER}
PARAMETERS = [
    pytest.param(name, parameter, id=f"{owner}.{name}")
    for owner, entry in ENTRIES.items()
    for name, parameter in entry.parameters.items()
]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_parameter_accepts_its_default_and_means_something(name, parameter):
    assert parameter.meaning
    if parameter.default is None:
        assert parameter.optional
    assert parameter.check(name, parameter.default) == parameter.default
    assert "_" not in parameter.valid or parameter.options


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
@pytest.mark.parametrize(
    "value",
    [None, math.nan, math.inf, -math.inf, 10**400, 2**53 + 1, [], {}, "words", (1, 1), b""],
)
def test_parameter_refuses_what_is_no_value_of_it(name, parameter, value):
    if value is None and parameter.optional:
        assert parameter.check(name, value) is None
        return
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        parameter.check(name, value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_parameter_keeps_to_its_bounds(name, parameter):
    if parameter.kind not in (int, float):
        return
    for bound, is_open, outside in (
        (parameter.low, parameter.open_low, -1),
        (parameter.high, parameter.open_high, 1),
    ):
        if bound is None:
            continue
        with pytest.raises(ValueError, match=r"is not a (whole )?number in"):
            parameter.check(name, bound + outside)
        if is_open:
            with pytest.raises(ValueError, match="is not"):
                parameter.check(name, bound)
        else:
            assert parameter.check(name, bound) == bound


@given(st.one_of(st.floats(), st.integers(), st.booleans(), st.text(), st.lists(st.integers())))
def test_parameter_check_gives_its_own_type_or_a_value_error(value: Any):
    for parameter in (
        Parameter(0.5, "", low=0.0, high=1.0, open_high=True),
        Parameter(3, "", kind=int, low=1),
        Parameter(True, "", kind=bool),
        Parameter("a", "", kind=str, options=("a", "b")),
        Parameter((1, 2), "", kind=tuple),
    ):
        try:
            checked = parameter.check("x", value)
        except ValueError:
            continue
        assert type(checked) is parameter.kind
        assert parameter.check("x", checked) == checked


@pytest.mark.parametrize(
    ("parameter", "rule"),
    [
        (Parameter(0.5, "", low=0, high=1, open_high=True), "a number in [0, 1)"),
        (Parameter(0.5, "", low=0, open_low=True), "a number in (0, inf)"),
        (Parameter(-1.0, "", high=0), "a number in (-inf, 0]"),
        (Parameter(1, "", kind=int, low=1), "a whole number in [1, inf)"),
        (Parameter(True, "", kind=bool), "true or false"),
        (Parameter("a", "", kind=str), "a text"),
        (Parameter("a", "", kind=str, options=("a", "b")), "one of a, b"),
        (Parameter((1,), "", kind=tuple), "an increasing list of whole numbers above 0"),
    ],
)
def test_valid_says_the_rule_in_words(parameter, rule):
    assert parameter.valid == rule


def test_whole_number_parameters_take_whole_floats_and_float_ones_whole_numbers():
    assert Parameter(1, "", kind=int).check("n", 3.0) == 3
    checked = Parameter(1.0, "").check("x", 3)
    assert isinstance(checked, float)
    with pytest.raises(ValueError, match=r"n = 3\.5 is not a whole number"):
        Parameter(1, "", kind=int).check("n", 3.5)


def test_entry_complete_lays_what_is_given_over_the_defaults():
    entry = Entry("", parameters={"a": Parameter(1.0, ""), "b": Parameter(2.0, "", low=0)})
    assert entry.complete("x", {"b": 5}) == {"a": 1.0, "b": 5.0}
    with pytest.raises(ValueError, match="unknown parameter of x 'bb': did you mean 'b'"):
        entry.complete("x", {"bb": 1})
    with pytest.raises(ValueError, match="b = -1 is not a number in"):
        entry.complete("x", {"b": -1})


def test_tables_say_what_each_member_is():
    for table in (LOSSES, TARGETS, SCHEDULES, NETWORKS):
        assert all(entry.summary for entry in table.values())
    for table in (LOSSES, TARGETS, SCHEDULES):
        assert all(callable(entry.builder()) for entry in table.values())
    assert all(NOISE_KINDS.values())
    for info in DATASETS.values():
        assert info.summary
        assert not info.read or callable(resolved(info.summary, "read", info.read))
    assert all(LOSSES[name].source for name in LOSSES if name != "ce")
    assert all(entry.source for entry in TARGETS.values())


def test_unknown_names_the_nearest_and_all_valid_ones():
    message = unknown("loss", "elrr", ["ce", "elr"])
    assert message == "unknown loss 'elrr': did you mean 'elr'? valid: ce, elr"
    assert unknown("loss", "zzz", ["ce", "elr"]) == "unknown loss 'zzz': valid: ce, elr"
    assert unknown("study", "x", []) == "unknown study 'x': valid: none"


@given(st.one_of(st.text(), st.binary(), st.floats(), st.lists(st.text())))
def test_shown_fits_one_line(value):
    text = shown(value)
    assert len(text.splitlines()) == 1
    assert len(text) <= 80
    assert shown(int("1" * 4000) ** 3) == "a number of thousands of digits"
