"""The sections of the report that are figures, in the order of the page."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import optuna
import pandas as pd
from pandas.api.types import is_numeric_dtype

from analysis.best import best_configs, full_budget
from analysis.frames.accuracy import SETTING, accuracy_table
from analysis.frames.effort import ENOUGH_TRIALS as RANKED
from analysis.frames.effort import budget, selection_gap
from analysis.frames.label_errors import doubted_pairs
from analysis.frames.learning import (
    MEMORIZATION,
    best_so_far,
    convergence,
    final_curves,
    memorization,
    response_curve,
    search_curves,
)
from analysis.frames.studies import (
    ENOUGH_TRIALS,
    TRIALS_PER_PARAMETER,
    importances,
    optuna_studies,
)
from analysis.frames.survival import survival
from analysis.printed.text import varied_parameters
from analysis.report.chart import Chart
from analysis.report.figures import effort as effort_figures
from analysis.report.figures import hyperparameters
from analysis.report.figures import labels as label_figures
from analysis.report.figures import learning as learning_figures
from analysis.report.figures import trials as trial_figures
from analysis.report.figures.accuracy import accuracy_charts
from analysis.report.style import judged_on, named, noise_names, study_titles
from analysis.results import Results, ResultsError
from analysis.schema import PARAM, SEARCH
from trainable.catalog import unknown

REPLICATE = "`python -m search replicate DIR` runs the best trials again on fresh seeds."
EXTEND = "`python -m search extend DIR --trials N` gives every study more."


@dataclass(frozen=True)
class Section:
    """A heading, how to read what is below it, and the figures.

    ``missing`` says what would fill a section without figures. Text may have `code` in it.
    """

    name: str
    title: str
    intro: str
    missing: str
    charts: list[Chart] = field(default_factory=list)


class Numbers:
    """The DataFrames that several sections draw, each computed once."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.names = study_titles(results.trials)

    @cached_property
    def best(self) -> pd.DataFrame:
        """``best_configs``, named."""
        return self.named(best_configs(self.results))

    @cached_property
    def studies(self) -> Mapping[str, optuna.Study]:
        """The studies as Optuna has them."""
        return optuna_studies(self.results)

    @cached_property
    def judged_on(self) -> str:
        """Whose labels the sweep selects by, in words."""
        return judged_on(self.results)

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """``table`` with what its studies are about."""
        return named(table, self.names)


@dataclass(frozen=True)
class _Plan:
    """A section before anything is computed; its intro may name what trials are judged on."""

    name: str
    title: str
    intro: str
    missing: str
    draw: Callable[[Numbers], list[Chart]]


def figure_sections(results: Results, only: Collection[str] = ()) -> list[Section]:
    """All sections, or ``only`` those, computed and drawn. One that cannot be says why instead.

    Raises ResultsError for an unknown name in ``only``.
    """
    known = [plan.name for plan in PLANS]
    for name in set(only) - set(known):
        raise ResultsError(unknown("section of the report", name, known))
    numbers = Numbers(results)
    return [_filled(plan, numbers) for plan in PLANS if not only or plan.name in only]


def _filled(plan: _Plan, numbers: Numbers) -> Section:
    missing, charts = plan.missing, list[Chart]()
    try:
        charts = plan.draw(numbers)
    except ResultsError as error:
        missing = f"This could not be computed: {error}."
    intro = plan.intro.format(judged_on=numbers.judged_on)
    return Section(plan.name, plan.title, intro, missing, charts)


def _accuracy(numbers: Numbers) -> list[Chart]:
    return accuracy_charts(accuracy_table(numbers.results), noise_names(numbers.results.trials))


def _response(numbers: Numbers) -> list[Chart]:
    """Over every number that a study searches, lambda first."""
    varied = varied_parameters(numbers.results)
    names = sorted(set().union(*varied.values()), key=lambda name: (name != "lam", name))
    charts = []
    for name in names:
        if not is_numeric_dtype(numbers.results.trials[f"{PARAM}{name}"]):
            continue
        curve = numbers.named(response_curve(numbers.results, name))
        searched = [study for study, searches in varied.items() if name in searches]
        curve = curve[curve["study"].isin(searched)]
        if curve["value"].nunique() < 2 and name != "lam":
            continue
        counts = curve["study"].value_counts()
        alone = all(varied[study] <= {name} for study in counts[counts > 1].index)
        for chart in learning_figures.response_charts(curve, name, alone=alone):
            title = chart.title if name == "lam" else f"{chart.title}: {name}"
            charts.append(replace(chart, title=title))
    return charts


def _curves(numbers: Numbers) -> list[Chart]:
    return trial_figures.curve_charts(numbers.named(search_curves(numbers.results)))


def _progress(numbers: Numbers) -> list[Chart]:
    return trial_figures.progress_charts(numbers.named(best_so_far(numbers.results)))


def _agreement(numbers: Numbers) -> list[Chart]:
    trials = full_budget(numbers.results.trials)
    trials = trials[trials["phase"] == SEARCH].astype({"study": "str"})
    ranks = selection_gap(numbers.results)[["study", "rank_correlation"]].astype({"study": "str"})
    table = numbers.named(trials.merge(ranks, on="study"))
    return trial_figures.agreement_charts(table, numbers.judged_on)


def _learning(numbers: Numbers) -> list[Chart]:
    return learning_figures.learning_charts(numbers.named(final_curves(numbers.results)))


def _memorization(numbers: Numbers) -> list[Chart]:
    table = memorization(numbers.results).dropna(subset=list(MEMORIZATION), how="all")
    return learning_figures.memorization_charts(numbers.named(table))


def _survival(numbers: Numbers) -> list[Chart]:
    return effort_figures.survival_charts(numbers.named(survival(numbers.results)))


def _parallel(numbers: Numbers) -> list[Chart]:
    """The winner of each setting first, then the second best, and so on."""
    places = numbers.best.groupby(SETTING)["selection_value"].rank(method="first", ascending=False)
    best = numbers.best.assign(place=places).sort_values("place", kind="stable")
    return hyperparameters.parallel_charts(numbers.studies, best)


def _contour(numbers: Numbers) -> list[Chart]:
    return hyperparameters.contour_charts(numbers.studies, numbers.best)


def _importances(numbers: Numbers) -> list[Chart]:
    return effort_figures.importance_charts(numbers.named(importances(numbers.results)))


def _convergence(numbers: Numbers) -> list[Chart]:
    return learning_figures.convergence_charts(numbers.named(convergence(numbers.results)))


def _budget(numbers: Numbers) -> list[Chart]:
    return effort_figures.budget_charts(numbers.named(budget(numbers.results)))


def _doubts(numbers: Numbers) -> list[Chart]:
    return label_figures.doubt_charts(numbers.named(doubted_pairs(numbers.results)))


def _gap(numbers: Numbers) -> list[Chart]:
    table = numbers.named(selection_gap(numbers.results))
    return effort_figures.gap_charts(table, numbers.judged_on)


PLANS: tuple[_Plan, ...] = (
    _Plan(
        "accuracy",
        "Accuracy",
        "Test accuracy at the last epoch of the configuration that each method ended up with.",
        "Filled by the first trial that uses its full budget.",
        _accuracy,
    ),
    _Plan(
        "response",
        "Accuracy over hyperparameters",
        "Search trials over each number that is searched, the weight lambda (lam) of the "
        "regulariser first. Those stopped early are "
        "absent: they have no accuracy at the full budget. Large marks were chosen on the "
        "{judged_on}; the dotted line is ELR's, as in figure 3 of the paper. All are single "
        "trials on one seed.",
        "Filled by trials that use their full budget, of a loss in which lam is a parameter: "
        "elr or adam_elr.",
        _response,
    ),
    _Plan(
        "learning",
        "Learning curves",
        "The chosen configurations on the test set. Lines are means over the seeds that did "
        "not diverge, bands one standard deviation; a line without a band is one trial.",
        "Filled by the first trial that uses its full budget.",
        _learning,
    ),
    _Plan(
        "memorization",
        "Memorisation of wrong labels",
        "What the network predicts for the images it trains on. High is good for the first two, "
        "low for the third: there it has learned the wrong label by heart.",
        "Filled by the first trial with wrong labels that uses its full budget, where the true "
        "labels are known.",
        _memorization,
    ),
    _Plan(
        "labels",
        "Doubtful labels",
        "Which given labels are perhaps wrong, and what they are then, by what the best "
        "configuration thought of them while it learned. "
        "`python -m analysis labels DIR --study S` lists them, the most doubtful first, and "
        "shows the images. Those of the hold-out are not judged.",
        "Filled by the first trial that uses its full budget.",
        _doubts,
    ),
    _Plan(
        "curves",
        "All trials of a study",
        "The metric that selects, on the {judged_on}, over the epochs of every search trial. "
        "Dotted: epochs at which trials were stopped.",
        "Filled by the first epoch of the search.",
        _curves,
    ),
    _Plan(
        "progress",
        "Best so far",
        "The highest final accuracy on the {judged_on} that a study had found by then, over the "
        "epochs that its trials had trained, and over the time since the sweep began.",
        "Filled by the first trial that uses its full budget.",
        _progress,
    ),
    _Plan(
        "survival",
        "Early stopping",
        "Which share of the search trials went on training, epoch by epoch. A step down is a "
        "rung at which the weakest were stopped, or trials that diverged or failed. Trials "
        "still running count up to the epoch they have reached.",
        "Filled by the first epoch of the search.",
        _survival,
    ),
    _Plan(
        "parallel",
        "Where the search looked",
        "Each line is a trial: through its hyperparameters, down to the accuracy on the "
        "{judged_on} with which it ended. The thick one was chosen.",
        f"Filled by two trials of a study whose hyperparameters vary. {EXTEND}",
        _parallel,
    ),
    _Plan(
        "contour",
        "beta1 against beta2",
        "The two decays of the refined target. Coloured: accuracy on the {judged_on} with the "
        "full budget; crosses: stopped early.",
        "Filled by trials of adam_elr in which beta1 and beta2 vary.",
        _contour,
    ),
    _Plan(
        "importances",
        "What mattered",
        "How much of the differences in accuracy between trials each hyperparameter explains, by "
        "Optuna's estimate from the trials that used their full budget.",
        f"Filled once a study has {ENOUGH_TRIALS} trials that used their full budget, and "
        f"{TRIALS_PER_PARAMETER} for each hyperparameter that varies: from fewer it would be "
        f"noise. {EXTEND}",
        _importances,
    ),
    _Plan(
        "agreement",
        "Hold-out against test",
        "Search trials with their full budget: what they were judged by, on the {judged_on}, "
        "against the test set. The closer to a rising line, the better the choice.",
        "Filled by the first trial that uses its full budget.",
        _agreement,
    ),
    _Plan(
        "convergence",
        "Speed of convergence",
        "How soon the chosen configurations come close to the accuracy of ELR at its best. A "
        "mark is a seed that did not diverge, the bar their mean.",
        "Filled by the first trial that uses its full budget.",
        _convergence,
    ),
    _Plan(
        "budget",
        "Budget",
        "What the sweep has cost, what early stopping has saved, and what was lost. Trial hours "
        "add up the time of all epochs, each counted once: two trials side by side for an hour "
        "are two, and starts, data and checkpoints are not in them.",
        "Filled by the first epoch.",
        _budget,
    ),
    _Plan(
        "gap",
        "The winner's luck",
        "The best of many trials is partly lucky, and so may the search's seed be: its split "
        "can be an easy one. What the search saw, and what the same configuration reached on "
        "fresh seeds, both on the {judged_on}.",
        f"Filled by replicates, or by {RANKED} trials with their full budget: {REPLICATE}",
        _gap,
    ),
)
