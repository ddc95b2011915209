"""One contract for every name a sweep file can use.

Whatever stands in a table (losses, targets, noise kinds, data sets, networks, schedules, presets,
samplers, early-stopping rules) is documented, can be named in a sweep, searches only what it
accepts, trains, continues from a checkpoint, and runs through Ray.
"""

import dataclasses
import io
import itertools
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from analysis.best import best_configs
from analysis.results import load_results
from search.driver import runner
from search.studies.round_robin import Sweep
from spaces.domains import Choice, Fixed, Range
from spaces.presets import PRESETS, all_owners
from spaces.strategies import EARLY_STOPPING, SAMPLERS
from spaces.sweep import SweepSpec
from spaces.sweep_file import SpecError, parse_sweep
from tests.archives import accept_files, write_cifar10, write_cifar100, write_fashion_mnist
from tests.own_images import write_arrays
from tests.simulated import Driver
from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    NOISE_KINDS,
    REFINED,
    SCHEDULES,
    Entry,
)
from trainable.data import load_dataset
from trainable.trial.prepare import prepare
from trainable.trial.trial_loss import build_trainer

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainable", "spaces", "search")
BASE = """
name = "contract"
losses = "adam_elr"
network = "tiny_cnn"
data.name = "digits"
data.train_examples = 100
noise = [{ kind = "symmetric", rates = [0.4] }]
budget = { trials = 1, max_epochs = 2, grace_epochs = 1, reduction_factor = 2 }
training.precision = "float32"
"""
CIFAR = ["data.name=cifar10", "data.train_examples=100"]
PUBLISHED = [name for name in DATASETS if name != "files"]
TABLES = {
    "loss": LOSSES,
    "target": REFINED,
    "noise kind": NOISE_KINDS,
    "data set": DATASETS,
    "network": NETWORKS,
    "schedule": SCHEDULES,
    "preset": PRESETS,
    "sampler": SAMPLERS,
    "early_stopping rule": EARLY_STOPPING,
}
MEMBERS = [
    pytest.param(table, name, id=f"{table.replace(' ', '_')}-{name}")
    for table, names in TABLES.items()
    for name in names
]
TRAINED = [m for m in MEMBERS if m.values[0] not in ("sampler", "early_stopping rule")]


def noise(kind: str, root: Path) -> str:
    """A ``[[noise]]`` table of that kind, in one line."""
    options = {
        "none": "",
        "given": "",
        "human": f", labels_file = '{root / 'human.pt'}', labels_key = 'worse_label'",
    }
    return f"{{ kind = '{kind}'{options.get(kind, ', rates = [0.3]')} }}"


def naming(table: str, name: str, root: Path = ROOT) -> list[str]:
    """What to set in BASE for a sweep that uses ``name``."""
    data = [f"data.root={root}"]
    own = ["data.name=files", f"data.root={root / 'own.npz'}", "data.train_labels=clean"]
    return {
        "loss": [f"losses={name}"],
        "target": [f"space.target={name}"],
        "noise kind": [
            *(own if name == "given" else [*CIFAR, *data]),
            f"noise=[{noise(name, root)}]",
        ],
        "data set": own
        if name == "files"
        else [*data, f"data.name={name}", "data.train_examples=1000"]
        if name == "cifar100"
        else [*data, f"data.name={name}"],
        # At its narrowest: what a wide network costs is not the question here.
        "network": [f"network={name}"]
        + (["space.width=4"] if "width" in getattr(NETWORKS.get(name), "parameters", {}) else []),
        "schedule": [f"space.lr_schedule={name}"],
        "preset": [f"space.preset={name}"],
        "sampler": [f"search.sampler={name}", "space.preset=paper"],
        "early_stopping rule": [f"search.early_stopping={name}"],
    }[table]


def sweep(*overrides: str) -> SweepSpec:
    return parse_sweep(BASE, overrides)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Every data set as small files in the real formats, with human labels, and an own cache."""
    root = tmp_path_factory.mktemp("data")
    small = write_cifar10(root)
    write_arrays(
        root / "own.npz",
        {
            "train": (small.train_images, small.train_labels),
            "test": (small.test_images, small.test_labels),
        },
    )
    write_cifar100(root)
    write_fashion_mnist(root)
    worse = np.where(np.arange(500) % 3, small.train_labels, (small.train_labels + 1) % 10)
    torch.save({"clean_label": small.train_labels, "worse_label": worse}, root / "human.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "XDG_CACHE_HOME", str(root / "cache"))
        accept_files(patch, CIFAR10, root)
        accept_files(patch, CIFAR100, root)
        yield root


# -- what a person reads and writes --------------------------------------------------------------


@pytest.mark.parametrize(("table", "name"), MEMBERS)
def test_member_is_documented(table, name):
    entry = TABLES[table][name]
    assert entry if isinstance(entry, str) else entry.summary
    parameters = entry.parameters if isinstance(entry, Entry) else {}
    assert all(parameter.meaning for parameter in parameters.values())
    pages = [(ROOT / package / "README.md").read_text() for package in PACKAGES]
    assert any(f"`{name}`" in page for page in pages)


@pytest.mark.parametrize(("table", "name"), MEMBERS)
def test_member_is_named_by_a_sweep_and_found_when_misspelt(table, name):
    assert sweep(*naming(table, name)).cells()
    misspelt = [text.replace(name, f"{name}q") for text in naming(table, name)]
    with pytest.raises(SpecError, match=f"{name}q.*did you mean {name!r}"):
        sweep(*misspelt)


@pytest.mark.parametrize(("table", "name"), MEMBERS)
def test_member_searches_only_what_it_accepts(table, name):
    for cell in sweep(*naming(table, name)).cells():
        for group in cell.space.groups:
            for parameter_name, domain in group.domains.items():
                parameter = all_owners()[group.owner].parameters[parameter_name]
                for value in ends(domain):
                    assert parameter.check(parameter_name, value) == value
        assert cell.space.nearest(cell.reference) == cell.reference


def ends(domain: Range | Choice | Fixed) -> tuple[object, ...]:
    if isinstance(domain, Range):
        return domain.low, domain.high
    return domain.options if isinstance(domain, Choice) else (domain.value,)


# -- what it does --------------------------------------------------------------------------------


@pytest.mark.parametrize(("table", "name"), TRAINED)
def test_member_trains_and_continues_from_a_checkpoint(table, name, root):
    (cell,) = sweep(*naming(table, name, root)).cells()
    config = cell.trial(cell.reference, seed=1)
    dataset = load_dataset(config.data)
    data, noisy = prepare(dataset, config.data, config.noise, config.seed)
    data = dataclasses.replace(
        data, test_images=data.test_images[:20], test_labels=data.test_labels[:20]
    )
    assert noisy.rate > 0 or config.noise.kind in ("none", "given")
    one = build_trainer(config, data)
    first = one.run_epoch()
    saved = io.BytesIO()
    torch.save(one.state_dict(), saved)
    second = one.run_epoch()
    assert math.isfinite(first.train_loss)
    assert math.isfinite(second.train_loss)
    assert 0 <= second.val_accuracy <= 1
    again = build_trainer(config, data)
    saved.seek(0)
    again.load_state_dict(torch.load(saved, weights_only=True))
    resumed = again.run_epoch()
    measured = ("train_loss", "val_loss", "test_loss", "val_accuracy", "lr", "epoch")
    assert [getattr(resumed, m) for m in measured] == [getattr(second, m) for m in measured]


@pytest.mark.parametrize(
    ("sampler", "rule"),
    [pytest.param(s, r, id=f"{s}-{r}") for s, r in itertools.product(SAMPLERS, EARLY_STOPPING)],
)
def test_sampler_and_rule_bring_every_trial_to_an_end(sampler, rule):
    spec = sweep(
        f"search.sampler={sampler}",
        f"search.early_stopping={rule}",
        "budget.trials=6",
        "budget.max_epochs=6",
        "space.preset=paper",
        "space.lam={low = 1, high = 9, step = 1}",
        "space.lr_schedule={choice = ['cosine', 'constant']}",
    )
    driver = Driver(Sweep.build(spec), slots=2).run()
    trials = list(driver.sweep.trials)
    assert driver.sweep.finished
    assert len(trials) == 6
    assert {trial.status for trial in trials} <= {"completed", "stopped"}
    assert any(trial.epochs == 6 for trial in trials)
    assert all(trial.end_reason for trial in trials)
    points = {tuple(map(str, trial.config.parameters.values())) for trial in trials}
    assert len(points) > 3
    again = Driver(Sweep.build(spec), slots=2).run()
    assert [t.config for t in again.sweep.trials] == [t.config for t in trials]


# -- through Ray: every name in a few sweeps, because each sweep starts its actors cold ----------


def texts(names: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def branches(root: Path) -> list[str]:
    """Every target with every schedule, as a grid."""
    return [
        "search.sampler=grid",
        "search.early_stopping=none",
        "budget.trials=100",
        "space.preset=paper",
        f"space.target={{ choice = {texts(REFINED)} }}",
        f"space.lr_schedule={{ choice = {texts(SCHEDULES)} }}",
    ]


def losses(root: Path) -> list[str]:
    return [f"losses={texts(LOSSES)}", "search.sampler=gp", "budget.trials=3"]


def noise_kinds(root: Path) -> list[str]:
    every = ", ".join(noise(kind, root) for kind in NOISE_KINDS if kind != "given")
    return [*CIFAR, f"data.root={root}", f"noise=[{every}]", "search.early_stopping=median"]


def data_sets(root: Path) -> list[str]:
    data = f"data={{ name = {texts(PUBLISHED)}, root = '{root}' }}"
    return [data, "search.sampler=qmc", "search.early_stopping=asha_promotion"]


def networks(root: Path) -> list[str]:
    narrow = ["space.resnet9.width=8", "space.wrn28_10.width=1"]
    return [f"network={texts(NETWORKS)}", "losses=ce", "search.sampler=cmaes", *narrow]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(
    ("every", "columns"),
    [
        (branches, {"param_target": REFINED, "param_lr_schedule": SCHEDULES}),
        (losses, {"loss": LOSSES}),
        (noise_kinds, {"noise_kind": NOISE_KINDS.keys() - {"given"}}),
        (data_sets, {"dataset": PUBLISHED}),
        (networks, {"model": NETWORKS}),
    ],
)
def test_every_member_runs_through_ray(every, columns, root, tmp_path, console):
    finished = runner.start(sweep(*every(root)), tmp_path, console)
    results = load_results(finished.folder)
    assert not finished.failed, [trial.end_reason for trial in finished.failed]
    assert set(results.trials["status"]) <= {"completed", "stopped"}
    full = results.trials[results.trials["epochs"] == 2]
    for column, names in columns.items():
        assert set(full[column]) == set(names)
    assert np.isfinite(results.epochs["train_loss"]).all()
    assert best_configs(results)["val_accuracy"].notna().all()
