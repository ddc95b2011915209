import itertools

import pytest

from trainable.catalog import DATASETS, LOSSES, NOISE_KINDS, TARGETS
from trainable.config import complete_loss
from trainable.references import reference_parameters


@pytest.mark.parametrize("loss", LOSSES)
def test_reference_parameters_of_every_setting_are_complete_and_valid(loss: str) -> None:
    for dataset, kind in itertools.product(DATASETS, NOISE_KINDS):
        parameters = reference_parameters(loss, dataset, kind)
        assert complete_loss(loss, parameters) == parameters


@pytest.mark.parametrize(
    ("loss", "dataset", "kind", "expected"),
    [
        ("elr", "cifar10", "symmetric", {"beta": 0.7, "lam": 3.0}),
        ("elr", "cifar10", "asymmetric", {"beta": 0.9, "lam": 1.0}),
        ("elr", "cifar10", "human", {"beta": 0.7, "lam": 3.0}),
        ("elr", "cifar100", "symmetric", {"beta": 0.9, "lam": 7.0}),
        ("elr", "cifar100", "asymmetric", {"beta": 0.9, "lam": 7.0}),
        ("gce", "cifar10", "symmetric", {"q": 0.7, "k": 0.5, "truncate_from": 40}),
        ("gce", "cifar100", "symmetric", {"q": 0.7, "k": 0.5, "truncate_from": 80}),
        ("gce", "digits", "symmetric", {"q": 0.7, "k": 0.5, "truncate_from": None}),
        ("gce", "fashion_mnist", "none", {"q": 0.7, "k": 0.5, "truncate_from": None}),
        ("bootstrap_soft", "cifar100", "symmetric", {"beta": 0.95}),
        ("bootstrap_hard", "cifar10", "symmetric", {"beta": 0.8}),
        ("forward", "cifar10", "asymmetric", {"transition": "estimated"}),
    ],
)
def test_reference_parameters_are_the_published_ones(
    loss: str, dataset: str, kind: str, expected: dict[str, object]
) -> None:
    assert reference_parameters(loss, dataset, kind) == expected


@pytest.mark.parametrize(("dataset", "weights"), [("cifar10", (0.1, 1.0)), ("cifar100", (6, 0.1))])
def test_reference_parameters_of_sce(dataset: str, weights: tuple[float, float]) -> None:
    parameters = reference_parameters("sce", dataset, "symmetric")
    assert (parameters["alpha"], parameters["beta"]) == weights


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "ema"])
def test_reference_parameters_of_a_refined_target_start_from_elr(target: str) -> None:
    parameters = reference_parameters("adam_elr", "cifar100", "symmetric", target)
    assert parameters["target"] == target
    assert parameters["beta1"] == 0.9
    assert parameters["lam"] == pytest.approx({"adam_scalar": 7 / 3, "lion": 3.5}.get(target, 7))


@pytest.mark.parametrize(
    ("loss", "dataset", "kind", "target"),
    [
        ("elrr", "cifar10", "symmetric", "adam"),
        ("elr", "cifar11", "symmetric", "adam"),
        ("elr", "cifar10", "symetric", "adam"),
        ("adam_elr", "cifar10", "symmetric", "adan"),
    ],
)
def test_reference_parameters_refuse_unknown_names(
    loss: str, dataset: str, kind: str, target: str
) -> None:
    with pytest.raises(ValueError, match="did you mean"):
        reference_parameters(loss, dataset, kind, target)
