"""The rate of a matrix product: counted right, taken once, and soon told."""

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from zoo.train import rate
from zoo.train.rate import matmul_rate


@pytest.fixture(autouse=True)
def _not_measured_yet() -> Iterator[None]:
    rate._measured.cache_clear()
    yield
    rate._measured.cache_clear()


def test_a_multiply_add_counts_as_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device of 3 multiply-adds a nanosecond, by a clock that says so."""

    def clock(device: torch.device, left: Tensor, right: Tensor, out: Tensor) -> Callable[[], float]:
        return lambda: left.shape[0] * left.shape[1] * right.shape[1] / 3e9

    monkeypatch.setattr(rate, "_clock", clock)
    monkeypatch.setattr(rate, "_SECONDS", 0.0)
    assert matmul_rate("cpu", torch.float32) == pytest.approx(6e9)


def test_the_best_of_the_repeats_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something else may have had the cores in between."""
    seconds = iter([9.0, 4.0, *[2.0] * 3, *[1.0] * 10**6])
    monkeypatch.setattr(rate, "_clock", lambda *_: lambda: next(seconds))
    monkeypatch.setattr(rate, "_SECONDS", 0.01)
    assert matmul_rate("cpu", torch.float32) == 2 * 256**3 / 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_told_soon_and_kept(dtype: torch.dtype) -> None:
    begin = time.monotonic()
    found = matmul_rate("cpu", dtype)
    assert time.monotonic() - begin < 5  # a third of a second when nothing else runs
    assert 1e8 < found < 1e14
    assert matmul_rate(torch.device("cpu"), dtype) == found


def test_it_is_the_rate_of_the_threads_in_use() -> None:
    matmul_rate("cpu", torch.float32)
    torch.set_num_threads(2)
    matmul_rate("cpu", torch.float32)
    assert rate._measured.cache_info().misses == 2


@pytest.mark.gpu
def test_on_a_gpu_bf16_is_faster_than_fp32() -> None:
    assert matmul_rate("cuda", torch.bfloat16) > 2 * matmul_rate("cuda", torch.float32) > 1e12


def test_torchs_own_random_numbers_are_left_alone() -> None:
    """How many products are tried depends on the speed: the weights of a model that is made next must not."""
    before = torch.get_rng_state()
    matmul_rate("cpu", torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
