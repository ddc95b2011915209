import json
import math

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from analysis.best import best_configs
from analysis.frames.learning import best_values, response_curve
from analysis.frames.published import Deviation
from analysis.report.contents import PLANS, Drawings, figure_sections
from analysis.report.figures import hyperparameters, parallel
from analysis.report.figures.accuracy import accuracy_charts
from analysis.report.figures.effort import budget_chart, gap_charts, importance_chart
from analysis.report.figures.learning import (
    convergence_chart,
    learning_charts,
    memorization_charts,
)
from analysis.report.figures.response import best_value_charts, response_charts
from analysis.report.style import MUTED, looks, loss_name, study_titles, titled
from analysis.results import load_results
from spaces.sweep_file import dump_sweep, load_sweep
from tests.recorded import SWEEP, record_sweep, trial_row, write_results

SETTINGS = ["Symmetric, 40%", "Symmetric, 60%"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return load_results(record_sweep(tmp_path_factory.mktemp("sweep"), replicates=3))


@pytest.fixture(scope="module")
def sections(results):
    return {section.name: section for section in figure_sections(results)}


def traces(chart, name):
    return [trace for trace in chart.plot.data if trace.name == name]


def trace(chart, name):
    (found,) = traces(chart, name)
    return found


def rows(**columns):
    """Rows of one study, as ``titled`` leaves them."""
    return pd.DataFrame({"title": "Symmetric, 40%", "loss": "elr", "study": "a", **columns})


def test_a_sweep_as_small_as_the_quickstart_says_what_importances_need(sections):
    assert sections["importances"].charts == []
    assert "15 trials that used their full budget, and 3 for each" in (
        sections["importances"].missing
    )


@pytest.mark.parametrize("name", [p.name for p in PLANS if p.name != "importances"])
def test_every_section_of_a_recorded_sweep_has_charts_with_words_and_a_table(sections, name):
    assert sections[name].charts
    for chart in sections[name].charts:
        assert chart.says.endswith(".")
        assert len(chart.table)
        printed = f"{chart.says} {chart.table.to_string()}"
        assert "nan" not in printed.lower()


def test_sections_that_compare_losses_have_a_chart_for_each_setting(sections):
    for name in ("response", "learning", "survival", "convergence", "budget", "gap"):
        titles = [chart.title.partition(":")[0] for chart in sections[name].charts]
        assert [title for title in dict.fromkeys(titles) if "%" in title] == SETTINGS


def test_a_loss_has_one_colour_in_all_figures(sections):
    names = {loss_name(loss): look for loss, look in looks().items()}
    seen = set()
    for section in sections.values():
        for chart in section.charts:
            for drawn in chart.plot.data:
                if drawn.name in names and drawn.type == "scatter":
                    colours = {drawn.line.color, drawn.marker.color} - {None}
                    assert colours == {names[drawn.name].light}
                    seen.add(drawn.name)
    assert seen == {"CE", "ELR", "Adam-refined ELR"}


def test_accuracies_are_in_percent(sections):
    for chart in (*sections["learning"].charts, *sections["memorization"].charts):
        values = [v for drawn in chart.plot.data for v in drawn.y]
        assert 1 < max(values) < 110


def test_a_section_that_cannot_be_computed_says_why(tmp_path):
    write_results(tmp_path, [trial_row(), trial_row(number=1)])
    found = {s.name: s for s in figure_sections(load_results(tmp_path))}
    assert found["contour"].charts == []
    assert "sweep.toml is damaged" in found["contour"].missing
    assert len(found["accuracy"].charts) == 1


def test_every_section_of_an_empty_folder_says_what_would_fill_it(tmp_path):
    write_results(tmp_path, [])
    for section in figure_sections(load_results(tmp_path)):
        assert section.charts == []
        assert section.missing


# -- accuracy over everything ---------------------------------------------------------------------


NAMES = {"symmetric-0.4": "symmetric, 40%"}


def accuracy_rows(**columns):
    row = {"dataset": "d", "model": "m", "noise": "symmetric-0.4", "study": "a", "loss": "elr"}
    row |= {"test": 0.9, "test_std": 0.01, "n": 3, "diverged": 0, "published": math.nan}
    row |= {"differs_in": None}
    return pd.DataFrame({**row, **columns}, index=range(len(next(iter(columns.values())))))


def test_accuracy_draws_means_whiskers_and_what_papers_print():
    table = accuracy_rows(loss=["elr", "adam_elr"], published=[0.8, math.nan])
    (chart,) = accuracy_charts(table, NAMES)
    (elr,) = traces(chart, "ELR")
    assert (elr.x, elr.error_x.array, elr.y) == ((90.0,), (1.0,), ("Symmetric, 40%",))
    (printed,) = traces(chart, "ELR, published")
    assert (printed.x, printed.marker.symbol) == ((80.0,), "square-open")
    assert chart.says.endswith("Open marks are what papers print for the same method.")
    otherwise = (Deviation("tiny_cnn", "resnet34"),)
    (chart,) = accuracy_charts(table.assign(differs_in=[otherwise] * 2), NAMES)
    assert chart.says.endswith("for the same method, under another protocol: see below.")
    low, high = chart.plot.layout.xaxis.range
    assert low < 80 < 91 < high


def test_accuracy_of_what_diverged_on_every_seed_is_only_said():
    table = accuracy_rows(loss=["elr", "gce"], test=[0.9, math.nan], diverged=[0, 5], n=[3, 0])
    (chart,) = accuracy_charts(table, NAMES)
    assert [drawn.name for drawn in chart.plot.data] == ["ELR"]
    assert chart.table["test accuracy (%)"].tolist() == ["90.00 ± 1.00 (3)", "- (0, 5 diverged)"]
    assert accuracy_charts(table[table["loss"] == "gce"], NAMES) == []


def test_accuracy_leaves_out_published_methods_that_the_sweep_lacks():
    table = accuracy_rows(loss=["elr", "gce"], study=["a", math.nan], published=[math.nan, 0.8])
    (chart,) = accuracy_charts(table, NAMES)
    assert [drawn.name for drawn in chart.plot.data] == ["ELR"]


def test_accuracy_of_a_single_trial_says_so():
    (chart,) = accuracy_charts(accuracy_rows(n=[1], test_std=[math.nan]), NAMES)
    assert chart.plot.data[0].error_x.array == (0.0,)
    assert "single trial" in chart.says


# -- curves ---------------------------------------------------------------------------------------


def response_rows(value, test, elr_best=0.85, **columns):
    table = rows(value=value, test_accuracy=test, selection_value=0.5, number=range(len(value)))
    again = {"elr_again": math.nan, "elr_again_std": math.nan, "elr_seeds": 0}
    table["chosen"] = table["number"] == 0
    table["trial_id"] = [f"t{number}" for number in table["number"]]
    return table.assign(elr_best=elr_best, **again | columns)


def test_response_has_a_logarithmic_axis_and_elr_as_a_dotted_line():
    (chart,) = response_charts(response_rows([0.5, 10.0], [0.8, 0.9]), "lam", alone=False)
    assert chart.plot.layout.xaxis.type == "log"
    assert trace(chart, "ELR").mode == "markers"
    dotted = trace(chart, "ELR as chosen")
    assert (dotted.y, dotted.line.dash) == ((85.0, 85.0), "dot")


def test_response_names_what_was_chosen_and_not_what_is_highest_on_test():
    curve = response_rows([0.5, 10.0], [0.8, 0.9], 0.8)
    (chart,) = response_charts(curve, "lam", alone=False)
    assert chart.says == (
        "2 trials, lam 0.5 to 10. Chosen: ELR at 0.5, 80.00%. "
        "The dotted line, ELR as chosen: 80.00%."
    )
    assert "90.00" not in chart.says
    larger, other = trace(chart, "ELR").marker.size
    assert larger > other
    again = curve.assign(elr_again=0.78, elr_again_std=0.01, elr_seeds=5)
    (chart,) = response_charts(again, "lam", alone=False)
    assert "80.00% here, 78.00 ± 1.00 (5) on fresh seeds." in chart.says


def test_response_from_zero_has_a_plain_axis():
    (chart,) = response_charts(response_rows([0.0, 3.0], [0.8, 0.9]), "lam", alone=True)
    assert chart.plot.layout.xaxis.type is None
    assert trace(chart, "ELR").mode == "lines+markers"


def test_response_of_values_alike_has_a_plain_axis():
    (chart,) = response_charts(response_rows([0.9, 0.99], [0.8, 0.9]), "beta1", alone=True)
    assert chart.plot.layout.xaxis.type is None


def test_response_over_choices_stands_on_names():
    curve = response_rows(["multistep", "<cosine>"], [0.8, 0.9])
    (chart,) = response_charts(curve, "lr_schedule", alone=False)
    assert chart.plot.layout.xaxis.categoryarray == ("&lt;cosine&gt;", "multistep")
    assert trace(chart, "ELR").x == ("multistep", "&lt;cosine&gt;")
    assert trace(chart, "ELR").customdata == ("t0", "t1")
    assert chart.says.startswith("2 trials, lr_schedule <cosine>, multistep.")


def test_every_hyperparameter_that_is_searched_can_be_chosen(sections, results):
    choices = dict.fromkeys(chart.choice for chart in sections["response"].charts)
    searched = {"lam", "beta", "lr", "lr_schedule", "weight_decay", "beta1", "beta2", "eps"}
    assert set(choices) == searched
    assert next(iter(choices)) == "lam"
    assert results.trials["param_lr_schedule"].nunique() > 1


def test_best_values_are_those_that_the_hold_out_cannot_tell_apart(tmp_path):
    config = json.dumps({"data": {"name": "digits", "holdout": 0.1, "train_examples": 1000}})
    values = [0.60, 0.59, 0.58, 0.57, 0.40]
    trials = [
        trial_row(number=k, val_accuracy=value, param_lam=1.0 + k, config=config)
        for k, value in enumerate(values)
    ]
    table = best_values(load_results(write_results(tmp_path, trials)), "lam")
    assert table["value"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert table["rank"].tolist() == [1, 2, 3, 4]


def test_best_values_are_three_in_any_case(tmp_path):
    trials = [trial_row(number=k, val_accuracy=0.9 - k / 10, param_lam=1.0) for k in range(5)]
    assert len(best_values(load_results(write_results(tmp_path, trials)), "lam")) == 3


def test_best_values_over_the_noise_rate_say_their_spread():
    parts = [
        response_rows([2.0, 1.0, 4.0], [0.8] * 3, noise_rate=rate, title=f"Symmetric, {percent}%")
        for rate, percent in ((0.2, 20), (0.4, 40))
    ]
    table = pd.concat(parts).assign(rank=[1, 2, 3] * 2, family="Symmetric")
    (chart,) = best_value_charts(table, "lam")
    assert chart.title == "Symmetric: best lam over the noise rate"
    assert chart.says == "Best at 20, 40%: ELR 2, 2."
    best = next(t for t in chart.plot.data if t.mode == "lines+markers")
    assert (best.x, best.y) == ((20.0, 40.0), (2.0, 2.0))
    assert chart.table["of the best trials"].tolist() == ["1 to 4"] * 2
    assert best_value_charts(table[table["noise_rate"] == 0.2], "lam") == []


def test_best_values_over_rates_that_are_hardly_above_zero_are_one_figure(tmp_path):
    rates = {5e-07: "symmetric-5e-07-elr", 0.2: "symmetric-0.2-elr"}
    trials = [
        trial_row(study, noise=study.removesuffix("-elr"), noise_rate=rate, param_lam=1.0)
        for rate, study in rates.items()
    ]
    results = load_results(write_results(tmp_path, trials))
    table = titled(best_values(results, "lam"), study_titles(results.trials))
    assert set(table["title"]) == {"Symmetric, 5e-05%", "Symmetric, 20%"}
    (chart,) = best_value_charts(table, "lam")
    assert chart.title == "Symmetric: best lam over the noise rate"


def test_response_without_elr_has_no_dotted_line():
    (chart,) = response_charts(response_rows([1.0], [0.8], math.nan), "lam", alone=True)
    assert [drawn.name for drawn in chart.plot.data] == ["ELR"]


def test_response_of_the_figure3_sweep_is_a_curve_for_each_loss(tmp_path):
    spec = load_sweep("figure3", ["data.name=digits", "network=tiny_cnn"])
    trials = [
        trial_row(
            cell.study,
            number,
            loss=cell.loss,
            config=json.dumps(cell.trial(point, spec.seed).as_dict()),
            param_lam=point["lam"],
        )
        for cell in spec.cells()
        for number, point in enumerate(cell.space.grid())
    ]
    folder = write_results(tmp_path, trials, spec=dump_sweep(spec))
    found = {section.name: section for section in figure_sections(load_results(folder))}
    (chart,) = found["response"].charts
    for name in ("ELR", "Adam-refined ELR"):
        line = trace(chart, name)
        assert (line.mode, line.x) == ("lines+markers", (0.5, 1, 2, 3, 5, 7, 10))
    assert trace(chart, "ELR as chosen").line.dash == "dot"


def test_response_draws_what_its_table_has(results):
    curve = titled(response_curve(results, "lam"), study_titles(results.trials))
    charts = response_charts(curve, "lam", alone=False)
    drawn = sum(len(t.x) for chart in charts for t in chart.plot.data if t.marker.symbol)
    assert drawn == len(curve) == sum(len(chart.table) for chart in charts)


def curve_rows(seeds, epochs=(1, 2), **values):
    table = pd.DataFrame([(s, e) for s in seeds for e in epochs], columns=["seed", "epoch"])
    column, numbers = next(iter(values.items()))
    return rows(seed=table["seed"], epoch=table["epoch"], **{column: numbers})


def test_learning_curve_is_the_mean_and_its_band_one_deviation():
    (chart,) = learning_charts(curve_rows([1, 2], test_accuracy=[0.5, 0.8, 0.7, 0.8]))
    band, line = chart.plot.data
    assert line.y == (60.0, 80.0)
    half = 100 * np.std([0.5, 0.7], ddof=1)
    assert band.y == pytest.approx((60 + half, 80, 80, 60 - half), abs=1e-3)
    assert band.x == (1, 2, 2, 1)
    assert chart.table["ELR"].tolist() == ["60.00 ± 14.14", "80.00 ± 0.00"]


def test_learning_curve_of_one_seed_has_no_band():
    (chart,) = learning_charts(curve_rows([0], test_accuracy=[0.5, 0.8]))
    assert [drawn.mode for drawn in chart.plot.data] == ["lines"]
    assert chart.table["ELR"].tolist() == ["50.00", "80.00"]


def test_learning_curve_of_one_epoch_is_a_point():
    (chart,) = learning_charts(curve_rows([0], epochs=[1], test_accuracy=[0.5]))
    assert chart.plot.data[0].mode == "markers"


def test_table_behind_a_long_curve_is_short_and_ends_with_the_last_epoch():
    accuracy = np.linspace(0.1, 0.9, 150)
    (chart,) = learning_charts(curve_rows([0], range(1, 151), test_accuracy=accuracy))
    assert len(chart.table) <= 16
    assert chart.table["epoch"].iloc[-1] == 150


def test_many_losses_are_summed_up_by_their_ends():
    tables = [
        curve_rows([0], test_accuracy=[0.5, 0.1 * k]).assign(loss=loss)
        for k, loss in enumerate(looks(), start=1)
    ]
    (chart,) = learning_charts(pd.concat(tables))
    assert chart.says == ("After the last epoch: from CE 10.00% to Adam-refined ELR 80.00%.")


def test_memorization_leaves_out_what_is_undefined():
    table = curve_rows([0], wrong_memorized=[0.1, 0.2])
    table = table.assign(clean_correct=0.9, wrong_correct=math.nan)
    titles = [chart.title for chart in memorization_charts(table)]
    assert titles == [
        "Symmetric, 40%: clean labels, learned",
        "Symmetric, 40%: wrong labels, memorised",
    ]


def convergence_rows(epochs, reference="elr"):
    return rows(epochs=epochs, reference=reference, fraction=0.98, max_epochs=20)


def test_convergence_draws_a_mean_only_if_all_seeds_arrived():
    chart = convergence_chart("Symmetric, 40%", convergence_rows([4.0, 6.0]))
    seeds, mean = chart.plot.data
    assert (seeds.x, mean.x, mean.marker.symbol) == ((4.0, 6.0), (5.0,), "line-ns")
    assert "98% of ELR's best accuracy: ELR 5.0" in chart.says
    chart = convergence_chart("Symmetric, 40%", convergence_rows([4.0, math.nan]))
    assert [drawn.x for drawn in chart.plot.data] == [(4.0,)]
    assert "ELR 1 of 2 seeds never" in chart.says
    assert chart.table["to 98%"].tolist() == ["1 of 2 seeds never"]


def test_convergence_without_elr_is_against_the_own_best():
    chart = convergence_chart("Symmetric, 40%", convergence_rows([4.0], reference="own"))
    assert "of its own best accuracy" in chart.says


# -- the search -----------------------------------------------------------------------------------


def test_survival_steps_down_in_percent(sections, results):
    chart = sections["survival"].charts[0]
    line = trace(chart, "ELR")
    assert (line.x[0], line.y[0], line.line.shape) == (1, 100.0, "hv")
    trained = results.trials[results.trials["study"] == "symmetric-0.4-elr"]
    full = ((trained["epochs"] == 20) & (trained["phase"] == "search")).sum()
    assert line.customdata[-1] == full
    assert f"ELR {full} of 12" in chart.says


def test_survival_says_what_became_of_the_trials_so_far(tmp_path):
    fates = [("completed", 6), ("stopped", 2), ("diverged", 1), ("running", 3), ("running", 5)]
    rows = [
        trial_row(number=k, status=status, epochs=epochs, max_epochs=6)
        for k, (status, epochs) in enumerate(fates)
    ]
    write_results(tmp_path, rows)
    found = {section.name: section for section in figure_sections(load_results(tmp_path))}
    (chart,) = found["survival"].charts
    assert chart.says == (
        "Trained to the end, of the trials that have ended: "
        "ELR 1 of 3 (1 diverged, 2 still running)."
    )


def test_importances_are_bars_in_the_order_of_importance():
    table = rows(parameter=["lr", "adam.beta1"], importance=[0.25, 0.75], trials=9)
    chart = importance_chart("Symmetric, 40%", table)
    assert chart.plot.data[0].x == (25.0, 75.0)
    assert chart.plot.layout.yaxis.categoryarray == ("lr", "beta1")
    assert chart.says == "Most important: ELR beta1 (75%, of 9 trials)."


def test_budget_adds_up_to_what_was_trained_saved_and_lost():
    counts = {"trials": 2, "completed": 1, "stopped": 1, "diverged": 0, "failed": 0}
    table = rows(
        phase=["search", "replicate"],
        epochs=[30, 20],
        saved_epochs=[10, 0],
        failed_epochs=[5, 0],
        repeated_epochs=[20, 4],
        lost_epochs=[25, 4],
        hours=[1.5, 1.0],
        saved_hours=[0.5, 0.0],
        **counts,
    )
    chart = budget_chart("Symmetric, 40%", table)
    assert [(drawn.name, drawn.x) for drawn in chart.plot.data] == [
        ("trained", (45,)),
        ("saved by early stopping", (10,)),
        ("lost to failures and restarts", (29,)),
    ]
    assert chart.says == "50 epochs trained in 2.50 trial hours, 10 saved, 29 lost."


def test_budget_of_a_trial_that_trained_everything_twice_still_has_what_it_trained(tmp_path):
    write_results(tmp_path, [trial_row(epochs=3, repeated_epochs=3)])
    found = {section.name: section for section in figure_sections(load_results(tmp_path))}
    (chart,) = found["budget"].charts
    assert trace(chart, "trained").x == (3,)
    assert trace(chart, "lost to failures and restarts").x == (3,)


def test_gap_draws_what_is_known_of_each_study():
    table = rows(
        loss=["ce", "elr", "gce"],
        selection_value=[0.5, 0.6, 0.7],
        replicated_value=[math.nan, 0.55, math.nan],
        replicates=[0, 3, 0],
        replicates_diverged=[0, 1, 0],
        rank_correlation=[-0.5, math.nan, math.nan],
        trials=[9, 3, 3],
    )
    table["gap"] = table["selection_value"] - table["replicated_value"]
    (chart,) = gap_charts(table, "noisy hold-out", "clean test")
    assert trace(chart, "in the search").x == (50.0, 60.0)
    assert trace(chart, "again, mean over fresh seeds").x == (55.0,)
    assert chart.says == (
        "From the search to fresh seeds, in points: ELR −5.00. Not run on fresh seeds: CE. "
        "Rank correlation of noisy hold-out and clean test: CE −0.50 (9 trials)."
    )
    (chart,) = gap_charts(table[table["loss"] == "ce"], "noisy hold-out", "clean test")
    assert [drawn.name for drawn in chart.plot.data] == ["in the search"]


# -- the space ------------------------------------------------------------------------------------

SPACE = {
    "lam": FloatDistribution(1.0, 100.0, log=True),
    "adam.beta1": FloatDistribution(0.5, 0.9),
    "adam.beta2": FloatDistribution(0.5, 0.999),
    "lion.beta1": FloatDistribution(0.5, 0.9),
    "lion.beta2": FloatDistribution(0.5, 0.999),
    "nadam.beta1": FloatDistribution(0.5, 0.9),
    "amsgrad.beta1": FloatDistribution(0.5, 0.9),
    "amsgrad.beta2": FloatDistribution(0.5, 0.999),
    "lr_schedule": CategoricalDistribution(["a", "b", "c"]),
    "adam.eps": FloatDistribution(1e-8, 1e-3, log=True),
    "amsgrad.eps": FloatDistribution(1e-8, 1e-3, log=True),
    "adabelief.eps": FloatDistribution(1e-3, 0.1, log=True),
    "target": CategoricalDistribution(["adam", "amsgrad", "adabelief", "adam_literal"]),
}


def optuna_study(*trials):
    """Trials as (parameters, value, state), or with a curve by epoch after that."""
    study = optuna.create_study(direction="maximize")
    for number, (values, value, state, *curves) in enumerate(trials):
        curve = curves[0] if curves else {} if value is None else {9: value}
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params=values,
                distributions={name: SPACE[name] for name in values},
                user_attrs={"trial_id": f"t{number}", "epochs": max(curve, default=0)},
                intermediate_values=curve,
            )
        )
    return {"a": study}


def best_row(trial_id="t0"):
    return rows(trial_id=[trial_id])


def at_axes(line):
    """Where a line crosses each axis: it runs straight through a band around it."""
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None]
    bands = list(zip(points[::3], points[1::3], points[2::3], strict=True))
    assert all(above[0] == at[0] == below[0] for above, at, below in bands)
    return {at[1]: at[0] for _, at, _ in bands}


def test_parallel_compares_a_stopped_trial_with_others_of_its_age():
    full, stopped = TrialState.COMPLETE, TrialState.PRUNED
    studies = optuna_study(
        (
            {"lam": 10.0, "adam.beta1": 0.6, "lr_schedule": "c"},
            0.8,
            full,
            {1: 0.4, 2: 0.5, 9: 0.8},
        ),
        ({"lam": 1.0, "adam.beta1": 0.9, "lr_schedule": "a"}, 0.6, stopped, {1: 0.3, 2: 0.6}),
    )
    (chart,) = parallel.parallel_charts(studies, best_row())
    early, chosen = trace(chart, "stopped early"), trace(chart, "chosen")
    names = [text.partition("<br>")[0] for text in chart.plot.layout.yaxis.ticktext]
    assert names == ["lam", "beta1", "lr_schedule", "after epoch 2", "after epoch 9"]
    assert at_axes(chosen) == pytest.approx({0: 0.5, 1: 0.25, 2: 2 / 3, 3: 0.0, 4: 0.5})
    assert at_axes(early) == pytest.approx({0: 0.0, 1: 1.0, 2: 0.0, 3: 1.0})
    assert chosen.line.color == looks()["elr"].light
    assert set(early.customdata) == {"t1", None}
    assert [label.text for label in chart.plot.layout.annotations] == ["a", "b", "c"]
    assert "1 to 100, log" in chart.plot.layout.yaxis.ticktext[0]
    assert "50.00 to 60.00%" in chart.plot.layout.yaxis.ticktext[3]
    assert "The chosen one has lam 10, beta1 0.6, lr_schedule c: 80.00%." in chart.says


def test_parallel_has_axes_for_the_rungs_at_which_most_trials_stopped():
    ends = [1, 2, 3, 3, 4, 4, 5, 5]
    trials = [({"lam": 1.0}, 0.5, TrialState.PRUNED, {end: 0.5}) for end in ends]
    trials.append(({"lam": 2.0}, 0.6, TrialState.COMPLETE, {9: 0.6}))
    (chart,) = parallel.parallel_charts(optuna_study(*trials), best_row("t8"))
    names = [text.partition("<br>")[0] for text in chart.plot.layout.yaxis.ticktext]
    assert names == ["lam", *(f"after epoch {epoch}" for epoch in (3, 4, 5, 9))]


def test_parallel_writes_a_long_choice_in_two_lines():
    label = parallel._label(0.5, 2, "cosine_warm_restarts")
    assert (label["text"], label["yanchor"]) == ("cosine_warm_<br>restarts", "middle")
    assert parallel._label(0.0, 2, "<_a_b_c_d_e_f_g>")["text"] == "&lt;_a_b_c_d_e_f_<br>g&gt;"
    assert parallel._label(0.0, 2, "multistep")["text"] == "multistep"


def of_target(target, eps, value):
    return {"target": target, f"{target}.eps": eps}, value, TrialState.COMPLETE


def test_parallel_has_one_axis_for_what_targets_have_in_common():
    trials = (of_target("adam", 1e-8, 0.8), of_target("amsgrad", 1e-3, 0.7))
    trials += (of_target("adabelief", 0.1, 0.6),)
    (chart,) = parallel.parallel_charts(optuna_study(*trials), best_row())
    names = [text.partition("<br>")[0] for text in chart.plot.layout.yaxis.ticktext]
    assert names == ["target", "eps (adabelief)", "eps", "after epoch 9"]
    target, belief, eps, last = chart.plot.layout.yaxis.tickvals
    assert at_axes(trace(chart, "chosen")) == {target: 0.0, eps: 0.0, last: 1.0}
    expected = {target: 0.25, belief: 1.0, eps: 1.0, last: 0.5}  # the second trial's comes last
    assert at_axes(trace(chart, "full budget")) == pytest.approx(expected)
    assert list(chart.table["eps"]) == ["1e-08", "0.001", "0.1"]


def test_parallel_stands_names_upright_that_have_no_room_beside_each_other():
    trials = (of_target("adam", 1e-8, 0.8), of_target("amsgrad", 1e-3, 0.7))
    (chart,) = parallel.parallel_charts(optuna_study(*trials), best_row())
    labels = chart.plot.layout.annotations
    assert {label.textangle for label in labels} == {-90}
    target, eps, _ = chart.plot.layout.yaxis.tickvals
    assert (target, eps) == (1, 3)  # room of three axes
    letters = parallel.LETTER * len("adam_literal")
    assert letters < parallel.UPRIGHT * (parallel.ROOM + parallel.BAND)
    few = parallel.parallel_charts(
        optuna_study(
            ({"lr_schedule": "a"}, 0.8, TrialState.COMPLETE),
            ({"lr_schedule": "b"}, 0.7, TrialState.COMPLETE),
        ),
        best_row(),
    )
    assert {label.textangle for label in few[0].plot.layout.annotations} == {None}


def test_parallel_skips_what_a_trial_does_not_have():
    studies = optuna_study(
        ({"lam": 10.0}, 0.8, TrialState.COMPLETE),
        ({"lam": 1.0, "adam.beta1": 0.9}, 0.8, TrialState.COMPLETE),
    )
    (chart,) = parallel.parallel_charts(studies, best_row())
    assert list(at_axes(trace(chart, "chosen"))) == [0, 2]
    assert list(at_axes(trace(chart, "full budget"))) == [0, 1, 2]


@pytest.mark.parametrize(
    "trials",
    [
        [({"lam": 1.0}, 0.5, TrialState.COMPLETE)],
        [({}, 0.5, TrialState.COMPLETE), ({}, 0.6, TrialState.COMPLETE)],
        [({"lam": 1.0}, None, TrialState.FAIL), ({"lam": 2.0}, None, TrialState.FAIL)],
    ],
    ids=["one trial", "nothing varies", "none ended"],
)
def test_parallel_needs_trials_that_differ(trials):
    assert parallel.parallel_charts(optuna_study(*trials), best_row()) == []


def betas(points, state=TrialState.COMPLETE):
    return [({"adam.beta1": x, "adam.beta2": y}, x * y, state) for x, y in points]


SPREAD = [(0.5 + 0.05 * k, 0.5 + 0.03 * (3 * k % 8)) for k in range(8)]


def test_contour_interpolates_between_enough_trials_and_not_beyond_them():
    (chart,) = hyperparameters.contour_charts(optuna_study(*betas(SPREAD)), best_row())
    contour = chart.plot.data[0]
    values = [v for line in contour.z for v in line if v is not None]
    assert contour.type == "contour"
    assert None in contour.z[-1]
    low, high = min(x * y for x, y in SPREAD), max(x * y for x, y in SPREAD)
    assert 100 * low - 0.01 <= min(values) < max(values) <= 100 * high + 0.01


@pytest.mark.parametrize(
    "points",
    [SPREAD[:5], [(0.5 + 0.05 * k, 0.5 + 0.05 * k) for k in range(8)]],
    ids=["too few", "on a line"],
)
def test_contour_shows_the_trials_alone_where_it_would_invent(points):
    (chart,) = hyperparameters.contour_charts(optuna_study(*betas(points)), best_row())
    assert [drawn.type for drawn in chart.plot.data] == ["scatter"]


def test_contour_gives_few_values_the_same_room():
    points = [(0.5, 0.9), (0.6, 0.99), (0.7, 0.999)]
    trials = [*betas(points), *betas([(0.8, 0.9)], TrialState.PRUNED)]
    (chart,) = hyperparameters.contour_charts(optuna_study(*trials), best_row())
    assert trace(chart, "full budget").y == ("0.9", "0.99", "0.999")
    assert trace(chart, "stopped early").marker.color == MUTED.light
    assert chart.plot.layout.yaxis.categoryarray == ("0.9", "0.99", "0.999")
    assert chart.says.startswith("3 trials with their full budget, 1 stopped early.")


def test_contour_is_for_studies_in_which_both_betas_vary():
    studies = optuna_study(({"adam.beta1": 0.5}, 0.5, TrialState.COMPLETE))
    assert hyperparameters.contour_charts(studies, best_row()) == []


def test_contour_is_a_chart_for_each_target_with_the_trials_that_took_it():
    trials = betas([(0.5, 0.9), (0.6, 0.99)])
    trials += [({"lion.beta1": 0.7, "lion.beta2": 0.8}, 0.5, TrialState.COMPLETE)] * 2
    trials += [({"amsgrad.beta1": 0.7, "amsgrad.beta2": 0.8}, 0.5, TrialState.COMPLETE)]
    trials += [({"nadam.beta1": 0.7}, 0.5, TrialState.COMPLETE)]
    adam, lion = hyperparameters.contour_charts(optuna_study(*trials), best_row())
    assert (adam.title[-6:], lion.title[-6:]) == (", adam", ", lion")
    assert list(trace(adam, "full budget").x) == [0.5, 0.6]
    assert list(trace(lion, "full budget").x) == [0.7, 0.7]


def test_sections_of_a_sweep_that_chooses_among_targets_have_charts(tmp_path):
    text = SWEEP + '[space]\npreset = "targets"\n'
    results = load_results(record_sweep(tmp_path, text, replicates=2))
    assert {s.name for s in figure_sections(results) if not s.charts} == {"importances"}


def test_parallel_section_starts_with_the_winner_of_each_setting(sections, results):
    best = Drawings(results).titled(best_configs(results))
    winners = best.sort_values("selection_value").groupby("title", sort=False).tail(1)
    expected = {f"{row.title}: {loss_name(row.loss)}" for row in winners.itertuples()}
    assert {chart.title for chart in sections["parallel"].charts[:2]} == expected
    assert len(sections["parallel"].charts) == 6
