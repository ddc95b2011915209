"""First points for a sweep from the results of an earlier one."""

import json
from typing import Any

from analysis.best import best_configs, records
from analysis.results import Results, recorded_config
from spaces.sweep import Cell, SweepSpec
from trainable.catalog import Value
from trainable.config import TrialConfig
from trainable.folder import layout
from trainable.folder.storage import Folder
from trainable.parameters import from_json

Points = dict[str, list[dict[str, Value]]]


def warm_points(spec: SweepSpec, earlier: Results) -> Points:
    """The points that each study of ``spec`` is to try after its reference setting.

    Two a study, if the earlier sweep has them: the best configuration of the same loss (of the
    same study, else of the nearest noise setting), then the best of another loss at the nearest
    noise setting, whose shared parameters are taken. Each is moved into the study's space; what
    the other lacks stays at its reference value.
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
        # Moved into this space, the two may have become one.
        points[cell.study] = [p for i, p in enumerate(chosen) if p not in chosen[:i]]
    return points


def write_points(folder: Folder, points: Points) -> None:
    """Keep the points with the results, for whoever resumes them; none leave no file."""
    if not points:
        folder.delete(layout.WARM_START)
        return
    folder.write(layout.WARM_START, json.dumps(points, indent=2).encode())


def read_points(folder: Folder) -> Points:
    """The points kept with the results; none if the sweep started cold."""
    if not folder.exists(layout.WARM_START):
        return {}
    kept: dict[str, list[dict[str, Any]]] = json.loads(folder.read(layout.WARM_START))
    return {study: [from_json(point) for point in points] for study, points in kept.items()}


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
