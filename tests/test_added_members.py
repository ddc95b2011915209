"""A loss, a target, a schedule and a network that somebody adds: an entry and a function each.

Nothing else is told of them. They train, are searched over their ranges, and stand in the table
and the report.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from torch import Tensor, nn

from analysis.printed.paper_table import format_table
from analysis.report.style import looks
from analysis.report.write import write_report
from analysis.results import load_results
from search.studies.round_robin import Sweep
from spaces.domains import Choice, Range
from spaces.sweep import Cell, SweepSpec
from spaces.sweep_file import SpecError, parse_sweep
from tests.recorded import record_sweep
from trainable.catalog import (
    DATASETS,
    LOSSES,
    NETWORKS,
    SCHEDULES,
    TARGETS,
    Entry,
    LossEntry,
    Parameter,
    Reference,
    Schedule,
    TargetEntry,
)
from trainable.data import load_dataset
from trainable.losses import build_loss
from trainable.metrics import EpochMetrics
from trainable.network.networks import build_network
from trainable.network.schedules import cycle_ends
from trainable.targets import Target, build_target
from trainable.trial.prepare import prepare
from trainable.trial.trial_loss import build_trainer

SWEEP = """
name = "added"
losses = ["mae", "elr"]
network = "tiny_cnn"
data = { name = "digits", train_examples = 200 }
noise = [{ kind = "symmetric", rates = [0.4] }]
budget = { trials = 2, max_epochs = 3, grace_epochs = 1, reduction_factor = 2 }
"""


def mean_absolute_error(log_p: Tensor, labels: Tensor, *, scale: float) -> Tensor:
    return scale * (1 - log_p.exp().gather(1, labels[:, None])[:, 0])


class Latest(Target):
    """The latest prediction, shortened."""

    moments = 1

    def __init__(self, num_examples: int, num_classes: int, *, beta1: float) -> None:
        super().__init__(num_examples, num_classes)
        self.share = 1 - beta1

    def _advance(self, p: Tensor, groups: Sequence[Tensor]) -> None:
        groups[0].copy_(p)

    def _read(self, groups: Sequence[Tensor]) -> Tensor:
        return self.share * groups[0]


def halving(lr: float, done: int, max_epochs: int, *, every: int) -> float:
    return lr / 2 ** (done // every)


def before_it_halves(max_epochs: int, *, every: int) -> tuple[int, ...]:
    return tuple(range(every, max_epochs + 1, every))


def pixels(channels: int, size: tuple[int, int], factor: int) -> tuple[nn.Module, int]:
    repeated = nn.Upsample(scale_factor=(1, factor))
    return nn.Sequential(repeated, nn.Flatten()), factor * channels * math.prod(size)


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{__name__}:"
    scale = Parameter(2.0, "weight", low=0.0, search={"low": 1.0, "high": 4.0, "log": True})
    mae = LossEntry(
        "mean absolute error",
        "somewhere",
        {"scale": scale},
        (Reference("somewhere", {"lr": 0.05, "scale": 3.0, "nesterov": True}, classes=10),),
        label="MAE",
        build=here + "mean_absolute_error",
    )
    decay = Parameter(0.7, "share left out", low=0.0, high=1.0, search={"choice": [0.5, 0.7]})
    latest = TargetEntry("the latest", "somewhere", {"beta1": decay}, build=here + "Latest")
    every = Parameter(1, "epochs until lr halves", kind=int, low=1)
    monkeypatch.setitem(LOSSES, "mae", mae)
    monkeypatch.setitem(TARGETS, "latest", latest)
    halving = Schedule(
        "halves",
        parameters={"every": every},
        build=here + "halving",
        cycle_ends=here + "before_it_halves",
    )
    monkeypatch.setitem(SCHEDULES, "halving", halving)
    wide = {"factor": Parameter(3, "features a pixel", int, 1, 9)}
    linear = Entry("pixels, repeated", parameters=wide, build=here + "pixels")
    monkeypatch.setitem(NETWORKS, "pixels", linear)


def cells(*overrides: str) -> list[Cell]:
    spec: SweepSpec = parse_sweep(SWEEP, overrides=overrides)
    return spec.cells()


def train(cell: Cell) -> tuple[EpochMetrics, EpochMetrics]:
    config = cell.trial(cell.reference, seed=1)
    data, _ = prepare(load_dataset("digits"), config.data, config.noise, config.seed)
    data = dataclasses.replace(
        data, test_images=data.test_images[:20], test_labels=data.test_labels[:20]
    )
    trainer = build_trainer(config, data, "cpu")
    return trainer.run_epoch(), trainer.run_epoch()


def test_added_loss_is_searched_over_its_range_and_starts_from_its_reference() -> None:
    mae, elr = cells()
    assert mae.space.varies["scale"] == Range(1.0, 4.0, log=True)
    assert "scale" not in elr.space.varies
    assert (mae.reference["scale"], mae.reference["lr"]) == (3.0, 0.05)
    assert mae.reference["nesterov"] is True
    assert elr.reference["nesterov"] is False
    with pytest.raises(SpecError, match="unknown loss 'mea': did you mean 'mae'"):
        cells("losses=mea")


def test_added_loss_trains_with_a_value_an_example() -> None:
    loss = build_loss("mae", num_examples=4, num_classes=10, scale=2.0)
    mae, _ = cells()
    first, second = train(mae)
    assert not any(loss.state_dict())
    assert 0 < second.train_loss < first.train_loss < 3.0


def test_added_target_and_schedule_train() -> None:
    (cell,) = cells("losses=adam_elr", "space.target=latest", "space.lr_schedule=halving")
    assert {"latest.beta1"} <= set(cell.space.varies)
    first, second = train(cell)
    assert second.lr == first.lr / 2
    assert math.isfinite(second.train_loss)
    assert second.target_accuracy is not None


def test_added_schedule_has_its_rungs_where_its_cycles_end() -> None:
    parameters = ["losses=elr", "space.lr_schedule=halving", "space.halving={ every = 4 }"]
    spec = parse_sweep(SWEEP, overrides=[*parameters, "budget.max_epochs=12"])
    (study,) = Sweep.build(spec).studies.values()
    trial = study.deal()
    assert trial is not None
    assert set(study.rungs(trial)) <= {4, 8, 12}


def test_added_network_trains_and_its_parameter_is_searched() -> None:
    (cell,) = cells("losses=elr", "network=pixels", "space.factor={ choice = [1, 2] }")
    assert cell.space.varies["factor"] == Choice((1, 2))
    made = build_network("pixels", channels=1, size=8, num_classes=10, factor=2)
    assert made.head.in_features == 128
    first, second = train(cell)
    assert second.train_loss < first.train_loss


def test_presets_search_every_target_and_schedule_the_added_ones_too() -> None:
    (cell,) = cells("losses=adam_elr", "space.preset=targets")
    assert "latest" in cell.space.domain("target").points()
    cell = cells("space.preset=schedules")[0]
    assert "halving" in cell.space.domain("lr_schedule").points()


def test_added_loss_stands_in_the_table_and_in_the_report_with_a_look_of_its_own(
    tmp_path: Path,
) -> None:
    results = load_results(record_sweep(tmp_path / "added", SWEEP, replicates=2))
    assert {"mae", "elr"} == set(results.trials["loss"])
    assert results.trials["param_scale"].notna().any()
    lines = format_table(results, "markdown").splitlines()
    assert any(line.startswith("| MAE |") for line in lines)
    page = Path(write_report(tmp_path / "added")).read_text()
    assert "MAE" in page
    own = looks()["mae"]
    assert own.light in page
    assert [loss for loss, look in looks().items() if look == own] == ["mae"]


def test_added_target_stands_in_the_table_and_in_the_report(tmp_path: Path) -> None:
    text = SWEEP.replace('["mae", "elr"]', '["elr", "adam_elr"]') + 'space = { target = "latest" }'
    results = load_results(record_sweep(tmp_path / "added", text, replicates=2))
    ours = results.trials[results.trials["loss"] == "adam_elr"]
    assert set(ours["param_target"]) == {"latest"}
    assert set(ours["param_beta1"]) <= {0.5, 0.7}
    lines = format_table(results, "markdown").splitlines()
    assert any(line.startswith(f"| {LOSSES['adam_elr'].label}") for line in lines)
    assert "<td>latest</td>" in Path(write_report(tmp_path / "added")).read_text()


def test_a_name_whose_entry_leads_to_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = dataclasses.replace(LOSSES["mae"], build="trainable.losses.functions:mae")
    monkeypatch.setitem(LOSSES, "mae", missing)
    with pytest.raises(ValueError, match=r"build = 'trainable\.losses\.functions:mae'"):
        build_loss("mae", num_examples=4, num_classes=10)
    monkeypatch.setitem(TARGETS, "latest", dataclasses.replace(TARGETS["latest"], build=""))
    with pytest.raises(ValueError, match="build = ''"):
        build_target("latest", num_examples=4, num_classes=10)
    lost = dataclasses.replace(SCHEDULES["cosine_warm_restarts"], cycle_ends="nowhere:ends")
    monkeypatch.setitem(SCHEDULES, "lost", lost)
    with pytest.raises(ValueError, match="cycle_ends = 'nowhere:ends'"):
        cycle_ends("lost", {}, 10)
    monkeypatch.setitem(DATASETS, "lost", dataclasses.replace(DATASETS["digits"], read="no:where"))
    with pytest.raises(ValueError, match="read = 'no:where'"):
        load_dataset("lost")
