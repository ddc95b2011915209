"""Checkpoints of a trial: whole, few, bound to their config, and never removed without need."""

import io

import pytest
import torch

from trainable.folder import layout
from trainable.folder.storage import Folder, StorageError
from trainable.metrics import EpochMetrics
from trainable.trial import checkpoints
from trainable.trial.checkpoints import Checkpoint, CheckpointError, CheckpointStore


@pytest.fixture
def results(tmp_path):
    folder = Folder.open(tmp_path)
    folder.write(layout.SWEEP, b"")
    return folder


@pytest.fixture
def store(results):
    return CheckpointStore(results, "trial", "config")


def checkpoint(epochs: int) -> Checkpoint:
    state = {"weight": torch.full((3,), float(epochs)), "epoch": epochs}
    return Checkpoint(state, [EpochMetrics(n + 1, lr=0.1) for n in range(epochs)])


def place(results):
    return results / "checkpoints" / "trial"


def names(results):
    return place(results).names()


def change(results, name, **content):
    """Write a checkpoint again with other content."""
    saved = torch.load(io.BytesIO(place(results).read(name)), weights_only=True) | content
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    place(results).write(name, buffer.getvalue())


def test_store_keeps_the_last_two_and_loads_the_newest(results, store):
    assert store.load() is None
    for epochs in (1, 2, 3):
        store.save(checkpoint(epochs))
    assert names(results) == ["epoch-00002.pt", "epoch-00003.pt"]
    states = []
    curve = store.load(states.append)
    assert [metrics.epoch for metrics in curve] == [1, 2, 3]
    assert curve[0].lr == 0.1
    (state,) = states
    assert torch.equal(state["weight"], torch.full((3,), 3.0))
    assert store.notes == []


@pytest.mark.parametrize("size", [0, 10, 300])
def test_damaged_checkpoint_is_removed_and_the_one_before_it_serves(results, store, size):
    for epochs in (1, 2):
        store.save(checkpoint(epochs))
    place(results).write("epoch-00002.pt", place(results).read("epoch-00002.pt")[:size])
    assert len(store.load()) == 1
    assert names(results) == ["epoch-00001.pt"]
    (note,) = store.notes
    assert note.startswith("checkpoint epoch-00002.pt is damaged (")
    assert note.endswith("): removed, the one before it serves")


def test_note_says_when_no_other_checkpoint_is_left(results, store):
    store.save(checkpoint(1))
    place(results).write("epoch-00001.pt", b"no zip")
    assert store.load() is None
    assert store.notes[0].endswith("removed, no other is left, so from epoch 0")


def test_checkpoint_of_another_config_is_not_this_trial_s(results, store):
    CheckpointStore(results, "trial", "another").save(checkpoint(4))
    assert store.load() is None
    assert "epoch-00004.pt belongs to another configuration: removed" in store.notes[0]
    assert names(results) == []


def test_checkpoint_of_another_version_stays_and_is_named(results, store):
    store.save(checkpoint(2))
    change(results, "epoch-00002.pt", curve=[{"epoch": 1, "sharpness": 0.5}])
    with pytest.raises(CheckpointError, match=r"trial/epoch-00002\.pt was .* which has sharpness"):
        store.load()
    assert names(results) == ["epoch-00002.pt"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_checkpoint_survives_a_lack_of_memory(results, store, monkeypatch, error):
    store.save(checkpoint(2))

    def fail(*arguments, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.torch, "load", fail)
        with pytest.raises(type(error)):
            store.load()
    assert len(store.load()) == 2


@pytest.mark.parametrize("method", ["write", "read", "names", "delete"])
def test_storage_that_is_away_for_a_moment_is_waited_for(results, store, monkeypatch, method):
    for epochs in (1, 2):
        store.save(checkpoint(epochs))
    real, failed = getattr(Folder, method), []

    def away_once(folder, *arguments):
        if not failed and str(folder).endswith("checkpoints/trial"):
            failed.append(method)
            raise StorageError("away for a moment")
        return real(folder, *arguments)

    monkeypatch.setattr(Folder, method, away_once)
    store.save(checkpoint(3))
    assert len(store.load()) == 3
    assert failed == [method]
    assert names(results) == ["epoch-00002.pt", "epoch-00003.pt"]


def test_no_flipped_bit_loads_as_another_checkpoint(results, store):
    """Every content that loads is the one that was written; all else counts as damaged."""
    store.save(checkpoint(1))
    whole = place(results).read("epoch-00001.pt")
    damaged = 0
    for position in range(0, len(whole), 29):
        data = bytearray(whole)
        data[position] ^= 1 << position % 8
        place(results).write("epoch-00001.pt", bytes(data))
        states = []
        curve = store.load(states.append)
        if curve is None:
            damaged += 1
            continue
        assert repr(curve) == repr(checkpoint(1).curve)
        assert torch.equal(states[0]["weight"], torch.ones(3))
        assert states[0]["epoch"] == 1
    assert damaged > len(whole) / 29 / 4


def test_checkpoint_that_cannot_be_used_is_removed_and_the_one_before_it_serves(results, store):
    for epochs in (1, 2):
        store.save(checkpoint(epochs))
    network = torch.nn.Linear(3, 1, bias=False)

    def resume(state):
        if state["epoch"] == 2:
            network.load_state_dict({"weight": torch.zeros(2, 2)})

    assert len(store.load(resume)) == 1
    assert names(results) == ["epoch-00001.pt"]
    assert "epoch-00002.pt is damaged (RuntimeError: Error(s) in loading" in store.notes[0]


def test_what_a_killed_writer_left_is_removed_when_the_trial_starts_again(
    results, store, tmp_path
):
    store.save(checkpoint(1))
    leftover = tmp_path / "checkpoints" / "trial" / ".epoch-00002.pt.0a1b2c3d.tmp"
    leftover.write_bytes(b"half a checkpoint")
    CheckpointStore(results, "trial", "config")
    assert not leftover.exists()
    assert names(results) == ["epoch-00001.pt"]
