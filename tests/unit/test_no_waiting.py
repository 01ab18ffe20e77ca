"""Nothing in a training step makes the host wait for the device: shown here without one.

Tensors without numbers (torch's fake and meta tensors) cannot be read: whatever would wait for a number (`.item()`, a
Python branch, a boolean index, `nonzero`, `equal`) raises. tests/gpu/test_no_waiting.py asks a GPU the same.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.audio.augment import AugmentConfig
from zoo.audio.front_ends import FAMILIES
from zoo.data.batch import Batch, InputMaker, Inputs
from zoo.data.partners import Partners
from zoo.models.registry import build_model, preset_config
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.optim import AdamWConfig

BATCH, N_FRAMES, NUM_CLASSES = 3, 128, 5
SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": N_FRAMES}
CLASSIFY = {
    "single-label": ClassificationConfig().build("single-label"),
    "multi-label": ClassificationConfig().build("multi-label"),
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ast": ("ast-tiny", {"num_classes": NUM_CLASSES, "drop_path": 0.1, "dropout": 0.1}),
    "passt": ("passt-tiny", {"num_classes": NUM_CLASSES, "patchout_time": 4, "patchout_random": 3}),
    "ssast": ("ssast-patch-tiny", {"num_masked": 20}),
    "ssast two-pass": ("ssast-patch-tiny", {"num_masked": 0.5, "separate_masks": True}),
    "ssast frame": ("ssast-frame-tiny", {"num_masked": 20}),
}


def fake_step(name: str, num_frames: bool, spoil: Callable[[nn.Module], None] | None = None) -> None:
    """Objective, backward, clipping and optimiser of a small model of this family, on fake tensors."""
    preset, numbers = MODELS[name]
    pretraining = name.startswith("ssast")
    with torch.device("meta"):
        model = build_model(preset_config(preset, **SMALL, **numbers), pretraining=pretraining).train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = model.to_empty(device="cpu")
        if spoil is not None:
            spoil(model)
        optimiser = AdamWConfig(lr=1e-3).build(model)
        inputs = Inputs(
            torch.empty(BATCH, 128, N_FRAMES),
            torch.empty(BATCH, dtype=torch.int64) if num_frames else None,
            torch.empty(BATCH, NUM_CLASSES),
            torch.empty(BATCH, dtype=torch.int64),
            ("a", "b", "c"),
        )
        for objective in [MaskedPatchConfig().build()] if pretraining else CLASSIFY.values():
            optimiser.zero_grad(set_to_none=True)
            objective(model, inputs)[0].backward()
            norm = get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
            clip_grads_with_norm_(model.parameters(), 1.0, norm)
            optimiser.step()


@pytest.fixture
def _without_the_hosts_own_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check_input` looks at num_frames where they lie on the host, as they say they do here."""
    for module in ("zoo.models.transformer", "zoo.models.masked_patch"):
        monkeypatch.setattr(f"{module}.check_input", lambda *_: None)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_full_clips_reads_no_number(name: str) -> None:
    fake_step(name, num_frames=False)


@pytest.mark.usefixtures("_without_the_hosts_own_check")
@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_padded_clips_reads_no_number(name: str) -> None:
    fake_step(name, num_frames=True)


WAITING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "branch": lambda x: x if x.sum() > 0 else -x,
    "boolean index": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "equal": lambda x: torch.equal(x, x + 1),
    "tolist": lambda x: x.sum().tolist(),
}


@pytest.mark.parametrize("what", WAITING)
def test_a_number_that_is_read_is_found(what: str) -> None:
    def spoil(model: nn.Module) -> None:
        model.encoder.register_forward_hook(lambda _module, _inputs, output: (WAITING[what](output), None)[1])  # type: ignore[union-attr]

    with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        fake_step("ast", num_frames=False, spoil=spoil)


class NoCopies(TorchDispatchMode):
    """Raises for whatever takes numbers from the host to the device while it is on."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        places = {one.device.type for one in args if isinstance(one, Tensor) and one.ndim > 0}
        if isinstance(out, Tensor) and "cpu" in places and out.device.type == "meta":
            raise AssertionError(f"{func} copies from the host")
        return out


EVERYTHING: dict[str, Any] = {
    "gain_db": (-7, 6),
    "waveform_roll": 50,
    "waveform_mixup": {"probability": 0.5, "alpha": 10, "length": "first"},
    "noise_snr_db": (10, 40),
    "freq_mask": 24,
    "time_mask": 12,
    "log_mel_noise": 0.1,
    "time_roll": 5,
    "log_mel_mixup": {"probability": 0.5, "alpha": 0.3},
}


def waveform_batch(num_samples: int, with_partners: bool) -> Batch:
    rows = torch.full((BATCH,), num_samples)
    partners = Partners(
        waveform=torch.zeros(2, num_samples),
        log_mel=None,
        num_samples=rows[:2],
        target=torch.zeros(2, NUM_CLASSES),
        ids=torch.arange(2),
        log_mel_row=torch.tensor([1]),
        log_mel_share=torch.tensor([0.5]),
        waveform_row=torch.tensor([0]),
        waveform_share=torch.tensor([0.5]),
    )
    return Batch(
        torch.zeros(BATCH, num_samples),
        rows,
        torch.zeros(BATCH, NUM_CLASSES),
        torch.arange(BATCH),
        ("a", "b", "c"),
        partners=partners if with_partners else None,
    )


@pytest.mark.parametrize("spec_augment", ["mean", "as_source"])
@pytest.mark.parametrize("padding", ["masked", "as_source"])
@pytest.mark.parametrize("kind", ["ast", "passt"])
def test_log_mels_and_augmentation_read_no_number(kind: str, padding: Any, spec_augment: Any) -> None:
    front_end = FAMILIES[kind].build()
    augment = AugmentConfig.model_validate({**EVERYTHING, "spec_augment": spec_augment}).build(
        front_end.config.zero_level
    )
    for one in (None, augment):
        make_inputs = InputMaker(front_end, one, 0, padding, N_FRAMES).to("meta")
        batch = waveform_batch(front_end.num_samples(N_FRAMES), one is not None).to("meta")
        with NoCopies():
            inputs = make_inputs(batch, 1, True)
        assert inputs.log_mel.device.type == "meta"
        assert inputs.log_mel.shape == (BATCH, 128, N_FRAMES)


def test_a_copy_from_the_host_is_found() -> None:
    with pytest.raises(AssertionError, match="copies from the host"), NoCopies():
        torch.zeros(3).to("meta")
