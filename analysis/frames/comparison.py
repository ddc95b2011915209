"""Several sweeps side by side: what each reached in a setting, and by how much they differ."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.best import final_trials, records
from analysis.frames.accuracy import (
    CONFIDENCE,
    DIFFERENCE,
    DRAW,
    ENOUGH_PAIRS,
    SETTING,
    UNSTABLE,
    accuracy_table,
    mean_interval,
    verdict,
)
from analysis.results import Results, ResultsError
from analysis.schema import REPLICATE
from spaces.sweep_file import flat


@dataclass(frozen=True)
class Sweeps:
    """Sweeps that have a noise setting in common."""

    all: tuple[Results, ...]
    """In the order in which they are compared: differences are to the first."""
    by: tuple[str, ...]
    """Columns that say which of their studies belong together, the loss last; the network is among
    them unless each sweep has a single one, so that sweeps over two networks can be compared."""


def sweeps_of(all_: Sequence[Results]) -> Sweeps:
    """The sweeps, if they can be compared.

    Raises ResultsError for fewer than two, one that is there twice, or nothing in common.
    """
    if len(all_) < 2:
        raise ResultsError("two results folders or more are compared: name another one")
    # Two spellings of one folder would be compared with themselves, and differ in nothing.
    places = [os.path.realpath(results.folder.location) for results in all_]
    for results, place in zip(all_, places, strict=True):
        if places.count(place) > 1:
            raise ResultsError(f"{results.folder} is there twice")
    # Two sweeps that differ in their network alone are what people want to compare.
    single = all(results.trials["model"].nunique() < 2 for results in all_)
    setting = [name for name in SETTING if name != "model" or not single]
    ran = [set(results.trials[setting].itertuples(index=False, name=None)) for results in all_]
    if not any(one & other for i, one in enumerate(ran) for other in ran[:i]):
        each = "; ".join(f"{results.folder} has {_what_it_has(results)}" for results in all_)
        raise ResultsError(f"no noise setting of one data set in common: {each}")
    return Sweeps(tuple(all_), (*setting, "loss"))


def _what_it_has(results: Results) -> str:
    pairs = results.trials[["dataset", "noise"]].astype("str").drop_duplicates()
    return ", ".join(f"{noise} on {data}" for data, noise in pairs.to_numpy()) or "no trial"


def side_by_side(sweeps: Sweeps) -> pd.DataFrame:
    """One row for each study that any of the sweeps has a number for, sorted by ``sweeps.by``.

    Columns: those of ``by``; ``sweep`` (its place, from 0), ``study``; ``test``, ``test_std``,
    ``n``, ``diverged`` and ``from_replicates`` as in ``accuracy_table``: the confirmed numbers, or
    else those of the search's best. ``difference``, ``difference_low``, ``difference_high``: test
    accuracy minus that of the first sweep, with a 95% t interval (NaN in the first, and without
    seeds enough); ``pairs``: replicates that had the same seed and labels in both, which the
    difference is paired by if there are at least :data:`~analysis.frames.accuracy.ENOUGH_PAIRS`,
    else 0, and the interval is Welch's; ``verdict`` as in ``accuracy.compare``.
    """
    table = _accuracies(sweeps)
    first = {key: row for key, row in _keyed(table, sweeps.by) if row["sweep"] == 0}
    found = [
        _to_the_first(row, first[key], sweeps) if row["sweep"] and key in first else {}
        for key, row in _keyed(table, sweeps.by)
    ]
    return table.join(pd.DataFrame(found, columns=DIFFERENCE, index=table.index))


def _accuracies(sweeps: Sweeps) -> pd.DataFrame:
    """The rows of :func:`side_by_side` without the differences."""
    numbers = ["test", "test_std", "n", "diverged", "from_replicates"]
    parts = []
    for place, results in enumerate(sweeps.all):
        table = accuracy_table(results).dropna(subset=["study", "test"])
        parts.append(table[[*sweeps.by, "study", *numbers]].assign(sweep=place))
    table = pd.concat(parts).sort_values([*sweeps.by, "sweep"], ignore_index=True)
    if table.empty:
        raise ResultsError("no trial of these sweeps has used its full budget yet")
    return table


def _keyed(
    table: pd.DataFrame, by: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for row in records(table):
        yield tuple(row[name] for name in by), row


def _to_the_first(
    row: Mapping[str, Any], first: Mapping[str, Any], sweeps: Sweeps
) -> dict[str, Any]:
    """A study against that of the first sweep."""
    own = _finals(sweeps.all[row["sweep"]], row["study"])
    others = _finals(sweeps.all[0], first["study"])
    both = _replicates(own).merge(_replicates(others), on=DRAW)
    if len(both) >= ENOUGH_PAIRS:
        values = (both["test_accuracy_x"] - both["test_accuracy_y"]).to_numpy()
        mean, low, high = mean_interval(values)
        pairs = seeds = len(values)
    else:
        mean, low, high = unpaired_difference(
            *(t["test_accuracy"].to_numpy() for t in (own, others))
        )
        pairs, seeds = 0, min(len(own), len(others))
    unstable = row["diverged"] + first["diverged"] > 0
    return {
        "difference": mean,
        "difference_low": low,
        "difference_high": high,
        "pairs": pairs,
        "verdict": UNSTABLE if unstable else verdict(low, high, seeds),
    }


def _finals(results: Results, study: str) -> pd.DataFrame:
    finals = final_trials(results)
    return finals[finals["study"] == study]


def _replicates(finals: pd.DataFrame) -> pd.DataFrame:
    """Its replicates of which the given labels are known: others cannot be paired."""
    again = finals[finals["phase"] == REPLICATE].dropna(subset=DRAW)
    return again.astype({"labels_fingerprint": "str"})


def unpaired_difference(values: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """Mean of ``values`` minus that of ``others``, and the ends of Welch's 95% interval.

    These are NaN if one of them has fewer than two values (Welch, Biometrika 34, 1947).
    """
    from scipy.special import stdtrit  # slow to import, needed here only

    mean = float(values.mean() - others.mean())
    if min(len(values), len(others)) < 2:
        return mean, float("nan"), float("nan")
    errors = [v.var(ddof=1) / len(v) for v in (values, others)]
    # All values alike on both sides: there are no degrees of freedom to compute.
    if not sum(errors):
        return mean, mean, mean
    spread = sum(e**2 / (len(v) - 1) for e, v in zip(errors, (values, others), strict=True))
    quantile = stdtrit(sum(errors) ** 2 / spread, (1 + CONFIDENCE) / 2)
    half = float(quantile * np.sqrt(sum(errors)))
    return mean, mean - half, mean + half


def differing_settings(sweeps: Sweeps) -> dict[str, tuple[str, ...]]:
    """Keys of the sweep files that are not the same in all, with each one's value, ``-`` for none.

    A sweep's name is left out. Empty where a folder has no sweep file: nothing can be said then.
    """
    files = [{key: _said(v) for key, v in flat(s.spec).items()} for s in sweeps.all]
    if not all(files):
        return {}
    values = {
        key: tuple(file.get(key, "-") for file in files)
        for key in dict.fromkeys(key for file in files for key in file)
    }
    return {k: v for k, v in values.items() if k != "name" and len(set(v)) > 1}


def over_seeds(sweeps: Sweeps) -> pd.DataFrame:
    """How much a whole sweep's numbers vary with its own seed; empty where more than that differs.

    A row for each study that all sweeps have replicates of, in the order of ``side_by_side``.
    Columns: those of ``by``; ``sweeps``; ``test``, the mean over the sweeps; ``between``, the
    standard deviation of their means; ``within``, that of the replicates of one sweep (root of the
    mean variance). Each sweep draws labels, hold-out and suggestions anew and so may choose
    another configuration; had all chosen the same, ``between`` would be about ``within`` over the
    root of the number of replicates.
    """
    if set(differing_settings(sweeps)) != {"seed"}:
        return pd.DataFrame(columns=[*sweeps.by, *_OVER_SEEDS])
    table = _accuracies(sweeps)
    confirmed = table[table["from_replicates"] & table["test_std"].notna()]
    rows = [
        {
            **dict(zip(sweeps.by, key, strict=True)),
            "sweeps": len(of_study),
            "test": of_study["test"].mean(),
            "between": of_study["test"].std(),
            "within": np.sqrt((of_study["test_std"] ** 2).mean()),
        }
        for key, of_study in confirmed.groupby(list(sweeps.by), sort=False)
        if len(of_study) == len(sweeps.all)
    ]
    return pd.DataFrame(rows, columns=[*sweeps.by, *_OVER_SEEDS])


_OVER_SEEDS = ["sweeps", "test", "between", "within"]


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
