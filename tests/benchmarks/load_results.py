"""Loading a finished sweep into pandas: a results folder against Ray's ResultGrid.

    python tests/benchmarks/load_results.py [--trials 1200] [--epochs 150]

Both hold the same runs. A few trials really run under Ray Tune with its default loggers; their
folders and their part of the experiment state are then copied until there are enough, since Tune
would take more than an hour to write 180,000 rows. Every result row Tune wrote is also written
through ResultsWriter. The sides are read in turns with a warm file cache; the fastest counts.
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from ray import tune
from ray.tune import ExperimentAnalysis, ResultGrid

from analysis.results import load_results
from analysis.store import ResultsWriter
from trainable.config import TrialConfig
from trainable.data import DataConfig
from trainable.folder.storage import Folder
from trainable.metrics import METRIC_COLUMNS
from trainable.noise import make_noise

REAL_TRIALS = 6
STUDIES = [f"symmetric-0.{rate}-{loss}" for rate in (2, 4, 6, 8) for loss in ("ce", "elr", "gce")]
SPACE = {"lam": 3.0, "beta": 0.7, "lr": 0.02, "weight_decay": 1e-3, "batch_size": 128}


def report_epochs(config: dict[str, Any]) -> None:
    """A trial that trains nothing and reports as many numbers as a real one."""
    for epoch in range(1, config["epochs"] + 1):
        tune.report({name: random.random() for name in METRIC_COLUMNS[1:]} | {"epoch": epoch})


def run_tune(folder: Path, epochs: int) -> Path:
    """The experiment folder of a few real trials."""
    space = {**SPACE, "epochs": epochs, "number": tune.grid_search(list(range(REAL_TRIALS)))}
    run_config = tune.RunConfig(name="real", storage_path=str(folder), verbose=0)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tune.Tuner(report_epochs, param_space=space, run_config=run_config).fit()
    ray.shutdown()
    return folder / "real"


def copy_trials(real: Path, count: int) -> Path:
    """The experiment with its trials copied under new names until there are ``count``."""
    (state_file,) = real.glob("experiment_state-*.json")
    state = json.loads(state_file.read_text())
    folders = {"_".join(p.name.split("_")[2:4]): p for p in real.iterdir() if p.is_dir()}
    ids = sorted(folders)
    trials = []
    many = real.parent / "many"
    for number in range(count):
        old, new = ids[number % REAL_TRIALS], f"{ids[0][:-5]}{number:05d}"
        target = many / folders[old].name.replace(old, new)
        shutil.copytree(folders[old], target)
        result = target / "result.json"
        result.write_text(result.read_text().replace(old, new))
        pair = json.dumps(next(pair for pair in state["trial_data"] if old in pair[0]))
        # The state holds the trial's folder pickled, in hex; names of one length can be swapped.
        pair = pair.replace(old, new).replace(old.encode().hex(), new.encode().hex())
        trials.append(json.loads(pair))
    state["trial_data"] = trials
    (many / state_file.name).write_text(json.dumps(state))
    return many


def read_with_ray(experiment: Path) -> pd.DataFrame:
    """Every row of every trial, through ResultGrid."""
    grid = ResultGrid(ExperimentAnalysis(str(experiment)))
    return pd.concat([result.metrics_dataframe for result in grid])


def write_ours(rows: pd.DataFrame, folder: Path) -> None:
    """The same rows as a results folder, trials spread over twelve studies."""
    writer = ResultsWriter(Folder.open(folder))
    trials = []
    seq = 0
    for number, (name, group) in enumerate(rows.groupby("trial_id", sort=False)):
        study = STUDIES[number % len(STUDIES)]
        epochs = group[list(METRIC_COLUMNS)].to_dict("records")
        for row in epochs:
            row |= {"trial_id": name, "attempt": 1, "seq": seq, "recorded_at": datetime.now(UTC)}
            seq += 1
        writer.append_epochs(study, epochs)
        trials.append(trial_row(str(name), study, number, epochs[-1]))
    writer.write_trials(trials)
    writer.compact()


def trial_row(name: str, study: str, number: int, last: dict[str, Any]) -> dict[str, Any]:
    """A row of the trials table with a config as long as real ones."""
    data, noise = DataConfig("cifar10"), make_noise("symmetric", 0.4)
    config = TrialConfig.build(
        data=data, noise=noise, loss="elr", network="resnet34", max_epochs=150, seed=0
    )
    return {
        "study": study,
        "trial_id": name,
        "number": number // len(STUDIES),
        "phase": "search",
        "status": "completed",
        "attempt": 1,
        "epochs": last["epoch"],
        "max_epochs": last["epoch"],
        "val_accuracy": last["val_accuracy"],
        "selected_by": "val_accuracy",
        "selection_value": last["val_accuracy"],
        "config": json.dumps(config.as_dict()),
        **{f"param_{key}": value for key, value in config.parameters.items()},
    }


def seconds(read: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds that one read takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    read()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Write both, read both, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1200)
    parser.add_argument("--epochs", type=int, default=150)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        experiment = copy_trials(run_tune(Path(name), arguments.epochs), arguments.trials)
        rows = read_with_ray(experiment)
        write_ours(rows, Path(name, "ours"))
        ours = load_results(Path(name, "ours")).epochs
        assert len(ours) == len(rows) == arguments.trials * arguments.epochs
        reads: dict[str, Callable[[], object]] = {
            "ResultGrid": lambda: read_with_ray(experiment),
            "load_results": lambda: load_results(Path(name, "ours")),
            "load_results, one column": lambda: load_results(
                Path(name, "ours"), columns=["val_accuracy"]
            ),
        }
        turns = [what for what in reads for _ in range(1 if what == "ResultGrid" else 4)] * 3
        times = [(what, seconds(reads[what])) for what in turns]
    print(f"{len(rows)} rows of {arguments.trials} trials; wall-clock and processor seconds")
    fastest = {
        what: [min(took) for took in zip(*(t for name, t in times if name == what), strict=True)]
        for what in reads
    }
    for what, (wall, cpu) in fastest.items():
        print(f"{what:<26}{wall:8.3f}{cpu:8.3f}")
    ratios = [a / b for a, b in zip(*list(fastest.values())[:2], strict=True)]
    print(f"{'ratio':<26}{ratios[0]:8.0f}{ratios[1]:8.0f}")


if __name__ == "__main__":
    main()
