"""What a trial gets of a Ray cluster, and how many trials fit at once."""

import math
import time
from dataclasses import dataclass

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from spaces.sections import ResourcesSpec
from spaces.sweep_file import SpecError
from trainable.folder.layout import OWNER
from trainable.folder.storage import Folder, StorageError


@dataclass(frozen=True)
class TrialResources:
    """What one trial gets; either may be a fraction."""

    cpus: float  # cores
    gpus: float  # GPUs

    @property
    def threads(self) -> int:
        """CPU threads for torch."""
        return max(1, int(self.cpus))

    def fit(self, node: dict[str, float]) -> int:
        """How many trials fit a node with these resources."""
        # 1e-9: in binary 0.3 / 0.1 is a little below 3.
        cpus = node.get("CPU", 0.0) / self.cpus if self.cpus else math.inf
        gpus = _gpu_places(node.get("GPU", 0.0), self.gpus)
        return int(min(cpus + 1e-9, gpus))


def _gpu_places(there: float, asked: float) -> float:
    """Trials that fit the GPUs: a fraction shares one GPU and never spans two."""
    if not asked:
        return math.inf
    if asked >= 1:
        return there // asked
    return there * int(1 / asked + 1e-9)


def nodes() -> list[dict[str, float]]:
    """Resources of every node of the cluster that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def check_storage(results: Folder) -> None:
    """Make sure that every node can use the results folder, before a trial needs it there.

    The folder holds the sign of its owner, and may hold nothing else yet.

    Raises SpecError naming a node that cannot: it does not mount the path, say, has no
    credentials for the URI, or lacks the code.
    """
    there = [node for node in ray.nodes() if node["Alive"]]
    # Alone, the driver has just written there itself.
    if len(there) < 2:
        return
    # No cores: on a busy cluster it would wait for a trial to end.
    check = ray.remote(num_cpus=0, max_retries=0)(_why_unusable)
    answers = []
    for node in there:
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        answers.append(check.options(scheduling_strategy=here).remote(results))
    for node, answer in zip(there, answers, strict=True):
        try:
            reason = ray.get(answer)
        except RayError as error:
            last = str(error).strip().splitlines()[-1]
            raise SpecError(
                f"node {node['NodeManagerAddress']} cannot run this code: {last}; send it with "
                "ray job submit --working-dir ., or have it on every node"
            ) from None
        if reason:
            raise SpecError(
                f"node {node['NodeManagerAddress']}: {reason}; the storage must be a path that "
                "every node mounts, or a URI that every node may write to"
            )


def _why_unusable(results: Folder) -> str:
    try:
        if not results.exists(OWNER):
            return f"{results} is not there"
        results.check_writable()
    except StorageError as error:
        return str(error)
    return ""


def trial_resources(spec: ResourcesSpec) -> TrialResources:
    """What a trial gets: as asked, else a GPU where there are any and a fair share of the cores.

    Raises SpecError if no node of the cluster can hold one trial.
    """
    there = nodes()
    gpus = spec.gpus_per_trial
    if gpus is None:
        # One node with a GPU is enough: trials go there, and none is slow on the others.
        gpus = 1.0 if any(node.get("GPU") for node in there) else 0.0
    cpus = spec.cpus_per_trial
    if cpus is None:
        cpus = _fair_share(there, gpus) if gpus else 1.0
    resources = TrialResources(cpus, gpus)
    if not any(resources.fit(node) for node in there):
        most_cpus = max((node.get("CPU", 0.0) for node in there), default=0.0)
        most_gpus = max((node.get("GPU", 0.0) for node in there), default=0.0)
        raise SpecError(
            f"resources: a trial asks for {cpus:g} CPUs and {gpus:g} GPUs, more than any node has "
            f"(at most {most_cpus:g} CPUs and {most_gpus:g} GPUs)"
        )
    return resources


def _fair_share(there: list[dict[str, float]], gpus: float) -> float:
    """Cores for each trial of a GPU node if all its GPUs are in use."""
    shares = [
        node.get("CPU", 0.0) / _gpu_places(node["GPU"], gpus)
        for node in there
        if _gpu_places(node.get("GPU", 0.0), gpus) >= 1
    ]
    return float(max(1, int(min(shares, default=1.0))))


class Slots:
    """How many trials run at once on the nodes there are now; a node that joins counts at once.

    ``trial`` is what each of them gets.
    """

    def __init__(self, resources: TrialResources, spec: ResourcesSpec) -> None:
        self.trial = resources
        self._limit = spec.max_concurrent  # trials at once, if the sweep file says
        self._asked = -math.inf  # when the cluster was asked last, on the monotonic clock
        self._there: list[dict[str, float]] = []  # what it said: the resources of each node

    def __call__(self) -> int:
        """The number, asked of the cluster at most once a second."""
        fit = sum(self.trial.fit(node) for node in self._nodes())
        return fit if self._limit is None else min(self._limit, fit)

    def held_by_others(self) -> bool:
        """Whether Ray's accounts lack room for some trial that was given a slot.

        There are no more slots than trials that fit, so something else has it then.
        """
        groups = ray.util.placement_group_table().values()
        return any(group["state"] == "PENDING" for group in groups)

    def occupancy(self, running: int) -> str:
        """What ``running`` trials take, in words."""
        text = f"{running} running on {self()} slots"
        if self.trial.gpus:
            gpus = sum(node.get("GPU", 0.0) for node in self._nodes())
            busy = min(gpus, running * self.trial.gpus)  # a lost node's trials lag behind
            text += f", {busy:g} of {gpus:g} GPUs busy"
        return text

    def _nodes(self) -> list[dict[str, float]]:
        # The driver asks at every event, and the cluster has better to do.
        if time.monotonic() - self._asked >= 1.0:
            self._there = nodes()
            self._asked = time.monotonic()
        return self._there
