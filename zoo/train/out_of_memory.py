"""Out of memory, told in one line: how much was in use, of how much, and what to change."""

import contextlib
import importlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.errors import ZooError

resource: Any
try:
    resource = importlib.import_module("resource")
except ImportError:  # on Windows
    resource = None

_GIB = 2**30
_TOLD_BY = (
    "can't allocate memory",  # torch's allocator of the CPU
    "not enough memory",  # the same on Windows
    "out of memory",  # CUDA, where it is no OutOfMemoryError: cuDNN, streams, a driver
    "cublas_status_alloc_failed",
)
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_NOTEWORTHY = 0.02


@contextlib.contextmanager
def out_of_memory_told(device: torch.device, what: str, batch_size: int, cures: Sequence[str]) -> Iterator[None]:
    """Turns what runs out of memory within into one line.

    Args:
        device: where the model is.
        what: was being done: `training`, `evaluation`.
        batch_size: clips at once.
        cures: settings that would need less, those first that cost least; the line lists them in this order.

    Raises:
        ZooError: the memory of the device, or of this machine, is used up. All other errors pass as they are.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        # The machine's own memory can run out under training on a GPU too.
        is_on_host = isinstance(error, MemoryError) or "cpu" in str(error).lower()
        place = torch.device("cpu") if is_on_host else device
        advice = ", or ".join(cures) if cures else "a smaller model, or a machine with more memory"
        raise ZooError(
            f"{what}: ran out of {_memory_in_words(place)} with {batch_size} clips at once - expected it to fit - "
            f"try {advice}"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up; torch has no one class for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(told in text for told in _TOLD_BY)


def peak_memory_gib(device: torch.device) -> float | None:
    """The most that this process has used so far: of the GPU as torch counts it, of a machine the resident memory.

    None where nobody counts it.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / _GIB


def total_memory_gib(device: torch.device) -> float | None:
    """Of the GPU; or of the machine, or the part of it that a container may use. None where nobody says it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / _GIB
    limits = [_number_in(Path(name)) for name in _CGROUP_LIMITS]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # no sysconf on Windows
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    known = [limit for limit in limits if limit is not None and limit > 0]
    return min(known) / _GIB if known else None


def _memory_in_words(device: torch.device) -> str:
    """`GPU memory (peak 75.10 GiB of 79.20 GiB; 3.00 GiB in use by others)`."""
    name = "GPU memory" if device.type == "cuda" else "memory"
    peak, total = peak_memory_gib(device), total_memory_gib(device)
    told = "" if peak is None else f"peak {peak:.2f} GiB"
    told += "" if total is None else f"{' of' if told else 'of'} {total:.2f} GiB"
    others = _used_by_others_gib(device)
    if total is not None and others > _NOTEWORTHY * total:
        told += f"; {others:.2f} GiB in use by others"
    return f"{name} ({told})" if told else name


def _used_by_others_gib(device: torch.device) -> float:
    """Of the GPU: by other processes, and by CUDA itself."""
    if device.type != "cuda":
        return 0.0
    try:
        free, total = torch.cuda.mem_get_info(device)
    except RuntimeError:  # a device that is in no state to answer
        return math.nan
    return (total - free - torch.cuda.memory_reserved(device)) / _GIB


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None
