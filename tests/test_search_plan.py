import dataclasses
import io
from contextlib import nullcontext

import pytest
from rich.console import Console
from typer.testing import CliRunner

from analysis.printed.console import SafeConsole
from search.__main__ import app
from search.cluster import join, resources
from search.cluster.resources import TrialResources
from search.planning.default_network import with_network
from search.planning.measure import Cost, measure
from search.planning.outline import outline
from search.planning.plan import KEPT, KEPT_MODELS, ROW_BYTES, NodeType, _workloads, estimate, plan
from search.planning.plan_table import one_line, print_plan
from search.studies.round_robin import Sweep
from simulated import Driver, spec
from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, parse_sweep
from tests.own_images import some_parts, write_arrays
from trainable.config import TrialConfig
from trainable.data import DataConfig, load_dataset
from trainable.folder import layout
from trainable.folder.storage import Folder
from trainable.noise import make_noise
from trainable.trial.checkpoints import Checkpoint, CheckpointStore
from trainable.trial.prepare import prepare
from trainable.trial.trial_loss import build_trainer

GPU = TrialResources(cpus=4.0, gpus=1.0)


def cost(seconds: float, memory: float = 3000.0, total: float | None = 80_000.0) -> Cost:
    device = "CPU" if total is None else "NVIDIA H100"
    return Cost(device, seconds, memory, total, checkpoint_bytes=1_000_000)


def node(seconds: float, *, nodes: int = 1, slots: int = 8, **fields: float) -> NodeType:
    studies = [cell.study for cell in spec().cells()]
    return NodeType(nodes, 64.0, 8.0, slots, dict.fromkeys(studies, cost(seconds, **fields)))


def full(*overrides: str) -> SweepSpec:
    """Two studies of 9 trials of 12 epochs, none stopped: 216 epochs."""
    return spec("search.early_stopping=none", *overrides)


def test_outline_without_early_stopping_is_trials_times_epochs():
    sketch = outline(full(), slots=2)
    assert sketch.trials == 18
    assert sketch.epochs == {"symmetric-0.4-elr": 108, "symmetric-0.4-adam_elr": 108}
    assert sketch.expected_epochs == sketch.full_epochs == 216


def test_one_line_says_how_long_it_takes():
    assert one_line(outline(full(), slots=2), 1.5).endswith("; about 1h 30m")


@pytest.mark.parametrize(
    ("trial", "seconds", "days"),
    [
        (TrialResources(1.0, 0.0), 864.0, "2 days"),
        (TrialResources(1.0, 0.0), 400.0, ""),
        (GPU, 864.0, ""),
    ],
)
def test_more_than_a_day_on_a_cpu_is_said(trial, seconds, days, console: Console):
    made = estimate(full(), trial, [node(seconds, slots=1, total=None)])  # 216 epochs
    print_plan(made, console)
    assert ("more than a day on a CPU" in console.file.getvalue()) == bool(days)
    assert days in made.too_long


@pytest.mark.parametrize(
    ("dataset", "gpus", "network", "reason"),
    [
        ("digits", 0.0, "tiny_cnn", "the default for digits"),
        ("digits", 1.0, "tiny_cnn", "the default for digits"),
        ("fashion_mnist", 1.0, "small_cnn", "the default for fashion_mnist"),
        ("cifar10", 0.0, "small_cnn", "the default for cifar10 on a CPU (on a GPU resnet34)"),
        ("cifar100", 1.0, "resnet34", "the default for cifar100 on a GPU (on a CPU small_cnn)"),
    ],
)
def test_network_follows_the_data_set_and_the_device(monkeypatch, dataset, gpus, network, reason):
    monkeypatch.setattr(join, "joined", nullcontext)
    monkeypatch.setattr(resources, "trial_resources", lambda spec: TrialResources(1.0, gpus))
    named, why = with_network(unnamed(dataset))
    assert (named.network, why) == ([network], f"network {network}: {reason}")
    assert with_network(named) == (named, "")


def test_network_must_be_named_where_defaults_differ():
    with pytest.raises(SpecError, match="tiny_cnn for digits, small_cnn for fashion_mnist"):
        unnamed('["digits", "fashion_mnist"]')


def unnamed(dataset: str) -> SweepSpec:
    return parse_sweep('name = "x"\n[[noise]]\nkind = "none"', [f"data.name={dataset}"])


def test_outline_of_a_grid_counts_its_points():
    grid = ("search.sampler=grid", "space.preset=paper", "space.lam={choice=[1.0,3.0,9.0]}")
    sketch = outline(full(*grid), slots=2)
    assert (sketch.trials, sketch.full_epochs) == (6, 72)


def test_outline_of_asha_expects_what_the_rule_lets_through():
    # 243 trials in random order, rungs at 1, 3 and 9 of 27: a third goes on at each, so about
    # 243 + 162 + 162 + 162 = 729 epochs; first arrivals and those that lead for a while add some.
    overrides = ("budget.trials=243", "budget.max_epochs=27", "budget.grace_epochs=1")
    schedule = "space.lr_schedule=constant"
    sketch = outline(spec(*overrides, schedule, "losses=['elr']"), slots=1)
    assert sketch.full_epochs == 243 * 27
    assert 729 <= sketch.expected_epochs < 1.4 * 729


@pytest.mark.parametrize("rule", ["asha", "asha_promotion", "median"])
def test_outline_is_near_what_a_sweep_on_other_curves_spends(rule):
    overrides = (f"search.early_stopping={rule}", "budget.trials=40", "search.sampler=random")
    sweep = Sweep.build(spec(*overrides))
    spent = len(Driver(sweep, slots=2).run().rows)
    assert outline(spec(*overrides), slots=2).expected_epochs == pytest.approx(spent, rel=0.3)


def test_one_line_says_what_a_sweep_is():
    assert one_line(outline(full(), slots=2)) == (
        "simulated: 2 studies, 18 trials, 2 at a time; "
        "about 216 epochs under none, 216 if all ran in full"
    )


def test_estimate_adds_up_by_hand():
    made = estimate(full(), GPU, [node(10.0)])
    assert made.trial_hours == pytest.approx(216 * 10 / 3600)
    assert made.hours == pytest.approx(216 * 10 / 8 / 3600)
    checkpoints = (KEPT * 8 + KEPT_MODELS * 2) * 1_000_000
    assert made.disk_bytes == checkpoints + 216 * ROW_BYTES


def test_estimate_of_unequal_nodes_lets_the_faster_do_more():
    made = estimate(full(), GPU, [node(10.0, slots=4), node(20.0, nodes=2, slots=4)])
    # 0.4 + 0.4 epochs a second, on twelve slots.
    assert made.hours == pytest.approx(216 / 0.8 / 3600)
    assert made.trial_hours == pytest.approx(12 * made.hours)


def test_estimate_never_ends_before_the_longest_trial():
    made = estimate(full(), GPU, [node(10.0, nodes=100)])
    assert made.hours == pytest.approx(12 * 10 / 3600)


def test_estimate_keeps_to_max_concurrent():
    made = estimate(full("resources.max_concurrent=2"), GPU, [node(10.0)])
    assert made.outline.slots == 2
    assert made.hours == pytest.approx(216 * 10 / 2 / 3600)


@pytest.mark.parametrize("pausing", ["asha_promotion", "one_rung"])
def test_estimate_keeps_a_checkpoint_of_every_paused_trial(pausing):
    one, two = (
        estimate(spec(f"search.early_stopping={rule}"), GPU, [node(10.0)])
        for rule in ("asha", pausing)
    )
    rows = ROW_BYTES * (two.outline.expected_epochs - one.outline.expected_epochs)
    assert two.disk_bytes - one.disk_bytes - rows == 18 * 1_000_000


@pytest.mark.parametrize(
    ("memory", "fit", "write"), [(26_000.0, 3, 0.33), (81_000.0, 0, None), (100.0, 8, 0.12)]
)
def test_plan_says_how_many_trials_share_a_gpu(memory, fit, write):
    made = estimate(full(), GPU, [node(10.0, memory=memory)])  # 8 cores a GPU
    assert (made.trials_per_gpu, made.gpus_per_trial) == (fit, write)


def test_plan_takes_the_smallest_gpu_of_the_cluster():
    nodes = [node(10.0, memory=26_000.0), node(10.0, memory=26_000.0, total=30_000.0)]
    assert estimate(full(), GPU, nodes).trials_per_gpu == 1


def test_plan_without_gpus_does_not_speak_of_them(console: Console):
    cpu = dataclasses.replace(node(10.0, total=None), gpus=0.0)
    made = estimate(full(), TrialResources(1.0, 0.0), [cpu])
    assert (made.trials_per_gpu, made.gpus_per_trial) == (None, None)
    print_plan(made, console)
    text = console.file.getvalue()
    assert "core-hours" in text
    assert "GPU" not in text.replace("0 GPUs", "")


def test_plan_in_a_pipe_is_a_line_a_fact():
    made = estimate(full(), GPU, [node(10.0, memory=26_000.0)])
    out = SafeConsole(file=io.StringIO())
    print_plan(dataclasses.replace(made, understood=[("classes", "many " * 200)]), out)
    first, second, *_ = out.file.getvalue().splitlines()
    assert first.split() == ["classes", *["many"] * 200]
    assert second.startswith("studies  ")


def test_print_plan_shows_what_to_write(console: Console):
    print_plan(estimate(full(), GPU, [node(10.0, memory=26_000.0)]), console)
    text = console.file.getvalue()
    for part in ("2, 18 trials", "about 216", "1 x NVIDIA H100: 10 s", "gpus_per_trial = 0.33"):
        assert part in text


@pytest.mark.parametrize(
    ("overrides", "share", "note"),
    [
        ((), 0.25, "puts 4 trials on a GPU, but only 3 fit"),
        (("losses=['forward']",), 1.0, "first trains once more to estimate T"),
        (("noise.0.kind=feature_dependent",), 1.0, "a reference classifier is trained once"),
        (("space.batch_size={choice=[32, 64]}",), 1.0, "batch_size varies"),
    ],
)
def test_estimate_notes_what_its_figures_leave_out(overrides, share, note):
    asked = full(*overrides)
    costs = {cell.study: cost(10.0, memory=26_000.0) for cell in asked.cells()}
    nodes = [NodeType(1, 64.0, 8.0, 8, costs)]
    (written,) = estimate(asked, TrialResources(4.0, share), nodes).notes
    assert note in written


@pytest.fixture(scope="module")
def digits():
    data = DataConfig("digits")
    return prepare(load_dataset("digits"), data, make_noise("symmetric", 0.4), 0)[0]


def config(loss: str) -> TrialConfig:
    noise, parameters = make_noise("symmetric", 0.4), {"batch_size": 16}
    return TrialConfig.build(
        data=DataConfig("digits"),
        noise=noise,
        loss=loss,
        network="tiny_cnn",
        max_epochs=1,
        seed=0,
        parameters=parameters,
    )


@pytest.mark.parametrize("loss", ["ce", "adam_elr", "forward"])
def test_measure_knows_a_checkpoint_s_size_without_training_an_epoch(tmp_path, digits, loss):
    found = measure(config(loss), digits, seconds=0.1)
    assert (found.device, found.gpu_memory_mb) == ("CPU", None)
    assert found.epoch_seconds > 0
    assert found.memory_mb > 50
    trainer = build_trainer(config(loss), digits, device="cpu")
    trainer.run_epoch()
    folder = Folder.open(tmp_path)
    folder.write(layout.SWEEP, b"")
    store = CheckpointStore(folder, "trial", "fingerprint")
    store.save(Checkpoint(trainer.state_dict(), []))
    (saved,) = (tmp_path / "checkpoints" / "trial").iterdir()
    assert found.checkpoint_bytes == pytest.approx(saved.stat().st_size, rel=0.15)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_plan_measures_on_the_nodes_there_are():
    made = plan(spec("budget.trials=2"))
    (there,) = made.node_types
    assert (there.nodes, there.slots) == (1, 2)
    assert set(there.costs) == {"symmetric-0.4-elr", "symmetric-0.4-adam_elr"}
    assert made.trial == TrialResources(1.0, 0.0)
    assert 0 < made.hours <= made.trial_hours


def test_plan_command_of_damaged_data_is_one_line_and_exit_code_2(tmp_path):
    sweep, raw = tmp_path / "sweep.toml", tmp_path / "FashionMNIST" / "raw"
    sweep.write_text(
        'name = "x"\nnetwork = "tiny_cnn"\n[[noise]]\nkind = "symmetric"\nrates = [0.2]\n'
        f'[data]\nname = "fashion_mnist"\nroot = "{tmp_path}"\n'
    )
    raw.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte.gz").write_bytes(b"cut short")
    done = CliRunner().invoke(app, ["plan", str(sweep), "--storage", str(tmp_path)])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "train-images-idx3-ubyte.gz" in line


def test_labels_that_nobody_vouches_for_are_measured_as_given(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parts = {"train": some_parts(60, 0)["train"]}
    root = write_arrays(tmp_path / "own.npz", parts)
    data = f'[data]\nname = "files"\nroot = "{root}"\n'
    spec = parse_sweep(f'name = "own"\nlosses = ["elr"]\n{data}[[noise]]\nkind = "given"\n')
    workloads = _workloads(spec, {"files": load_dataset(spec.data[0])})
    _, trial_data = workloads["given-elr"]
    assert not trial_data.truth_known
