"""The recorded studies as Optuna studies: for its importances, its plots and its dashboard."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from analysis.best import records, selected_on_test, selection_curves
from analysis.results import Results, ResultsError, once, recorded_config, sweep_spec
from analysis.schema import COMPLETED, DIVERGED, FAILED, PAUSED, RUNNING, STOPPED
from spaces.space import Space
from trainable.folder import layout

STATES: dict[str, TrialState] = {
    COMPLETED: TrialState.COMPLETE,
    STOPPED: TrialState.PRUNED,
    DIVERGED: TrialState.FAIL,
    FAILED: TrialState.FAIL,
    RUNNING: TrialState.RUNNING,
    PAUSED: TrialState.RUNNING,
}

ATTRIBUTES = ("trial_id", "status", "end_reason", "epochs", "seed", "test_accuracy", "duration_s")
"""Columns of a trial that its Optuna trial carries as user attributes."""

ENOUGH_TO_EXPLAIN = 15
TRIALS_PER_PARAMETER = 3
"""Completed trials, in all and for each parameter that varies, below which an importance would be
mere noise."""


@once
def optuna_studies(
    results: Results, storage: optuna.storages.BaseStorage | None = None
) -> dict[str, optuna.Study]:
    """An Optuna study for each study, with its search trials, in ``storage`` (None: in memory).

    Parameters and distributions are those of the sweep file, under the sampler's names; the
    objective is the sweep's metric at the last epoch, its values per epoch are intermediate
    values. Stopped trials are PRUNED, diverged and failed ones FAIL.

    Raises ResultsError if the sweep file is missing or does not fit the trials.
    """
    selected_on_test(results)
    spaces = {cell.study: cell.space for cell in sweep_spec(results).cells()}
    names = results.trials["study"].cat.categories
    storage = optuna.storages.InMemoryStorage() if storage is None else storage
    curves = {
        trial_id: dict(zip(rows["epoch"].tolist(), rows["value"].tolist(), strict=True))
        for trial_id, rows in selection_curves(results).groupby("trial_id")
    }
    trials = results.searched
    studies: dict[str, optuna.Study] = {}
    for name in map(str, names):
        if name not in spaces:
            raise ResultsError(f"{results.folder}: study {name!r} is not in the sweep file")
        # A line on stderr for every study would look as if something were searched.
        with _quiet():
            study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        rows = records(trials[trials["study"] == name])
        study.add_trials(
            _frozen(results, row, spaces[name], curves.get(row["trial_id"], {})) for row in rows
        )
        studies[name] = study
    return studies


def importances(results: Results) -> pd.DataFrame:
    """How much each hyperparameter explains of the accuracy, by Optuna's default estimate.

    Columns: ``study``, ``parameter``, ``importance`` (fractions that add up to 1 in a study),
    ``trials`` (completed ones, which are all that Optuna looks at). Parameters that not every
    completed trial has are left out, and so are studies with equal values only or fewer than
    :data:`ENOUGH_TO_EXPLAIN` completed trials, or :data:`TRIALS_PER_PARAMETER` for each parameter
    that varies. Sorted by study, the most important first.
    """
    rows: list[dict[str, Any]] = []
    for name, study in optuna_studies(results).items():
        complete = study.get_trials(states=[TrialState.COMPLETE])
        # Of equal values there is nothing to explain.
        if len(complete) < _enough(complete) or len({trial.value for trial in complete}) < 2:
            continue
        found = optuna.importance.get_param_importances(study)
        rows += [
            {"study": name, "parameter": p, "importance": value, "trials": len(complete)}
            for p, value in found.items()
        ]
    return pd.DataFrame(rows, columns=["study", "parameter", "importance", "trials"])


def _enough(trials: list[FrozenTrial]) -> int:
    varied = {name for trial in trials for name in trial.params}
    return max(ENOUGH_TO_EXPLAIN, TRIALS_PER_PARAMETER * len(varied))


def journal(results: Results) -> bytes:
    """All studies as an Optuna journal file, which optuna-dashboard opens.

    Raises ResultsError as :func:`optuna_studies` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, layout.JOURNAL)
        optuna_studies(results, optuna.storages.JournalStorage(JournalFileBackend(str(path))))
        return path.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line about each new study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _frozen(
    results: Results, row: dict[str, Any], space: Space, curve: dict[int, float]
) -> FrozenTrial:
    config = recorded_config(results.folder, row)
    try:
        parameters, distributions = space.encode(config.parameters)
    except KeyError as error:
        raise ResultsError(
            f"{results.folder}: trial {row['trial_id']} has no {error}, which the sweep file has"
        ) from None
    state, value = STATES[row["status"]], row["selection_value"]
    started, ended = (_local(row[name]) for name in ("started_at", "ended_at"))
    # Optuna refuses a failed trial that has a value, and a NaN in any.
    valued = state in (TrialState.COMPLETE, TrialState.PRUNED) and not math.isnan(value)
    return FrozenTrial(
        number=row["number"],
        # Optuna gives it an id when it enters a study.
        trial_id=-1,
        state=state,
        value=value if valued else None,
        datetime_start=started,
        # Optuna wants one of a finished trial, also where no end was recorded.
        datetime_complete=(ended or started) if state.is_finished() else None,
        params=parameters,
        distributions=distributions,
        user_attrs={name: row[name] for name in ATTRIBUTES if pd.notna(row[name])},
        system_attrs={},
        intermediate_values=curve,
    )


def _local(time: Any) -> Any:
    """A timestamp as Optuna has them: local time without a zone."""
    if pd.isna(time):
        return None
    # pandas would warn of lost nanoseconds, which nobody recorded.
    return time.to_pydatetime(warn=False).astimezone().replace(tzinfo=None)
