import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import ray

from clusters import PATIENT, python
from search.cluster import resources
from search.cluster.resources import TrialResources, trial_resources
from spaces.sections import ResourcesSpec
from spaces.sweep_file import SpecError
from trainable.folder.storage import Folder


@pytest.mark.parametrize(
    ("cpus", "gpus", "node", "fits"),
    [
        (1, 0, {"CPU": 2}, 2),
        (4, 0, {"CPU": 6}, 1),
        (0.5, 0, {"CPU": 2}, 4),
        (4, 1, {"CPU": 16, "GPU": 2}, 2),
        (4, 0.5, {"CPU": 16, "GPU": 2}, 4),
        (4, 0.5, {"CPU": 8, "GPU": 2}, 2),
        (1, 0.3, {"CPU": 16, "GPU": 2}, 6),  # three a GPU: a fraction never spans two
        (1, 0.7, {"CPU": 16, "GPU": 4}, 4),
        (1, 2, {"CPU": 16, "GPU": 3}, 1),
        (1, 1, {"CPU": 16}, 0),
    ],
)
def test_fit_counts_trials_a_node_holds(cpus, gpus, node, fits):
    assert TrialResources(cpus, gpus).fit(node) == fits


def on(monkeypatch, *nodes):
    monkeypatch.setattr(resources, "nodes", lambda: list(nodes))


def test_trial_resources_default_to_a_core_where_there_is_no_gpu(monkeypatch):
    on(monkeypatch, {"CPU": 2})
    assert trial_resources(ResourcesSpec()) == TrialResources(1, 0)


def test_trial_resources_default_to_a_gpu_and_its_share_of_the_cores(monkeypatch):
    on(monkeypatch, {"CPU": 4}, {"CPU": 16, "GPU": 4}, {"CPU": 8, "GPU": 1})
    assert trial_resources(ResourcesSpec()) == TrialResources(4, 1)
    assert trial_resources(ResourcesSpec(gpus_per_trial=0.5)) == TrialResources(2, 0.5)


@pytest.mark.parametrize("asked", [{"gpus_per_trial": 0.5}, {"cpus_per_trial": 17.0}])
def test_trial_resources_that_no_node_has_are_refused(monkeypatch, asked):
    on(monkeypatch, {"CPU": 16}, {"CPU": 16})
    with pytest.raises(SpecError, match="more than any node has"):
        trial_resources(ResourcesSpec(**asked))


@pytest.mark.slow
@pytest.mark.ray
@PATIENT
def test_connect_without_an_address_does_not_join_what_ray_start_left_here():
    """A dead cluster's address lies where Ray looks for one."""
    script = "import ray; from search.cluster.join import connect; connect(num_cpus=3);"
    script += "print(ray.cluster_resources()['CPU'])"
    with tempfile.TemporaryDirectory(prefix="elr", dir="/tmp") as folder:
        (Path(folder) / "ray").mkdir()
        (Path(folder) / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        done = python("-c", script, RAY_TMPDIR=folder)
    assert done.stdout == "3.0\n", done.stderr


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's /proc")
@pytest.mark.usefixtures("ray_session")
def test_ray_of_our_own_listens_on_loopback_only():
    inodes = {inode for pid in [os.getpid(), *below(os.getpid())] for inode in sockets(pid)}
    listening = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and inode in inodes:
                listening[local] = table
    assert len(listening) > 3
    loopback = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")
    assert not [local for local in listening if not local.startswith(loopback)]


def below(pid):
    """The process ids of everything that ``pid`` has started."""
    children = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children += map(int, (task / "children").read_text().split())
    return [*children, *(deeper for child in children for deeper in below(child))]


def sockets(pid):
    """The inodes of a process's open sockets."""
    with suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    yield target.removeprefix("socket:[").removesuffix("]")


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_check_storage_asks_every_node_and_names_the_one_that_cannot(monkeypatch, tmp_path):
    node = next(node for node in ray.nodes() if node["Alive"])
    monkeypatch.setattr(ray, "nodes", lambda: [node, node])
    folder = Folder.open(tmp_path)
    folder.write("owner.json", b"")
    resources.check_storage(folder)
    folder.delete("owner.json")
    with pytest.raises(SpecError, match=rf"node \S+: {tmp_path} is not there; the storage must"):
        resources.check_storage(folder)


def test_slots_count_every_node_and_follow_the_cluster(monkeypatch):
    on(monkeypatch, {"CPU": 2}, {"CPU": 3})
    slots = resources.Slots(TrialResources(1, 0), ResourcesSpec())
    assert slots() == 5
    on(monkeypatch, {"CPU": 2})
    slots._asked = float("-inf")
    assert slots() == 2
    assert resources.Slots(TrialResources(1, 0), ResourcesSpec(max_concurrent=7))() == 2
    assert resources.Slots(TrialResources(1, 0), ResourcesSpec(max_concurrent=1))() == 1


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_others_hold_resources_only_if_a_trial_s_place_is_pending():
    slots = resources.Slots(TrialResources(1, 0), ResourcesSpec())
    ours = ray.util.placement_group([{"CPU": 1}])
    lacking = None
    try:
        assert ours.wait(60), ray.util.placement_group_table()
        assert not slots.held_by_others()  # as while workers start
        lacking = ray.util.placement_group([{"CPU": 2}])  # there are two, and ours has one
        assert slots.held_by_others()
    finally:
        for group in filter(None, (lacking, ours)):
            ray.util.remove_placement_group(group)


def test_occupancy_counts_gpus_where_trials_have_them(monkeypatch):
    on(monkeypatch, {"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 2})
    spec = ResourcesSpec()
    assert resources.Slots(TrialResources(1, 0), spec).occupancy(3) == "3 running on 16 slots"
    half = resources.Slots(TrialResources(1, 0.5), spec)
    assert half.occupancy(3) == "3 running on 8 slots, 1.5 of 4 GPUs busy"
