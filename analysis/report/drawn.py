"""What the sections of the report draw: DataFrames, titled, and handed to their figures."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from analysis.best import best_configs, full_budget, varied_parameters
from analysis.frames.accuracy import SETTING, accuracy_table
from analysis.frames.classes import class_accuracy, confusions, noise_matrices
from analysis.frames.effort import selection_gap
from analysis.frames.evidence import test_name
from analysis.frames.learning import best_values, response_curve
from analysis.frames.studies import optuna_studies
from analysis.report.chart import Chart, by_setting
from analysis.report.figures.accuracy import accuracy_charts
from analysis.report.figures.classes import class_charts
from analysis.report.figures.effort import gap_charts
from analysis.report.figures.hyperparameters import contour_charts
from analysis.report.figures.parallel import parallel_charts
from analysis.report.figures.response import best_value_charts, response_charts
from analysis.report.figures.trials import agreement_charts
from analysis.report.style import judged_on, noise_names, study_titles, titled
from analysis.results import Results
from analysis.schema import PARAM


class Drawings:
    """The figures of each section, for the page."""

    def __init__(self, results: Results) -> None:
        self.results = results  # what all of it is computed from
        self.judged_on = judged_on(results)  # whose labels the sweep selects by, in words
        self.titles = study_titles(results.trials)  # what each study is about

    def titled(self, table: pd.DataFrame) -> pd.DataFrame:
        """``table`` with what its studies are about."""
        return titled(table, self.titles)

    def accuracy(self) -> list[Chart]:
        """Test accuracy of every method under every noise setting."""
        return accuracy_charts(accuracy_table(self.results), noise_names(self.results.trials))

    def response(self) -> list[Chart]:
        """Accuracy over every hyperparameter searched, and its best values, lambda first."""
        varied = varied_parameters(self.results)
        # A choice that no trial has taken yet leaves its parameters without a column.
        names = [
            name
            for name in sorted(
                set().union(*varied.values()), key=lambda name: (name != "lam", name)
            )
            if f"{PARAM}{name}" in self.results.trials
        ]
        return [chart for name in names for chart in self._of_parameter(name, varied)]

    def _of_parameter(self, name: str, varied: Mapping[str, set[str]]) -> list[Chart]:
        searched = [study for study, searches in varied.items() if name in searches]

        def of_searched(table: pd.DataFrame) -> pd.DataFrame:
            table = self.titled(table[table["study"].isin(searched)])
            numbers = is_numeric_dtype(table["value"]) and not is_bool_dtype(table["value"])
            return table if numbers else table.astype({"value": "str"})

        curve = of_searched(response_curve(self.results, name))
        if curve["value"].nunique() < 2 and name != "lam":
            return []
        counts = curve["study"].value_counts()
        alone = all(varied[study] <= {name} for study in counts[counts > 1].index)
        # Points of one loss are a curve only where nothing else moved between them.
        charts = response_charts(curve, name, alone=alone)
        if name != "lam":
            charts = [replace(chart, title=f"{chart.title}: {name}") for chart in charts]
        charts += best_value_charts(of_searched(best_values(self.results, name)), name)
        return [replace(chart, choice=name) for chart in charts]

    def agreement(self) -> list[Chart]:
        """What trials were judged by against the test set."""
        trials = full_budget(self.results.searched).astype({"study": "str"})
        ranks = selection_gap(self.results)[["study", "rank_correlation"]].astype({"study": "str"})
        table = self.titled(trials.merge(ranks, on="study"))
        return agreement_charts(table, self.judged_on)

    def classes(self) -> list[Chart]:
        """Labels, predictions and accuracy of each class."""
        tables = (of(self.results) for of in (noise_matrices, confusions, class_accuracy))
        return class_charts(*map(self.titled, tables))

    def parallel(self) -> list[Chart]:
        """All hyperparameters of each study: the winner of each setting first, then the second."""
        best = self.titled(best_configs(self.results))
        values = best.groupby(SETTING)["selection_value"]
        # "first": two of equal value would share a place, and none would be the first.
        places = values.rank(method="first", ascending=False)
        best = best.assign(place=places).sort_values("place", kind="stable")
        return parallel_charts(optuna_studies(self.results), best)

    def contour(self) -> list[Chart]:
        """Accuracy over beta1 and beta2."""
        best = self.titled(best_configs(self.results))
        return contour_charts(optuna_studies(self.results), best)

    def gap(self) -> list[Chart]:
        """What the search saw against what fresh seeds gave."""
        table = self.titled(selection_gap(self.results))
        return gap_charts(table, self.judged_on, test_name(self.results))


def titled_frame(
    frame: Callable[[Results], pd.DataFrame], charts: Callable[[pd.DataFrame], list[Chart]]
) -> Callable[[Drawings], list[Chart]]:
    """The figures of a section that shows one frame of the results."""
    return lambda drawings: charts(drawings.titled(frame(drawings.results)))


def each_setting(
    frame: Callable[[Results], pd.DataFrame], chart: Callable[[str, pd.DataFrame], Chart]
) -> Callable[[Drawings], list[Chart]]:
    """The same, of a section with one figure for each noise setting."""
    return titled_frame(frame, lambda table: [chart(*named) for named in by_setting(table)])
