"""Epochs to the best configuration: search strategies replayed on recorded full-length curves.

    python tests/benchmarks/search_efficiency.py [--seeds 20] [--quick]

The curves under tests/curves/ are real: sweeps without early stopping, random search. The same
comparison on curves of your own: ``python -m search replay RESULTS``.
"""

import argparse
from pathlib import Path

import optuna
from rich.console import Console
from side_by_side import machine

from search.curves import load_curves
from search.replay import STRATEGIES, replay, summarise
from search.reports import print_replay

CURVES = Path(__file__).parents[1] / "curves"


def main() -> None:
    """Replay every shipped file and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs of every strategy")
    parser.add_argument("--slots", type=int, default=1, help="trials at once")
    parser.add_argument("--quick", action="store_true", help="two seeds")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = 2 if arguments.quick else arguments.seeds
    print(machine())
    for path in sorted(CURVES.glob("*.parquet")):
        curves = load_curves(str(path))
        runs = list(replay(curves, STRATEGIES, seeds=seeds, slots=arguments.slots))
        print(f"\n{path.name}")
        print_replay(curves, summarise(runs), seeds, Console(width=100))


if __name__ == "__main__":
    main()
