"""Nothing in a training step makes the host wait for the device: shown here without one.

Tensors without numbers (torch's fake and meta tensors) cannot be read: whatever would wait for a number (`.item()`, a
Python branch, a boolean index, `nonzero`, `equal`) raises. tests/gpu/test_no_waiting.py asks a GPU the same.
"""

import pkgutil
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
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.audio.augment import AugmentConfig
from zoo.audio.front_ends import FAMILIES
from zoo.data.batch import Batch, InputMaker
from zoo.data.partners import Partners
from zoo.models.registry import build_model, preset_config
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.averaging import EmaConfig
from zoo.train.incident import Incident
from zoo.train.optim import AdamWConfig
from zoo.train.plan import Plan
from zoo.train.step import Stepper
from zoo.train.watch import Watch
from zoo.train.window import Window

CPU = torch.device("cpu")
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
    "ssast visible": ("ssast-patch-tiny", {"num_masked": 0.5, "encode": "visible", "masks_per_clip": 2}),
    "ssast frame": ("ssast-frame-tiny", {"num_masked": 20}),
}


def fake_step(
    name: str, is_full: bool, precision: Any = "fp32", spoil: Callable[[nn.Module], None] | None = None
) -> None:
    """What a run does at every step, with a small model of this family, a batch of two parts, on fake tensors."""
    preset, numbers = MODELS[name]
    pretraining = name.startswith("ssast")
    with torch.device("meta"):
        model = build_model(preset_config(preset, **SMALL, **numbers), pretraining=pretraining).train()
    front_end = FAMILIES["passt" if name == "passt" else "ast"].build()
    make_inputs = InputMaker(front_end, None, 0, n_frames=N_FRAMES)
    plan = Plan(total_clips=100, seed=0, accumulate=2, precision=precision, grad_clip=1.0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = model.to_empty(device="cpu")
        if spoil is not None:
            spoil(model)
        # Stored log-mels: front ends have a way of their own for waveforms on the host, and are asked further below.
        frames = torch.full((BATCH,), N_FRAMES)
        batch = Batch(
            waveform=None,
            num_samples=frames,
            target=torch.empty(BATCH, NUM_CLASSES),
            ids=torch.arange(BATCH),
            names=("a", "b", "c"),
            log_mel=torch.empty(BATCH, 128, N_FRAMES),
            is_full=is_full,
        )
        for objective in [MaskedPatchConfig().build()] if pretraining else CLASSIFY.values():
            watch, window = Watch(CPU, stop=True), Window(CPU)
            averager = EmaConfig(warmup=True).build(model)
            stepper = Stepper(model, objective, make_inputs, AdamWConfig(lr=1e-3).build(model), plan, watch.judge)
            for step in (1, 2):
                taken = stepper.take([batch, batch], epoch=0, step=step - 1, factor=0.5)
                window.add(parts=taken.scalars, shares=taken.shares, is_left_out=taken.is_left_out)
                tried = Incident(step, 0, 0, (batch, batch), 0.0, 0.0, precision)
                watch.note(tried, is_bad=taken.is_bad, loss=taken.loss, grad_norm=taken.grad_norm)
                averager.after_step(step=step, epoch=0, is_last_of_epoch=step == 2)
            assert taken.is_bad.shape == ()
            assert averager.has_begun


@pytest.fixture
def _without_the_hosts_own_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check_input` looks at num_frames where they lie on the host, as they say they do here."""
    for module in ("zoo.models.transformer", "zoo.models.masked_patch"):
        monkeypatch.setattr(f"{module}.check_input", lambda *_: None)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_full_clips_reads_no_number(name: str) -> None:
    fake_step(name, is_full=True)


@pytest.mark.usefixtures("_without_the_hosts_own_check")
@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_padded_clips_reads_no_number(name: str) -> None:
    fake_step(name, is_full=False)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_step_in_half_precision_reads_no_number(precision: str) -> None:
    fake_step("ast", is_full=True, precision=precision)


WAITING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "branch": lambda x: x if x.sum() > 0 else -x,
    "boolean index": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "equal": lambda x: torch.equal(x, x + 1),
    "tolist": lambda x: x.sum().tolist(),
}
FOUND = (DataDependentOutputException, DynamicOutputShapeException)


@pytest.mark.parametrize("what", WAITING)
def test_a_number_that_is_read_is_found(what: str) -> None:
    def spoil(model: nn.Module) -> None:
        model.encoder.register_forward_hook(lambda _module, _inputs, output: (WAITING[what](output), None)[1])  # type: ignore[union-attr]

    with pytest.raises(FOUND):
        fake_step("ast", is_full=True, spoil=spoil)


PLACES: dict[str, Callable[..., Tensor]] = {
    "zoo.train.gradient_norms._norms": lambda gradients: gradients[0].sum(),
    "zoo.train.watch.Watch.judge": lambda _watch, is_bad: is_bad,
    "zoo.train.watch.Watch.note": lambda _watch, _step, is_bad, loss, grad_norm: loss,
    "zoo.train.window.Window.add": lambda _window, parts, shares, is_left_out: shares[0],
    "zoo.train.weight_average.Ema.after_step": lambda average, **_: next(iter(average._weights.values())).sum(),
    "torch.amp.GradScaler.update": lambda scaler: scaler._scale,
}
"""What a step calls outside of the model, and a tensor that it has there."""


@pytest.mark.parametrize("place", PLACES)
def test_a_number_that_is_read_beside_the_model_is_found(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tensor = pkgutil.resolve_name(place), PLACES[place]

    def spoilt(*args: Any, **kwargs: Any) -> Any:
        tensor(*args, **kwargs).item()
        return real(*args, **kwargs)

    monkeypatch.setattr(place, spoilt)
    with pytest.raises(FOUND):
        fake_step("ast", is_full=True, precision="fp16")


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
