"""Named starting points for a search space, and the space of a study built from one.

A preset says which parameters vary and over what; everything it leaves out stays at its reference
value. A sweep file then puts its own ranges, choices and fixed values over the preset.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from spaces.domains import Choice, Domain, Fixed, Range
from spaces.space import Group, Space
from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    OPTIMISER,
    SCHEDULES,
    TARGETS,
    Parameter,
    Value,
    unknown,
)
from trainable.references import reference_parameters

OPTIMISER_OWNER = "optimiser"
Domains = Mapping[str, Mapping[str, Domain]]
"""Domains by owner (loss, target, schedule network or ``optimiser``), then by parameter."""

REFINED: dict[str, Mapping[str, Parameter]] = {
    name: {n: p for n, p in entry.parameters.items() if (name, n) != ("adam_literal", "beta2")}
    for name, entry in TARGETS.items()
    if name in LOSSES["adam_elr"].parameters["target"].options  # type: ignore[operator]
}
"""Parameters of adam_elr's targets. adam_literal has one beta: its beta2 could only repeat it."""

ALL_OWNERS: dict[str, Mapping[str, Parameter]] = {
    **{name: entry.parameters for name, entry in LOSSES.items()},
    OPTIMISER_OWNER: OPTIMISER.parameters,
    **REFINED,
    **{name: entry.parameters for name, entry in SCHEDULES.items()},
    **{name: entry.parameters for name, entry in NETWORKS.items()},
}
"""Everything that has parameters: the tables a sweep file may write under ``[space]``."""

_MOMENTS: dict[str, Domain] = {
    "beta1": Range(0.5, 0.95),
    "beta2": Choice((0.9, 0.99, 0.999)),
    "eps": Range(1e-8, 1e-3, log=True),
}
_LAM: dict[str, Domain] = {"lam": Range(0.5, 10.0, log=True)}
_OPTIMISER: dict[str, Domain] = {
    "lr": Range(0.005, 0.1, log=True),
    "weight_decay": Range(1e-4, 5e-3, log=True),
    "lr_schedule": Choice(("multistep", "cosine_warm_restarts")),
}

_LOSSES: Domains = {
    "bootstrap_soft": {"beta": Range(0.5, 0.99)},
    "bootstrap_hard": {"beta": Range(0.5, 0.99)},
    "gce": {"q": Range(0.1, 0.95)},
    "sce": {"alpha": Range(0.01, 10.0, log=True), "beta": Range(0.05, 5.0, log=True)},
    "elr": {**_LAM, "beta": Range(0.5, 0.99)},
    "adam_elr": _LAM,
    "adam": _MOMENTS,
    "adam_literal": {"beta1": Range(0.5, 0.95), "eps": Range(1e-3, 0.1, log=True)},
    "adam_scalar": _MOMENTS,
    "amsgrad": _MOMENTS,
    "nadam": {"beta1": Range(0.5, 0.95), "look_ahead": Range(0.1, 2.0)},
    "adabelief": {**_MOMENTS, "eps": Range(1e-3, 0.1, log=True)},
    "ademamix": {**_MOMENTS, "beta3": Range(0.9, 0.99), "alpha": Range(0.1, 5.0, log=True)},
    "lion": {"beta1": Range(0.5, 0.95), "beta2": Range(0.5, 0.99)},
}
"""What is worth searching of each loss and target; cross-entropy and forward have nothing."""

_SCHEDULES: Domains = {
    "multistep": {"gamma": Range(0.01, 0.5, log=True)},
    "cosine": {"eta_min": Range(1e-5, 1e-3, log=True)},
    "cosine_warm_restarts": {"t_mult": Choice((1, 2)), "eta_min": Range(1e-5, 1e-3, log=True)},
    "one_cycle": {"warm_up": Range(0.1, 0.5)},
}


@dataclass(frozen=True)
class Preset:
    """What varies (``domains``) over the reference settings."""

    summary: str
    domains: Domains = field(default_factory=dict)

    def max_epochs(self, dataset: str) -> int:
        """The budget of a trial, for sweep files that give none."""
        schedule = self.domains.get(OPTIMISER_OWNER, {}).get("lr_schedule")
        info = DATASETS[dataset]
        return info.multistep_epochs if schedule == Fixed("multistep") else info.epochs


PRESETS: dict[str, Preset] = {
    "default": Preset(
        "the loss's own parameters, lr, weight decay and the two schedules of the paper",
        {**_LOSSES, OPTIMISER_OWNER: _OPTIMISER},
    ),
    "targets": Preset(
        "as default, and which target adam_elr has, each with its own parameters",
        {
            **_LOSSES,
            OPTIMISER_OWNER: _OPTIMISER,
            "adam_elr": {**_LAM, "target": Choice(tuple(REFINED))},
        },
    ),
    "schedules": Preset(
        "as default, but over every schedule, each with its own parameters",
        {
            **_LOSSES,
            **_SCHEDULES,
            OPTIMISER_OWNER: {**_OPTIMISER, "lr_schedule": Choice(tuple(SCHEDULES))},
        },
    ),
    "loss": Preset(
        "the loss's own parameters only, everything else as in paper_star",
        _LOSSES,
    ),
    "paper": Preset(
        "nothing varies: the paper's settings with MultiStepLR",
        {OPTIMISER_OWNER: {"lr_schedule": Fixed("multistep")}},
    ),
    "paper_star": Preset(
        "nothing varies: the paper's settings with CosineAnnealingWarmRestarts (its star)",
        {OPTIMISER_OWNER: {"lr_schedule": Fixed("cosine_warm_restarts")}},
    ),
}


def reference_setting(
    loss: str, dataset: str, noise_kind: str, max_epochs: int, target: str = "adam"
) -> dict[str, dict[str, Fixed]]:
    """The reference value of every parameter, by owner.

    The paper's: lr 0.02, momentum 0.9, weight decay 1e-3, batches of 128; GCE's own lr 0.01 and
    weight decay 1e-4. Milestones are ELR's, [40, 80] of 120 epochs (CIFAR-100: [80, 120] of 150),
    in proportion to ``max_epochs``, and so is the start of GCE's truncation; T_0 is about 10, so
    that the budget ends with a cycle (:func:`_cycle`). The weight lam of adam_elr is that for
    ``target``.
    """
    milestones = tuple(sorted({_epoch(f, max_epochs) for f in DATASETS[dataset].milestones}))
    own = reference_parameters(loss, dataset, noise_kind, target)
    if isinstance(truncate_from := own.get("truncate_from"), int):
        share = truncate_from / DATASETS[dataset].multistep_epochs
        own["truncate_from"] = _epoch(share, max_epochs)
    given: dict[str, Mapping[str, Value]] = {
        OPTIMISER_OWNER: {"lr": 0.01, "weight_decay": 1e-4} if loss == "gce" else {},
        "multistep": {"milestones": milestones},
        "cosine_warm_restarts": {"t_0": _cycle(max_epochs)},
        **{name: reference_parameters(loss, dataset, noise_kind, name) for name in REFINED},
        loss: own,
    }
    return {
        owner: {
            name: Fixed(given.get(owner, {}).get(name, parameter.default))
            for name, parameter in parameters.items()
        }
        for owner, parameters in owners(loss).items()
    }


def _epoch(share: float, max_epochs: int) -> int:
    """The epoch at ``share`` of the budget, 1 at least."""
    return max(1, round(share * max_epochs))


def _cycle(max_epochs: int) -> int:
    """The length of the cycles: 10 epochs, or the nearest of 7 to 13 that fits the budget best.

    A trial is selected by its last epoch, so that must not be one of a learning rate just
    restarted. Budgets under 20 epochs have two cycles, under 4 one.
    """
    if max_epochs < 20:
        return max_epochs if max_epochs < 4 else math.ceil(max_epochs / 2)
    return min(range(7, 14), key=lambda length: (-max_epochs % length, abs(length - 10)))


def owners(loss: str) -> dict[str, Mapping[str, Parameter]]:
    """Parameters of everything a study of ``loss`` may use, by owner. Raises ValueError."""
    if loss not in LOSSES:
        raise ValueError(unknown("loss", loss, LOSSES))
    targets = REFINED if "target" in LOSSES[loss].parameters else {}
    return {name: ALL_OWNERS[name] for name in (loss, OPTIMISER_OWNER, *targets, *SCHEDULES)}


def options(domain: Domain) -> tuple[str, ...]:
    """The names that the domain of a branching parameter (a target, a schedule) can give."""
    names = (domain.value,) if isinstance(domain, Fixed) else domain.points()
    return tuple(map(str, names))


def build_space(
    loss: str,
    *,
    dataset: str,
    noise_kind: str,
    max_epochs: int,
    network: str,
    preset: str = "default",
    overrides: Domains | None = None,
) -> tuple[Space, dict[str, Value]]:
    """The space of one study, and the point in it that is nearest to the reference setting.

    Reference values, the preset over them, ``overrides`` on top; owners that the study does not
    have are passed over in both. Raises ValueError for an unknown loss or preset.
    """
    if preset not in PRESETS:
        raise ValueError(unknown("preset", preset, PRESETS))
    layers = (PRESETS[preset].domains, overrides or {})
    targets = options(_topmost(loss, "target", Fixed("adam"), layers))
    target = "adam" if "adam" in targets else targets[0]
    reference = reference_setting(loss, dataset, noise_kind, max_epochs, target)
    layers_of = ALL_OWNERS[network]
    reference[network] = {name: Fixed(parameter.default) for name, parameter in layers_of.items()}
    domains = {
        owner: {name: _topmost(owner, name, domain, layers) for name, domain in fixed.items()}
        for owner, fixed in reference.items()
    }
    groups = (
        Group(loss, domains[loss]),
        Group(OPTIMISER_OWNER, domains[OPTIMISER_OWNER]),
        *_branches(domains, loss, "target"),
        *_branches(domains, OPTIMISER_OWNER, "lr_schedule"),
        Group(network, domains[network]),
    )
    values = {
        group.qualified(name): domain.value
        for group in groups
        for name, domain in reference[group.owner].items()
    }
    space = Space(groups)
    return space, space.nearest(values)


def _topmost(owner: str, name: str, domain: Domain, layers: tuple[Domains, ...]) -> Domain:
    for layer in layers:
        domain = layer.get(owner, {}).get(name, domain)
    return domain


def _branches(domains: Domains, owner: str, name: str) -> list[Group]:
    """A group for each member that parameter ``name`` may take: a target, a schedule."""
    if name not in domains[owner]:
        return []
    return [Group(o, domains[o], (name, o)) for o in options(domains[owner][name])]
