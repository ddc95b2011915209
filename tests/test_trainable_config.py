"""The configuration of a trial: complete, checked, the same after a trip through JSON."""

import dataclasses
import json
import math

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
)
from trainable.config import TrialConfig, complete_loss, loss_owners
from trainable.data import DataConfig
from trainable.noise import make_noise
from trainable.seeds import derive_seed

REFINED = [name for name in TARGETS if name != "ema"]


def build(**changes):
    arguments = {
        "data": DataConfig("digits"),
        "noise": make_noise("symmetric", 0.4),
        "loss": "adam_elr",
        "network": "tiny_cnn",
        "max_epochs": 20,
        "seed": 0,
    }
    return TrialConfig.build(**(arguments | changes))


def test_build_completes_every_parameter_from_the_references():
    config = build()
    assert config.parameters == {
        "lam": 3.0,
        "target": "adam",
        "beta1": 0.7,
        "beta2": 0.999,
        "eps": 1e-8,
        "lr": 0.02,
        "lr_schedule": "cosine_warm_restarts",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 1e-3,
        "batch_size": 128,
        "averaging": 0.0,
        "t_0": 10,
        "t_mult": 1,
        "eta_min": 0.001,
    }


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_build_has_the_parameters_of_its_loss_and_schedule_only(loss, schedule):
    config = build(loss=loss, parameters={"lr_schedule": schedule})
    expected = {*LOSSES[loss].parameters, *OPTIMISER.parameters, *SCHEDULES[schedule].parameters}
    if loss == "adam_elr":
        expected |= set(TARGETS["adam"].parameters)
    assert set(config.parameters) == expected


@pytest.mark.parametrize("target", REFINED)
def test_build_brings_the_parameters_of_the_target(target):
    config = build(parameters={"target": target, "beta1": 0.8})
    assert set(config.loss_parameters) == {"lam", "target", *TARGETS[target].parameters}
    assert config.loss_parameters["beta1"] == 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "elrr"}, "unknown loss 'elrr': did you mean 'elr'"),
        ({"network": "resnet43"}, "unknown network 'resnet43': did you mean"),
        ({"max_epochs": 0}, "max_epochs = 0 is not a whole number above 0"),
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"parameters": {"target": "adan"}}, "unknown target 'adan': did you mean 'adam'"),
        ({"parameters": {"q": 0.7}}, "unknown parameter of a trial with adam_elr 'q'"),
        ({"parameters": {"gamma": 0.1}}, "unknown parameter of a trial with adam_elr 'gamma'"),
        ({"parameters": {"lam": -1}}, r"lam = -1 is not a number in \[0, inf\)"),
        ({"parameters": {"lr": 0}}, r"lr = 0 is not a number in \(0, inf\)"),
        ({"parameters": {"lr_schedule": "cosin"}}, "unknown lr_schedule 'cosin': did you mean"),
        ({"parameters": {"batch_size": 1}}, "batch_size = 1 is not"),
        (
            {"parameters": {"target": "adam_literal", "beta2": 0.999}},
            "unknown parameter of a trial with adam_elr 'beta2': did you mean 'beta1'",
        ),
        ({"parameters": {"t_0": 2.5}}, "t_0 = 2.5 is not a whole number"),
    ],
)
def test_build_refuses_what_no_trial_can_be(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cifar11"}, "unknown data set 'cifar11': did you mean 'cifar10'"),
        ({"name": "digits", "holdout": 0.0}, r"holdout = 0.0 is not a number in \(0, 1\)"),
        ({"name": "digits", "holdout": math.nan}, "holdout = nan is not"),
        ({"name": "digits", "holdout": 0.9999}, "leaves 1437 to validate on and 0 to train on"),
        ({"name": "digits", "holdout": 0.0001}, "leaves 0 to validate on and 1437 to train on"),
        ({"name": "digits", "train_examples": 99}, r"train_examples = 99 is not in \[100, 1437\]"),
        ({"name": "cifar100", "train_examples": 99}, r"is not in \[1000, 50000\]"),
    ],
)
def test_data_config_refuses_what_no_data_can_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(**arguments)


@pytest.mark.parametrize("name", DATASETS)
def test_data_config_takes_all_of_any_data_set_or_its_smallest_part(name):
    DataConfig(name)
    DataConfig(name, train_examples=10 * DATASETS[name].num_classes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "symetric"}, "unknown noise kind 'symetric': did you mean 'symmetric'"),
        ({"kind": "symmetric", "rate": 1.0}, r"rate = 1.0 is not a number in \[0, 1\)"),
        ({"kind": "symmetric", "rate": math.nan}, "rate = nan is not"),
        ({"kind": "asymmetric", "ring": "superclas"}, "unknown ring 'superclas': did you mean"),
        (
            {"kind": "symmetric", "ring": "contiguous"},
            "ring is for noise kind 'asymmetric', not '",
        ),
        ({"kind": "asymmetric", "include_true": False}, "include_true is for noise kind 'symm"),
        ({"kind": "none", "labels_key": "noisy_label"}, "labels_key is for noise kind 'human', n"),
    ],
)
def test_noise_config_refuses_what_no_noise_can_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_noise(**arguments)


@pytest.mark.parametrize(
    ("noise", "setting", "label"),
    [
        (make_noise("none"), "none", "no noise"),
        (make_noise("symmetric", 0.4), "symmetric-0.4", "symmetric, 40%"),
        (
            make_noise("symmetric", 0.4, include_true=False),
            "symmetric-exclusive-0.4",
            "symmetric, exclusive, 40%",
        ),
        (
            make_noise("asymmetric", 0.3, ring="contiguous"),
            "asymmetric-contiguous-0.3",
            "asymmetric, contiguous, 30%",
        ),
        (
            make_noise("asymmetric", 0.3, legacy_sequential=True),
            "asymmetric-sequential-0.3",
            "asymmetric, sequential, 30%",
        ),
        (
            make_noise("human", labels_file="x", labels_key="worse_label"),
            "human-worse_label",
            "human labels, worse_label",
        ),
    ],
)
def test_noise_has_a_short_name_and_one_in_words(noise, setting, label):
    assert (noise.setting, noise.label) == (setting, label)


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_config_is_the_same_after_json(loss, kind):
    parameters = {"lr_schedule": "multistep", "milestones": (3, 7)}
    human = {"labels_file": "human.pt", "labels_key": "worse_label"}
    noise = make_noise(kind, **(human if kind == "human" else {}))
    config = build(loss=loss, noise=noise, parameters=parameters)
    again = TrialConfig.from_dict(json.loads(json.dumps(config.as_dict())))
    assert again == config
    assert again.fingerprint == config.fingerprint


def test_fingerprint_is_the_same_wherever_files_lie():
    human = make_noise("human", labels_file="/here/human.pt", labels_key="worse_label")
    config = build(data=DataConfig("cifar10", root="/here"), noise=human)
    moved = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, root="/there"),
        noise=dataclasses.replace(human, labels_file="/there/human.pt"),
    )
    assert moved.fingerprint == config.fingerprint
    assert moved.as_dict()["data"]["root"] == "/there"
    other = dataclasses.replace(human, labels_key="aggre_label")
    assert dataclasses.replace(config, noise=other).fingerprint != config.fingerprint


@pytest.mark.parametrize(
    ("loss", "target", "fingerprint"),
    [
        ("sce", {}, "fedd61aca50a3772"),
        ("adam_elr", {"target": "adam_literal"}, "13726583ca911f26"),
    ],
)
def test_trials_of_version_0_1_load_and_their_checkpoints_stay_theirs(loss, target, fingerprint):
    now = build(loss=loss, parameters=target).as_dict()
    then = {name: value for name, value in now.items() if name != "nesterov"}
    if target:
        then["loss_parameters"] |= {"beta2": None}
    config = TrialConfig.from_dict(then)
    assert config == build(loss=loss, parameters=target)
    assert not config.nesterov
    assert config.fingerprint == fingerprint  # as that version computed it
    assert dataclasses.replace(config, nesterov=True).fingerprint != fingerprint


def test_fingerprint_differs_with_anything_else():
    config = build(data=DataConfig("digits", train_examples=500))
    others = [
        dataclasses.replace(config, seed=1),
        dataclasses.replace(config, lr=0.021),
        dataclasses.replace(config, compile=True),
        dataclasses.replace(config, noise=make_noise("symmetric", 0.41)),
        dataclasses.replace(config, data=DataConfig("digits", train_examples=501)),
        dataclasses.replace(config, data=dataclasses.replace(config.data, augment=False)),
        build(data=config.data, parameters={"eps": 1e-7}),
    ]
    prints = {c.fingerprint for c in [config, *others]}
    assert len(prints) == len(others) + 1
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)


def test_fingerprint_of_what_the_first_version_wrote_is_what_it_was():
    """Checkpoints are bound to it."""
    stored = build().as_dict()
    del stored["network_parameters"]
    config = TrialConfig.from_dict(stored)
    assert config == build()
    assert config.fingerprint == "b1e014b1fcc849e0"


def test_fingerprint_tells_networks_of_other_options_apart():
    wide = build(network="resnet9")
    assert wide.network_parameters == {"width": 64}
    assert wide.parameters["width"] == 64
    narrow = build(network="resnet9", parameters={"width": 16})
    assert narrow.fingerprint != wide.fingerprint
    without = dataclasses.replace(wide, network_parameters={})
    assert without.fingerprint == wide.fingerprint
    with pytest.raises(ValueError, match="unknown parameter of a trial with adam_elr 'width'"):
        build(parameters={"width": 16})
    with pytest.raises(ValueError, match="unknown depth 27: valid: 10, 16"):
        build(network="wrn28_10", parameters={"depth": 27})


def test_fingerprint_changes_with_what_a_name_stands_for(monkeypatch):
    before = build(network="preact_resnet18").fingerprint
    entry = dataclasses.replace(NETWORKS["preact_resnet18"], revision=1)
    monkeypatch.setitem(NETWORKS, "preact_resnet18", entry)
    assert build(network="preact_resnet18").fingerprint != before


def test_loss_owners_are_the_loss_and_its_target():
    assert loss_owners("elr", {}) == [LOSSES["elr"]]
    assert loss_owners("adam_elr", {"target": "lion"}) == [LOSSES["adam_elr"], TARGETS["lion"]]
    assert set(complete_loss("adam_elr", {"target": "lion"})) == {
        "lam",
        "target",
        "beta1",
        "beta2",
    }


@given(st.integers(0, 2**63), st.text(max_size=20))
def test_derive_seed_is_a_63_bit_number_of_seed_and_purpose(seed, purpose):
    derived = derive_seed(seed, purpose)
    assert 0 <= derived < 2**63
    assert derived == derive_seed(seed, purpose)
    assert derived != derive_seed(seed + 1, purpose)
    assert derived != derive_seed(seed, f"{purpose} ")


def test_derive_seed_is_the_same_on_every_machine():
    assert derive_seed(0, "noise") == 5127903134280592399  # of sha256sum


EARLIER = {
    "averaging": 0.0,
    "batch_size": 128,
    "compile": False,
    "loss": "elr",
    "loss_parameters": {"beta": 0.7, "lam": 3.0},
    "lr": 0.02,
    "lr_schedule": "cosine_warm_restarts",
    "max_epochs": 20,
    "momentum": 0.9,
    "network": "resnet34",
    "precision": "auto",
    "schedule_parameters": {"eta_min": 0.001, "t_0": 10, "t_mult": 1},
    "seed": 7,
    "weight_decay": 0.001,
}
EARLIER_NOISE = {
    "include_true": True,
    "labels_file": None,
    "labels_key": None,
    "legacy_sequential": False,
    "rate": 0.0,
    "ring": "superclass",
}


@pytest.mark.parametrize(
    ("data", "noise", "fingerprint"),
    [
        ({"name": "digits"}, {"kind": "none"}, "9bfd54d206490875"),
        (
            {
                "augment": False,
                "holdout": 0.2,
                "name": "cifar10",
                "root": "/x",
                "train_examples": 5000,
            },
            {"include_true": False, "kind": "symmetric", "rate": 0.4},
            "7e25cbfd5b0ec514",
        ),
        (
            {"name": "cifar100"},
            {"kind": "asymmetric", "rate": 0.3, "ring": "contiguous"},
            "e1db4b7c8b45abcc",
        ),
        (
            {"name": "cifar10"},
            {"kind": "asymmetric", "legacy_sequential": True, "rate": 0.3},
            "f5f5f94566ad86c4",
        ),
        (
            {"name": "cifar10"},
            {"kind": "human", "labels_file": "/a", "labels_key": "worse_label"},
            "b79c76c6be1bc222",
        ),
    ],
)
def test_config_and_fingerprint_of_earlier_results_stay(data, noise, fingerprint):
    """As they were stored and hashed when all kinds of noise shared one class."""
    whole = {"augment": True, "holdout": 0.1, "root": None, "train_examples": None, **data}
    config = TrialConfig.from_dict({**EARLIER, "data": whole, "noise": {**EARLIER_NOISE, **noise}})
    assert config.noise.kind == noise["kind"]
    assert config.fingerprint == fingerprint
