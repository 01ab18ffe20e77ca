"""On a GPU: whole training steps of all three families in which nothing waits for the device (pytest -m gpu)."""

from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.audio.front_ends import FAMILIES
from zoo.data.batch import Batch, InputMaker
from zoo.models.registry import build_model, preset_config
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.optim import AdamWConfig

pytestmark = pytest.mark.gpu

BATCH, NUM_CLASSES = 4, 5
CASES: dict[str, dict[str, Any]] = {
    "ast-tiny": {"num_classes": NUM_CLASSES, "n_frames": 128},
    "passt-tiny": {"num_classes": NUM_CLASSES, "n_frames": 128, "patchout_time": 4},
    "ssast-patch-tiny": {"n_frames": 128, "num_masked": 20},
}


@pytest.mark.parametrize("is_full", [True, False])
@pytest.mark.parametrize("preset", CASES)
def test_a_step_does_not_wait(preset: str, is_full: bool, tmp_path: Path) -> None:
    pretraining = preset.startswith("ssast")
    model = build_model(preset_config(preset, **CASES[preset]), pretraining=pretraining).cuda().train()
    optimiser = AdamWConfig(lr=1e-4).build(model)
    objective = MaskedPatchConfig().build() if pretraining else ClassificationConfig().build("single-label")
    front_end = FAMILIES["passt" if preset.startswith("passt") else "ast"].build()
    make_inputs = InputMaker(front_end, None, 0).cuda()
    length = front_end.num_samples(128)
    batch = Batch(
        torch.randn(BATCH, length),
        torch.full((BATCH,), length if is_full else length // 2),
        torch.eye(BATCH, NUM_CLASSES),
        torch.arange(BATCH),
        tuple("abcd"),
        is_full=is_full,
    ).pin_memory()

    def step(epoch: int) -> torch.Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            loss: torch.Tensor = objective(model, make_inputs(batch.to("cuda"), epoch, True))[0]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return loss.detach()

    step(0)  # libraries set themselves up
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = [step(epoch) for epoch in (1, 2)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.stack(losses).isfinite().all()


def test_a_wait_is_found() -> None:
    x = torch.ones(3, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroni"):
            x.sum().item()
    finally:
        torch.cuda.set_sync_debug_mode("default")
