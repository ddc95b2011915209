"""What a reader wants to know first: the best configuration of each noise setting."""

import pandas as pd

from analysis.best import chosen_configs, final_trials
from analysis.frames.accuracy import BASELINE, DIFFERENCE, SETTING, accuracy_table, compare
from analysis.results import Results

AGAINST = (BASELINE, "ce")
"""Losses that the best one is compared with."""

_MEASURED = ["test", "test_std", "n", "diverged"]
_PRINTED = ["published", "published_std", "source", "differs_in"]


def overview(results: Results) -> pd.DataFrame:
    """The best configuration of each noise setting, one row a setting, in their order.

    Chosen by the selection rule among the losses of the setting: by the mean over the replicates
    (``confirmed``) if any configuration was replicated, else by the search. Columns: those of
    ``chosen_configs``; ``test``, ``test_std``, ``n``, ``diverged``, ``published`` and what else
    ``accuracy_table`` says about its study; and for elr and ce of the same setting
    ``elr_difference``, ``elr_difference_low``, ``elr_difference_high``, ``elr_pairs``,
    ``elr_verdict``, ``ce_…``: test accuracy minus theirs, paired by seed, with its 95% interval
    (NaN where the sweep has nothing to pair). Settings without a trial that used its full budget
    are left out.
    """
    configs = chosen_configs(results)
    best = configs.drop_duplicates(SETTING).sort_values(SETTING, ignore_index=True)
    table = accuracy_table(results).dropna(subset="study")
    best = best.merge(table[["study", *_MEASURED, *_PRINTED]], on="study")
    finals = final_trials(results)
    for loss in AGAINST:
        rows = [compare(row, loss, configs, finals) for _, row in best.iterrows()]
        table = pd.DataFrame(rows, columns=DIFFERENCE, index=best.index)
        numbers = dict.fromkeys(table.columns.drop("verdict"), "float64")
        best = best.join(table.astype(numbers).add_prefix(f"{loss}_"))
    return best
