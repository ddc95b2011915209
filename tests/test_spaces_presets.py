"""Presets: the published settings, and spaces that keep to what the catalogue allows."""

import itertools

import pytest

from spaces.domains import Choice, Fixed
from spaces.presets import (
    OPTIMISER_OWNER,
    PRESETS,
    all_owners,
    build_space,
    owners,
    reference_setting,
)
from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    NOISE_KINDS,
    REFINED,
    SCHEDULES,
    TARGETS,
)
from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.network.schedules import learning_rate
from trainable.noise import make_noise


def build(
    loss="elr",
    preset="default",
    dataset="cifar10",
    noise="symmetric",
    overrides=None,
    network="tiny_cnn",
):
    return build_space(
        loss,
        network=network,
        dataset=dataset,
        noise_kind=noise,
        max_epochs=PRESETS[preset].max_epochs(dataset),
        preset=preset,
        overrides=overrides,
    )


def only_point(loss: str, preset: str, dataset: str, noise: str) -> dict[str, object]:
    space, reference = build(loss, preset, dataset, noise)
    assert not space.varies
    return reference


@pytest.mark.parametrize("preset", ["paper", "paper_star"])
@pytest.mark.parametrize("loss", ["ce", "elr", "adam_elr"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_paper_presets_have_the_paper_s_optimiser(preset, loss, dataset):
    point = only_point(loss, preset, dataset, "symmetric")
    assert (point["lr"], point["momentum"], point["weight_decay"]) == (0.02, 0.9, 1e-3)
    assert point["batch_size"] == 128
    assert point["averaging"] == 0


def test_paper_preset_drops_lr_where_elr_does():
    assert PRESETS["paper"].max_epochs("cifar10") == 120
    assert PRESETS["paper"].max_epochs("cifar100") == 150
    point = only_point("elr", "paper", "cifar10", "symmetric")
    assert (point["lr_schedule"], point["milestones"]) == ("multistep", (40, 80))
    assert point["gamma"] == 0.01
    assert only_point("elr", "paper", "cifar100", "symmetric")["milestones"] == (80, 120)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_paper_star_preset_has_the_star_s_schedule(dataset):
    assert PRESETS["paper_star"].max_epochs(dataset) == 150
    point = only_point("elr", "paper_star", dataset, "symmetric")
    assert point["lr_schedule"] == "cosine_warm_restarts"
    assert (point["t_0"], point["t_mult"], point["eta_min"]) == (10, 1, 0.001)


@pytest.mark.parametrize(
    ("dataset", "noise", "beta", "lam"),
    [
        ("cifar10", "symmetric", 0.7, 3),
        ("cifar10", "asymmetric", 0.9, 1),
        ("cifar100", "symmetric", 0.9, 7),
        ("cifar100", "asymmetric", 0.9, 7),
        ("digits", "symmetric", 0.7, 3),
    ],
)
def test_paper_presets_have_elr_s_beta_and_lam(dataset, noise, beta, lam):
    for preset in ("paper", "paper_star"):
        elr = only_point("elr", preset, dataset, noise)
        assert (elr["beta"], elr["lam"]) == (beta, lam)
        refined = only_point("adam_elr", preset, dataset, noise)
        assert (refined["beta1"], refined["lam"], refined["target"]) == (beta, lam, "adam")


@pytest.mark.parametrize(
    ("loss", "dataset", "expected"),
    [
        ("gce", "cifar10", {"lr": 0.01, "weight_decay": 1e-4, "gamma": 0.1, "truncate_from": 40}),
        ("gce", "cifar100", {"lr": 0.01, "gamma": 0.1, "truncate_from": 80}),
        ("gce", "digits", {"q": 0.7, "k": 0.5, "truncate_from": None}),
        ("sce", "cifar10", {"lr": 0.01, "weight_decay": 5e-4, "gamma": 0.1, "nesterov": True}),
        ("sce", "cifar10", {"alpha": 0.1, "beta": 1.0}),
        ("sce", "cifar100", {"alpha": 6.0, "beta": 0.1, "nesterov": True}),
        ("forward", "cifar10", {"lr": 0.1, "weight_decay": 1e-4, "gamma": 0.1}),
        ("forward", "cifar100", {"lr": 0.1, "weight_decay": 1e-3, "gamma": 0.1}),
        ("bootstrap_soft", "cifar10", {"beta": 0.95, "lr": 0.02, "weight_decay": 1e-3}),
        ("bootstrap_hard", "cifar100", {"beta": 0.8, "gamma": 0.01, "nesterov": False}),
        ("elr", "cifar10", {"nesterov": False, "momentum": 0.9, "batch_size": 128}),
    ],
)
def test_paper_preset_trains_every_loss_as_its_source_does(loss, dataset, expected):
    point = only_point(loss, "paper", dataset, "symmetric")
    assert {name: point[name] for name in expected} == expected
    assert point["milestones"] == ((40, 80) if dataset == "cifar10" else (80, 120)) or (
        dataset == "digits"
    )


def test_every_reference_names_its_source_and_sets_what_there_is():
    for owner, entry in {**all_owners(), **TARGETS}.items():
        known = set(entry.parameters)
        if owner in LOSSES:
            known |= {name for other in owners(owner).values() for name in other.parameters}
        for reference in entry.references:
            assert reference.source
            assert set(reference.values) <= known, owner


@pytest.mark.parametrize("target", REFINED)
def test_reference_of_a_refined_target_starts_from_elr_s(target):
    setting = reference_setting("adam_elr", "cifar100", "symmetric", 150, target)
    assert setting["adam_elr"]["target"] == Fixed(target)
    assert setting[target]["beta1"] == Fixed(0.9)
    lam = {"adam_scalar": 7 / 3, "lion": 3.5}.get(target, 7)
    assert setting["adam_elr"]["lam"].value == pytest.approx(lam)


@pytest.mark.parametrize(
    ("loss", "dataset", "kind", "target"),
    [
        ("elrr", "cifar10", "symmetric", "adam"),
        ("elr", "cifar11", "symmetric", "adam"),
        ("elr", "cifar10", "symetric", "adam"),
        ("adam_elr", "cifar10", "symmetric", "adan"),
    ],
)
def test_reference_setting_refuses_unknown_names(loss, dataset, kind, target):
    with pytest.raises(ValueError, match="did you mean"):
        reference_setting(loss, dataset, kind, 120, target)


@pytest.mark.parametrize(
    ("dataset", "max_epochs", "expected"),
    [
        ("cifar10", 120, 40),
        ("cifar10", 150, 50),
        ("cifar10", 30, 10),
        ("cifar10", 1, 1),
        ("cifar100", 150, 80),
        ("cifar100", 30, 16),
        ("digits", 120, None),
    ],
)
def test_truncation_of_gce_keeps_its_place_in_the_budget(dataset, max_epochs, expected):
    setting = reference_setting("gce", dataset, "symmetric", max_epochs)
    assert setting["gce"]["truncate_from"] == Fixed(expected)


@pytest.mark.parametrize("target", REFINED)
def test_reference_weight_of_adam_elr_is_that_of_its_target(target):
    overrides = {"adam_elr": {"target": Fixed(target)}}
    _, reference = build("adam_elr", "paper_star", overrides=overrides)
    expected = reference_setting("adam_elr", "cifar10", "symmetric", 150, target)
    assert reference["lam"] == expected["adam_elr"]["lam"].value
    assert reference["beta1"] == 0.7


def test_milestones_and_cycles_keep_their_proportion_in_a_short_budget():
    setting = reference_setting("elr", "digits", "symmetric", 12)
    assert setting["multistep"]["milestones"] == Fixed((4, 8))
    assert setting["cosine_warm_restarts"]["t_0"] == Fixed(6)
    setting = reference_setting("elr", "digits", "symmetric", 1)
    assert setting["multistep"]["milestones"] == Fixed((1,))
    assert setting["cosine_warm_restarts"]["t_0"] == Fixed(1)


@pytest.mark.parametrize(
    ("max_epochs", "expected"),
    [(1, 1), (3, 3), (4, 2), (11, 6), (15, 8), (20, 10), (21, 7), (111, 8), (120, 10), (150, 10)],
)
def test_reference_cycles_are_about_10_epochs_and_end_with_the_budget(max_epochs, expected):
    setting = reference_setting("elr", "digits", "symmetric", max_epochs)
    assert setting["cosine_warm_restarts"]["t_0"] == Fixed(expected)


def test_reference_budget_never_ends_on_a_learning_rate_just_restarted():
    for max_epochs in range(2, 301):
        setting = reference_setting("elr", "cifar10", "symmetric", max_epochs)
        parameters = {n: fixed.value for n, fixed in setting["cosine_warm_restarts"].items()}
        last = learning_rate(
            "cosine_warm_restarts", parameters, lr=0.1, epoch=max_epochs, max_epochs=max_epochs
        )
        assert last < 0.08, max_epochs


def test_default_preset_searches_the_loss_and_lr_and_schedule():
    space, _ = build("elr")
    assert list(space.varies) == ["lam", "beta", "lr", "lr_schedule", "weight_decay"]
    space, _ = build("adam_elr")
    assert set(space.varies) == {
        "lam", "adam.beta1", "adam.beta2", "adam.eps", "lr", "lr_schedule", "weight_decay",
    }  # fmt: skip


def test_loss_preset_searches_the_loss_alone():
    assert list(build("elr", "loss")[0].varies) == ["lam", "beta"]
    assert not build("ce", "loss")[0].varies


def test_targets_preset_searches_every_target_with_its_own_parameters():
    space, reference = build("adam_elr", "targets")
    assert space.domain("target") == Choice(tuple(REFINED))
    assert reference["target"] == "adam"
    branches = {name.partition(".")[0] for name in space.varies if "." in name}
    assert branches == set(REFINED) == set(TARGETS) - {"ema"}


def test_schedules_preset_searches_every_schedule_with_its_own_parameters():
    space, _ = build("elr", "schedules")
    assert space.domain("lr_schedule") == Choice(tuple(SCHEDULES))
    branches = {name.partition(".")[0] for name in space.varies if "." in name}
    assert branches == set(SCHEDULES) - {"constant"}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_point_of_every_preset_makes_a_trial(preset, loss):
    for dataset, noise in itertools.product(DATASETS, NOISE_KINDS):
        space, reference = build(loss, preset, dataset, noise)
        corners = [space.at(dict.fromkeys(space.varies, f)) for f in (0.0, 0.35, 0.7, 0.9999)]
        for values in (reference, *corners):
            config = TrialConfig.build(
                data=DataConfig(dataset),
                noise=make_noise("none"),
                loss=loss,
                network="tiny_cnn",
                max_epochs=PRESETS[preset].max_epochs(dataset),
                seed=0,
                parameters=values,
            )
            assert values.items() <= config.parameters.items()


def test_adam_literal_has_one_beta_in_every_space():
    overrides = {"adam_elr": {"target": Fixed("adam_literal")}}
    space, reference = build("adam_elr", overrides=overrides)
    assert "beta2" not in reference
    assert set(space.varies) >= {"adam_literal.beta1", "adam_literal.eps"}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_varies_the_network_but_a_sweep_may(preset, network):
    space, reference = build(preset=preset, network=network)
    parameters = NETWORKS[network].parameters
    assert not parameters.keys() & space.varies.keys()
    assert {n: reference[n] for n in parameters} == {n: p.default for n, p in parameters.items()}
    if "width" in parameters:
        varied = {network: {"width": Choice((8, 16))}}
        space, reference = build(preset=preset, network=network, overrides=varied)
        assert "width" in space.varies
        assert reference["width"] in (8, 16)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_two_parameters_of_a_trial_share_a_name(loss, schedule):
    """A trial's parameters, and the columns of the results, go by their plain names."""
    for target in REFINED if "target" in LOSSES[loss].parameters else ("",):
        groups = [all_owners()[owner] for owner in (loss, OPTIMISER_OWNER, schedule)]
        groups += [all_owners()[target]] if target else []
        for network in NETWORKS.values():
            names = [name for entry in (*groups, network) for name in entry.parameters]
            assert len(names) == len(set(names)), (target, network)


def test_owners_and_parameters_never_share_a_name():
    parameters = {name for entry in all_owners().values() for name in entry.parameters}
    assert not parameters & set(all_owners())
    tables = (LOSSES, REFINED, SCHEDULES, NETWORKS)
    assert len(all_owners()) == sum(map(len, tables)) + 1


@pytest.mark.parametrize(
    ("loss", "preset", "message"),
    [("elrr", "default", "unknown loss 'elrr'"), ("elr", "papr", "unknown preset 'papr'")],
)
def test_build_space_refuses_unknown_names(loss, preset, message):
    names = {"dataset": "digits", "noise_kind": "none", "network": "tiny_cnn"}
    with pytest.raises(ValueError, match=f"{message}: did you mean"):
        build_space(loss, **names, max_epochs=2, preset=preset)
