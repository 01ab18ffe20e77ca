"""Out of memory is one line: what was in use, and what to change, that which costs least first."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zoo.errors import ZooError
from zoo.recipe import parse_recipe
from zoo.run.memory_cures import evaluation_cures, training_cures
from zoo.train import out_of_memory as memory
from zoo.train.out_of_memory import is_out_of_memory, out_of_memory_told, peak_memory_gib, total_memory_gib

CPU = torch.device("cpu")
RECIPE = """\
name: tiny
model: {kind: cnn}
objective: {kind: classification}
data: {task: single-label}
train: {steps: 1, batch_size: 8}
"""


def line(error: BaseException, device: torch.device = CPU, cures: tuple[str, ...] = ("a=1", "b=2 (slower)")) -> str:
    class Greedy(nn.Module):
        def forward(self) -> None:
            raise error

    with pytest.raises(ZooError) as caught, out_of_memory_told(device, "training", 8, cures):
        Greedy()()
    assert caught.value.__cause__ is error
    return str(caught.value)


def of(allocate: Any) -> BaseException:
    try:
        allocate()
    except Exception as error:
        return error
    raise AssertionError("there was room")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried"),
        MemoryError(),
    ],
)
def test_what_says_that_memory_is_used_up(error: BaseException) -> None:
    assert is_out_of_memory(error)
    told = line(error)
    assert "\n" not in told
    assert told.startswith("training: ran out of memory (peak ")
    assert "with 8 clips at once - expected it to fit - try a=1, or b=2 (slower)" in told


def test_what_torch_and_numpy_really_raise() -> None:
    for allocate in (lambda: torch.empty(10**14), lambda: np.ones(10**15)):
        assert is_out_of_memory(of(allocate))


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), ZooError("full")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, out_of_memory_told(CPU, "training", 8, ()):
        raise error
    assert caught.value is error


def test_the_innermost_line_is_the_one_that_is_told() -> None:
    with (
        pytest.raises(ZooError, match=r"^evaluation: .* with 4 clips"),
        out_of_memory_told(CPU, "training", 8, ()),
        out_of_memory_told(CPU, "evaluation", 4, ()),
    ):
        raise MemoryError


def test_without_a_cure() -> None:
    assert "try a smaller model, or a machine with more memory" in line(MemoryError(), cures=())


def test_the_measured_peak_and_the_whole() -> None:
    peak, total = peak_memory_gib(CPU), total_memory_gib(CPU)
    assert peak is not None
    assert total is not None
    assert 0.05 < peak <= total < 1e5
    told = line(MemoryError())
    assert f" of {total:.2f} GiB)" in told
    status = Path("/proc/self/status")
    if status.exists():
        (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert peak == pytest.approx(int(kilobytes) / 2**20, rel=0.02)


def test_a_container_has_what_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_number_in", lambda file: 2**31 if "max" in file.name else None)
    assert total_memory_gib(CPU) == 2.0


def test_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 80 * 2**30

    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 75 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 76 * 2**30)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 80 * 2**30))
    error = torch.OutOfMemoryError("CUDA out of memory.")
    told = line(error, torch.device("cuda"))
    assert "ran out of GPU memory (peak 75.00 GiB of 80.00 GiB; 3.00 GiB in use by others)" in told
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * 2**30, 80 * 2**30))
    assert "in use by others" not in line(error, torch.device("cuda"))
    assert "ran out of memory (peak" in line(of(lambda: torch.empty(10**14)), torch.device("cuda"))

    def broken(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert "80.00 GiB)" in line(error, torch.device("cuda"))
    assert math.isnan(memory._used_by_others_gib(torch.device("cuda")))


def test_only_what_is_not_set_yet() -> None:
    recipe = parse_recipe(RECIPE, "x")
    names = [cure.split("=")[0] for cure in training_cures(recipe, "fp32", "cuda")]
    assert names == ["train.accumulate", "train.activation_checkpointing", "train.precision", "train.batch_size"]
    assert "train.batch_size=4 " in training_cures(recipe, "fp32", "cuda")[-1]
    assert not any("precision" in cure for cure in training_cures(recipe, "bf16", "cuda"))
    assert not any("precision" in cure for cure in training_cures(recipe, "fp32", "cpu"))
    one = parse_recipe(RECIPE, "x", ["train.batch_size=1", "evaluate.batch_size=1"])
    assert [cure.split("=")[0] for cure in training_cures(one, "fp32", "cpu")] == ["train.activation_checkpointing"]
    assert evaluation_cures(one) == []


def test_cures_of_an_evaluation() -> None:
    assert evaluation_cures(parse_recipe(RECIPE, "x")) == ["evaluate.batch_size=16"]
    whole = parse_recipe(RECIPE, "x", ["evaluate.long_clips=whole"])
    assert evaluation_cures(whole)[1] == "evaluate.max_seconds=30, or evaluate.long_clips=windows"
