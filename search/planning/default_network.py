"""The network of a sweep whose file names none: it follows the data set and the device."""

from search.cluster import join, resources
from spaces.sweep import SweepSpec, default_network


def with_network(spec: SweepSpec) -> tuple[SweepSpec, str]:
    """The sweep with its network named, and why it is that one: "" if its file says so.

    Joins Ray to see whether trials get a GPU, where that matters. Raises SpecError if no node can
    hold a trial.
    """
    if spec.network is not None:
        return spec, ""
    dataset = spec.data[0].name
    on_cpu, on_gpu = (default_network(dataset, gpu=gpu) for gpu in (False, True))
    # Ray takes seconds to start, which only this question would be for.
    if on_cpu == on_gpu:
        return spec.with_network(gpu=False), f"network {on_cpu}: the default for {dataset}"
    with join.joined(spec.resources.join_seconds):
        gpu = resources.trial_resources(spec.resources).gpus > 0
    here = f"{on_gpu}: the default for {dataset} on a GPU (on a CPU {on_cpu})"
    if not gpu:
        here = f"{on_cpu}: the default for {dataset} on a CPU (on a GPU {on_gpu})"
    return spec.with_network(gpu=gpu), f"network {here}"
