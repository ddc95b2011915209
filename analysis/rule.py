"""The selection rule, once: for rows of tables, for trials as they run and for recorded curves.

Among trials that used their full budget, the highest value of the sweep's metric at the last
epoch; ties go to the smaller trial number. Where some of a study had a larger budget than the
others, these alone are compared.
"""

import math
from collections.abc import Iterable
from typing import Any

from analysis.schema import COMPLETED


def may_win(status: Any, epochs: Any, max_epochs: Any, value: Any) -> Any:
    """Whether a trial used its full budget and ended with a value; of columns, a column."""
    return (status == COMPLETED) & (epochs == max_epochs) & (value == value)


def of_largest_budget(studies: Iterable[str], budgets: Iterable[int]) -> list[bool]:
    """Of trials that may win, by study and budget in epochs: which ones are compared."""
    trials = list(zip(studies, budgets, strict=True))
    largest = dict(sorted(trials, key=lambda trial: trial[1]))  # of a study the last one stays
    return [epochs == largest[study] for study, epochs in trials]


def selection_key(number: int, *values: float) -> tuple[float, ...]:
    """What trials are sorted by, the best one first.

    Args:
        number: of the trial in its study: the smaller one wins a tie.
        values: what it is selected by, fractions; the next one where all before are equal. NaN,
            where the trial has none or diverged, is the worst value.
    """
    return *(math.inf if math.isnan(value) else -value for value in values), number
