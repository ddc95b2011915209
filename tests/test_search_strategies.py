"""A sampler and a stopping rule that somebody adds: an entry, and what builds it."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from optuna.samplers import BaseSampler, RandomSampler

from analysis.printed.paper_table import format_table
from analysis.report.write import write_report
from analysis.results import load_results
from analysis.schema import STOPPED
from search.driver import provenance
from search.driver.recorder import Recorder
from search.planning.outline import outline
from search.studies.round_robin import Sweep
from search.studies.samplers import build_sampler, sequence
from search.studies.simulate import simulate
from search.studies.stopping import Rule, build_rule
from search.studies.trial import GOES_ON, Outcome, Trial
from spaces.space import Space
from spaces.strategies import EARLY_STOPPING, SAMPLERS, EarlyStopping, Sampler
from spaces.sweep_file import SpecError, dump_sweep, parse_sweep
from tests.simulated import Driver, curve
from trainable.catalog import Parameter
from trainable.folder import layout
from trainable.folder.storage import Folder
from trainable.metrics import EpochMetrics

SPEC = """
name = "own"
losses = ["elr"]
noise = [{ kind = "symmetric", rates = [0.4] }]
budget = { trials = 4, max_epochs = 4, grace_epochs = 2, reduction_factor = 2 }
space = { lam = { low = 1.0, high = 9.0 } }
"""
ASKED: list[tuple[Mapping[str, Any], int, int]] = []
"""What the sampler of this file was built with: options, seed, trials."""


def noted(options: Mapping[str, Any], *, seed: int, trials: int) -> BaseSampler:
    """Uniform, and noted in ASKED."""
    ASKED.append((options, seed, trials))
    return RandomSampler(seed=seed)


def rising(options: Mapping[str, Any], *, seed: int, space: Space) -> Iterator[dict[str, Any]]:
    """lam = 2, 3, 4, …: points that need no history."""
    return ({"lam": 2.0 + i} for i in range(5))


def backwards(options: Mapping[str, Any], *, seed: int, space: Space) -> Iterator[dict[str, Any]]:
    """Every point of the space, the last first."""
    return iter(list(space.grid())[::-1])


@dataclass(kw_only=True)
class FirstOnly(Rule):
    """Stops every trial at the end of the grace but the first that gets there."""

    first: list[str] = field(default_factory=list)

    def report(self, trial_id: str, epoch: int, value: float, rungs: Mapping[int, int]) -> Outcome:
        if epoch != self.grace:
            return GOES_ON
        self.first.append(trial_id)
        return GOES_ON if self.first[0] == trial_id else Outcome(STOPPED, "not the first")


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{__name__}:"
    wide = {"width": Parameter(0.5, "how wide", low=0.0)}
    own = Sampler("noted", parameters=wide, build=here + "noted")
    monkeypatch.setitem(SAMPLERS, "own", own)
    monkeypatch.setitem(
        SAMPLERS, "rising", Sampler("rising", build=here + "rising", needs_history=False)
    )
    each = Sampler("each", build=here + "backwards", needs_history=False, finite=True)
    monkeypatch.setitem(SAMPLERS, "backwards", each)
    monkeypatch.setitem(EARLY_STOPPING, "first", EarlyStopping("one", build=here + "FirstOnly"))
    ASKED.clear()


def test_sampler_with_an_option_of_its_own_is_asked_for_every_suggestion():
    spec = parse_sweep(SPEC, ["search.sampler=own", "search.sampler_options={ width = 2.0 }"])
    Driver(Sweep.build(spec)).run()
    assert [options for options, _, _ in ASKED] == [{"width": 2.0}] * 3  # the first is given
    assert len({seed for _, seed, _ in ASKED}) == 3
    with pytest.raises(SpecError, match="width"):
        parse_sweep(SPEC, ["search.sampler=own", "search.sampler_options={ width = -1.0 }"])


def test_points_that_need_no_history_follow_the_reference_setting():
    sweep = Driver(Sweep.build(parse_sweep(SPEC, ["search.sampler=rising"]))).run().sweep
    assert [trial.config.parameters["lam"] for trial in sweep.trials][1:] == [2.0, 3.0, 4.0]


def test_finite_sampler_deals_each_point_once_and_wants_a_space_of_choices():
    choices = ["search.sampler=backwards", "space={ lam = { choice = [1.0, 3.0, 9.0] } }"]
    fixed = "space.lr={ choice = [0.1] }"
    spec = parse_sweep(SPEC, [*choices, 'space.preset="paper"', fixed])
    sweep = Driver(Sweep.build(spec)).run().sweep
    assert [trial.config.parameters["lam"] for trial in sweep.trials] == [9.0, 3.0, 1.0]
    assert outline(spec, 1).trials == 3
    with pytest.raises(SpecError, match="sampler 'backwards': lam"):
        parse_sweep(SPEC, ["search.sampler=backwards", 'space.preset="paper"'])


def test_sampler_says_what_is_worst_to_it(monkeypatch: pytest.MonkeyPatch):
    worst = {}
    for pruned in (False, True):
        entry = dataclasses.replace(SAMPLERS["own"], pruned_are_worst=pruned)
        monkeypatch.setitem(SAMPLERS, "own", entry)
        (study,) = Sweep.build(parse_sweep(SPEC, ["search.sampler=own"])).studies.values()
        study.report(study.deal().trial_id, EpochMetrics(epoch=1, train_loss=math.nan))
        worst[pruned] = study._history.study.trials[0]
    assert worst[False].value == -math.inf
    assert (worst[True].state.name, worst[True].value) == ("PRUNED", None)


def test_rule_that_stops_nothing_needs_no_grace(monkeypatch: pytest.MonkeyPatch):
    late = ["search.early_stopping=first", "budget.grace_epochs=5"]
    with pytest.raises(SpecError, match="grace_epochs = 5 is above max_epochs = 4"):
        parse_sweep(SPEC, late)
    patient = dataclasses.replace(EARLY_STOPPING["first"], stops=False)
    monkeypatch.setitem(EARLY_STOPPING, "first", patient)
    assert outline(parse_sweep(SPEC, late), 1).expected_epochs == 4 * 4


def test_rule_decides_in_a_sweep_and_in_the_outline_of_one():
    spec = parse_sweep(SPEC, ["search.early_stopping=first", "search.sampler=random"])
    sweep = Driver(Sweep.build(spec), slots=1).run().sweep
    ends = [(trial.status, trial.epochs) for trial in sweep.trials]
    assert ends == [("completed", 4)] + [("stopped", 2)] * 3
    assert outline(spec, 1).expected_epochs == 4 + 3 * 2


def test_sampler_and_rule_come_out_in_the_table_and_in_the_report(tmp_path: Path):
    spec = parse_sweep(SPEC, ["search.early_stopping=first", "search.sampler=rising"])
    sweep, folder = Sweep.build(spec), Folder.open(tmp_path)
    folder.write(layout.SWEEP, dump_sweep(spec).encode())
    labels = {"realised_rate": 0.36, "labels_fingerprint": "0123456789abcdef"}
    recorder = Recorder(sweep, folder, lambda trial: provenance.describe(trial, spec) | labels)

    def tested(trial: Trial) -> EpochMetrics:
        metrics = dataclasses.replace(curve(trial, trial.epochs + 1), test_accuracy=0.625)
        recorder.epoch(trial, metrics, "cpu", "here")
        return metrics

    assert list(simulate(sweep, tested))
    recorder.changed()
    recorder.close(compact=True)
    results = load_results(folder)
    assert results.trials["param_lam"].tolist()[1:] == [2.0, 3.0, 4.0]
    assert results.trials["status"].tolist() == ["completed"] + ["stopped"] * 3
    assert "62.50" in format_table(results, "markdown")
    page = Path(write_report(folder)).read_text()
    assert "not the first" in page
    assert all(f"symmetric-0.4-elr-{number:04d}" in page for number in range(4))


def test_name_without_a_builder_raises(monkeypatch: pytest.MonkeyPatch):
    lost = dataclasses.replace(SAMPLERS["own"], build="search.studies.samplers:gone")
    monkeypatch.setitem(SAMPLERS, "lost", lost)
    with pytest.raises(ValueError, match=r"build = 'search\.studies\.samplers:gone'"):
        build_sampler("lost", {}, seed=0, trials=4)
    with pytest.raises(ValueError, match="unknown sampler 'elsewhere'"):
        sequence("elsewhere", {}, Space(()), 0)
    scattered = dataclasses.replace(SAMPLERS["qmc"], common="search.nowhere:draw")
    monkeypatch.setitem(SAMPLERS, "scattered", scattered)
    with pytest.raises(ValueError, match=r"common = 'search\.nowhere:draw'"):
        sequence("scattered", {"common": True}, Space(()), 0)
    monkeypatch.setitem(EARLY_STOPPING, "lost", EarlyStopping("", build="search.nowhere:Rule"))
    with pytest.raises(ValueError, match=r"build = 'search\.nowhere:Rule'"):
        build_rule("lost", grace=1, factor=3)


@pytest.mark.parametrize("name", [*SAMPLERS, *EARLY_STOPPING])
def test_every_entry_names_what_builds_it(name: str):
    assert callable({**SAMPLERS, **EARLY_STOPPING}[name].builder())
