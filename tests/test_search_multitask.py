import math

import numpy as np
import pytest

from search.studies.features import ABSENT, Features, LabelStatistics
from search.studies.round_robin import Sweep
from search.studies.stopping import AshaTies
from simulated import spec
from trainable.metrics import EpochMetrics

RELATED = (
    *("search.sampler=multitask", "search.early_stopping=none", "budget.max_epochs=3"),
    *("budget.grace_epochs=1", "noise.0.rates=[0.2,0.4,0.6]"),
)


def landscape(sweep: Sweep, best: dict[str, float], slots: int = 1) -> dict[str, list[float]]:
    """Run a sweep whose studies are best at some lam each; every study's lams, in order."""
    live = []
    while True:
        while len(live) < slots and (trial := sweep.deal()):
            live.append(trial)
        if not live:
            return {
                name: [float(t.config.parameters["lam"]) for t in study.searched]
                for name, study in sweep.studies.items()
            }
        trial = live.pop(0)
        distance = abs(math.log(float(trial.config.parameters["lam"]) / best[trial.study]))
        metrics = EpochMetrics(trial.epochs + 1, train_loss=1.0, val_accuracy=math.exp(-distance))
        if sweep.report(trial, metrics).status == "running":
            live.append(trial)


def distances(lams: list[float], best: float) -> float:
    return float(np.median([abs(math.log(lam / best)) for lam in lams]))


def test_multitask_finds_in_each_study_what_is_good_there():
    """Studies that want opposite ends are told apart by their coordinates."""
    sweep = Sweep.build(spec(*RELATED, "budget.trials=14"))
    best = {name: 1.0 if name.endswith("-elr") else 8.0 for name in sweep.studies}
    lams = landscape(sweep, best)
    for study in ("symmetric-0.2-elr", "symmetric-0.6-adam_elr"):
        assert distances(lams[study][8:], best[study]) < 0.6, study  # of random draws: 1.3


def test_multitask_learns_from_the_other_studies():
    """A study whose first trials come last has the others' best at once."""
    together = Sweep.build(spec(*RELATED, "budget.trials=16"))
    last = together.studies["symmetric-0.6-elr"]
    last.turns = 200  # its turn comes when the others are out
    lams = landscape(together, dict.fromkeys(together.studies, 8.0))[last.name]
    assert distances(lams[1:7], 8.0) < 0.4  # of random draws: 1.3


def test_multitask_with_a_model_for_each_study_learns_nothing_from_the_others():
    alone = Sweep.build(spec(*RELATED, "budget.trials=6", "search.sampler_options={shared=false}"))
    landscape(alone, dict.fromkeys(alone.studies, 8.0))
    assert len(alone.models) == len(alone.studies)
    for model, study in zip(alone.models, alone.studies.values(), strict=True):
        assert list(model.studies) == [study.name]
        assert sorted(model._trials) == [trial.trial_id for trial in study.searched]


@pytest.mark.parametrize("slots", [1, 4])
def test_multitask_of_one_study_works_alone(slots):
    sweep = Sweep.build(spec(*RELATED[:4], "losses=elr", "budget.trials=24"))
    (study,) = sweep.studies
    lams = landscape(sweep, {study: 8.0}, slots)[study]
    assert distances(lams[14:], 8.0) < 0.3


def test_multitask_deals_no_point_twice():
    four = 'space={preset="paper_star", lam={choice=[1.0, 2.0, 4.0, 8.0]}}'
    sweep = Sweep.build(spec(*RELATED[:4], "losses=elr", four, "budget.trials=4"))
    (study,) = sweep.studies
    assert sorted(landscape(sweep, {study: 8.0})[study]) == [1.0, 2.0, 4.0, 8.0]


def test_multitask_avoids_what_diverges():
    sweep = Sweep.build(
        spec(*RELATED, "budget.trials=14", "space.lr={low=1e-2, high=100.0, log=true}")
    )
    while trial := sweep.deal():
        loss = math.nan if trial.config.lr > 0.3 else 1.0
        accuracy = 0.5 + math.sqrt(trial.config.lr) / 100
        while (
            sweep.report(
                trial, EpochMetrics(trial.epochs + 1, train_loss=loss, val_accuracy=accuracy)
            ).status
            == "running"
        ):
            pass
    late = [t.status == "diverged" for s in sweep.studies.values() for t in s.searched[7:]]
    assert sum(late) / len(late) < 0.35  # 63% of the range


def test_multitask_counts_a_stopped_trial_with_what_it_would_have_gained():
    sweep = Sweep.build(spec(*RELATED[:1], "losses=elr", "budget.trials=2", "budget.max_epochs=6"))
    (study,) = sweep.studies.values()
    for values in ([0.1, 0.2, 0.3, 0.5, 0.7, 0.9], [0.0, 0.1]):
        trial = sweep.deal()
        for value in values:
            outcome = study.report(
                trial.trial_id,
                EpochMetrics(trial.epochs + 1, train_loss=1.0, val_accuracy=value),
            )
    assert outcome.status == "stopped"
    (model,) = sweep.models
    model._known = {study.name: [trial.up_to(8) for trial in model._trials.values()]}
    # Up to epoch 2 they had 0.15 and 0.05 in the mean; the first went on to 0.9.
    np.testing.assert_allclose(model._finals(model._known[study.name]), [0.9, 0.05 + 0.75])


def cells(*overrides: str):
    return spec("space.preset=targets", *overrides).cells()


def test_features_have_the_same_columns_in_every_study():
    elr, adam = cells()
    (one, two) = (Features(cell, (elr, adam)) for cell in (elr, adam))
    rng = np.random.default_rng(0)
    a, b = (f.columns(f.uniform(rng, 5)) for f in (one, two))
    assert a.shape == b.shape
    beta = list(dict.fromkeys([*one._numeric])).index("beta")
    assert (b[:, beta] == ABSENT).all()
    assert (a[:, beta] >= 0).all()


def test_features_leave_out_the_parameters_of_other_options():
    _, adam = cells()
    features = Features(adam, cells())
    names = features._numeric
    columns = features.columns(features.uniform(np.random.default_rng(0), 200))
    look_ahead = columns[:, names.index("nadam.look_ahead")]
    is_nadam = columns[:, len(names) + features._options.index(("target", "'nadam'"))]
    np.testing.assert_array_equal(look_ahead >= 0, is_nadam == 1)
    assert 0 < is_nadam.sum() < 200


@pytest.mark.parametrize("overrides", [(), ("space.lam={low=0.5, high=1.5, step=0.1}",)])
def test_features_place_is_inverted_by_at(overrides):
    for cell in cells(*overrides):
        features = Features(cell, [cell])
        for row in features.uniform(np.random.default_rng(0), 30):
            point = features.at(row)
            again = features.at(features.place(point))
            assert again.keys() == point.keys()
            for name, value in point.items():
                assert again[name] == (pytest.approx(value) if isinstance(value, float) else value)


def turned(share: float, classes: int) -> np.ndarray:
    """A matrix of labels each class of which is taken for the next one at ``share``."""
    one = np.eye(classes)
    return (1 - share) * one + share * np.roll(one, 1, axis=1)


def test_label_statistics_tell_noise_that_spreads_from_noise_that_points():
    spread = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    assert LabelStatistics.of(spread) == pytest.approx((0.3, 1 / 3))
    assert LabelStatistics.of(turned(0.3, 4)) == pytest.approx((0.3, 1.0))
    assert LabelStatistics.of(np.eye(4)) == (0, 0)


def test_how_labels_came_out_is_told_beside_the_nominal_rate():
    sweep = Sweep.build(spec(*RELATED))
    (model,) = sweep.models

    def columns() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        return {study: f.columns(f.uniform(rng, 3)) for study, f in model._features.items()}

    before = columns()
    sweep.labelled({})
    for study, told in columns().items():
        np.testing.assert_array_equal(told, before[study])
    one = next(iter(before))
    sweep.labelled({one: turned(0.25, 10)})
    for study, told in columns().items():
        np.testing.assert_array_equal(told[:, :-2], before[study])
        expected = (0.25, 1.0) if study == one else (ABSENT, ABSENT)
        np.testing.assert_allclose(told[:, -2:], [expected] * 3)


def reported(rule: AshaTies, *finals: float) -> list[str]:
    return [rule.report(str(i), 1, value, {1: 0}).status for i, value in enumerate(finals)]


def test_ties_go_on_within_four_standard_errors_of_the_hold_out():
    # sqrt(2 * 0.25 / 200) = 0.05: a trial a fifth below the cutoff is not worse for certain.
    around = (0.5, 0.5, 0.5, 0.31, 0.29)
    assert reported(AshaTies(held_out=200), *around) == ["running"] * 4 + ["stopped"]
    assert reported(AshaTies(held_out=20_000), *around) == ["running"] * 3 + ["stopped"] * 2


def test_ties_are_of_means_of_three_epochs():
    rule = AshaTies(held_out=10**6)
    for epoch, value in enumerate((0.3, 0.3, 0.6), start=1):  # 0.4 in the mean
        rule.report("lucky", epoch, value, {3: 0})
    for epoch, value in enumerate((0.5, 0.5, 0.5), start=1):
        assert rule.report("steady", epoch, value, {3: 0}).status == "running"
    for epoch, value in enumerate((0.3, 0.3, 0.59), start=1):
        verdict = rule.report("unlucky", epoch, value, {3: 0})
    assert verdict.status == "stopped"
