"""What one epoch of a trial costs on a device, measured on a few training steps."""

import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from trainable.catalog import LOSSES
from trainable.config import TrialConfig
from trainable.data import TrialData
from trainable.metrics import EpochMetrics
from trainable.trial.tested import affordable_interval
from trainable.trial.trainer import Trainer
from trainable.trial.trial_loss import build_trainer

CONTEXT_MB = 600.0
"""GPU memory that a process takes beside its tensors: the CUDA context and its libraries."""
HEADROOM = 1.15
"""Memory to plan with over the peak measured: fragments, and batches of other shapes."""
_MOST_STEPS = 50
_EVALUATED = 512


@dataclass(frozen=True)
class Cost:
    """One workload on one device."""

    device: str  # as torch calls it
    epoch_seconds: float
    """A whole epoch, evaluation included (of the test set as often as it is affordable), for a
    trial that has the device (or its cores) to itself."""
    memory_mb: float  # MiB to plan with for a trial: of GPU memory or, on a CPU, of the process
    gpu_memory_mb: float | None  # MiB that the GPU has; None: a CPU
    checkpoint_bytes: int  # size of one checkpoint


def measure(
    config: TrialConfig, data: TrialData, *, threads: int = 1, seconds: float = 2.0
) -> Cost:
    """Train a few steps of ``config`` on part of ``data``, and work out what an epoch costs.

    ``seconds`` is about how long to measure after a first warm-up; ``threads`` the CPU threads of
    the trial. The images are all there, as in a real trial; steps and evaluation are cut short.
    """
    torch.set_num_threads(threads)
    config = dataclasses.replace(
        config,
        # Two are run: the first one warms up (compilation, allocations), the second is timed.
        max_epochs=max(2, config.max_epochs),
        # The estimate would train a trial of its own.
        loss_parameters={
            name: "true" if name == LOSSES[config.loss].matrix_from else value
            for name, value in config.loss_parameters.items()
        },
    )
    trainer = build_trainer(config, _cut(data, 2 * config.batch_size))
    trainer.run_epoch()
    metrics = trainer.run_epoch()
    steps = min(_MOST_STEPS, int(2 * seconds / metrics.epoch_seconds))
    if steps > 2:
        trainer = build_trainer(config, _cut(data, steps * config.batch_size))
        metrics = trainer.run_epoch()
    return _cost(trainer, metrics, data)


def measure_all(
    workloads: Mapping[str, tuple[TrialConfig, TrialData]], threads: int
) -> dict[str, Cost]:
    """:func:`measure` for every study; those with the same config share one."""
    costs: dict[str, Cost] = {}
    for config, data in workloads.values():
        if config.fingerprint not in costs:
            costs[config.fingerprint] = measure(config, data, threads=threads)
    return {study: costs[config.fingerprint] for study, (config, _) in workloads.items()}


def _cut(data: TrialData, examples: int) -> TrialData:
    """Fewer examples to train on and to evaluate, all images still there."""
    return dataclasses.replace(
        data,
        train_index=data.train_index[:examples],
        train_given=data.train_given[:examples],
        train_true=data.train_true[:examples],
        val_index=data.val_index[:_EVALUATED],
        val_given=data.val_given[:_EVALUATED],
        val_true=data.val_true[:_EVALUATED],
        test_images=data.test_images[:_EVALUATED],
        test_labels=data.test_labels[:_EVALUATED],
    )


def _cost(trainer: Trainer, metrics: EpochMetrics, data: TrialData) -> Cost:
    """From the measured part of an epoch to a whole one."""
    part, device = trainer.data, trainer.device
    trained, evaluated = len(part.train_index), len(part.val_index) + len(part.test_labels)
    evaluation_seconds = metrics.epoch_seconds - trained / metrics.images_per_second
    whole = len(data.val_index) + len(data.test_labels) / affordable_interval(data)
    state = trainer.state_dict()
    # Beliefs, and the loss perhaps, keep a row for every training example.
    missing = len(data.train_index) / trained - 1
    kept = [t for part in ("loss", "beliefs") for t in state[part].values()]
    row_bytes = sum(
        t.nbytes for t in kept if isinstance(t, torch.Tensor) and trained in t.shape[:1]
    )
    on_gpu = device.type == "cuda"
    return Cost(
        device=torch.cuda.get_device_name(device) if on_gpu else "CPU",
        epoch_seconds=len(data.train_index) / metrics.images_per_second
        + evaluation_seconds * whole / evaluated,
        memory_mb=HEADROOM * (metrics.peak_memory_mb + missing * row_bytes / 2**20)
        + (CONTEXT_MB if on_gpu else 0.0),
        gpu_memory_mb=torch.cuda.get_device_properties(device).total_memory / 2**20
        if on_gpu
        else None,
        checkpoint_bytes=_saved_bytes(state) + int(missing * row_bytes),
    )


def _saved_bytes(state: object) -> int:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.tell()
