"""From the best trial of a study to a sweep file that runs exactly it again."""

import re
from dataclasses import asdict
from typing import Any

import pandas as pd
import tomli_w

from analysis.amounts import percent
from analysis.best import best_configs, one_study, records
from analysis.frames.evidence import holdout
from analysis.results import Results, ResultsError, recorded_config
from spaces.domains import NONE
from trainable.catalog import LOSSES, OPTIMISER
from trainable.config import TrialConfig
from trainable.metrics import TEST_METRICS
from trainable.noise import Noise

PRESET = "paper_star"
"""A preset in which nothing varies: every value that matters is written out over it."""


def best_sweep(results: Results, study: str | None = None, *, confirmed: bool = False) -> str:
    """A sweep file (TOML) of one trial at full budget: the best configuration of ``study``.

    Its seed is the trial's, so on a CPU it repeats the trial. ``study`` may be left out if the
    sweep has only one. Raises ResultsError for an unknown study or one without a winner.
    """
    best = best_configs(results, confirmed=confirmed)
    rows = {row["study"]: row for row in records(best)}
    name = one_study(results, study)
    row = rows[name]
    if pd.isna(row["trial_id"]):
        raise ResultsError(f"study {name} has no trial that used its full budget")
    config = recorded_config(results.folder, row)
    again = re.sub(r"[^A-Za-z0-9._-]", "-", f"{results.name}-{name}-best")[:100]
    table = sweep_table(config, again, row["selected_by"])
    return (
        f"# The best configuration of {name}: trial {row['trial_id']},\n"
        f"# {percent(row['val_accuracy'])}% on the {holdout(results)}, "
        f"{percent(row['test_accuracy'])}% on test after {row['epochs']:.0f} epochs.\n"
        f"{tomli_w.dumps(table)}"
    )


def sweep_table(config: TrialConfig, name: str, metric: str) -> dict[str, Any]:
    """A sweep file's content for one trial; what is None stays out, at its reference value."""
    # The one trial has nothing to be compared with, and is wanted whole.
    search: dict[str, Any] = {"early_stopping": "none", "metric": metric}
    if metric in TEST_METRICS:
        search["allow_test_selection"] = True
    return {
        "name": name,
        "seed": config.seed,
        "losses": [config.loss],
        "network": config.network,
        "data": _given(asdict(config.data)),
        "budget": {"trials": 1, "max_epochs": config.max_epochs},
        "search": search,
        "training": {"precision": config.precision, "compile": config.compile},
        "space": _space(config),
        "noise": [_noise(config.noise)],
    }


def _noise(noise: Noise) -> dict[str, Any]:
    table = {"kind": noise.kind, **({"rates": [noise.rate]} if noise.rated else {})}
    defaults = noise.options()
    given = {name: getattr(noise, name) for name in defaults}
    return table | {k: v for k, v in _given(given).items() if v != defaults[k]}


def _space(config: TrialConfig) -> dict[str, Any]:
    """The loss's and optimiser's values by plain name, the others by owner."""
    # A target's parameter may bear the name of another owner's: under its own table it is clear.
    own = LOSSES[config.loss].parameters
    plain = {k: NONE if v is None else v for k, v in config.loss_parameters.items() if k in own}
    target = {k: v for k, v in config.loss_parameters.items() if k not in own}
    optimiser = {name: getattr(config, name) for name in OPTIMISER.parameters}
    scoped = {
        str(config.loss_parameters.get("target")): target,
        config.lr_schedule: dict(config.schedule_parameters),
        config.network: dict(config.network_parameters),
    }
    tables = {owner: _given(values) for owner, values in scoped.items() if _given(values)}
    return {"preset": PRESET, **_given(plain), **_given(optimiser), **tables}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items() if v is not None}
