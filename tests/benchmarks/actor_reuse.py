"""The gap between two trials on one slot: a reused actor against a new one for every trial.

    python tests/benchmarks/actor_reuse.py [--trials 8] [--quick]

The same sweep on the digits runs twice, on one slot. A gap lasts from the moment the driver has a
trial's last epoch until the next trial starts its first; building the network, the loss and the
data of the next trial is part of it.
"""

import argparse
import statistics
from pathlib import Path
from unittest import mock

from ray import tune
from side_by_side import machine, print_table
from sweeps import own_ray, run_sweep, timeline

from search.driver import run
from search.driver.tuner import build_tuner
from spaces.sweep_file import parse_sweep

SPEC = """
name = "reuse"
losses = ["adam_elr"]
network = "tiny_cnn"
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
max_epochs = 2
[search]
sampler = "random"
early_stopping = "none"
[resources]
max_concurrent = 1
"""


def gaps(folder: Path, trials: int, *, reuse: bool) -> list[float]:
    """Seconds between the trials of one sweep, the first gap left out: the actor warms up."""

    def build(*args: object, **options: object) -> tune.Tuner:
        tuner = build_tuner(*args, **options)  # type: ignore[arg-type]
        tuner._local_tuner._tune_config.reuse_actors = reuse
        return tuner

    spec = parse_sweep(SPEC, [f"budget.trials={trials}"], name="reused" if reuse else "cold")
    with mock.patch.object(run, "build_tuner", build):
        epochs = timeline(run_sweep(spec, folder))
    last = epochs.groupby("trial_id", sort=False)["end"].max()
    first = epochs.groupby("trial_id", sort=False)["begin"].min()
    return [float(b - a) for a, b in zip(last.iloc[1:-1], first.iloc[2:], strict=True)]


def main() -> None:
    """Run both, print the gaps and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8, help="trials of each sweep")
    parser.add_argument("--quick", action="store_true", help="three trials each")
    arguments = parser.parse_args()
    trials = 3 if arguments.quick else arguments.trials
    with own_ray(num_cpus=2) as folder:
        cold = gaps(folder, trials, reuse=False)
        reused = gaps(folder, trials, reuse=True)
    rows = [
        [name, f"{statistics.median(g):.3f}", f"{min(g):.3f}", f"{max(g):.3f}"]
        for name, g in (("new actor for every trial", cold), ("reused actor", reused))
    ]
    print(machine())
    print_table(["between two trials, seconds", "median", "fastest", "slowest"], rows)
    print(f"reused: {statistics.median(cold) / statistics.median(reused):.0f} times sooner")


if __name__ == "__main__":
    main()
