"""Epochs to the best configuration: search strategies replayed on recorded full-length curves.

    python tests/benchmarks/search_efficiency.py [--seeds 20] [--grace 3 6] [--quick]

The curves under tests/curves/ are real trials of ELR and Adam-refined ELR on the digits, symmetric
noise 0.4 and 0.6, drawn at random without early stopping: ``digits``, 45 epochs each, from the
default preset; ``digits-wide``, 80 epochs each, from all schedules and from ranges of somebody who
knows little yet (lam from 0.05 to 50, lr from 1e-4 to 1, weight decay from 1e-5 to 0.1). The same
comparison on curves of your own: ``python -m search replay RESULTS``.
"""

import argparse
from pathlib import Path

import optuna
from rich.console import Console
from side_by_side import machine

from search.replay.curves import load_curves, overridden
from search.replay.printed import print_replay
from search.replay.replay import STRATEGIES, replay

CURVES = Path(__file__).parents[1] / "curves"


def main() -> None:
    """Replay every shipped file and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs of every strategy")
    parser.add_argument("--grace", type=int, nargs="+", default=[3, 6], help="first rungs")
    parser.add_argument("--slots", type=int, default=1, help="trials at once")
    parser.add_argument("--quick", action="store_true", help="two seeds")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = 2 if arguments.quick else arguments.seeds
    print(machine())
    for path in sorted(CURVES.glob("*.parquet")):
        for grace in arguments.grace:
            curves = overridden(load_curves(str(path)), [f"budget.grace_epochs={grace}"])
            runs = list(replay(curves, STRATEGIES, seeds=seeds, slots=arguments.slots))
            print(f"\n{path.name}, first rung after {grace} epochs, {seeds} seeds")
            print_replay(curves, runs, Console(width=140))


if __name__ == "__main__":
    main()
