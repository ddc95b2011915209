"""What a reader wants to know first: the best configuration of each noise setting."""

from typing import Any

import pandas as pd

from analysis.accuracy import BASELINE, SETTING, accuracy_table, paired_difference
from analysis.best import best_configs, final_trials
from analysis.results import Results

AGAINST = (BASELINE, "ce")
"""Losses that the best one is compared with."""

_MEASURED = ["test", "test_std", "n", "published", "published_std", "source"]
_DIFFERENCE = ["difference", "difference_low", "difference_high", "pairs"]


def overview(results: Results) -> pd.DataFrame:
    """The best configuration of each noise setting, one row a setting, in their order.

    Chosen by the selection rule among the losses of the setting: by the mean over the replicates
    (``confirmed``) if any configuration was replicated, else by the search. Columns: those of
    ``best_configs``; ``confirmed``; ``test``, ``test_std``, ``n``, ``published`` and what else
    ``accuracy_table`` says about its study; and for elr and ce of the same setting
    ``elr_difference``, ``elr_difference_low``, ``elr_difference_high``, ``elr_pairs``, ``ce_…``:
    test accuracy minus theirs, paired by seed, with its 95% interval (NaN where the sweep has
    nothing to pair). Settings without a trial that used its full budget are left out.
    """
    chosen = [
        best_configs(results, confirmed=confirmed)
        .dropna(subset="trial_id")
        .assign(confirmed=confirmed)
        for confirmed in (True, False)
    ]
    best = pd.concat([table for table in chosen if len(table)] or chosen)
    best = best.drop_duplicates(SETTING).sort_values(SETTING, ignore_index=True)
    table = accuracy_table(results).dropna(subset="study")
    best = best.merge(table[["study", *_MEASURED]], on="study")
    finals = final_trials(results)
    for loss in AGAINST:
        rows = [_difference(row, loss, finals) for _, row in best.iterrows()]
        best[[f"{loss}_{name}" for name in _DIFFERENCE]] = pd.DataFrame(
            rows, columns=_DIFFERENCE, index=best.index, dtype="float64"
        )
    return best


def _difference(row: "pd.Series[Any]", loss: str, finals: pd.DataFrame) -> dict[str, float]:
    """Against ``loss`` in the same setting; nothing against itself."""
    if row["loss"] == loss:
        return {}
    there = finals[
        (finals[SETTING] == row[SETTING]).all(axis="columns") & (finals["loss"] == loss)
    ]
    return paired_difference(finals[finals["study"] == row["study"]], there)
