import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.schema import PAUSED, RUNNING, STOPPED
from search.studies.round_robin import Sweep
from search.studies.stopping import (
    Asha,
    AshaPromotion,
    Median,
    build_rule,
    rung_epochs,
)
from spaces.sweep_file import parse_sweep

VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=30)


def test_rung_epochs_without_restarts_are_powers():
    assert rung_epochs(grace=1, factor=3, max_epochs=27) == {1: 0, 3: 1, 9: 2}
    assert rung_epochs(grace=10, factor=3, max_epochs=150) == {10: 0, 30: 1, 90: 2}


def test_rung_epochs_never_lie_at_the_full_budget():
    assert rung_epochs(grace=5, factor=2, max_epochs=5) == {}
    assert rung_epochs(grace=5, factor=2, max_epochs=6) == {5: 0}


def test_rung_epochs_of_warm_restarts_sit_at_cycle_ends():
    ends = tuple(range(10, 151, 10))
    assert rung_epochs(grace=10, factor=3, max_epochs=150, cycle_ends=ends) == {
        10: 0,
        30: 1,
        90: 2,
    }
    assert rung_epochs(grace=4, factor=3, max_epochs=150, cycle_ends=ends) == {
        10: 0,
        20: 1,
        40: 2,
        110: 3,
    }


def test_rung_epochs_that_meet_at_a_cycle_end_keep_the_higher_level():
    assert rung_epochs(grace=1, factor=3, max_epochs=20, cycle_ends=(10, 20)) == {10: 2}


@pytest.mark.parametrize(("factor", "first"), [(2, 2), (3, 1), (4, 1)])
def test_asha_with_improving_arrivals_stops_none_and_with_worsening_all_but_the_first(
    factor, first
):
    rung = {1: 0}
    improving, worsening = Asha(factor=factor), Asha(factor=factor)
    verdicts = [improving.report(str(i), 1, i / 20, rung).status for i in range(20)]
    assert verdicts == [RUNNING] * 20
    verdicts = [worsening.report(str(i), 1, -i / 20, rung).status for i in range(20)]
    assert verdicts == [RUNNING] * first + [STOPPED] * (20 - first)


def test_asha_lets_ties_go_on():
    rule = Asha(factor=3)
    assert [rule.report(str(i), 2, 0.5, {2: 0}).status for i in range(9)] == [RUNNING] * 9


def test_asha_takes_the_best_third_and_one_more():
    rule = Asha(factor=3)
    for i, value in enumerate([0.9, 0.8, 0.7, 0.6, 0.5]):
        rule.report(str(i), 1, value, {1: 0})
    assert rule.report("sixth", 1, 0.85, {1: 0}).status == RUNNING
    assert rule.report("seventh", 1, 0.84, {1: 0}).status == RUNNING  # third of seven
    verdict = rule.report("eighth", 1, 0.83, {1: 0})
    assert (verdict.status, verdict.reason) == (STOPPED, "rung 1: 83.00% < 84.00%")


def test_asha_treats_nan_as_the_worst():
    rule = Asha(factor=3)
    rule.report("a", 1, 0.1, {1: 0})
    assert rule.report("b", 1, math.nan, {1: 0}).status == STOPPED


def test_asha_is_silent_between_rungs():
    rule = Asha(factor=3)
    rule.report("a", 3, 0.9, {3: 0})
    assert rule.report("b", 2, 0.0, {3: 0}).status == RUNNING


@given(VALUES)
def test_asha_never_stops_the_best_so_far(values):
    rule, best = Asha(factor=3), -math.inf
    for i, value in enumerate(values):
        action = rule.report(str(i), 1, value, {1: 0}).status
        if value >= best:
            assert action == RUNNING
            best = value


@given(VALUES)
def test_asha_fed_the_same_values_again_decides_the_same(values):
    one, two = Asha(factor=3), Asha(factor=3)
    first = [one.report(str(i), 1, v, {1: 0}) for i, v in enumerate(values)]
    assert [two.report(str(i), 1, v, {1: 0}) for i, v in enumerate(values)] == first


def test_promotion_pauses_the_first_arrivals_and_promotes_the_best_third():
    rule = AshaPromotion(factor=3)
    assert [rule.report(t, 1, v, {1: 0}).status for t, v in [("a", 0.5), ("b", 0.7)]] == [
        PAUSED
    ] * 2
    assert rule.promotable() is None
    assert rule.report("c", 1, 0.6, {1: 0}).status == PAUSED
    assert rule.promotable() == "b"
    rule.promote("b")
    assert rule.promotable() is None


def test_promotion_of_an_arrival_in_the_best_third_needs_no_pause():
    rule = AshaPromotion(factor=3)
    for trial_id, value in [("a", 0.5), ("b", 0.4)]:
        rule.report(trial_id, 1, value, {1: 0})
    assert rule.report("c", 1, 0.9, {1: 0}).status == RUNNING
    assert rule.promotable() is None


def test_promotion_takes_the_highest_rung_first():
    rule, rungs = AshaPromotion(factor=2), {1: 0, 2: 1}
    for trial_id, value in [("a", 0.1), ("b", 0.2), ("c", 0.3)]:
        rule.report(trial_id, 1, value, rungs)
    for trial_id, value in [("b", 0.4), ("c", 0.3)]:
        rule.report(trial_id, 2, value, rungs)
    for trial_id, value in [("d", 0.05), ("e", 0.25)]:
        rule.report(trial_id, 1, value, rungs)
    assert rule.promotable() == "b"


def test_promotion_forgets_trials_that_ended():
    rule = AshaPromotion(factor=2)
    for trial_id, value in [("a", 0.9), ("b", 0.2), ("c", 0.1), ("d", 0.3)]:
        rule.report(trial_id, 1, value, {1: 0})
    rule.end("d")
    assert rule.promotable() == "a"
    rule.end("a")
    assert rule.promotable() is None
    assert rule.leader(completed=0) == "b"
    assert rule.leader(completed=1) is None
    assert rule.standing("b") == "rank 3 of 4 at level 0"


@given(VALUES)
def test_promotion_passes_those_in_the_best_share_and_in_the_end_all_of_it(values):
    """Ties go to the first arrival; NaN is the worst."""
    rule, passed = AshaPromotion(factor=3), set()

    def best_share(count):
        known = [-math.inf if math.isnan(v) else v for v in values[:count]]
        return sorted(range(count), key=lambda i: (-known[i], i))[: count // 3]

    for i, value in enumerate(values):
        if rule.report(str(i), 1, value, {1: 0}).status == RUNNING:
            passed.add(i)
        while waiting := rule.promotable():
            rule.promote(waiting)
            passed.add(int(waiting))
        assert passed >= set(best_share(i + 1))
        assert passed <= {j for count in range(i + 2) for j in best_share(count)}


def test_median_stops_what_stays_below_the_others_means():
    rule = Median(grace=2)
    for trial_id, values in {"a": (0.4, 0.6), "b": (0.5, 0.7), "c": (0.6, 0.8)}.items():
        for epoch, value in enumerate(values, 1):
            assert rule.report(trial_id, epoch, value, {}).status == RUNNING
    assert rule.report("d", 1, 0.0, {}).status == RUNNING  # before grace
    verdict = rule.report("d", 2, 0.59, {})  # others' means: 0.5, 0.6, 0.7
    assert (verdict.status, verdict.reason) == (STOPPED, "epoch 2: best 59.00% < 60.00%")
    rule.report("e", 1, 0.61, {})
    assert rule.report("e", 2, 0.0, {}).status == RUNNING  # its best counts


def test_median_needs_three_others():
    rule = Median(grace=1)
    rule.report("a", 1, 0.9, {})
    rule.report("b", 1, 0.9, {})
    assert rule.report("c", 1, 0.1, {}).status == RUNNING
    assert rule.report("d", 1, 0.1, {}).status == STOPPED


def test_median_survives_nan_and_a_repeated_epoch():
    rule = Median(grace=1)
    for trial_id in "abc":
        rule.report(trial_id, 1, 0.5, {})
    assert rule.report("d", 1, math.nan, {}).status == STOPPED
    rule.report("a", 2, 0.7, {})
    rule.report("a", 1, 0.5, {})
    rule.report("a", 2, 0.7, {})
    assert rule.sums["a"] == [0.0, 0.5, 1.2]


def test_build_rule_of_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(ValueError, match="did you mean 'asha'"):
        build_rule("ahsa", grace=1, factor=3)


def test_options_reach_the_rule_and_change_what_it_decides():
    def last(errors):
        rule = build_rule("asha_ties", grace=1, factor=3, held_out=100, options={"errors": errors})
        for i, value in enumerate([0.9, 0.8, 0.7]):
            rule.report(str(i), 1, value, {1: 0})
        return rule.report("last", 1, 0.75, {1: 0}).status

    # Cutoff .8 of four; the standard error of .75 against .80 on 100 examples is .059.
    assert (last(0.5), last(1.0)) == (STOPPED, RUNNING)
    assert build_rule("one_rung", grace=1, factor=3, options={"finalists": 5}).finalists == 5
    with pytest.raises(ValueError, match="unknown parameter of early_stopping rule asha 'errors'"):
        build_rule("asha", grace=1, factor=3, options={"errors": 1.0})


def test_a_study_hands_its_options_to_its_rule():
    text = """
        name = "s"
        network = "tiny_cnn"
        [[noise]]
        kind = "symmetric"
        rates = [0.4]
        [search]
        early_stopping_options = { errors = 2.0 }
    """
    (first, *_) = Sweep.build(parse_sweep(text)).studies.values()
    assert first.rule.errors == 2.0
