"""Test accuracy per method and noise setting, compared with ELR and with published numbers."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.best import STUDY_COLUMNS, final_trials
from analysis.published import published
from analysis.results import Results
from analysis.schema import REPLICATE

SETTING = ["dataset", "model", "noise_kind", "noise_rate", "noise"]
"""Columns that studies must share to be compared."""
BASELINE = "elr"
CONFIDENCE = 0.95


def accuracy_table(results: Results) -> pd.DataFrame:
    """Test accuracy at the last epoch of each study's final configuration, one row a study.

    Columns: those of the setting, ``loss``, ``study``; ``test`` and ``test_std`` (fractions: mean
    and standard deviation over ``n`` seeds; NaN std for one), ``from_replicates`` (else the best
    search trial); ``difference``, ``difference_low``, ``difference_high`` (test accuracy minus
    that of elr, paired by seed over ``pairs``, with a 95% t interval; NaN with fewer than two
    pairs); ``published``, ``published_std``, ``source``, ``protocol``. What is published about
    the same setting for methods that the sweep lacks follows as rows of their own: ``study`` NaN.
    """
    finals = final_trials(results)
    rows = [_row(group, finals) for _, group in finals.groupby("study", observed=True, sort=False)]
    table = pd.DataFrame(rows, columns=[*STUDY_COLUMNS, "study", *_MEASURED])
    prints = [_printed(setting) for _, setting in table.drop_duplicates(SETTING).iterrows()]
    printed = pd.concat(prints) if prints else pd.DataFrame(columns=[*SETTING, *_PRINTED])
    table = table.merge(printed, on=[*SETTING, "loss"], how="outer")
    return table.sort_values([*SETTING, "study", "loss"], ignore_index=True)


_MEASURED = [
    "test",
    "test_std",
    "n",
    "from_replicates",
    "difference",
    "difference_low",
    "difference_high",
    "pairs",
]
_PRINTED = ["loss", "published", "published_std", "source", "protocol"]


def _row(trials: pd.DataFrame, finals: pd.DataFrame) -> dict[str, Any]:
    first = trials.iloc[0]
    same = (finals[SETTING] == first[SETTING]).all(axis="columns")
    baseline = finals[same & (finals["loss"] == BASELINE)]
    is_baseline = first["loss"] == BASELINE
    return {
        **first[[*STUDY_COLUMNS, "study"]],
        "test": trials["test_accuracy"].mean(),
        "test_std": trials["test_accuracy"].std(),
        "n": len(trials),
        "from_replicates": first["phase"] == REPLICATE,
        **({} if is_baseline else paired_difference(trials, baseline)),
    }


def _printed(setting: "pd.Series[Any]") -> pd.DataFrame:
    rows = published(setting["dataset"], setting["noise"]).rename(columns={"method": "loss"})
    return rows.assign(**{name: setting[name] for name in SETTING})


def paired_difference(trials: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float]:
    """Mean test accuracy of ``trials`` minus ``baseline`` over common seeds, with its interval.

    The interval is Student's, two-sided, at :data:`CONFIDENCE`; NaN with fewer than two pairs.
    Replicates are paired with replicates only: a search trial is one draw, and a chosen one.
    """
    both = trials.merge(baseline, on=["seed", "phase"])
    differences = (both["test_accuracy_x"] - both["test_accuracy_y"]).to_numpy()
    half = half_width(differences)
    mean = float(differences.mean()) if len(differences) else np.nan
    return {
        "difference": mean,
        "difference_low": mean - half,
        "difference_high": mean + half,
        "pairs": len(differences),
    }


def half_width(values: np.ndarray) -> float:
    """Half the width of Student's two-sided interval of the mean; NaN for fewer than two."""
    from scipy.special import stdtrit  # slow to import, needed here only

    n = len(values)
    if n < 2:
        return float("nan")
    quantile = stdtrit(n - 1, (1 + CONFIDENCE) / 2)
    return float(quantile * values.std(ddof=1) / np.sqrt(n))
