"""How fast the device multiplies matrices: what a model's own speed is measured against."""

import functools
import time
from collections.abc import Callable

import torch
from torch import Tensor

_SIZES = {"cpu": (256, 512, 1024), "cuda": (1024, 2048, 4096, 8192)}
_LONG_ENOUGH = {"cpu": 0.02, "cuda": 0.002}
"""Seconds of one product from which on starting it costs nothing beside it."""
_SECONDS = 0.15
"""How long the product of the chosen size is repeated."""


def matmul_rate(device: torch.device | str, dtype: torch.dtype) -> float:
    """Operations a second of a matrix product, a multiply-add counted as two, as models' costs are here.

    The best of some repeats on two square matrices of random numbers, large enough that nothing else counts; well
    under a second, and once a process for what it depends on: the device, the type, the number of threads, and whether
    float32 may be computed in TF32 just now (`zoo.precision`).

    Args:
        device: where; a CPU or a CUDA GPU.
        dtype: of both matrices and the result: torch.bfloat16 for a model under bf16 autocast.
    """
    place = torch.device(device)
    if str(place) == "cuda":  # without a number it is the current one
        place = torch.device("cuda", torch.cuda.current_device())
    tf32 = place.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return _measured(place, dtype, torch.get_num_threads(), tf32)


@functools.cache
def _measured(device: torch.device, dtype: torch.dtype, num_threads: int, tf32: bool) -> float:
    rate = 0.0
    kind = "cuda" if device.type == "cuda" else "cpu"
    own = torch.Generator(device).manual_seed(0)  # how much is drawn depends on the speed, and must not move a run
    with torch.inference_mode():
        for size in _SIZES[kind]:
            left, right = (torch.randn(size, size, device=device, generator=own).to(dtype) for _ in range(2))
            out = torch.empty_like(left)
            clock = _clock(device, left, right, out)
            clock()  # the first call sets libraries up
            seconds = clock()
            rate = max(rate, 2 * size**3 / seconds)
            if seconds >= _LONG_ENOUGH[kind]:
                break
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            rate = max(rate, 2 * size**3 / clock())
    return rate


def _clock(device: torch.device, left: Tensor, right: Tensor, out: Tensor) -> Callable[[], float]:
    """Gives the seconds that one product takes, by the device's own clock where it has one."""

    def on_cuda() -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        torch.mm(left, right, out=out)
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1000

    def on_cpu() -> float:
        begin = time.perf_counter()
        torch.mm(left, right, out=out)
        return max(time.perf_counter() - begin, 1e-9)

    return on_cuda if device.type == "cuda" else on_cpu
