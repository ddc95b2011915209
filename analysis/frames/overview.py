"""What a reader wants to know first: the best configuration of each noise setting."""

import pandas as pd

from analysis.best import chosen_configs, final_trials
from analysis.frames.accuracy import BASELINE, DIFFERENCE, SETTING, accuracy_table, compare
from analysis.frames.ties import loss_ties
from analysis.results import Results, once

AGAINST = (BASELINE, "ce")
"""Losses that the best one is compared with."""
OURS = "adam_elr"
"""What is compared with ELR in every setting, whoever is best."""

_MEASURED = ["test", "test_std", "n", "diverged"]
_PRINTED = ["published", "published_std", "source", "differs_in"]


@once
def overview(results: Results) -> pd.DataFrame:
    """The best configuration of each noise setting, one row a setting, in their order.

    Chosen by the selection rule among the losses of the setting: by the mean over the replicates
    (``confirmed``) if any configuration was replicated, else by the search. Columns: those of
    ``chosen_configs``; ``test``, ``test_std``, ``n``, ``diverged``, ``published`` and what else
    ``accuracy_table`` says about its study; and for elr and ce of the same setting
    ``elr_difference``, ``elr_difference_low``, ``elr_difference_high``, ``elr_pairs``,
    ``elr_verdict``, ``ce_…``: test accuracy minus theirs, paired by seed, with its 95% interval
    (NaN where the sweep has nothing to pair); ``refined_…``: the same of adam_elr against elr,
    whoever is best; ``tied``: a tuple of the other losses that the hold-out cannot tell from the
    best one (``ties.loss_ties``). Settings without a trial that used its full budget are left out.
    """
    configs = chosen_configs(results)
    best = configs.drop_duplicates(SETTING).sort_values(SETTING, ignore_index=True)
    table = accuracy_table(results).dropna(subset="study")
    best = best.merge(table[["study", *_MEASURED, *_PRINTED]], on="study")
    finals = final_trials(results)
    pairs = [(loss, best, loss) for loss in AGAINST]
    # A row for every setting, in the order of ``best``: NaN where adam_elr has none.
    refined = best[SETTING].merge(configs[configs["loss"] == OURS], on=SETTING, how="left")
    pairs.append(("refined", refined, BASELINE))
    for name, rows, loss in pairs:
        found = [compare(row, loss, configs, finals) for _, row in rows.iterrows()]
        table = pd.DataFrame(found, columns=DIFFERENCE, index=best.index)
        # Where there is nothing to compare pandas would keep a column of objects.
        numbers = dict.fromkeys(table.columns.drop("verdict"), "float64")
        best = best.join(table.astype(numbers).add_prefix(f"{name}_"))
    ties = loss_ties(results)
    ties = ties[ties["tied"]]
    tied = ties.groupby(SETTING, observed=True)["loss"].agg(tuple).rename("tied").reset_index()
    best = best.merge(tied, on=SETTING, how="left")
    others = zip(best["tied"], best["loss"], strict=True)
    best["tied"] = [
        tuple(loss for loss in losses if loss != own) if isinstance(losses, tuple) else ()
        for losses, own in others
    ]
    return best
