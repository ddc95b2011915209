"""The sweep file: its grid of studies, its defaults, and what its tables demand of each other."""

import pytest

from spaces import sweep
from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, parse_sweep
from trainable.catalog import NOISE_KINDS
from trainable.data import DataConfig
from trainable.noise import make_noise

MINIMAL = 'name = "small"\n[[noise]]\nkind = "none"\n'
DIGITS = 'name = "x"\nnetwork = "tiny_cnn"\n[[noise]]\nkind = "symmetric"\nrates = [0.4]\n'


def test_sweep_needs_only_a_name_and_one_noise():
    spec = parse_sweep(MINIMAL)
    assert [cell.study for cell in spec.cells()] == ["none-elr", "none-adam_elr"]
    assert spec.seed == 0
    assert spec.network is None
    assert spec.data == (DataConfig("digits"),)
    assert (spec.budget.trials, spec.budget.reduction_factor) == (64, 3)
    assert (spec.search.sampler, spec.search.early_stopping) == ("multitask", "asha_ties")
    assert spec.search.metric == "val_accuracy"
    assert spec.preset == "default"
    assert spec.resources.max_failures == 3


def test_cells_are_data_sets_by_networks_by_noise_by_losses():
    spec = parse_sweep(
        """
        name = "grid"
        losses = ["ce", "elr"]
        network = ["tiny_cnn", "small_cnn"]
        data.name = ["digits", "cifar10"]
        noise = [{ kind = "none" }, { kind = "symmetric", rates = [0.2, 0.4] }]
        """
    )
    studies = [cell.study for cell in spec.cells()]
    assert len(studies) == 2 * 2 * 3 * 2
    assert studies[:3] == [
        "digits-tiny_cnn-none-ce",
        "digits-tiny_cnn-none-elr",
        "digits-tiny_cnn-symmetric-0.2-ce",
    ]
    assert studies[-1] == "cifar10-small_cnn-symmetric-0.4-elr"


def test_cells_take_the_preset_s_epochs_unless_the_budget_says():
    spec = parse_sweep(DIGITS, ['data.name=["digits", "cifar10"]', "space.preset=paper"])
    assert {cell.data.name: cell.max_epochs for cell in spec.cells()} == {
        "digits": 20,
        "cifar10": 120,
    }
    spec = parse_sweep(DIGITS, ["budget.max_epochs=30"])
    assert {cell.max_epochs for cell in spec.cells()} == {30}


def test_cell_trial_is_the_reference_with_values_over_it():
    spec = parse_sweep(DIGITS, ["seed=5", "training.precision=float32", "losses=elr"])
    (cell,) = spec.cells()
    config = cell.trial({**cell.reference, "lam": 1.5}, spec.seed)
    assert config.loss_parameters == {"lam": 1.5, "beta": 0.7}
    assert (config.seed, config.precision, config.network) == (5, "float32", "tiny_cnn")
    assert config.noise == make_noise("symmetric", 0.4)


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_sweep_takes_every_kind_of_noise(kind):
    options = {
        "none": "",
        "given": "",
        "human": 'labels_file = "x.pt"\nlabels_key = "worse_label"',
    }
    text = options.get(kind, "rates = [0.1, 0.2]")
    data = 'name = "files"\nroot = "/images"' if kind == "given" else 'name = "cifar10"'
    spec = parse_sweep(
        f'name = "x"\nlosses = "ce"\n[data]\n{data}\n[[noise]]\nkind = "{kind}"\n{text}'
    )
    settings = [cell.noise.setting for cell in spec.cells()]
    assert settings == {"none": ["none"], "given": ["given"], "human": ["human-worse_label"]}.get(
        kind, [f"{kind}-0.1", f"{kind}-0.2"]
    )


def test_averaged_metric_needs_weights_that_are_always_averaged():
    metric = "search.metric=averaged_val_accuracy"
    for averaging in ("0", "{low = 0, high = 0.99}", "{choice = [0, 0.99]}"):
        with pytest.raises(SpecError, match=r"needs averaging above 0 in \[space\]"):
            parse_sweep(DIGITS, [metric, f"space.averaging={averaging}"])
    for averaging in ("0.99", "{low = 0.9, high = 0.99}", "{choice = [0.9, 0.99]}"):
        parse_sweep(DIGITS, [metric, f"space.averaging={averaging}"])


@pytest.mark.parametrize(
    ("space", "sampler", "planned"),
    [
        ("lam = { low = 1.0, high = 3.0 }", "random", 5),
        ("preset = 'paper_star'", "random", 1),
        ("preset = 'paper_star'", "grid", 1),
        ("preset = 'paper_star'\nlam = { choice = [1.0, 2.0, 3.0] }", "random", 5),
        ("preset = 'paper_star'\nlam = { choice = [1.0, 2.0, 3.0] }", "grid", 3),
        ("preset = 'paper_star'\nlam = { choice = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] }", "grid", 5),
    ],
)
def test_planned_trials_are_the_budget_or_all_that_there_are(space, sampler, planned):
    spec = parse_sweep(f"{DIGITS}[space]\n{space}", ["losses=['elr']"])
    (cell,) = spec.cells()
    assert cell.planned(sampler, 5) == planned


@pytest.mark.parametrize(
    ("sampler", "named"),
    [
        (["search.sampler=qmc"], "'qmc'"),
        (["search.sampler=cmaes"], "'cmaes'"),
        (
            ["search.sampler=random", "search.sampler_options={common=true}"],
            "'random' with common draws",
        ),
    ],
)
def test_sampler_that_takes_no_priors_is_refused_with_those_that_do(sampler, named):
    lam = "space.lam={low=1, high=10, log=true, prior=3}"
    assert parse_sweep(DIGITS, [lam]).cells()[0].space.priors == ["lam"]
    with pytest.raises(SpecError) as refused:
        parse_sweep(DIGITS, [lam, *sampler])
    assert str(refused.value) == (
        f"sweep: space: lam has a prior, which sampler {named} does not take; these do: tpe, "
        "multitask, random, gp"
    )


def test_grid_sampler_needs_a_space_of_points():
    with pytest.raises(SpecError, match="space: sampler 'grid': lam: a grid needs"):
        parse_sweep(DIGITS, ["search.sampler=grid", "losses=elr"])
    points = ["space.preset=paper", "space.lam={choice = [1, 3, 7]}", "losses=elr"]
    (cell,) = parse_sweep(DIGITS, ["search.sampler=grid", *points]).cells()
    assert [point["lam"] for point in cell.space.grid()] == [1, 3, 7]


def test_a_third_of_a_gpu_fits_three_times():
    spec = parse_sweep(DIGITS, ["resources.gpus_per_trial=0.33333333"])
    assert spec.resources.gpus_per_trial == 0.3333
    assert parse_sweep(DIGITS, ["resources.gpus_per_trial=0.29"]).resources.gpus_per_trial == 0.29


def test_selecting_on_the_test_set_must_be_asked_for():
    with pytest.raises(SpecError, match="selects on the test set, which leaks"):
        parse_sweep(DIGITS, ["search.metric=test_accuracy"])
    allowed = ["search.metric=test_accuracy", "search.allow_test_selection=true"]
    assert parse_sweep(DIGITS, allowed).search.metric == "test_accuracy"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["losses=elrr"], "losses: unknown loss 'elrr': did you mean 'elr'?"),
        (['losses=["ce", "ce"]'], "study symmetric-0.4-ce is there 2 times"),
        (["losses=[]"], "losses: [] needs at least one entry"),
        (["network=resnet43"], "network: unknown network 'resnet43': did you mean 'resnet34'?"),
        (["data.name=digit"], "data: unknown data set 'digit': did you mean 'digits'?"),
        (["data.holdout=1.5"], "data: holdout = 1.5 is not a number in (0, 1)"),
        (["data.holdout=0.9999"], "data: holdout = 0.9999 of 1437 examples leaves 1437"),
        (["data.train_examples=10"], "data: train_examples = 10 is not in [100, 1437]"),
        (["noise.0.kind=symetric"], "noise.0: unknown noise kind 'symetric': did you mean"),
        (["noise.0.rates=[1.0]"], "noise.0: rate = 1.0 is not a number in [0, 1)"),
        (["noise.0.rates=[-0.1]"], "rate = -0.1 is not a number in [0, 1)"),
        (["noise.0.rates=[0.4, 0.4]"], "study symmetric-0.4-elr is there 2 times"),
        (["noise.0.rates=[]"], "noise kind 'symmetric' needs rates, such as"),
        (["noise.0.kind=none"], "noise kind 'none' takes no rates"),
        (["noise.0.ring=contiguous"], "ring is for noise kind 'asymmetric', not 'symmetric'"),
        (
            ["noise.0.kind=asymmetric", "noise.0.ring=contiguous"],
            "noise: ring = 'contiguous' is for cifar100, not digits",
        ),
        (
            ["noise.0.kind=asymmetric", "noise.0.legacy_sequential=true"],
            "noise: legacy_sequential is for cifar10, not digits",
        ),
        (
            ['noise=[{kind="human", labels_file="x", labels_key="worse_label"}]'],
            "noise: noise kind 'human' is for cifar10 and cifar100, not digits",
        ),
        (['noise=[{kind="human", labels_key="x"}]'], "noise.0.labels_file: is missing"),
        (['noise=[{kind="human", labels_file="x", labels_key="../x"}]'], "labels_key: '../x' is"),
        (["budget.grace_epochs=21"], "budget: grace_epochs = 21 is above max_epochs = 20"),
        (["budget.trials=0"], "budget.trials: 0 is not greater than or equal to 1"),
        (["budget.trials=1.5"], "budget.trials: 1.5 is not a valid integer"),
        (["budget.max_epochs=10000000"], "budget.max_epochs: 10000000 is not less than"),
        (["search.sampler=tpee"], "search.sampler: unknown sampler 'tpee': did you mean 'tpe'?"),
        (["search.early_stopping=ashaa"], "unknown early_stopping rule 'ashaa': did you mean"),
        (["search.metric=val_acuracy"], "unknown metric 'val_acuracy': did you mean"),
        (
            ["search.sampler_options={n=1}"],
            "unknown parameter of sampler multitask 'n': valid: optimism, explore, shared",
        ),
        (
            ["search.early_stopping_options={finalists=1}"],
            "unknown parameter of early_stopping rule asha_ties 'finalists': valid: errors",
        ),
        (
            ["search.early_stopping_options={errors=-1.0}"],
            "errors = -1.0 is not a number in",
        ),
        (["training.precision=half"], "training.precision: unknown precision 'half': valid: auto"),
        (
            ["resources.gpus_per_trial=2"],
            "2 is neither 0 nor in [0.01, 1]: a trial",
        ),
        (["resources.gpus_per_trial=inf"], "resources.gpus_per_trial: inf is not a finite number"),
        (["resources.max_concurrent=0"], "max_concurrent: 0 is not greater than or equal to 1"),
        (["seed=-1"], "seed: -1 is not greater than or equal to 0"),
        (["seed=99999999999"], "seed: 99999999999 is not less than 4294967296"),
        (["space.preset=papr"], "space.preset: unknown preset 'papr': did you mean 'paper'?"),
        (["space.lam={low = 3, high = 1}"], "space: lam: low = 3 is above high = 1"),
        (
            ["losses=gce", "space.truncate_from=40", "budget.max_epochs=1"],
            "space: truncate_from = 40 comes after the last of max_epochs = 1 and would",
        ),
        (
            ["losses=gce", "space.truncate_from=40", "budget.max_epochs=30"],
            "space: truncate_from = 40 comes after the last of max_epochs = 30 and would",
        ),
        (
            ["losses=gce", 'space.truncate_from={choice = ["none", 5, 21]}'],
            "space: truncate_from = 21 comes after the last of max_epochs = 20",
        ),
        (
            ["losses=gce", "space.truncate_from={low = 1, high = 21}"],
            "space: truncate_from = 21 comes after the last of max_epochs = 20",
        ),
        (
            ["space.milestones={choice = [[10, 15], [20, 30]]}"],
            "space: milestones = [20, 30] comes after the last of max_epochs = 20",
        ),
        (["budgt.trials=3"], "unknown key 'budgt': did you mean 'budget'?"),
        (["budget.trails=3"], "budget: unknown key 'trails': did you mean 'trials'?"),
        (["noise.0.rate=0.3"], "noise.0: unknown key 'rate': did you mean 'rates'?"),
        (["name=a/b"], "name: 'a/b' is not a name of letters, digits"),
        (["name=.hidden"], "name: '.hidden' is not a name"),
    ],
)
def test_sweep_says_in_one_line_what_is_wrong_and_where(overrides, message):
    with pytest.raises(SpecError) as caught:
        parse_sweep(DIGITS, overrides, where="my.toml")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("my.toml: ")
    assert message in line
    assert "Value error" not in line  # how pydantic begins a message of ours


def test_sweep_names_every_mistake_in_a_line_of_its_own():
    with pytest.raises(SpecError) as caught:
        parse_sweep(DIGITS, ["losses=elrr", "budget.trials=0", "budgt=1"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(line.startswith("sweep: ") for line in lines)


def test_grace_of_a_short_budget_is_a_third_of_it_unless_the_file_says():
    def grace(*overrides: str) -> int:
        spec = parse_sweep(DIGITS, overrides)
        (epochs,) = {cell.max_epochs for cell in spec.cells()}
        return spec.budget.grace(epochs)

    assert [grace(f"budget.max_epochs={n}") for n in (1, 2, 5, 29, 30, 150)] == [
        1,
        1,
        1,
        9,
        10,
        10,
    ]
    assert grace("budget.max_epochs=20", "budget.grace_epochs=10") == 10
    assert grace() == 6  # the preset's 20 epochs
    assert grace("data.name=fashion_mnist") == 10  # 50


def test_truncation_may_start_with_the_last_epoch_or_never():
    for start in ("20", "none", '{choice = ["none", 20]}', "{low = 1, high = 20}"):
        parse_sweep(DIGITS, ["losses=gce", f"space.truncate_from={start}"])


def test_early_stopping_none_needs_no_grace():
    parse_sweep(DIGITS, ["budget.grace_epochs=21", "search.early_stopping=none"])


def test_sweep_is_frozen():
    spec = parse_sweep(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]
    assert SweepSpec.model_validate(spec.model_dump()) == spec


def test_the_grid_is_built_once(monkeypatch):
    built = []
    build = sweep.build_space
    monkeypatch.setattr(sweep, "build_space", lambda *a, **k: built.append(a) or build(*a, **k))
    spec = parse_sweep(DIGITS)
    assert len(built) == len(spec.cells()) == 2
    assert spec.cells()[0] is spec.cells()[0]
    assert len(built) == 2
