"""Test accuracy per method and noise setting, compared with ELR and with published numbers."""

from typing import Any

import numpy as np
import pandas as pd

from analysis.best import STUDY_COLUMNS, chosen_configs, final_trials, records
from analysis.frames.published import Deviation, deviations, published
from analysis.results import Results, once

SETTING = [name for name in STUDY_COLUMNS if name != "loss"]
"""Columns that studies must share to be compared."""
DRAW = ["seed", "labels_fingerprint"]
"""What two replicates share that were trained on the same given labels and split."""
BASELINE = "elr"
CONFIDENCE = 0.95
DIFFERENCE = ["difference", "difference_low", "difference_high", "pairs", "verdict"]
"""What :func:`compare` says."""
BETTER, WORSE, UNCLEAR, UNSTABLE = "better", "worse", "unclear", "diverged"
ENOUGH_PAIRS = 3
"""Pairs below which no difference is called one: two may agree by chance to the last digit."""
LEAST_WIDTH = 1e-9
"""Width of an interval that is only rounding: accuracies of a small test set are few values."""


@once
def accuracy_table(results: Results) -> pd.DataFrame:
    """Test accuracy at the last epoch of each study's final configuration, one row a study.

    Columns: those of the setting, ``loss``, ``study``; ``test`` and ``test_std`` (fractions: mean
    and standard deviation over ``n`` seeds; NaN std for one), ``diverged`` (seeds on which it
    diverged: in none of the numbers), ``from_replicates`` (else the best search trial);
    ``difference``, ``difference_low``, ``difference_high`` (test accuracy minus that of elr,
    paired by seed over ``pairs``, with a 95% t interval; NaN with fewer than two pairs) and
    ``verdict`` (:func:`compare`); ``published``, ``published_std``, ``source``, ``protocol`` and
    ``differs_in``, what was done otherwise here (a tuple of ``published.Deviation``, None
    where nothing is published or measured). What is published
    about the same setting for methods that the sweep lacks follows as rows of their own:
    ``study`` NaN.
    """
    configs, finals = chosen_configs(results), final_trials(results)
    rows = [_row(config, configs, finals) for _, config in configs.iterrows()]
    table = pd.DataFrame(rows, columns=[*STUDY_COLUMNS, "study", *_MEASURED])
    prints = [_printed(setting) for _, setting in table.drop_duplicates(SETTING).iterrows()]
    printed = pd.concat(prints) if prints else pd.DataFrame(columns=[*SETTING, *_PRINTED])
    table = table.merge(printed, on=[*SETTING, "loss"], how="outer")
    table["differs_in"] = pd.Series(_differences_to_papers(table, configs), dtype=object)
    return table.sort_values([*SETTING, "study", "loss"], ignore_index=True)


_MEASURED = [
    "test",
    "test_std",
    "n",
    "diverged",
    "from_replicates",
    *DIFFERENCE,
]
_PRINTED = ["loss", "published", "published_std", "source", "protocol"]


def _row(config: "pd.Series[Any]", configs: pd.DataFrame, finals: pd.DataFrame) -> dict[str, Any]:
    tests = finals.loc[finals["study"] == config["study"], "test_accuracy"]
    return {
        **config[[*STUDY_COLUMNS, "study"]],
        "test": tests.mean(),
        "test_std": tests.std(),
        "n": len(tests),
        "diverged": config["replicates_diverged"] if config["confirmed"] else 0,
        "from_replicates": config["confirmed"],
        **compare(config, BASELINE, configs, finals),
    }


def _differences_to_papers(
    table: pd.DataFrame, configs: pd.DataFrame
) -> list[tuple[Deviation, ...] | None]:
    own = {config["study"]: config for config in records(configs)}
    both = table["study"].notna() & table["published"].notna()
    return [
        deviations(own[study], protocol) if beside else None
        for study, protocol, beside in zip(table["study"], table["protocol"], both, strict=True)
    ]


def _printed(setting: "pd.Series[Any]") -> pd.DataFrame:
    rows = published(setting["dataset"], setting["noise"]).rename(columns={"method": "loss"})
    return rows.assign(**{name: setting[name] for name in SETTING})


def compare(
    config: "pd.Series[Any]", loss: str, configs: pd.DataFrame, finals: pd.DataFrame
) -> dict[str, Any]:
    """A configuration against that of ``loss`` in the same setting; empty against itself.

    :func:`paired_difference` and its ``verdict``: ``better`` or ``worse`` where the interval lies
    above or below zero, has a positive width and rests on :data:`ENOUGH_PAIRS`; ``diverged``
    where a replicate of either did, so that the pairs are only those that went well; else
    ``unclear``, and None without pairs.

    Args:
        config: a row of ``configs``.
        loss: what to compare it with.
        configs: from ``best.chosen_configs``.
        finals: from ``best.final_trials``.
    """
    if config["loss"] == loss:
        return {}
    same = (configs[SETTING] == config[SETTING]).all(axis="columns")
    other = configs[same & (configs["loss"] == loss)]
    own, there = (finals["study"].isin(of) for of in ([config["study"]], other["study"]))
    found = paired_difference(finals[own], finals[there])
    # The seeds that are left were picked by the outcome: their difference says nothing of all.
    unstable = config["replicates_diverged"] + other["replicates_diverged"].sum() > 0
    if unstable and found["pairs"]:
        return found | {"verdict": UNSTABLE}
    low, high, pairs = (found[name] for name in ("difference_low", "difference_high", "pairs"))
    return found | {"verdict": verdict(low, high, pairs)}


def verdict(low: float, high: float, pairs: float) -> str | None:
    """What an interval of a difference that rests on so many pairs is worth; None without any."""
    if not pairs:
        return None
    # On a small test set a few seeds may differ by the same number of images.
    if pairs < ENOUGH_PAIRS or high - low < LEAST_WIDTH:
        return UNCLEAR
    if low > 0:
        return BETTER
    return WORSE if high < 0 else UNCLEAR


def paired_difference(trials: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float]:
    """Mean test accuracy of ``trials`` minus ``baseline`` over common seeds, with its interval.

    The interval is Student's, two-sided, at :data:`CONFIDENCE`; NaN with fewer than two pairs.
    Replicates are paired with replicates only: a search trial is one draw, and a chosen one.
    """
    # The phase as well: a search trial is paired with no replicate that happens to have its seed.
    both = trials.merge(baseline, on=["seed", "phase"])
    differences = (both["test_accuracy_x"] - both["test_accuracy_y"]).to_numpy()
    mean, low, high = mean_interval(differences)
    return {
        "difference": mean,
        "difference_low": low,
        "difference_high": high,
        "pairs": len(differences),
    }


def mean_interval(values: np.ndarray, comparisons: int = 1) -> tuple[float, float, float]:
    """The mean of values, NaN for none, and the ends of its interval, NaN for fewer than two."""
    mean = float(values.mean()) if len(values) else np.nan
    spread = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    half = half_width(spread, len(values), comparisons)
    return mean, mean - half, mean + half


def half_width(spread: float, count: int, comparisons: int = 1) -> float:
    """Half the width of Student's two-sided interval of the mean of ``count`` values.

    ``spread``: their standard deviation; NaN gives NaN. The intervals of so many ``comparisons``
    hold together with :data:`CONFIDENCE` (Bonferroni).
    """
    from scipy.special import stdtrit  # slow to import, needed here only

    quantile = stdtrit(count - 1, 1 - (1 - CONFIDENCE) / 2 / comparisons)
    return float(quantile * spread / np.sqrt(count))
