"""The typed configuration of one trial, and the seeds that make it repeatable."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    NOISE_KINDS,
    OPTIMISER,
    RINGS,
    SCHEDULES,
    TARGETS,
    Entry,
    Value,
    unknown,
)

ONE_DECAY = (
    "adam_literal takes one decay for both moments: with two, m / (sqrt(v) + eps) passes 1 and "
    "log(1 - <p, t>) is NaN. Leave beta2 out, or take the target adam"
)

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class DataConfig:
    """Which images a trial sees.

    ``root`` is the folder of the data set's files (None: ``~/.cache/elr-tune``'s), ``holdout`` the
    share in (0, 1) of the training set held out for validation, ``train_examples`` the size of a
    stratified subset taken before the split (None: all). ``augment``: whether training images are
    cropped and flipped as the data set's usually are.
    """

    name: str
    root: str | None = None
    holdout: float = 0.1
    train_examples: int | None = None
    augment: bool = True

    def __post_init__(self) -> None:
        if self.name not in DATASETS:
            raise ValueError(unknown("data set", self.name, DATASETS))
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout = {self.holdout} is not a number in (0, 1)")
        largest = DATASETS[self.name].train_examples
        smallest = 10 * DATASETS[self.name].num_classes
        if self.train_examples is not None and not smallest <= self.train_examples <= largest:
            raise ValueError(
                f"train_examples = {self.train_examples} is not in [{smallest}, {largest}]"
            )
        examples = self.train_examples or largest
        held_out = round(self.holdout * examples)
        if not 0 < held_out < examples - 1:
            raise ValueError(
                f"holdout = {self.holdout} of {examples} examples leaves {held_out} to validate "
                f"on and {examples - held_out} to train on"
            )


_READ_BY = {
    "include_true": "symmetric",
    "ring": "asymmetric",
    "legacy_sequential": "asymmetric",
    "labels_file": "human",
    "labels_key": "human",
}
"""Option of noise -> the one kind that reads it."""


@dataclass(frozen=True)
class NoiseConfig:
    """How the given labels differ from the true ones (``trainable.noise.noisy_labels``).

    ``rate`` in [0, 1) means what the kind says it means. ``include_true`` (symmetric): redraw from
    all classes, the true one among them. ``ring`` (asymmetric, CIFAR-100): ``superclass`` or
    ``contiguous``. ``legacy_sequential`` (asymmetric, CIFAR-10): apply the class map one class
    after the other, as ELR's code does. ``labels_file`` and ``labels_key`` (human): the CIFAR-N
    file and the label set in it. An option of another kind is refused.
    """

    kind: str
    rate: float = 0.0
    include_true: bool = True
    ring: str = "superclass"
    legacy_sequential: bool = False
    labels_file: str | None = None
    labels_key: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in NOISE_KINDS:
            raise ValueError(unknown("noise kind", self.kind, NOISE_KINDS))
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate = {self.rate} is not a number in [0, 1)")
        for option, kind in _READ_BY.items():
            if kind != self.kind and getattr(self, option) != getattr(NoiseConfig, option):
                raise ValueError(f"{option} is for noise kind {kind!r}, not {self.kind!r}")
        if self.ring not in RINGS:
            raise ValueError(unknown("ring", self.ring, RINGS))

    @property
    def setting(self) -> str:
        """A short name for tables and folders: ``symmetric-0.4``, ``human-worse_label``."""
        if self.kind == "human":
            return f"human-{self.labels_key}"
        parts = [self.kind]
        if not self.include_true:
            parts.append("exclusive")
        if self.ring != "superclass":
            parts.append(self.ring)
        if self.legacy_sequential:
            parts.append("sequential")
        return "-".join(parts) if self.kind == "none" else "-".join([*parts, f"{self.rate:g}"])


_LATER: Mapping[str, Any] = {"network_parameters": {}}
"""Fields that the first version lacked, with the value that its trials had."""


@dataclass(frozen=True)
class TrialConfig:
    """Everything one trial is: the same config gives the same trial, bit for bit on a CPU.

    ``loss_parameters`` are complete: those of the loss, and of the target it names;
    ``schedule_parameters`` those of ``lr_schedule``. ``network_parameters`` may leave out what has
    its default. ``max_epochs`` is the full budget. ``seed`` is the one number that noise, split,
    initialisation, order and augmentation derive from (:func:`derive_seed`). ``precision`` "auto"
    is bfloat16 autocast where the device has it.
    """

    data: DataConfig
    noise: NoiseConfig
    loss: str
    loss_parameters: Mapping[str, Value]
    network: str
    lr: float
    lr_schedule: str
    schedule_parameters: Mapping[str, Value]
    momentum: float
    weight_decay: float
    batch_size: int
    averaging: float
    max_epochs: int
    seed: int
    precision: str = "auto"
    compile: bool = False
    network_parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _network(self.network).complete(self.network, self.network_parameters)
        if self.max_epochs < 1:
            raise ValueError(f"max_epochs = {self.max_epochs} is not a whole number above 0")
        if self.precision not in PRECISIONS:
            raise ValueError(unknown("precision", self.precision, PRECISIONS))

    @classmethod
    def build(
        cls,
        *,
        data: DataConfig,
        noise: NoiseConfig,
        loss: str,
        network: str,
        max_epochs: int,
        seed: int,
        parameters: Mapping[str, Value] | None = None,
        precision: str = "auto",
        compile: bool = False,
    ) -> "TrialConfig":
        """A complete config from flat ``parameters`` ({"lam": 3, "lr": 0.02, …}).

        What is not given takes its reference value. Raises ValueError for a name that neither the
        loss, its target, the optimiser, the schedule nor the network has, and for a value out of
        range.
        """
        given = dict(parameters or {})
        loss_parameters = complete_loss(loss, _take(given, loss_owners(loss, given)))
        optimiser = OPTIMISER.complete("the optimiser", _take(given, [OPTIMISER]))
        lr_schedule = str(optimiser.pop("lr_schedule"))
        entry = SCHEDULES[lr_schedule]
        schedule_parameters = entry.complete(lr_schedule, _take(given, [entry]))
        layers = _network(network)
        network_parameters = layers.complete(network, _take(given, [layers]))
        if given:
            name = next(iter(given))
            owners = [*loss_owners(loss, loss_parameters), OPTIMISER, entry, layers]
            valid = [n for owner in owners for n in owner.parameters]
            raise ValueError(unknown(f"parameter of a trial with {loss}", name, valid))
        return cls(
            data=data,
            noise=noise,
            loss=loss,
            loss_parameters=loss_parameters,
            network=network,
            lr_schedule=lr_schedule,
            schedule_parameters=schedule_parameters,
            max_epochs=max_epochs,
            seed=seed,
            precision=precision,
            compile=compile,
            network_parameters=network_parameters,
            **optimiser,  # type: ignore[arg-type]
        )

    @property
    def parameters(self) -> dict[str, Value]:
        """All hyperparameters, flat: what the ``param_*`` columns of the results hold."""
        optimiser = {name: getattr(self, name) for name in OPTIMISER.parameters}
        return {
            **self.loss_parameters,
            **optimiser,
            **self.schedule_parameters,
            **self.network_parameters,
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values; :meth:`from_dict` is the inverse."""
        return {
            **asdict(self),
            "loss_parameters": dict(self.loss_parameters),
            "schedule_parameters": dict(self.schedule_parameters),
            "network_parameters": dict(self.network_parameters),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialConfig":
        """A config from :meth:`as_dict`'s output, lists (from JSON) read as tuples."""
        plain = dict(values)
        plain["data"] = DataConfig(**plain["data"])
        plain["noise"] = NoiseConfig(**plain["noise"])
        for key in ("loss_parameters", "schedule_parameters"):
            plain[key] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain[key].items()}
        return cls(**plain)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ whenever anything in the config differs but where files lie.

        Another machine may have them elsewhere, and goes on with the same trial. A trial that an
        earlier version can have written keeps its digits: what came later is left out while it
        has the value that stands for its absence.
        """
        plain, network = self.as_dict(), NETWORKS[self.network]
        del plain["data"]["root"], plain["noise"]["labels_file"]
        plain["network_parameters"] = {
            name: value
            for name, value in self.network_parameters.items()
            if value != network.parameters[name].default
        }
        if network.revision > 1:
            plain["network"] = f"{self.network}, revision {network.revision}"
        for name, before in _LATER.items():
            if plain[name] == before:
                del plain[name]
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _network(name: str) -> Entry:
    if name not in NETWORKS:
        raise ValueError(unknown("network", name, NETWORKS))
    return NETWORKS[name]


def loss_owners(loss: str, parameters: Mapping[str, Value]) -> list[Entry]:
    """The tables that the parameters of ``loss`` come from: its own and, if any, its target's."""
    if loss not in LOSSES:
        raise ValueError(unknown("loss", loss, LOSSES))
    entry = LOSSES[loss]
    if "target" not in entry.parameters:
        return [entry]
    target = parameters.get("target", entry.parameters["target"].default)
    if target not in TARGETS:
        raise ValueError(unknown("target", target, TARGETS))
    return [entry, TARGETS[str(target)]]


def complete_loss(loss: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """All parameters of ``loss``, its target's among them: ``given`` over the references."""
    owners = loss_owners(loss, given)
    merged = Entry(loss, parameters={k: v for o in owners for k, v in o.parameters.items()})
    parameters = merged.complete(loss, given)
    if parameters.get("target") == "adam_literal":
        check_one_decay(parameters["beta1"], parameters["beta2"])
    return parameters


def check_one_decay(beta1: Value, beta2: Value) -> None:
    """What the target adam_literal asks of its decays. Raises ValueError with the reason."""
    if beta2 is not None and beta2 != beta1:
        raise ValueError(f"beta1 = {beta1} and beta2 = {beta2}: {ONE_DECAY}")


def _take(given: dict[str, Value], owners: list[Entry]) -> dict[str, Value]:
    names = [name for owner in owners for name in owner.parameters if name in given]
    return {name: given.pop(name) for name in names}


def labels_name(config: TrialConfig) -> str:
    """The name of a trial's given labels: trials with the same name share them."""
    return f"{config.data.name}-{config.noise.setting}-seed{config.seed}"


def derive_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one ``purpose`` ("noise", "split", "init", …) of a trial's ``seed``.

    A hash, not an offset: purposes never share a stream, on any machine.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
