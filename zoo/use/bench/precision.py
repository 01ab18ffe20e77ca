"""In which numbers a measured step computes, and the fastest that a matrix product is in them."""

import statistics
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import RecipeError

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
PRECISIONS = ("auto", "fp32", "tf32", "bf16", "fp16")

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_REPEATS = 9


def pick_precision(wanted: str, device: torch.device) -> Precision:
    """`auto` is bf16 on a GPU that computes in it, else fp32.

    Raises: RecipeError for an unknown word, and for tf32 without a GPU.
    """
    if wanted not in PRECISIONS:
        raise RecipeError(f"--precision: {wanted!r} - expected one of {', '.join(PRECISIONS)} - choose one")
    if wanted == "tf32" and device.type != "cuda":
        raise RecipeError("--precision: 'tf32' on a CPU - expected a GPU, which alone has it - use fp32")
    if wanted == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return wanted  # type: ignore[return-value]


def set_up(precision: Precision) -> None:
    """For the whole process: whether a GPU may round the factors of a float32 product to tf32."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Around a forward pass."""
    half = _HALVES.get(precision)
    return nullcontext() if half is None else torch.autocast(device.type, half)


def matmul_tflops(precision: Precision, device: torch.device) -> float:
    """10^12 operations a second of a square product of this precision, the median of some; about a second at most.

    It is the yardstick of the steps: 1,024 rows on a CPU, where more leaves the cache, and 8,192 on a GPU, where fewer
    leave it idle.
    """
    set_up(precision)
    size, inner = (8_192, 10) if device.type == "cuda" else (1_024, 4)
    dtype = _HALVES.get(precision, torch.float32)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = [_seconds(left, right, inner) for _ in range(_REPEATS + 1)][1:]
    return 2 * size**3 * inner / statistics.median(seconds) / 1e12


def _seconds(left: Tensor, right: Tensor, repeats: int) -> float:
    synchronise(left.device)
    since = time.perf_counter()
    for _ in range(repeats):
        left @ right
    synchronise(left.device)
    return time.perf_counter() - since


def synchronise(device: torch.device) -> None:
    """Waits until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
