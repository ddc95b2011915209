"""The typed configuration of one trial: the same config gives the same trial."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from trainable.catalog import (
    LOSSES,
    NETWORKS,
    OPTIMISER,
    SCHEDULES,
    TARGETS,
    Entry,
    Value,
    named,
    unknown,
)
from trainable.data import DataConfig, make_data
from trainable.noise import Noise, make_noise
from trainable.parameters import from_json

_ALWAYS_HASHED: dict[str, Any] = {
    "include_true": True,
    "labels_key": None,
    "legacy_sequential": False,
    "ring": "superclass",
}
"""Options that once every noise had: checkpoints are bound to fingerprints that hash them."""

PRECISIONS = ("auto", "float32", "bfloat16")


_LATER: Mapping[str, Any] = {"network_parameters": {}, "nesterov": False}
"""Fields that older results folders lack, with the value that their trials had."""


@dataclass(frozen=True)
class TrialConfig:
    """Everything one trial is: the same config gives the same trial, bit for bit on a CPU."""

    data: DataConfig  # which images it sees
    noise: Noise  # how their given labels differ from the true ones
    loss: str  # its name
    loss_parameters: Mapping[str, Value]  # complete: those of the loss, and of the target it names
    network: str  # its name
    lr: float  # peak learning rate
    lr_schedule: str  # its name
    schedule_parameters: Mapping[str, Value]  # complete
    momentum: float  # of SGD, in [0, 1)
    weight_decay: float  # of SGD
    batch_size: int  # examples a step
    averaging: float  # decay a step of the averaged weights; 0: there are none
    max_epochs: int  # the full budget
    seed: int
    """The one number that noise, split, initialisation, order and augmentation derive from
    (``trainable.seeds``)."""
    precision: str = "auto"  # "auto" is bfloat16 autocast where the device has it
    compile: bool = False  # whether the network goes through torch.compile
    network_parameters: Mapping[str, Value] = field(default_factory=dict)
    """May leave out what has its default."""
    nesterov: bool = False  # whether the momentum is Nesterov's

    def __post_init__(self) -> None:
        layers = named("network", self.network, NETWORKS)
        layers.complete(self.network, self.network_parameters)
        if self.max_epochs < 1:
            raise ValueError(f"max_epochs = {self.max_epochs} is not a whole number above 0")
        if self.precision not in PRECISIONS:
            raise ValueError(unknown("precision", self.precision, PRECISIONS))

    @classmethod
    def build(
        cls,
        *,
        data: DataConfig,
        noise: Noise,
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
        layers = named("network", network, NETWORKS)
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

    @property
    def matrix_from(self) -> Value:
        """Where the loss has its transition matrix from, "estimated" or "true"; None: no need."""
        return self.loss_parameters.get(LOSSES[self.loss].matrix_from)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able values; :meth:`from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialConfig":
        """A config from :meth:`as_dict`'s output, lists (from JSON) read as tuples."""
        plain = dict(values)
        given = plain["loss_parameters"]
        gone = _dropped(given)
        plain["loss_parameters"] = {k: v for k, v in given.items() if k not in gone}
        plain["data"] = make_data(**plain["data"])
        plain["noise"] = make_noise(**plain["noise"])
        # Milestones are the only lists, so the network's parameters are as JSON has them.
        for key in ("loss_parameters", "schedule_parameters"):
            plain[key] = from_json(plain[key])
        return cls(**plain)

    @classmethod
    def from_json(cls, text: str | None) -> "TrialConfig":
        """A config from :meth:`as_dict`'s output as JSON, as results keep it.

        Raises ValueError, in one line, for what is no config of this version.
        """
        try:
            return cls.from_dict(json.loads(text or ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            lines = f"{type(error).__name__}: {error}".splitlines()
            raise ValueError(f"not a config that this version reads ({lines[0]:.200})") from None

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ whenever anything in the config differs but where files lie.

        Another machine may have them elsewhere, and goes on with the same trial. A trial that an
        earlier version can have written keeps its digits: what came later is left out while it
        has the value that stands for its absence.
        """
        plain, network = self.as_dict(), NETWORKS[self.network]
        # Where files lie decides nothing of what a trial is.
        del plain["data"]["root"]
        plain["data"].pop("labels", None)
        noise = {k: v for k, v in plain["noise"].items() if v is not None and k != "labels_file"}
        plain["noise"] = {**_ALWAYS_HASHED, **noise}
        plain["network_parameters"] = {
            name: value
            for name, value in self.network_parameters.items()
            if value != network.parameters[name].default
        }
        # The same name, another network: its checkpoints do not fit any more.
        if network.revision > 1:
            plain["network"] = f"{self.network}, revision {network.revision}"
        for name, before in _LATER.items():
            if plain[name] == before:
                del plain[name]
        # As in the fingerprints of older folders.
        plain["loss_parameters"] |= dict.fromkeys(_dropped(self.loss_parameters))
        # Sorted: the order in which a config was put together must not matter.
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _dropped(loss_parameters: Mapping[str, Value]) -> tuple[str, ...]:
    """What the target of these parameters has no more."""
    target = loss_parameters.get("target")
    return TARGETS[target].dropped if isinstance(target, str) and target in TARGETS else ()


def loss_owners(loss: str, parameters: Mapping[str, Value]) -> list[Entry]:
    """The tables that the parameters of ``loss`` come from: its own and, if any, its target's."""
    entry = named("loss", loss, LOSSES)
    if "target" not in entry.parameters:
        return [entry]
    target = parameters.get("target", entry.parameters["target"].default)
    return [entry, named("target", target, TARGETS)]


def complete_loss(loss: str, given: Mapping[str, Value]) -> dict[str, Value]:
    """All parameters of ``loss``, its target's among them: ``given`` over the references."""
    owners = loss_owners(loss, given)
    # One table, so that a message about an unknown name lists the target's parameters too.
    merged = Entry(loss, parameters={k: v for o in owners for k, v in o.parameters.items()})
    return merged.complete(loss, given)


def _take(given: dict[str, Value], owners: list[Entry]) -> dict[str, Value]:
    names = [name for owner in owners for name in owner.parameters if name in given]
    return {name: given.pop(name) for name in names}


def labels_name(config: TrialConfig) -> str:
    """The name of a trial's given labels: trials with the same name share them."""
    return f"{config.data.name}-{config.noise.setting}-seed{config.seed}"
