"""What the driver pays as a sweep grows: memory a trial and time an epoch, up to 5,000 trials.

    python tests/benchmarks/driver_scale.py [--trials 200 2000 5000] [--sampler tpe] [--quick]

Trials whose epochs take no time, on eight slots of pretended cores, eight studies, asha: all that
is left is the driver's own work and Ray's. Costs are those of the stretch between two rows.
"""

import argparse
import threading
import time
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from side_by_side import machine, print_table
from sweeps import own_ray, run_sweep

from search.driver import run, tuner
from search.studies.round_robin import Sweep
from spaces.sweep_file import parse_sweep
from trainable.config import TrialConfig
from trainable.metrics import EpochMetrics
from trainable.network.device import peak_memory_mb
from trainable.trial.ray_trainable import TrialTrainable

STUDIES = 8
SLOTS = 8
START_UP = 45.0
"""Seconds for Ray and all actors to come up."""
SPEC = """
name = "scale"
losses = ["elr", "adam_elr"]
network = "tiny_cnn"
[[noise]]
kind = "symmetric"
rates = [0.2, 0.4, 0.6, 0.8]
[budget]
max_epochs = 9
grace_epochs = 1
[search]
early_stopping = "asha"
[space]
preset = "default"
lr_schedule = "multistep"
"""


class InstantTrainable(TrialTrainable):
    """A trial that trains nothing: its accuracy is a formula of its learning rate.

    Actors start to serve at one moment, when all are up: Tune would let the first one serve the
    trials of the others, which end sooner than an actor comes up, and kill those each time.
    """

    serve_from = 0.0
    """Seconds since 1970."""

    def setup(self, *args: Any, **parameters: Any) -> None:  # type: ignore[override]
        """Start the actor's first trial, once the others have one."""
        super().setup(*args, **parameters)
        time.sleep(max(0.0, self.serve_from - time.time()))

    def _start(self, config: dict[str, Any]) -> None:
        self._config = TrialConfig.from_dict(config["assignment"].config)
        self._trainer: Any = None  # dropped before the actor's next trial
        self._epoch = 0

    def step(self) -> dict[str, Any]:
        """One epoch, at once."""
        self._epoch += 1
        accuracy = 1 / (1 + abs(self._config.lr - 0.03)) * (1 - 0.5**self._epoch)
        metrics = EpochMetrics(
            self._epoch, train_loss=1.0, val_accuracy=accuracy, epoch_seconds=0.001
        )
        return {"metrics": metrics, "device": "none", "notes": []}


@dataclass(frozen=True)
class Sample:
    """The driver at one moment: ``wall`` and ``core`` seconds, largest memory so far in MiB."""

    trials: int
    epochs: int
    wall: float
    core: float
    memory: float


class Sampler(threading.Thread):
    """Samples the driver while it runs; costs it a few milliseconds a second."""

    def __init__(self, sweep: Sweep) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._sweep = sweep
        self._done = threading.Event()

    def run(self) -> None:
        """Until :meth:`finish`."""
        while not self._done.wait(0.5):
            self._sample()

    def finish(self) -> None:
        """The last sample."""
        self._done.set()
        self.join()
        self._sample()

    def _sample(self) -> None:
        trials = list(self._sweep.trials)
        ended = sum(trial.ended for trial in trials)
        epochs = sum(trial.epochs for trial in trials)
        memory = peak_memory_mb(torch.device("cpu"))
        self.samples.append(
            Sample(ended, epochs, time.perf_counter(), time.process_time(), memory)
        )


def watch(sampler: str, trials: int) -> list[Sample]:
    """Run the sweep; samples of its driver from the first ended trial on."""
    spec = parse_sweep(SPEC, [f"budget.trials={trials // STUDIES}", f"search.sampler={sampler}"])
    samplers: list[Sampler] = []
    InstantTrainable.serve_from = time.time() + START_UP

    def build(sweep: Sweep, **options: Any) -> Any:
        samplers.append(Sampler(sweep))
        samplers[0].start()
        return tuner.build_tuner(sweep, **options)

    with (
        own_ray(num_cpus=SLOTS) as folder,
        mock.patch.object(run, "build_tuner", build),
        mock.patch.object(tuner, "TrialTrainable", InstantTrainable),
    ):
        run_sweep(spec, folder)
    samplers[0].finish()
    return [sample for sample in samplers[0].samples if sample.trials]


def stretch(begin: Sample, end: Sample) -> list[str]:
    """A row of the table: costs from one sample to a later one."""
    trials, epochs = end.trials - begin.trials, end.epochs - begin.epochs
    return [
        f"{end.trials:,}",
        f"{end.epochs:,}",
        f"{end.memory:.0f}",
        f"{1024 * (end.memory - begin.memory) / trials:.0f}",
        f"{1000 * (end.wall - begin.wall) / epochs:.1f}",
        f"{1000 * (end.core - begin.core) / epochs:.1f}",
    ]


def main() -> None:
    """Run one sweep and cut it where the sizes asked for were reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[200, 2000, 5000])
    parser.add_argument("--sampler", default="random", help="tpe adds its own growth")
    parser.add_argument("--quick", action="store_true", help="200 trials")
    arguments = parser.parse_args()
    sizes = [80, 200] if arguments.quick else sorted(arguments.trials)
    samples = watch(arguments.sampler, sizes[-1])
    cuts = [min(samples, key=lambda s: abs(s.trials - size)) for size in sizes]
    rows = [stretch(*pair) for pair in zip([samples[0], *cuts], cuts, strict=False)]
    print(f"{machine()}; sampler {arguments.sampler}, {SLOTS} slots")
    header = ["trials", "epochs", "driver, MiB", "KiB a trial", "ms an epoch", "driver's core, ms"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
