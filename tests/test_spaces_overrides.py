"""``[space]``: who a name speaks for, what a value may be, and what is said when it may not."""

import re

import pytest

from spaces.domains import Choice, Fixed, Range
from spaces.overrides import parse_space


def parse(table, losses=("elr", "adam_elr"), preset="default", networks=("resnet34",)):
    return parse_space(table, losses, networks, preset)


def test_parse_space_gives_a_plain_name_to_every_owner_that_has_it():
    domains = parse({"lam": 2, "lr": {"low": 0.01, "high": 0.1, "log": True}})
    assert domains["elr"]["lam"] == domains["adam_elr"]["lam"] == Fixed(2.0)
    assert domains["optimiser"]["lr"] == Range(0.01, 0.1, log=True)


def test_parse_space_lets_an_owner_s_table_win():
    domains = parse({"lam": 2, "elr": {"lam": 5}, "adam": {"eps": 1e-6}})
    assert domains["elr"]["lam"] == Fixed(5.0)
    assert domains["adam_elr"]["lam"] == Fixed(2.0)
    assert domains["adam"] == {"eps": Fixed(1e-6)}


def test_owner_s_table_may_be_needed_where_the_plain_value_would_be_wrong():
    targets = {"target": {"choice": ["adam", "adam_literal"]}}
    domains = parse({"eps": 1e-6, "adam_literal": {"eps": 0.01}, **targets})
    assert domains["adam"]["eps"] == Fixed(1e-6)
    assert domains["adam_literal"]["eps"] == Fixed(0.01)
    with pytest.raises(ValueError, match=r"adam_literal\.eps = 1e-06 is not a number in \[0\.001"):
        parse({"eps": 1e-6, **targets})


def test_parse_space_reads_every_form_of_a_domain():
    domains = parse(
        {
            "lr_schedule": {"choice": ["multistep", "cosine"]},
            "batch_size": {"low": 32, "high": 128, "step": 32},
            "averaging": {"low": 0.9, "high": 0.99, "step": 0.01},
            "momentum": {"choice": [0, 0.9]},
            "milestones": {"choice": [[4, 8], [6, 9]]},
        }
    )
    assert domains["optimiser"] == {
        "lr_schedule": Choice(("multistep", "cosine")),
        "batch_size": Range(32, 128, step=32, whole=True),
        "averaging": Range(0.9, 0.99, step=0.01),
        "momentum": Choice((0.0, 0.9)),
    }
    assert domains["multistep"]["milestones"] == Choice(((4, 8), (6, 9)))


def test_parse_space_reads_where_the_user_believes_the_best():
    domains = parse(
        {
            "lam": {"low": 1, "high": 9, "log": True, "prior": 3},
            "batch_size": {"low": 32, "high": 128, "step": 32, "prior": 70},
            "lr_schedule": {"choice": ["multistep", "cosine"], "prior": "cosine"},
            "milestones": {"choice": [[4, 8], [6, 9]], "prior": [6, 9]},
        }
    )
    optimiser = domains["optimiser"]
    assert domains["elr"]["lam"].believed == 3
    assert optimiser["batch_size"].believed == 64  # the nearest of its steps
    assert optimiser["lr_schedule"].believed == "cosine"
    assert domains["multistep"]["milestones"].believed == (6, 9)
    assert optimiser["lr_schedule"] == Choice(("multistep", "cosine"))  # the same values


def test_parse_space_takes_what_leaves_no_choice_as_fixed():
    domains = parse({"lr": {"low": 0.1, "high": 0.1}, "momentum": {"choice": [0.5]}})
    assert domains["optimiser"] == {"lr": Fixed(0.1), "momentum": Fixed(0.5)}


def test_parse_space_writes_no_value_as_none():
    domains = parse({"truncate_from": {"choice": ["none", 40]}}, ["gce"])
    assert domains["gce"]["truncate_from"] == Choice((None, 40))
    with pytest.raises(ValueError, match="lr = 'none' is not a number"):
        parse({"lr": "none"})


def test_parse_space_knows_the_branches_a_sweep_opens():
    assert "nadam" not in parse({})
    table = {"target": {"choice": ["adam", "nadam"]}, "nadam": {"look_ahead": 0.5}}
    assert parse(table)["nadam"] == {"look_ahead": Fixed(0.5)}
    assert parse({"lr_schedule": "one_cycle", "warm_up": 0.2})["one_cycle"]["warm_up"] == Fixed(
        0.2
    )
    assert parse({"gamma": 0.3})["multistep"]["gamma"] == Fixed(0.3)
    assert "adam_scalar" in parse({}, preset="targets")


def test_parse_space_gives_beta2_to_every_target_but_the_literal_one():
    domains = parse({"target": {"choice": ["adam", "adam_literal"]}, "beta2": 0.99})
    assert domains["adam"]["beta2"] == Fixed(0.99)
    assert "beta2" not in domains["adam_literal"]


def test_parse_space_knows_what_the_sweep_s_networks_have():
    domains = parse({"width": {"low": 8, "high": 32, "step": 8}}, networks=["resnet9"])
    assert domains["resnet9"] == {"width": Range(8, 32, step=8, whole=True)}
    tables = {"wrn28_10": {"depth": {"choice": [16, 28]}}, "resnet9": {"width": 16}}
    domains = parse(tables, networks=["resnet9", "wrn28_10"])
    assert (domains["resnet9"], domains["wrn28_10"]) == (
        {"width": Fixed(16)},
        {"depth": Choice((16, 28))},
    )
    with pytest.raises(
        ValueError, match=r"width means .* \[space.resnet9\] or \[space.wrn28_10\]"
    ):
        parse({"width": 4}, networks=["resnet9", "wrn28_10"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"width": 16}, "width belongs to resnet9, wrn28_10: nothing in this sweep has it"),
        ({"resnet9": {"width": 16}}, "[space.resnet9]: no study of this sweep uses 'resnet9'"),
        ({"resnet34": {"width": 16}}, "unknown parameter of resnet34 'width': valid: none"),
        ({"lamm": 3}, "unknown parameter 'lamm': did you mean 'lam'? valid: lam, beta, lr"),
        ({"q": 0.3}, "q belongs to gce: nothing in this sweep has it"),
        ({"warm_up": 0.3}, "warm_up belongs to one_cycle: this sweep never uses it"),
        ({"gce": {"q": 0.3}}, "[space.gce]: no study of this sweep uses 'gce'"),
        ({"one_cycle": {"warm_up": 1}}, "[space.one_cycle]: no study of this sweep uses"),
        ({"adma": {"eps": 1}}, "unknown table [space] 'adma': did you mean 'adam'?"),
        ({"adam": {"epss": 1}}, "unknown parameter of adam 'epss': did you mean 'eps'?"),
        ({"adam": 3}, "adam = 3 is not a table; write [space.adam]"),
        ({"lam": -1}, "lam = -1 is not a number in [0, inf)"),
        ({"adam": {"beta1": 1}}, "adam.beta1 = 1 is not a number in [0, 1)"),
        ({"lam": float("nan")}, "lam = nan is not a finite number"),
        ({"lam": True}, "lam = True is not a number"),
        ({"lam": {"low": 3, "high": 1}}, "lam: low = 3 is above high = 1"),
        ({"lam": {"low": 0, "high": 1, "log": True}}, "lam: low = 0 is not above 0"),
        ({"lam": {"low": 1}}, "lam: a range needs low and high"),
        ({"lam": {"lo": 1, "high": 2}}, "lam: unknown key 'lo': did you mean 'low'?"),
        ({"lam": {"low": -1, "high": 2}}, "lam: low = -1 is not a number in [0, inf)"),
        ({"lam": {"low": 1, "high": 2, "log": 1}}, "lam: log = 1 is not true or false"),
        ({"lam": {"low": 1, "high": 2, "step": "x"}}, "lam: step = 'x' is not a number"),
        ({"lam": {"choice": 3}}, "lam: choice = 3 is not a list"),
        ({"lam": {"choice": []}}, "lam: choice = [] leaves nothing to choose"),
        ({"lam": {"choice": [1, -1]}}, "lam = -1 is not a number"),
        ({"lam": {"choice": [1], "low": 2}}, "lam: unknown key 'low': valid: choice"),
        (
            {"lam": {"low": 1, "high": 9, "prior": 10}},
            "lam: prior = 10 is not between low = 1 and",
        ),
        ({"lam": {"low": 1, "high": 9, "prior": "x"}}, "lam: prior = 'x' is not a number"),
        (
            {"lr_schedule": {"choice": ["cosine", "multistep"], "prior": "one_cycle"}},
            "lr_schedule: prior = 'one_cycle' is not one of its choices",
        ),
        ({"lr_schedule": {"low": 1, "high": 2}}, "lr_schedule: a range makes no sense for one of"),
        ({"lr_schedule": "cosin"}, "unknown lr_schedule 'cosin': did you mean 'cosine'?"),
        ({"target": "adan"}, "unknown target 'adan': did you mean 'adam'?"),
        ({"batch_size": 1}, "batch_size = 1 is not a whole number in [2, inf)"),
        ({"milestones": [8, 4]}, "milestones = (8, 4) is not an increasing list of whole numbers"),
        ({"milestones": []}, "milestones = () is not an increasing list"),
        (
            {"target": "adam_literal", "adam_literal": {"beta2": 0.999}},
            "unknown parameter of adam_literal 'beta2': did you mean 'beta1'?",
        ),
        ({"target": "adam_literal", "beta2": 0.999}, "beta2 belongs to adam, adam_scalar, ams"),
    ],
)
def test_parse_space_says_what_is_wrong(table, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(table)


def test_parse_space_refuses_a_name_that_means_two_things():
    with pytest.raises(ValueError, match=r"beta means .* \[space.elr\] or \[space.sce\]"):
        parse({"beta": 0.5}, ["elr", "sce"])
    with pytest.raises(ValueError, match=r"alpha means .* \[space.sce\] or \[space.ademamix\]"):
        parse({"alpha": 0.5, "target": "ademamix"}, ["sce", "adam_elr"])
    domains = parse({"elr": {"beta": 0.5}, "sce": {"beta": 2}}, ["elr", "sce"])
    assert (domains["elr"]["beta"], domains["sce"]["beta"]) == (Fixed(0.5), Fixed(2.0))


def test_parse_space_names_the_owner_where_only_one_of_several_refuses():
    both = {"target": {"choice": ["adam", "adam_literal"]}, "eps": 1e-8}
    with pytest.raises(ValueError, match=r"adam_literal.eps = 1e-08 is not a number in \[0.001"):
        parse(both)


def test_parse_space_refuses_an_unknown_preset():
    with pytest.raises(ValueError, match="unknown preset 'defaul': did you mean 'default'"):
        parse({}, preset="defaul")
