"""Named starting points for a search space, and the space of a study built from one.

A preset says which parameters vary and over what; everything it leaves out stays at its reference
value. A sweep file then puts its own ranges, choices and fixed values over the preset.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from spaces.domains import Choice, Domain, Fixed, parse_domain
from spaces.space import Group, Space
from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    NOISE_KINDS,
    OPTIMISER,
    REFINED,
    SCHEDULES,
    TARGETS,
    Entry,
    Parameter,
    Value,
    named,
)
from trainable.parameters import Setting

OPTIMISER_OWNER = "optimiser"
Domains = Mapping[str, Mapping[str, Domain]]
"""Domains by owner (loss, target, schedule network or ``optimiser``), then by parameter."""

_OPTIMISER = {OPTIMISER_OWNER: OPTIMISER}


@dataclass(frozen=True)
class Preset:
    """What varies over the reference settings."""

    summary: str  # what it is for
    searched: tuple[Mapping[str, Entry], ...] = ()
    """The tables whose entries are searched, over what each says is worth it."""
    all_options: tuple[str, ...] = ()
    """Parameters that may be any of their options."""
    fixed: Mapping[str, Value] = field(default_factory=dict)
    """Values that stand over the reference settings, by parameter."""

    def domain(self, owner: str, name: str, parameter: Parameter) -> Domain | None:
        """What a parameter varies over; None: it stays at its reference value."""
        if name in self.fixed:
            return Fixed(self.fixed[name])
        if name in self.all_options and parameter.options:
            return Choice(tuple(parameter.options))
        if parameter.search is None or not any(owner in table for table in self.searched):
            return None
        return parse_domain(f"{owner}.{name}", parameter.search, parameter)

    def max_epochs(self, dataset: str) -> int:
        """The budget of a trial, for sweep files that give none."""
        schedule = SCHEDULES.get(str(self.fixed.get("lr_schedule")))
        # On some data sets papers train less long where the rate falls at milestones.
        falls = schedule is not None and "milestones" in schedule.parameters
        return DATASETS[dataset].multistep_epochs if falls else DATASETS[dataset].epochs


_USUAL = (LOSSES, TARGETS, _OPTIMISER)

PRESETS: dict[str, Preset] = {
    "default": Preset(
        "the loss's own parameters, lr, weight decay and the two schedules of the paper",
        _USUAL,
    ),
    "targets": Preset(
        "as default, and which target adam_elr has, each with its own parameters",
        _USUAL,
        all_options=("target",),
    ),
    "schedules": Preset(
        "as default, but over every schedule, each with its own parameters",
        (*_USUAL, SCHEDULES),
        all_options=("lr_schedule",),
    ),
    "loss": Preset(
        "the loss's own parameters only, everything else as in paper_star",
        (LOSSES, TARGETS),
    ),
    "paper": Preset(
        "nothing varies: the papers' settings with MultiStepLR",
        fixed={"lr_schedule": "multistep"},
    ),
    "paper_star": Preset(
        "nothing varies: the papers' settings with CosineAnnealingWarmRestarts (the star)",
        fixed={"lr_schedule": "cosine_warm_restarts"},
    ),
}


def reference_setting(
    loss: str, dataset: str, noise_kind: str, max_epochs: int, target: str | None = None
) -> dict[str, dict[str, Fixed]]:
    """The reference value of every parameter that a study may have, by owner.

    That of the loss's references, else of the owner's own, else the default; epochs in proportion
    to ``max_epochs``, but for T_0, which is about 10, so that the budget ends with a cycle
    (:func:`_cycle`). ``target``: that of a loss that may have several, with lam as it wants it;
    None: the default. Raises ValueError for a name that the catalogue does not have.
    """
    info = named("data set", dataset, DATASETS)
    named("noise kind", noise_kind, NOISE_KINDS)
    asked = (dataset, _nearest(info.num_classes), noise_kind)
    milestones = tuple(sorted({_epoch(share, max_epochs) for share in info.milestones}))
    of_budget: dict[str, Setting] = {
        "milestones": (milestones, None),
        "t_0": (_cycle(max_epochs), None),
    }
    of_loss = named("loss", loss, LOSSES).referenced(*asked)
    setting = {}
    for owner, entry in owners(loss).items():
        # The loss has the last word: its source sets them for it.
        given = {**entry.referenced(*asked), **of_budget, **of_loss}
        setting[owner] = {
            name: Fixed(_scaled(*given[name], parameter, max_epochs))
            if name in given
            else Fixed(parameter.default)
            for name, parameter in entry.parameters.items()
        }
    own = setting[loss]
    if target is not None and "target" in own:
        own["target"] = Fixed(target)
        if isinstance(lam := own["lam"].value, float):
            own["lam"] = Fixed(named("target", target, TARGETS).lam_share * lam)
    return setting


def _nearest(classes: int) -> int:
    """The number of classes that has settings, nearest in proportion; 10 for what is not known."""
    # In proportion: 30 classes are nearer to 10 than to 100, for what grows with their number.
    return min((10, 100), key=lambda known: abs(math.log(known / max(classes, 1))))


def _scaled(value: Value, epochs: int | None, parameter: Parameter, max_epochs: int) -> Value:
    """A value that is set for a budget of ``epochs``, in proportion to another budget."""
    if not parameter.in_epochs or epochs is None:
        return value
    if isinstance(value, tuple):
        return tuple(sorted({_epoch(v / epochs, max_epochs) for v in value}))
    return _epoch(value / epochs, max_epochs) if isinstance(value, int) else value


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


def all_owners() -> dict[str, Entry]:
    """Everything that has parameters: the tables a sweep file may write under ``[space]``."""
    return {**LOSSES, **_OPTIMISER, **REFINED, **SCHEDULES, **NETWORKS}


def owners(loss: str) -> dict[str, Entry]:
    """The entries of everything a study of ``loss`` may use. Raises ValueError."""
    entry = named("loss", loss, LOSSES)
    targets = REFINED if "target" in entry.parameters else {}
    return {loss: entry, **_OPTIMISER, **targets, **SCHEDULES}


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
    layers = (_preset_domains(loss, named("preset", preset, PRESETS)), overrides or {})
    target = _reference_target(loss, layers)
    reference = reference_setting(loss, dataset, noise_kind, max_epochs, target)
    sizes = NETWORKS[network].parameters
    # A network's sizes come from no reference: what it is called says them.
    reference[network] = {name: Fixed(parameter.default) for name, parameter in sizes.items()}
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


def _reference_target(loss: str, layers: tuple[Domains, ...]) -> str | None:
    """The default of a loss that may have several targets, or the first it may have here."""
    if "target" not in LOSSES[loss].parameters:
        return None
    default = str(LOSSES[loss].parameters["target"].default)
    targets = options(_topmost(loss, "target", Fixed(default), layers))
    return default if default in targets else targets[0]


def _preset_domains(loss: str, preset: Preset) -> Domains:
    return {
        owner: {
            name: domain
            for name, parameter in entry.parameters.items()
            if (domain := preset.domain(owner, name, parameter))
        }
        for owner, entry in owners(loss).items()
    }


def _topmost(owner: str, name: str, domain: Domain, layers: tuple[Domains, ...]) -> Domain:
    for layer in layers:
        domain = layer.get(owner, {}).get(name, domain)
    return domain


def _branches(domains: Domains, owner: str, name: str) -> list[Group]:
    """A group for each member that parameter ``name`` may take: a target, a schedule."""
    if name not in domains[owner]:
        return []
    return [Group(o, domains[o], (name, o)) for o in options(domains[owner][name])]
