"""What a sweep will cost, before it runs: hours, memory and disk, measured on what there is."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.cluster import join, resources
from search.cluster.resources import TrialResources
from search.planning.default_network import with_network
from search.planning.measure import Cost, measure_all
from search.planning.outline import NONE_READ, Outline, outline
from search.planning.understood import understood
from spaces.strategies import EARLY_STOPPING
from spaces.sweep import Cell, SweepSpec
from spaces.sweep_file import SpecError
from trainable.catalog import LOSSES, NETWORKS
from trainable.config import TrialConfig
from trainable.data import Dataset, OwnData, TrialData, load_dataset
from trainable.noise import make_noise
from trainable.trial.checkpoints import KEPT, KEPT_MODELS
from trainable.trial.prepare import prepare

ROW_BYTES = 2000
"""Disk for a recorded epoch: 0.3 kB of Parquet and 0.7 kB for TensorBoard, and a share of the 2 kB
that a trial's settings take there."""
WAIT_SECONDS = 600.0
"""How long a busy cluster may take to measure."""


@dataclass(frozen=True)
class NodeType:
    """Nodes with the same resources."""

    nodes: int  # how many there are
    cpus: float  # cores of one
    gpus: float  # GPUs of one
    slots: int  # trials that fit one
    costs: Mapping[str, Cost]  # of a trial on one, by study

    @property
    def memory_mb(self) -> float:
        """MiB that the largest trial needs there."""
        return max(cost.memory_mb for cost in self.costs.values())

    @property
    def trials_per_gpu(self) -> int | None:
        """How many trials fit one GPU, by its memory and by a core each; None without GPUs."""
        total = next(iter(self.costs.values())).gpu_memory_mb
        if total is None or not self.gpus:
            return None
        return int(min(total // self.memory_mb, self.cpus // self.gpus))


@dataclass(frozen=True)
class Plan:
    """What a sweep will cost on the machines there are."""

    outline: Outline  # how many trials and epochs
    trial: TrialResources  # what each trial gets
    node_types: Sequence[NodeType]  # the machines
    trial_hours: float  # the time of all epochs, added up
    hours: float  # wall-clock; like ``trial_hours`` without starts, preparing data and checkpoints
    disk_bytes: int  # the most at any moment
    notes: Sequence[str] = ()  # what else the figures leave out, and warnings
    limit: str = ""
    """Which limit of ``[budget]`` ends the sweep before its last epoch, and when; else empty."""
    understood: Sequence[tuple[str, str]] = ()  # what was read of a user's own images

    @property
    def too_long(self) -> str:
        """What to say about a sweep of more than a day on CPUs; else ""."""
        if self.trial.gpus or self.hours <= 24:
            return ""
        return (
            f"this takes more than a day on a CPU (about {self.hours / 24:.1f} days): give it a "
            "smaller network, fewer trials or epochs, or a machine with a GPU"
        )

    @property
    def trials_per_gpu(self) -> int | None:
        """How many trials fit one GPU of every node type; None without GPUs."""
        fits = [t.trials_per_gpu for t in self.node_types]
        return min((fit for fit in fits if fit is not None), default=None)

    @property
    def gpus_per_trial(self) -> float | None:
        """What to write into ``[resources]`` to share GPUs; None without GPUs or if none fits."""
        fit = self.trials_per_gpu
        return int(100 / fit) / 100 if fit else None


def plan(spec: SweepSpec) -> Plan:
    """Check the data, measure a few steps on every type of node there is, and work out the cost.

    Starts Ray on this machine, or joins the cluster that RAY_ADDRESS names, and leaves nothing
    running. Raises SpecError if no node can hold a trial, DataError or NoiseError for data that
    the sweep cannot have.
    """
    datasets = {data.name: load_dataset(data) for data in spec.data}
    for cell in spec.cells():
        if not cell.noise.needs_classifier:  # minutes on a CPU, which a plan does not take
            prepare(datasets[cell.data.name], cell.data, cell.noise, spec.seed)
    with join.joined(spec.resources.join_seconds):
        spec, why = with_network(spec)
        made = measured(spec, datasets)
    read = [note for dataset in datasets.values() for note in dataset.notes]
    return dataclasses.replace(
        made,
        notes=[*([why] if why else []), *read, *made.notes],
        understood=[
            fact
            for data in spec.data
            if isinstance(data, OwnData)
            for fact in understood(datasets[data.name], data)
        ],
    )


def measured(spec: SweepSpec, datasets: Mapping[str, Dataset]) -> Plan:
    """The plan of a sweep whose network is named, on the Ray that has been joined.

    ``datasets`` are those of the sweep, by name. Raises SpecError if no node can hold a trial or
    if the cluster has no room to measure.
    """
    trial = resources.trial_resources(spec.resources)
    nodes = _measure_nodes(spec, _workloads(spec, datasets), trial)
    return estimate(spec, trial, nodes, datasets)


def estimate(
    spec: SweepSpec,
    trial: TrialResources,
    node_types: Sequence[NodeType],
    datasets: Mapping[str, Dataset] = NONE_READ,
) -> Plan:
    """The plan that follows from what was measured on the nodes that can hold a trial."""
    there = sum(t.nodes * t.slots for t in node_types)
    slots = min(there, spec.resources.max_concurrent or there)
    sketch = outline(spec, slots, datasets)
    total = sketch.expected_epochs
    epochs_per_second = (
        slots
        / there
        * sum(
            t.nodes
            * t.slots
            * total
            / sum(n * t.costs[s].epoch_seconds for s, n in sketch.epochs.items())
            for t in node_types
        )
    )
    # However many slots there are, no sweep ends before its longest trial.
    longest = max(
        cell.max_epochs * t.costs[cell.study].epoch_seconds
        for cell in spec.cells()
        for t in node_types
    )
    hours = max(total / epochs_per_second, longest) / 3600
    trial_hours = total * slots / epochs_per_second / 3600
    share, limit = _limited(spec, hours, trial_hours * trial.gpus)
    return Plan(
        outline=sketch,
        trial=trial,
        node_types=node_types,
        trial_hours=share * trial_hours,
        hours=share * hours,
        disk_bytes=_disk_bytes(sketch, node_types[0].costs),
        notes=tuple(_notes(spec, trial, node_types)),
        limit=limit,
    )


def _limited(spec: SweepSpec, hours: float, gpu_hours: float) -> tuple[float, str]:
    """The share of the whole sweep that ``[budget]`` leaves time for, and a note if not all."""
    share, note = 1.0, ""
    for name, limit, needed in (
        ("hours", spec.budget.hours, hours),
        ("gpu_hours", spec.budget.gpu_hours, gpu_hours),
    ):
        if limit is not None and limit < share * needed:
            share = limit / needed
            note = f"budget: {name} = {limit:g} ends it after about {share:.0%} of these epochs"
    return share, note


def _disk_bytes(sketch: Outline, costs: Mapping[str, Cost]) -> int:
    """Rows, the checkpoints of running (and paused) trials and the models kept at the end."""
    sizes = [cost.checkpoint_bytes for cost in costs.values()]
    paused = sketch.trials if EARLY_STOPPING[sketch.early_stopping].pauses else 0
    checkpoints = (KEPT * sketch.slots + paused) * max(sizes) + KEPT_MODELS * sum(sizes)
    return checkpoints + sketch.expected_epochs * ROW_BYTES


def _notes(
    spec: SweepSpec, trial: TrialResources, node_types: Sequence[NodeType]
) -> Iterator[str]:
    noises = [noise for table in spec.noise for noise in table]
    for kind in sorted({noise.kind for noise in noises if noise.needs_classifier}):
        yield (
            f"{kind} noise: a reference classifier is trained once when the sweep starts, not "
            "counted here"
        )
    for loss in [loss for loss in spec.losses if LOSSES[loss].matrix_from]:
        yield f"{loss}: every actor first trains once more to estimate T, not counted here"
    cells = spec.cells()
    sizes = (name for cell in cells for name in NETWORKS[cell.network].parameters)
    for name in dict.fromkeys(["batch_size", *sizes]):
        if any(name in cell.space.varies for cell in cells):
            yield f"{name} varies: time and memory are those of the reference {name}"
    for node in node_types:
        fit = node.trials_per_gpu
        if fit is not None and 0 < trial.gpus < 1 and fit < int(1 / trial.gpus + 1e-9):
            yield (
                f"gpus_per_trial = {trial.gpus:g} puts {int(1 / trial.gpus + 1e-9)} trials on a "
                f"GPU, but only {fit} fit its memory and cores"
            )


# -- measuring ----------------------------------------------------------------------------------


def _workloads(
    spec: SweepSpec, datasets: Mapping[str, Dataset]
) -> dict[str, tuple[TrialConfig, TrialData]]:
    """For every study what to measure for it; studies that cost the same share one.

    Losses differ by a few percent: the one with the most parameters keeps the most state, and
    stands for all on the same data and network.
    """
    shared: dict[Any, tuple[TrialConfig, TrialData]] = {}
    workloads = {}
    cells = spec.cells()
    # The most parameters first, so that the first one of a key is the one that is kept.
    for cell in sorted(cells, key=lambda c: -len(_reference(spec, c).loss_parameters)):
        key = (cell.data, cell.network)
        if key not in shared:
            dataset = datasets[cell.data.name]
            noise = make_noise("none" if dataset.truth_known else "given")
            data, _ = prepare(dataset, cell.data, noise, spec.seed)
            shared[key] = _reference(spec, cell), data
        workloads[cell.study] = shared[key]
    return {cell.study: workloads[cell.study] for cell in cells}


def _reference(spec: SweepSpec, cell: Cell) -> TrialConfig:
    return cell.trial(cell.reference, spec.seed)


def _measure_nodes(
    spec: SweepSpec, workloads: Mapping[str, tuple[TrialConfig, TrialData]], trial: TrialResources
) -> list[NodeType]:
    """Measure on one node of each type that can hold a trial, all types at once."""
    alike: dict[tuple[Any, ...], list[Any]] = {}
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"] and trial.fit(node["Resources"]):
            alike.setdefault(_type(node["Resources"]), []).append(node)
    # Once: as an argument it would travel to every task by itself.
    shared = ray.put(workloads)
    tasks = {
        key: ray.remote(measure_all)
        .options(
            num_cpus=trial.cpus,
            num_gpus=trial.gpus,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(nodes[0]["NodeID"], soft=False),
        )
        .remote(shared, trial.threads)
        for key, nodes in alike.items()
    }
    try:
        costs = dict(zip(tasks, ray.get(list(tasks.values()), timeout=WAIT_SECONDS), strict=True))
    except ray.exceptions.GetTimeoutError:
        raise SpecError(
            f"the cluster had no room to measure a few steps within {WAIT_SECONDS:g} s"
        ) from None
    return [
        NodeType(
            nodes=len(nodes),
            cpus=nodes[0]["Resources"].get("CPU", 0.0),
            gpus=nodes[0]["Resources"].get("GPU", 0.0),
            slots=trial.fit(nodes[0]["Resources"]),
            costs=costs[key],
        )
        for key, nodes in alike.items()
    ]


def _type(resources: Mapping[str, float]) -> tuple[Any, ...]:
    """What two nodes must share to cost the same: cores, GPUs and the kind of GPU."""
    kinds = (name for name in resources if name.startswith("accelerator_type:"))
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0), *sorted(kinds)
