"""The device a trial runs on: which one, in what precision, and what already lies on it."""

import ctypes
import resource
import sys
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def choose_device(device: torch.device | str | None) -> torch.device:
    """``device``, or if None the first CUDA device where there is one, else the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """What the results call it: ``cpu``, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def start_trial(device: torch.device) -> None:
    """Let ``device`` forget the memory peak of the trial before, and try its kernels out."""
    if device.type == "cpu":
        _keep_freed_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.backends.cudnn.benchmark = True  # the shapes of batches recur


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST_KEPT = 2**30  # bytes of a block that stays with the process


@cache
def _keep_freed_memory() -> None:
    """Let glibc's malloc give what a step frees to the next step, not back to the kernel.

    Every step allocates the same activations and gradients. From the kernel their pages come one
    fault at a time and zeroed, which took up to a third of a step of ``small_cnn`` on 32x32. Only
    the process's peak, which stays the same, is kept. Other allocators are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if sys.platform == "linux" and mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, _LARGEST_KEPT)
        mallopt(M_MMAP_THRESHOLD, _LARGEST_KEPT)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype that ``precision`` (``config.PRECISIONS``) autocasts to on ``device``, if any."""
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else None
    return torch.bfloat16 if precision == "bfloat16" else None


_uploaded: dict[tuple[object, ...], tuple[NDArray[Any], Tensor]] = {}
_KEPT = 4


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """``array`` on ``device``: not to be written to.

    On the CPU it shares the array's memory. On another device the latest few stay, so that the
    next trial of a process does not copy the same images again.
    """
    if device.type == "cpu":
        return _shared(array)
    # Not the array itself: Ray hands out a new one on the same memory. Keeping the array in the
    # cache keeps its address from being given to another.
    key = (device, array.ctypes.data, array.shape, array.strides, array.dtype)
    if key not in _uploaded:
        while len(_uploaded) >= _KEPT:
            del _uploaded[next(iter(_uploaded))]
        _uploaded[key] = array, _shared(array).to(device)
    return _uploaded[key][1]


def _shared(array: NDArray[Any]) -> Tensor:
    with warnings.catch_warnings():
        # Torch has no read-only tensors, and says so of arrays from Ray's object store.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def peak_memory_mb(device: torch.device) -> float:
    """Most memory in use, in MiB: of the CUDA device in this trial, else of this process ever."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
