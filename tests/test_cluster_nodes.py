"""Several nodes: four raylets on this machine, two pretended GPUs each."""

import json
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from analysis.results import load_results
from archives import write_fashion_mnist
from clusters import PATIENCE, PATIENT, ROOT, Cluster, until

pytestmark = [pytest.mark.ray, pytest.mark.cluster, PATIENT]

SPEC = """
name = "spread"
losses = ["ce", "adam_elr"]
network = "tiny_cnn"
[data]
name = "fashion_mnist"
root = "{root}"
train_examples = 200
holdout = 0.2
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
trials = {trials}
max_epochs = 25
grace_epochs = 2
reduction_factor = 2
[search]
early_stopping = "none"
sampler = "random"
[resources]
cpus_per_trial = 1
gpus_per_trial = {gpus}
[space]
lr_schedule = "cosine"
batch_size = 32
"""
IMAGES = 20_000 * 28 * 28
HALT = 10
"""Epochs after which the trials wait until a node has joined and another was lost."""


@pytest.fixture
def cluster():
    """A head and three nodes, two pretended GPUs each."""
    cluster = Cluster(cpus=2, gpus=2)
    try:
        for _ in range(3):
            cluster.add_node(cpus=2, gpus=2)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Writes the sweep file; its data set is 16 MB."""
    root = tmp_path_factory.mktemp("data")
    write_fashion_mnist(root, train=20_000, test=100, packed=False)

    def write(**values):
        path = root / "spread.toml"
        path.write_text(SPEC.format(root=root, **values))
        return path

    return write


def witnesses(folder):
    """What the trials saw, a row an epoch, in order of time."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    table = pd.DataFrame([json.loads(line) for line in lines])
    return table.sort_values("begin", ignore_index=True) if len(table) else table


def trained(folder, epochs=1):
    """How many workers have trained ``epochs`` epochs or more."""
    seen = witnesses(folder)
    return int((seen.groupby("pid").size() >= epochs).sum()) if len(seen) else 0


def drive(cluster, spec, storage, folder, *pace):
    return cluster.drive(ROOT / "tests/witnessed_driver.py", spec, storage, folder, *pace)


def at_once(rows):
    """Rows of epochs under way at the same time as the middle of each row."""
    middle = (rows["begin"] + rows["end"]) / 2
    return [rows[(rows["begin"] <= t) & (t <= rows["end"])] for t in middle]


def alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def assert_whole(results, trials, epochs):
    assert len(results.trials) == trials
    assert set(results.trials["status"]) == {"completed"}
    for _, rows in results.epochs.groupby("trial_id", observed=True):
        assert list(rows["epoch"]) == list(range(1, epochs + 1))


def assert_spread(seen):
    """Eight trials, each on a GPU of its own, two on each of the four nodes."""
    assert list(seen.groupby("node")["pid"].nunique()) == [2, 2, 2, 2]
    assert set(seen["gpu"]) == {"0", "1"}
    assert seen.groupby("pid")[["gpu", "node"]].nunique().max().max() == 1
    for rows in at_once(seen):
        assert not rows.duplicated(["node", "gpu"]).any()


def assert_shipped_once(folder):
    """The images are in the object store of each node once, not once a trial."""
    until((folder / "store.json").exists, "what lies in the object stores")
    store = json.loads((folder / "store.json").read_text())
    assert len(store) == 4
    print("object store, bytes and objects a node:", store)
    assert all(IMAGES <= used < 1.5 * IMAGES for used, _ in store.values())


def assert_moved(seen, lost):
    """The two trials of the lost node went on elsewhere from their checkpoints."""
    moved = 0
    for _, rows in seen.groupby("trial_id"):
        here, there = (list(rows[rows["node"].eq(lost) == at]["epoch"]) for at in (True, False))
        if here:
            moved += 1
            assert here == list(range(1, HALT + 1))
            assert 1 < there[0] <= HALT + 1, "from a checkpoint, and no epoch left out"
        assert there == list(range(there[0], 26))
    assert moved == 2


def test_more_gpus_than_any_node_has_are_refused_at_once(spec, tmp_path):
    cluster = Cluster(cpus=2)
    try:
        command = ("-m", "search", "run", spec(trials=1, gpus=1), "--storage", tmp_path)
        assert cluster.drive(*command).wait(PATIENCE) == 2
        assert "more than any node has (at most 2 CPUs and 0 GPUs)" in cluster.driver_log
    finally:
        cluster.close()


def test_trials_spread_survive_a_lost_node_and_use_a_new_one(cluster, spec, tmp_path):
    folder = tmp_path / "witness"
    folder.mkdir()
    driver = drive(cluster, spec(trials=7, gpus=1), tmp_path, folder, 2, HALT)
    until(lambda: trained(folder) == 8 or driver.poll() is not None, "eight trials at once")
    before = witnesses(folder)
    assert_spread(before)
    assert_shipped_once(folder)

    joined = time.time()
    cluster.add_node(cpus=2, gpus=2)
    until(lambda: trained(folder, HALT) == 10 or driver.poll() is not None, "ten trials at once")
    seen = witnesses(folder)
    (fifth,) = set(seen["node"]) - set(before["node"])
    used = seen[seen["node"] == fifth]["begin"].min() - joined
    print(f"the new node trains {used:.1f} s after it was asked to join")
    assert driver.poll() is None

    workers = set(seen["pid"]) & set(cluster.nodes[2].workers())
    assert len(workers) == 2
    (lost,) = set(seen[seen["pid"].isin(workers)]["node"])
    cluster.nodes[2].kill("raylet")
    until(lambda: not any(map(alive, workers)), "the end of the lost node's workers")
    (folder / "go").touch()
    assert driver.wait(PATIENCE) == 0, cluster.driver_log
    results = load_results(tmp_path / "spread")
    assert_whole(results, 14, 25)
    assert (results.trials["attempt"] == 2).sum() == 2
    assert "actor" in cluster.driver_log

    seen = witnesses(folder)
    assert seen["node"].nunique() == 5
    assert_moved(seen, lost)


def test_lost_head_is_taken_over_by_another_cluster(spec, tmp_path):
    folder = tmp_path / "witness"
    folder.mkdir()
    cluster = Cluster(cpus=4, gpus=2)
    try:
        driver = drive(cluster, spec(trials=3, gpus=0.5), tmp_path, folder, 1)
        until(lambda: trained(folder) == 4, "four trials at once")
        before = witnesses(folder)
        for rows in at_once(before[before["begin"] >= before.groupby("pid")["begin"].min().max()]):
            assert len(rows) <= 4
            assert rows.groupby("gpu").size().max() <= 2
        assert before["pid"].nunique() == 4
        assert set(before.groupby("gpu")["pid"].nunique()) == {2}
        cluster.head.kill("gcs_server")
        cluster.head.kill("raylet")
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    finally:
        cluster.close()
    recorded = load_results(tmp_path / "spread")
    assert recorded.running

    other = Cluster(cpus=4, gpus=0)
    try:
        changed = ("--set", "resources.gpus_per_trial=0")
        command = ("-m", "search", "run", spec(trials=3, gpus=0.5), "--storage", tmp_path)
        assert other.drive(*command, *changed).wait(PATIENCE) == 0, other.driver_log
    finally:
        other.close()
    results = load_results(tmp_path / "spread")
    assert_whole(results, 6, 25)
    kept = recorded.epochs.merge(results.epochs, on=["trial_id", "epoch"], suffixes=("", "_after"))
    assert len(kept) == len(recorded.epochs)
    assert (kept["val_accuracy"] == kept["val_accuracy_after"]).all()
