"""What recording costs the driver for every epoch that is reported.

    python tests/benchmarks/recorder_cost.py [--trials 200 1200 2000] [--quick]

Twelve studies on made-up curves, no Ray. Every epoch goes to the recorder as in a sweep; in the
driver's thread this means noting the row and, once a second at most, handing everything over to
the recorder's thread. The dearest case, an epoch that hands over, is what a slow sweep pays for
each of its epochs. Writing itself is the thread's, shown as what it takes of a core.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import optuna
from side_by_side import machine, print_table

from search.driver import provenance
from search.driver.recorder import Recorder
from search.planning.outline import made_up
from search.studies.round_robin import Sweep
from search.studies.simulate import simulate
from spaces.sweep_file import parse_sweep
from trainable.folder import layout
from trainable.folder.storage import Folder

SPEC = """
name = "recorded"
losses = ["ce", "elr", "adam_elr"]
network = "tiny_cnn"
[[noise]]
kind = "symmetric"
rates = [0.2, 0.4, 0.6, 0.8]
[budget]
max_epochs = 9
grace_epochs = 1
[search]
sampler = "random"
"""
STUDIES = 12
HAND_OVERS = 20


class Watched:
    """A recorder and the seconds that its calls take of a core, waiting not counted."""

    def __init__(self, sweep: Sweep, folder: Folder) -> None:
        self.thread_seconds: list[float] = []
        self.hand_over: list[float] = []
        self.recorder = Recorder(
            sweep, folder, lambda trial: provenance.describe(trial, sweep.spec), flush_seconds=1e9
        )
        write = self.recorder._write

        def watched(*arguments: object) -> None:
            begin = time.thread_time()
            write(*arguments)  # type: ignore[arg-type]
            self.thread_seconds.append(time.thread_time() - begin)

        self.recorder._write = watched  # type: ignore[method-assign]

    def flush(self) -> None:
        """Hand everything over now, timed; wait, untimed, until it is written."""
        self.recorder.changed()
        begin = time.thread_time()
        written = self.recorder._hand_over()
        self.hand_over.append(time.thread_time() - begin)
        written.result()


def cost(trials: int, folder: Path) -> list[str]:
    """One row of the table: costs while the last epochs of ``trials`` trials come in."""
    spec = parse_sweep(SPEC, [f"budget.trials={trials // STUDIES}"])
    place = Folder.open(folder / str(trials))
    place.write(layout.SWEEP, b"")
    sweep = Sweep.build(spec)
    watched = Watched(sweep, place)
    seconds: list[float] = []
    for trial, _ in simulate(sweep, made_up, slots=8):
        metrics = trial.last
        assert metrics is not None
        begin = time.thread_time()
        watched.recorder.epoch(trial, metrics, "CPU", "here")
        watched.recorder.tick()
        seconds.append(time.thread_time() - begin)
        left = spec.budget.trials * STUDIES - sum(1 for _ in sweep.trials)
        if left < HAND_OVERS and len(watched.hand_over) < HAND_OVERS:
            watched.flush()
    watched.recorder.close()
    note, over, thread = (
        1000 * statistics.median(values[-HAND_OVERS:])
        for values in (seconds, watched.hand_over, watched.thread_seconds)
    )
    return [f"{trials:,}", f"{note:.3f}", f"{over:.3f}", f"{note + over:.3f}", f"{thread:.0f}"]


def main() -> None:
    """Measure at several sizes of a sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[204, 1200, 2004])
    parser.add_argument("--quick", action="store_true", help="60 trials")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        sizes = [60] if arguments.quick else arguments.trials
        rows = [cost(trials, Path(folder)) for trials in sizes]
    print(machine())
    header = ["trials", "note a row, ms", "hand over, ms", "at most an epoch, ms"]
    print_table([*header, "thread's core time a write, ms"], rows)


if __name__ == "__main__":
    main()
