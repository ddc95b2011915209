"""How much of a sweep's slots go into training: epochs of about two seconds, asha, two slots.

    python tests/benchmarks/busy_share.py [--trials 8] [--seconds 2] [--quick]

A real sweep on the digits, two studies, its batch size chosen so that an epoch takes about as
long as asked. Counted from the first epoch of the first trial to the last epoch of the last.
"""

import argparse
from dataclasses import dataclass

import pandas as pd
import ray
from side_by_side import machine, print_table
from sweeps import own_ray, run_sweep, timeline

from search.planning.measure import measure
from spaces.sweep import SweepSpec
from spaces.sweep_file import parse_sweep
from trainable.data import load_dataset
from trainable.noise import make_noise
from trainable.trial.prepare import prepare

SLOTS = 2
SPEC = """
name = "busy"
losses = ["elr", "adam_elr"]
network = "small_cnn"
[[noise]]
kind = "symmetric"
rates = [0.4]
[budget]
max_epochs = 9
grace_epochs = 1
[space]
preset = "default"
lr_schedule = "cosine"
"""


@dataclass(frozen=True)
class Shares:
    """Where the slots' time went, in slot-seconds."""

    training: float
    between_epochs: float
    between_trials: float
    tail: float

    @property
    def total(self) -> float:
        """Slots times wall-clock."""
        return self.training + self.between_epochs + self.between_trials + self.tail


def shares(epochs: pd.DataFrame) -> Shares:
    """Split the time of a sweep's slots; ``epochs`` as :func:`sweeps.timeline` gives them.

    The tail is what slots wait after the last trial has started, for others to end.
    """
    trials = epochs.groupby("trial_id")
    begin, end = trials["begin"].min(), trials["end"].max()
    training = float((epochs["end"] - epochs["begin"]).sum())
    spans = float((end - begin).sum())
    last_start = begin.max()
    after = SLOTS * (end.max() - last_start)
    tail = float(after - (end - begin.clip(lower=last_start)).clip(lower=0).sum())
    total = SLOTS * float(end.max())
    return Shares(training, spans - training, total - spans - tail, tail)


def batch_size_for(spec: SweepSpec, seconds: float) -> int:
    """The batch size with which an epoch takes about ``seconds`` on as many slots as there are."""
    cell = spec.cells()[-1]
    config = cell.trial(cell.reference, spec.seed)
    data, _ = prepare(load_dataset(cell.data.name), cell.data, make_noise("none"), spec.seed)
    task = ray.remote(lambda: measure(config, data).epoch_seconds)
    measured = max(ray.get([task.remote() for _ in range(SLOTS)]))
    return max(2, round(config.batch_size * measured / seconds))


def main() -> None:
    """Run the sweep, print where the time went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8, help="trials of each of the two studies")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of an epoch")
    parser.add_argument("--quick", action="store_true", help="four trials, half-second epochs")
    arguments = parser.parse_args()
    trials, seconds = (2, 0.5) if arguments.quick else (arguments.trials, arguments.seconds)
    with own_ray(num_cpus=SLOTS) as folder:
        size = batch_size_for(parse_sweep(SPEC, ["space.batch_size=16"]), seconds)
        spec = parse_sweep(SPEC, [f"budget.trials={trials}", f"space.batch_size={size}"])
        epochs = timeline(run_sweep(spec, folder))
    found = shares(epochs)
    print(machine())
    print(f"{2 * trials} trials, {len(epochs)} epochs of {found.training / len(epochs):.2f} s")
    parts = [
        ("training", found.training),
        ("between two epochs of a trial", found.between_epochs),
        ("between two trials, and starting the other slot", found.between_trials),
        ("waiting for the last trials to end", found.tail),
    ]
    rows = [[name, f"{s:.1f}", f"{s / found.total:.1%}"] for name, s in parts]
    print_table([f"of {SLOTS} slots", "slot-seconds", "share"], rows)
    before_tail = found.total - found.tail
    print(f"busy: {found.training / found.total:.1%}; ", end="")
    print(f"without the wait at the end {found.training / before_tail:.1%}")


if __name__ == "__main__":
    main()
