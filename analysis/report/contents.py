"""The sections of the report that are figures, in the order of the page."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from analysis.frames.effort import ENOUGH_TO_RANK, budget
from analysis.frames.label_errors import doubted_pairs
from analysis.frames.learning import (
    best_so_far,
    convergence,
    final_curves,
    memorization,
    search_curves,
)
from analysis.frames.studies import ENOUGH_TO_EXPLAIN, TRIALS_PER_PARAMETER, importances
from analysis.frames.survival import survival
from analysis.report.chart import Chart
from analysis.report.drawn import Drawings, each_setting, titled_frame
from analysis.report.figures.effort import budget_chart, importance_chart, survival_chart
from analysis.report.figures.labels import doubt_chart
from analysis.report.figures.learning import (
    convergence_chart,
    learning_charts,
    memorization_charts,
)
from analysis.report.figures.trials import curve_charts, progress_charts
from analysis.report.section_names import SECTIONS
from analysis.results import Results, ResultsError
from trainable.catalog import unknown

REPLICATE = "`python -m search replicate DIR` runs the best trials again on fresh seeds."
EXTEND = "`python -m search extend DIR --trials N` gives every study more."


@dataclass(frozen=True)
class Section:
    """A heading, how to read what is below it, and the figures. Text may have `code` in it."""

    name: str  # its place on the page, and in the names of files
    title: str  # the heading
    intro: str  # how to read the figures; may name ``{judged_on}`` until they are drawn
    missing: str  # what would fill it while it has no figures
    charts: list[Chart] = field(default_factory=list)  # in the order of the page
    draw: Callable[[Drawings], list[Chart]] | None = None  # what computes and draws its figures

    def file_names(self, sweep: str) -> list[str]:
        """A name for the file of each chart, without its ending; none comes twice.

        It has the names of the sweep, the section and the chart.
        """
        found, times = list[str](), Counter[str]()
        for chart in self.charts:
            name = _slug(f"{sweep} {self.name} {chart.title}")
            times[name] += 1
            found.append(name if times[name] == 1 else f"{name}--{times[name]}")
        return found


def _slug(text: str) -> str:
    """Letters and digits of any script, hyphens between: 120 signs at most."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:120].strip("-")


def figure_sections(results: Results, only: Collection[str] = ()) -> list[Section]:
    """All sections, or ``only`` those, computed and drawn. One that cannot be says why instead.

    Raises ResultsError for an unknown name in ``only``.
    """
    for name in set(only) - set(SECTIONS):
        raise ResultsError(unknown("section of the report", name, SECTIONS))
    drawings = Drawings(results)
    return [_drawn(plan, drawings) for plan in PLANS if not only or plan.name in only]


def _drawn(plan: Section, drawings: Drawings) -> Section:
    missing, charts = plan.missing, list[Chart]()
    try:
        charts = plan.draw(drawings) if plan.draw else charts
    # One damaged file costs its section, not the report.
    except ResultsError as error:
        missing = f"This could not be computed: {error}."
    intro = plan.intro.format(judged_on=drawings.judged_on)
    return replace(plan, intro=intro, missing=missing, charts=charts)


PLANS: tuple[Section, ...] = (
    Section(
        "accuracy",
        "Accuracy",
        "Test accuracy at the last epoch of the configuration that each method ended up with.",
        "Filled by the first trial that uses its full budget.",
        draw=Drawings.accuracy,
    ),
    Section(
        "response",
        "Accuracy over hyperparameters",
        "Search trials over one of the hyperparameters that are searched. Those stopped early are "
        "absent: they have no accuracy at the full budget. Large marks were chosen on the "
        "{judged_on}; the dotted line is ELR's, as in figure 3 of the paper. All are single "
        "trials on one seed. Over the noise rate: the value of the best trial, and small the "
        "values of those that the hold-out cannot tell from it, three trials in any case.",
        "Filled by trials that use their full budget, of a loss in which lam is a parameter: "
        "elr or adam_elr.",
        draw=Drawings.response,
    ),
    Section(
        "learning",
        "Learning curves",
        "The chosen configurations on the test set. Lines are means over the seeds that did "
        "not diverge, bands one standard deviation; a line without a band is one trial.",
        "Filled by the first trial that uses its full budget.",
        draw=titled_frame(final_curves, learning_charts),
    ),
    Section(
        "memorization",
        "Memorisation of wrong labels",
        "What the network predicts for the images it trains on. High is good for the first two, "
        "low for the third: there it has learned the wrong label by heart.",
        "Filled by the first trial with wrong labels that uses its full budget, where the true "
        "labels are known.",
        draw=titled_frame(memorization, memorization_charts),
    ),
    Section(
        "classes",
        "Classes",
        "The labels that each class was given, what the best configuration takes test images "
        "for at the last epoch, over all its seeds, and the share of each class that every "
        "method recognises. Where predictions look like the labels, the noise has been learned.",
        "Filled once labels with known true classes are drawn, and by trials that use their full "
        "budget.",
        draw=Drawings.classes,
    ),
    Section(
        "labels",
        "Doubtful labels",
        "Which given labels are perhaps wrong, and what they are then, by what the best "
        "configuration thought of them while it learned. "
        "`python -m analysis labels DIR --study S` lists them, the most doubtful first, and "
        "shows the images. Those of the hold-out are not judged.",
        "Filled by the first trial that uses its full budget, while what it thought of its labels "
        "lies in the results folder (`targets/`).",
        draw=each_setting(doubted_pairs, doubt_chart),
    ),
    Section(
        "curves",
        "All trials of a study",
        "The metric that selects, on the {judged_on}, over the epochs of every search trial. "
        "Dotted: epochs at which trials were stopped.",
        "Filled by the first epoch of the search.",
        draw=titled_frame(search_curves, curve_charts),
    ),
    Section(
        "progress",
        "Best so far",
        "The highest final accuracy on the {judged_on} that a study had found by then, over the "
        "epochs that its trials had trained, and over the time since the sweep began.",
        "Filled by the first trial that uses its full budget.",
        draw=titled_frame(best_so_far, progress_charts),
    ),
    Section(
        "survival",
        "Early stopping",
        "Which share of the search trials went on training, epoch by epoch. A step down is a "
        "rung at which the weakest were stopped, or trials that diverged or failed. Trials "
        "still running count up to the epoch they have reached.",
        "Filled by the first epoch of the search.",
        draw=each_setting(survival, survival_chart),
    ),
    Section(
        "parallel",
        "Where the search looked",
        "Each line is a trial: through its hyperparameters, down to its accuracy on the "
        "{judged_on} after the epochs at which trials were stopped, and after the full budget. "
        "The thick one was chosen. Drag along an axis to pick trials, here, in all other charts "
        "and in the table; a click on the axis lets them go.",
        f"Filled by two trials of a study whose hyperparameters vary. {EXTEND}",
        draw=Drawings.parallel,
    ),
    Section(
        "contour",
        "beta1 against beta2",
        "The two decays of the refined target. Coloured: accuracy on the {judged_on} with the "
        "full budget; crosses: stopped early.",
        "Filled by trials of adam_elr in which beta1 and beta2 vary.",
        draw=Drawings.contour,
    ),
    Section(
        "importances",
        "What mattered",
        "How much of the differences in accuracy between trials each hyperparameter explains, by "
        "Optuna's estimate from the trials that used their full budget.",
        f"Filled once a study has {ENOUGH_TO_EXPLAIN} trials that used their full budget, and "
        f"{TRIALS_PER_PARAMETER} for each hyperparameter that varies: from fewer it would be "
        f"noise. {EXTEND}",
        draw=each_setting(importances, importance_chart),
    ),
    Section(
        "agreement",
        "Hold-out against test",
        "Search trials with their full budget: what they were judged by, on the {judged_on}, "
        "against the test set. The closer to a rising line, the better the choice.",
        "Filled by the first trial that uses its full budget.",
        draw=Drawings.agreement,
    ),
    Section(
        "convergence",
        "Speed of convergence",
        "How soon the chosen configurations come close to the accuracy of ELR at its best. A "
        "mark is a seed that did not diverge, the bar their mean.",
        "Filled by the first trial that uses its full budget.",
        draw=each_setting(convergence, convergence_chart),
    ),
    Section(
        "budget",
        "Budget",
        "What the sweep has cost, what early stopping has saved, and what was lost. Trial hours "
        "add up the time of all epochs, each counted once: two trials side by side for an hour "
        "are two, and starts, data and checkpoints are not in them.",
        "Filled by the first epoch.",
        draw=each_setting(budget, budget_chart),
    ),
    Section(
        "gap",
        "The winner's luck",
        "The best of many trials is partly lucky, and so may the search's seed be: its split "
        "can be an easy one. What the search saw, and what the same configuration reached on "
        "fresh seeds, both on the {judged_on}.",
        f"Filled by replicates, or by {ENOUGH_TO_RANK} trials with their full budget: {REPLICATE}",
        draw=Drawings.gap,
    ),
)
"""The sections before anything is drawn, in the order of the page."""
