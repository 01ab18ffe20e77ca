"""On a GPU: whole training steps of all three families in which nothing waits for the device (pytest -m gpu)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.audio.front_ends import FAMILIES
from zoo.data.batch import Batch, InputMaker
from zoo.models.registry import build_model, preset_config
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.precision import float32_products
from zoo.train.averaging import EmaConfig
from zoo.train.incident import Incident
from zoo.train.optim import AdamWConfig
from zoo.train.plan import Plan
from zoo.train.step import Stepper, Taken
from zoo.train.watch import Watch
from zoo.train.window import Window

pytestmark = pytest.mark.gpu

BATCH, NUM_CLASSES = 4, 5
CASES: dict[str, dict[str, Any]] = {
    "ast-tiny": {"num_classes": NUM_CLASSES, "n_frames": 128},
    "passt-tiny": {"num_classes": NUM_CLASSES, "n_frames": 128, "patchout_time": 4},
    "ssast-patch-tiny": {"n_frames": 128, "num_masked": 20},
}


def run_steps(
    preset: str, is_full: bool, precision: Any, spoil: Callable[[Tensor], Tensor] = lambda x: x
) -> list[Taken]:
    """What a run does at every step, of two parts: twice for libraries to set themselves up, then twice watched.

    Args: `spoil` is what the step does with its verdict on itself.
    """
    pretraining = preset.startswith("ssast")
    device = torch.device("cuda", torch.cuda.current_device())
    model = build_model(preset_config(preset, **CASES[preset]), pretraining=pretraining).to(device).train()
    objective = MaskedPatchConfig().build() if pretraining else ClassificationConfig().build("single-label")
    front_end = FAMILIES["passt" if preset.startswith("passt") else "ast"].build()
    make_inputs = InputMaker(front_end, None, 0).to(device)
    length = front_end.num_samples(128)
    batch = Batch(
        torch.randn(BATCH, length),
        torch.full((BATCH,), length if is_full else length // 2),
        torch.eye(BATCH, NUM_CLASSES),
        torch.arange(BATCH),
        tuple("abcd"),
        is_full=is_full,
    ).pin_memory()
    plan = Plan(total_clips=100, seed=0, accumulate=2, precision=precision, grad_clip=1.0)
    watch, window = Watch(device, stop=True), Window(device)
    averager = EmaConfig(warmup=True).build(model)
    optimiser = AdamWConfig(lr=1e-4).build(model)
    stepper = Stepper(model, objective, make_inputs, optimiser, plan, lambda is_bad: watch.judge(spoil(is_bad)))

    def step(number: int) -> Taken:
        taken = stepper.take([batch, batch], epoch=0, step=number - 1, factor=1.0)
        window.add(parts=taken.scalars, shares=taken.shares, is_left_out=taken.is_left_out)
        tried = Incident(number, 0, 0, (batch, batch), 0.0, 0.0, precision)
        watch.note(tried, is_bad=taken.is_bad, loss=taken.loss, grad_norm=taken.grad_norm)
        averager.after_step(step=number, epoch=0, is_last_of_epoch=False)
        return taken

    with float32_products(precision, device):  # as a run as a whole is
        for number in (1, 2):  # the second is the first that moves an average
            step(number)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            return [step(number) for number in (3, 4)]
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("is_full", [True, False])
@pytest.mark.parametrize("preset", CASES)
def test_a_step_does_not_wait(preset: str, is_full: bool, precision: str) -> None:
    taken = run_steps(preset, is_full, precision)
    assert torch.stack([one.loss for one in taken]).isfinite().all()
    assert not torch.stack([one.is_bad for one in taken]).any()


def test_a_wait_in_a_step_is_found() -> None:
    def spoil(is_bad: Tensor) -> Tensor:
        is_bad.item()
        return is_bad

    with pytest.raises(RuntimeError, match="synchroni"):
        run_steps("ast-tiny", True, "fp32", spoil)


def test_a_wait_is_found() -> None:
    x = torch.ones(3, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroni"):
            x.sum().item()
    finally:
        torch.cuda.set_sync_debug_mode("default")
