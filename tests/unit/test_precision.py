"""What each precision sets, that it is set back, and that what has to be exact stays float32 in all of them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.objectives.class_weights import ClassWeights
from zoo.objectives.classification import ClassificationConfig, classification_loss
from zoo.objectives.masked_patch import MaskedPatchConfig, info_nce, masked_patch_loss, reconstruction_error
from zoo.precision import Precision, arithmetic, dtype_of, exactly, float32_products

CPU = torch.device("cpu")
HALVES: tuple[Precision, ...] = ("bf16", "fp16")
ALL: tuple[Precision, ...] = ("fp32", "tf32", "bf16", "fp16")
SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 96, "num_classes": 5}


def inputs(batch: int = 4) -> Inputs:
    target = F.one_hot(torch.arange(batch) % 5, 5).float()
    keys = clip_keys(0, 0, torch.arange(batch))
    names = tuple(map(str, range(batch)))
    return Inputs(torch.randn(batch, 128, 96), torch.tensor([96, 60, 96, 40]), target, keys, names)


# --- what is set, and set back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ALL)
def test_products_are_of_the_type(precision: Precision) -> None:
    weight = torch.randn(8, 8)
    with arithmetic(precision, CPU):
        assert F.linear(weight, weight).dtype == dtype_of(precision)
    assert F.linear(weight, weight).dtype == torch.float32
    with arithmetic("bf16", CPU), arithmetic(precision, CPU):
        assert F.linear(weight, weight).dtype == dtype_of(precision)
    with arithmetic(precision, CPU), exactly(CPU):
        assert F.linear(weight, weight).dtype == torch.float32


def _settings() -> tuple[str, str, bool, str]:
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.fp32_precision,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.conv.fp32_precision,
    )


@pytest.mark.parametrize("before", ["high", "highest"])
@pytest.mark.parametrize("precision", ALL)
def test_a_gpu_computes_in_tf32_for_tf32_alone(precision: Precision, before: str) -> None:
    """The settings are there without a GPU too."""
    torch.set_float32_matmul_precision(before)
    torch.backends.cudnn.allow_tf32 = True
    try:
        outside = _settings()
        with pytest.raises(KeyError), float32_products(precision, torch.device("cuda")):  # noqa: PT012
            matmul, new_matmul, allowed, new_conv = _settings()
            is_tf32 = precision == "tf32"
            assert matmul == ("high" if is_tf32 else "highest")
            assert (new_matmul == "tf32") == is_tf32
            assert allowed == is_tf32
            assert (new_conv == "tf32") == is_tf32 or new_conv == "none"
            with exactly(torch.device("cpu")):
                assert _settings() == (matmul, new_matmul, allowed, new_conv)
            raise KeyError
        assert _settings() == outside
    finally:
        torch.set_float32_matmul_precision("highest")


def test_on_a_cpu_nothing_is_set() -> None:
    before = _settings()
    with arithmetic("tf32", CPU):
        assert _settings() == before


# --- what stays float32 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("kind", ["ast", "passt"])
def test_log_mels_are_exact(precision: Precision, kind: str) -> None:
    front_end = zoo.front_end(kind)
    waveform = 0.1 * torch.randn(2, 32_000)
    exact = front_end(waveform, torch.tensor([32_000, 20_000]))
    with arithmetic(precision, CPU):
        rounded = front_end(waveform, torch.tensor([32_000, 20_000]))
        stored = front_end.normalise(exact.clone(), torch.tensor([50, 30]))
    assert rounded.dtype == stored.dtype == torch.float32
    assert torch.equal(rounded, exact)
    assert torch.equal(stored, front_end.normalise(exact.clone(), torch.tensor([50, 30])))


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("name", ["ast-tiny", "ssast-patch-tiny", "passt-tiny", "ast-sinusoidal"])
def test_layer_norms_and_the_residual_stream_are_float32(precision: Precision, name: str) -> None:
    patchout = {"patchout_freq": 2, "patchout_time": 3} if name == "passt-tiny" else {}
    model = zoo.build(name, **SMALL, **patchout)
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    for norm in (part for part in model.modules() if isinstance(part, nn.LayerNorm)):
        norm.register_forward_hook(lambda _, given, out: seen.append((given[0].dtype, out.dtype)))
    batch = inputs()
    with arithmetic(precision, CPU):
        logits = model(batch.log_mel, batch.num_frames, batch.keys)
    assert logits.dtype == dtype_of(precision)  # autocast was on
    assert len(seen) >= 2 * 2 + 1  # two a block, and the last one or the one of the head
    assert set(seen) == {(torch.float32, torch.float32)}


@pytest.mark.parametrize("precision", HALVES)
def test_the_softmax_of_attention_is_float32(precision: Precision) -> None:
    """Rounding of q, k and v set aside, the fused kernel is as near to float64 as one rounding of its result."""
    q, k, v = (3 * torch.randn(2, 2, 300, 16).to(dtype_of(precision)) for _ in range(3))
    weights = (q.double() @ k.double().mT / 4).softmax(dim=-1)
    exact = weights @ v.double()
    step = torch.finfo(dtype_of(precision)).eps
    error = (F.scaled_dot_product_attention(q, k, v).double() - exact).abs().max()
    half = ((q @ k.mT / 4).softmax(dim=-1) @ v).double()
    assert error <= 1.5 * step * exact.abs().max()
    assert (half - exact).abs().max() > 2 * error  # a softmax of rounded scores would be seen


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("loss", ["ce", "bce"])
@pytest.mark.parametrize("weights", [None, ClassWeights(torch.rand(5) + 0.5, torch.rand(5) + 0.5)])
def test_the_loss_of_a_classifier_is_float32(precision: Precision, loss: Any, weights: ClassWeights | None) -> None:
    logits = (20 * torch.randn(4, 5)).to(dtype_of(precision))
    batch = inputs()
    objective = ClassificationConfig(loss=loss, label_smoothing=0.1).build("single-label", weights)
    exact = objective(_Answering(logits.float()), batch)[0]
    with arithmetic(precision, CPU):
        found = objective(_Answering(logits), batch)[0]
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    assert classification_loss is objective.func  # what training runs


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("softmax_over", ["targets", "predictions"])
def test_the_losses_of_masked_patches_are_float32(precision: Precision, normalise: bool, softmax_over: Any) -> None:
    """The errors, the softmax over patches, its scores, and the normalisation of every patch."""
    output, target = torch.randn(4, 30, 256).to(dtype_of(precision)), 3 + torch.randn(4, 30, 256)
    length = torch.tensor([30, 20, 30, 0])
    config = MaskedPatchConfig(normalise_targets=normalise, softmax_over=softmax_over)
    objective = config.build()

    def losses(half: Tensor) -> Any:
        return objective(_Answering(((half, target, length), (half, target, length))), inputs())

    exact = losses(output.float())
    with arithmetic(precision, CPU):
        found = losses(output)
    assert found[0].dtype == torch.float32
    assert torch.equal(found[0], exact[0])
    assert found[-1]["loss/reconstruct"] == exact[-1]["loss/reconstruct"]
    assert found[-1]["loss/classify"] == exact[-1]["loss/classify"]
    assert masked_patch_loss is objective.func


def test_the_check_of_the_losses_can_fail() -> None:
    """Without leaving autocast the scores would be rounded: what the test above would see."""
    output, target, length = torch.randn(2, 30, 256), torch.randn(2, 30, 256), torch.tensor([30, 30])
    with arithmetic("bf16", CPU):
        rounded = info_nce(output, target, length)[0]
    assert rounded != info_nce(output, target, length)[0]
    assert reconstruction_error(output, target, length).dtype == torch.float32


@pytest.mark.parametrize("precision", HALVES)
@pytest.mark.parametrize("name", ["ast-tiny", "ssast-patch-tiny", "passt-tiny", "cnn-baseline"])
def test_every_family_trains_on_a_cpu(precision: Precision, name: str) -> None:
    """Also in fp16, whose scaler torch has for CPUs as well; the gradients are near those of fp32."""
    patchout = {"patchout_freq": 2, "patchout_time": 3} if name == "passt-tiny" else {}
    fields = {} if name == "cnn-baseline" else {**SMALL, **patchout}
    model = zoo.build(name, **{"num_classes": 5, **fields})
    pretraining = zoo.build(name, pretraining=True, **{**SMALL, "num_masked": 0.4}) if "ssast" in name else None
    for trained, objective in (
        (model, ClassificationConfig().build("single-label")),
        (pretraining, MaskedPatchConfig().build()),
    ):
        if trained is None:
            continue
        batch = inputs()
        objective(trained, batch)[0].backward()
        exact = _gradient(trained)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, enabled=precision == "fp16")
        with arithmetic(precision, CPU):
            loss = objective(trained, batch)[0]
        scaler.scale(loss).backward()
        found = _gradient(trained) / scaler.get_scale()
        assert F.cosine_similarity(found, exact, dim=0) > 0.99
        torch.testing.assert_close(found.norm(), exact.norm(), rtol=0.05, atol=0)


def _gradient(model: nn.Module) -> Tensor:
    flat = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return flat


class _Answering(nn.Module):
    """A model with one answer."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, *_: Any) -> Any:
        return self.answer
