"""Epochs to the best configuration: search strategies replayed on recorded full-length curves.

    python tests/benchmarks/search_efficiency.py [--seeds 20] [--slots 1 8] [--pool NAME]

The curves under tests/curves/ are real trials of ELR and Adam-refined ELR, without early stopping:

- ``fashion-seed0``, ``fashion-seed1``, ``cifar-seed0``: Fashion-MNIST and CIFAR-10, 5,000 training
  images, ``small_cnn``, 25 epochs, symmetric noise 0.2, 0.4, 0.6 and asymmetric 0.2, 0.4; 44 to 64
  draws from wide ranges, common to the ten studies of each. The strategies were designed on
  ``fashion-seed0`` and on the digits; the other two were looked at meanwhile.
- ``fashion-held``: Fashion-MNIST, 2,500 training images, ``tiny_cnn``, 20 epochs, symmetric noise
  0.3, 0.5, asymmetric 0.3, instance-dependent 0.2, 0.4; 44 draws common to its ten studies. Nobody
  had looked at it before the strategies were as they are.
- ``digits``, 45 epochs, from the default preset; ``digits-wide``, 80 epochs, from ranges of
  somebody who knows little yet: symmetric noise 0.4 and 0.6, each study's draws its own.

The same comparison on curves of your own: ``python -m search replay RESULTS``.
"""

import argparse
from pathlib import Path

import optuna
from rich.console import Console
from side_by_side import machine

from search.replay.curves import load_curves
from search.replay.replay import STRATEGIES, replay
from search.replay.replay_table import print_replay

CURVES = Path(__file__).parents[1] / "curves"


def main() -> None:
    """Replay every shipped file and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="runs of every strategy")
    parser.add_argument("--slots", type=int, nargs="+", default=[1], help="trials at once")
    parser.add_argument("--pool", nargs="+", default=["*"], help="names under tests/curves")
    parser.add_argument("--quick", action="store_true", help="two seeds")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seeds = 2 if arguments.quick else arguments.seeds
    print(machine())
    for path in sorted(path for name in arguments.pool for path in CURVES.glob(f"{name}.parquet")):
        for slots in arguments.slots:
            curves = load_curves(str(path))
            runs = list(replay(curves, STRATEGIES, seeds=seeds, slots=slots))
            print(f"\n{path.name}, {slots} trials at once, {seeds} seeds")
            print_replay(curves, runs, Console(width=140))


if __name__ == "__main__":
    main()
