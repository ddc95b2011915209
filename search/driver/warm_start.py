"""What a sweep takes from an earlier one's results: first points, and trials to learn from."""

import json
import math
from typing import Any

from analysis.best import best_configs, records
from analysis.frames.transition_matrix import stored_matrix
from analysis.results import Results, ResultsError, recorded_config
from analysis.schema import DIVERGED, FAILED
from search.studies.earlier import Earlier, EarlierTrial
from search.studies.features import LabelStatistics
from search.studies.samplers import learns_across
from spaces.sweep import Cell, SweepSpec
from spaces.sweep_file import SpecError
from trainable.catalog import Value
from trainable.config import TrialConfig, labels_name
from trainable.folder import layout
from trainable.folder.storage import Folder
from trainable.parameters import from_json

Points = dict[str, list[dict[str, Value]]]


def earlier_results(spec: SweepSpec, results: Results) -> Earlier:
    """What ``spec`` takes from a sweep loaded with the column that it is to be searched by.

    The trials only if its sampler learns from them. Raises SpecError if none of them has the
    column.
    """
    learns = learns_across(spec.search.sampler, spec.search.sampler_options)
    trials = _trials(results, spec.search.metric) if learns else ()
    return Earlier(warm_points(spec, results), trials)


def _trials(results: Results, metric: str) -> list[EarlierTrial]:
    """The trials of the search, without those that failed.

    One that did not diverge, but lacks the metric after some epoch, says nothing: it was not
    recorded then, or not tested.
    """
    trials = results.searched[results.searched["status"] != FAILED]
    values = results.epochs.groupby("trial_id", observed=True)[metric].agg(tuple)
    labels: dict[str, LabelStatistics | None] = {}  # by their name
    found = []
    for row in records(trials.dropna(subset="config")):
        if row["trial_id"] not in values.index:
            continue
        config = recorded_config(results.folder, row)
        name = labels_name(config)
        if name not in labels:
            matrix = stored_matrix(results, config)
            labels[name] = None if matrix is None else LabelStatistics.of(matrix.to_numpy())
        told, diverged = tuple(map(float, values[row["trial_id"]])), row["status"] == DIVERGED
        found.append(EarlierTrial(str(row["study"]), config, told, diverged, labels[name]))
    known = [trial for trial in found if trial.diverged or all(map(math.isfinite, trial.values))]
    if len(known) < len(found) and all(trial.diverged for trial in known):
        raise SpecError(
            f"--warm-start {results.folder}: no trial there has {metric} after every epoch, for "
            "the sampler to learn from: set search.metric to one that they have"
        )
    return known


def warm_points(spec: SweepSpec, earlier: Results) -> Points:
    """The points that each study of ``spec`` is to try after its reference setting.

    Two others a study, if the earlier sweep has them: the best configuration of the same loss (of
    the same study, else of the nearest noise setting), then the best of another loss at the
    nearest noise setting, whose shared parameters are taken. Each is moved into the study's space;
    what the other lacks stays at its reference value.
    """
    best = [
        (recorded_config(earlier.folder, row), str(row["study"]))
        for row in records(best_configs(earlier).dropna(subset="config"))
    ]
    points: Points = {}
    for cell in spec.cells():
        ranked = sorted(best, key=lambda known: _distance(cell, *known))
        same = [config for config, _ in ranked if config.loss == cell.loss]
        other = [config for config, _ in ranked if config.loss != cell.loss]
        chosen = [
            cell.space.nearest({**cell.reference, **config.parameters})
            for config in (*same[:1], *other[:1])
        ]
        # Moved into this space, the two may have become one, or trial 0.
        points[cell.study] = [
            p for i, p in enumerate(chosen) if p not in (cell.reference, *chosen[:i])
        ]
    return points


def write_earlier(folder: Folder, earlier: Earlier) -> None:
    """Keep it with the results, for whoever resumes them; a cold start leaves no file."""
    if not (earlier.points or earlier.trials):
        folder.delete(layout.WARM_START)
        return
    trials = [trial.as_dict() for trial in earlier.trials]
    kept = {"points": earlier.points, "trials": trials}
    folder.write(layout.WARM_START, json.dumps(kept, separators=(",", ":")).encode())


def read_earlier(folder: Folder) -> Earlier:
    """What is kept with the results. A folder of an earlier version has the points alone.

    Raises ResultsError if it cannot be understood.
    """
    if not folder.exists(layout.WARM_START):
        return Earlier()
    text = folder.read(layout.WARM_START)
    try:
        kept: dict[str, Any] = json.loads(text)
        points = kept["points"] if "trials" in kept else kept
        return Earlier(
            {study: [from_json(point) for point in found] for study, found in points.items()},
            [EarlierTrial.from_dict(trial) for trial in kept.get("trials", ())],
        )
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise ResultsError(
            f"{folder}/{layout.WARM_START} is damaged: it lists no points by study; put the file "
            "back that was there"
        ) from None


def _distance(cell: Cell, config: TrialConfig, study: str) -> tuple[Any, ...]:
    """How far an earlier study is from a cell: smaller sorts first."""
    return (
        study != cell.study,
        config.data.name != cell.data.name,
        config.network != cell.network,
        config.noise.kind != cell.noise.kind,
        abs(config.noise.rate - cell.noise.rate),
        study,
    )
