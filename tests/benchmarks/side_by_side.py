"""What the benchmarks share: sides timed in turns, a table of medians and ratios, the machine."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import torch

from trainable.catalog import DATASETS
from trainable.data import TrialData

P = ParamSpec("P")
T = TypeVar("T")


def in_own_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``function`` returns, called in a new process.

    What earlier cases leave in the heap makes inputs of 32x32 up to half as slow again.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()


def in_turns(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each side on one thread.

    CPU time, so that other programs on the machine count little; in turns, so that what they do
    to the caches and clocks meets every side.
    """
    torch.set_num_threads(1)
    for call in sides.values():
        call()  # warm
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in sides.items():
            begin = time.process_time()
            call()
            times[name].append(time.process_time() - begin)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    for line in lines:
        print("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |")


def machine() -> str:
    """Processor, cores, GPU and versions, in a line."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{_processor()}, {os.cpu_count()} cores{gpu}; Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if (info.exists())
        else []
    )
    return names[0].partition(":")[2].strip() if names else platform.processor()


def random_data(dataset: str, examples: int, held_out: int = 1, tests: int = 1) -> TrialData:
    """Random images and labels shaped like ``dataset``: to train, select and test on."""
    info = DATASETS[dataset]
    random = np.random.default_rng(0)
    count = examples + held_out
    images = random.integers(0, 256, (count, *info.shape), dtype=np.uint8)
    labels = random.integers(0, info.num_classes, count)
    return TrialData(
        info=info,
        images=images,
        train_index=np.arange(examples),
        train_given=labels[:examples],
        train_true=labels[:examples],
        val_index=np.arange(examples, count),
        val_given=labels[examples:],
        val_true=labels[examples:],
        test_images=random.integers(0, 256, (tests, *info.shape), dtype=np.uint8),
        test_labels=random.integers(0, info.num_classes, tests),
        transition=np.eye(info.num_classes),
    )
