import pytest

from search import resources
from search.resources import TrialResources, trial_resources
from spaces.load import SpecError
from spaces.sweep import ResourcesSpec


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


@pytest.mark.parametrize("asked", [{"gpus_per_trial": 2.0}, {"cpus_per_trial": 17.0}])
def test_trial_resources_that_no_node_has_are_refused(monkeypatch, asked):
    on(monkeypatch, {"CPU": 16, "GPU": 1}, {"CPU": 16, "GPU": 1})
    with pytest.raises(SpecError, match="more than any node has"):
        trial_resources(ResourcesSpec(**asked))


def test_slots_count_every_node_and_follow_the_cluster(monkeypatch):
    on(monkeypatch, {"CPU": 2}, {"CPU": 3})
    slots = resources.Slots(TrialResources(1, 0), ResourcesSpec())
    assert slots() == 5
    on(monkeypatch, {"CPU": 2})
    slots._asked = float("-inf")
    assert slots() == 2
    assert resources.Slots(TrialResources(1, 0), ResourcesSpec(max_concurrent=7))() == 7


def test_occupancy_counts_gpus_where_trials_have_them(monkeypatch):
    on(monkeypatch, {"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 2})
    spec = ResourcesSpec()
    assert resources.Slots(TrialResources(1, 0), spec).occupancy(3) == "3 running on 16 slots"
    half = resources.Slots(TrialResources(1, 0.5), spec)
    assert half.occupancy(3) == "3 running on 8 slots, 1.5 of 4 GPUs busy"
