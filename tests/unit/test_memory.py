"""The memory of a step as it is foretold, against what torch's allocator gave out in a real one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import zoo
from zoo.data.batch import Inputs
from zoo.models.cost import build_on_meta, training_flops_per_clip
from zoo.models.recompute import recompute_activations
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.precision import Precision
from zoo.recipe import read_recipe
from zoo.run.memory import memory_of_run
from zoo.train.memory import CUDA_WORKSPACE, Allocations, MemoryUse, memory_of_step, run_step

SMALL: dict[str, Any] = {"embed_dim": 96, "depth": 2, "num_heads": 3, "n_frames": 128, "num_classes": 10}
_VISIBLE = {"encode": "visible", "masks_per_clip": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ast": ("ast-tiny", SMALL),
    "ssast": ("ssast-patch-tiny", SMALL),
    "pretrain": ("ssast-patch-tiny", {**SMALL, "num_masked": 0.7, "pretraining": True}),
    "visible": ("ssast-patch-tiny", {**SMALL, "num_masked": 0.7, "pretraining": True, **_VISIBLE}),
    "passt": ("passt-tiny", {**SMALL, "patchout_freq": 3, "patchout_time": 4}),
    "cnn": ("cnn-baseline", {"n_frames": 128, "num_classes": 10}),
}
CPU = torch.device("cpu")


def build(family: str, device: str, recompute: bool = False, **fields: Any) -> nn.Module:
    name, small = FAMILIES[family]
    with torch.device(device):
        model = zoo.build(name, **{**small, **fields}).train()
    if recompute:
        recompute_activations(model)
    return model


def objective(family: str) -> Any:
    return (
        MaskedPatchConfig().build()
        if family in ("pretrain", "visible")
        else ClassificationConfig().build("single-label")
    )


def part(clips: int, n_frames: int = 128, device: str = "cpu") -> Callable[[], Inputs]:
    def make() -> Inputs:
        log_mel, target = torch.randn(clips, 128, n_frames, device=device), torch.rand(clips, 10, device=device)
        num_frames, keys = torch.full((clips,), n_frames, device=device), torch.arange(clips, device=device)
        return Inputs(log_mel, num_frames, target, keys, ())

    return make


def measured(family: str, precision: Precision, recompute: bool, accumulate: int, num_averages: int = 0) -> int:
    """Most bytes that the CPU's allocator had given out, from building the model to the end of its second step."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        model = build(family, "cpu", recompute)
        copies = [p.detach().clone() for p in model.parameters() for _ in range(num_averages)]
        optimiser = torch.optim.AdamW(model.parameters(), fused=True)
        for _ in range(2):
            run_step(model, objective(family), part(8), accumulate, optimiser.step, precision, CPU)
        del copies
    assert profiler.profiler is not None
    found = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(found, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


CASES = [
    *((family, precision, False, 1) for family in FAMILIES for precision in ("fp32", "bf16")),
    *((family, precision, True, 1) for family in FAMILIES if family != "cnn" for precision in ("fp32", "bf16")),
    *((family, "fp32", False, 3) for family in FAMILIES),
]
"""(family, precision, recompute, accumulate); the CNN has nothing to compute again."""


@pytest.mark.parametrize(("family", "precision", "recompute", "accumulate"), CASES)
def test_within_a_fifth_of_what_is_measured(
    family: str, precision: Precision, recompute: bool, accumulate: int
) -> None:
    """It comes within a twentieth; a fifth is what is promised."""
    told = memory_of_step(
        build(family, "meta", recompute), objective(family), part(8), accumulate=accumulate, precision=precision
    )
    assert told.total == pytest.approx(measured(family, precision, recompute, accumulate), rel=0.2)


def told(family: str = "ast", clips: int = 8, recompute: bool = False, **options: Any) -> MemoryUse:
    return memory_of_step(build(family, "meta", recompute), objective(family), part(clips), **options)


def test_parts() -> None:
    numbers = sum(p.numel() for p in build("ast", "meta").parameters())
    use = told()
    assert (use.weights, use.gradients, use.optimiser) == (4 * numbers, 4 * numbers, 8 * numbers)
    assert (use.average, use.workspace) == (0, 0)
    assert use.total == 16 * numbers + use.activations


def test_a_copy_of_the_weights_is_measured_too() -> None:
    use = told(num_averages=1)
    assert use.average == use.weights
    assert use.total == pytest.approx(measured("ast", "fp32", False, 1, num_averages=1), rel=0.1)


def test_what_a_gpu_adds() -> None:
    alone, on_cuda = told(), told(on_cuda=True)
    assert on_cuda.workspace == CUDA_WORKSPACE
    assert 0 < on_cuda.weights - alone.weights < 512 * 100  # each tensor is rounded up


def test_activations_grow_with_the_clips_and_shrink_by_recomputing_rounding_and_parts() -> None:
    few, many = told(clips=16).activations, told(clips=64).activations
    assert many == pytest.approx(4 * few, rel=0.1)
    assert told(clips=64, recompute=True).activations < 0.7 * many
    assert told(clips=64, precision="bf16").activations < 0.7 * many
    assert told(clips=16, accumulate=4).activations < 0.3 * many


def test_what_is_frozen_has_no_gradient_no_moments_and_keeps_nothing() -> None:
    model: Any = build("ast", "meta")
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    use = memory_of_step(model, objective("ast"), part(64))
    assert use.gradients == 4 * sum(p.numel() for p in model.head.parameters())
    assert use.optimiser == 2 * use.gradients
    assert use.activations < 0.4 * told(clips=64).activations


def test_tensors_are_counted_while_they_live() -> None:
    with Allocations() as allocated:
        first = torch.empty(1000)
        view = first[10:].view(-1, 10)
        view.add_(1)
        assert (allocated.now, allocated.peak) == (4000, 4000)
        second = torch.empty(500)
        del second
        assert (allocated.now, allocated.peak) == (4000, 6000)
        del first
        assert allocated.now == 4000
        del view
        assert (allocated.now, allocated.peak) == (0, 6000)


@pytest.mark.parametrize(("name", "weights"), [("pretrain/ssast-patch-base", 0.32), ("finetune/folder/ast-base", 0.32)])
def test_recipes_of_full_size(name: str, weights: float) -> None:
    """Memory that is not there is no obstacle, and settings of the recipe count."""
    recipe = read_recipe(name, ["train.batch_size=4096", "model.depth=2"])
    pretraining = recipe.objective.kind == "masked-patch"
    if not pretraining:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"task": "single-label"})})
    use = memory_of_run(recipe, build_on_meta(recipe.model, pretraining=pretraining), "bf16", on_cuda=True)
    assert use.weights / 2**30 == pytest.approx(weights * 2 / 12, rel=0.15)
    assert use.activations > 50 * 2**30


# --- operations of a step -----------------------------------------------------------------------------------------


def _matmul(tokens: int, embed: int, depth: int) -> int:
    """Of one pass through the blocks: four square maps and a perceptron of four times the width, and attention."""
    return depth * (2 * tokens * embed * embed * 12 + 2 * 2 * tokens * tokens * embed)


@pytest.mark.parametrize("trained", ["all", "head", "none"])
def test_flops_of_training(trained: str) -> None:
    """Thrice the forward pass, but once what is frozen; by the formula of the transformer."""
    model: Any = build("ast", "meta")
    model.requires_grad_(trained == "all")
    model.head.requires_grad_(trained != "none")
    tokens = 12 * 12 + 2
    blocks = _matmul(tokens, 96, 2) * (3 if trained == "all" else 1)
    patches = 2 * 144 * 256 * 96 * (2 if trained == "all" else 1)  # the log-mel needs no gradient
    head = 2 * 96 * 10 * (1 if trained == "none" else 3)  # of which one for its norm
    assert training_flops_per_clip(model) == blocks + patches + head


def test_flops_of_training_are_those_after_patchout() -> None:
    kept = (12 - 3) * (12 - 4) + 2
    count = training_flops_per_clip(build("passt", "cpu"))
    assert count == 3 * _matmul(kept, 96, 2) + 2 * 2 * 144 * 256 * 96 + 3 * 2 * 96 * 10


def test_flops_of_pretraining_do_not_depend_on_the_sampler_or_on_recomputing() -> None:
    counts = {
        training_flops_per_clip(build("pretrain", "meta", recompute, mask_sampler=sampler))
        for sampler in ("even", "released")
        for recompute in (False, True)
    }
    twice = training_flops_per_clip(build("pretrain", "meta", separate_masks=True))
    assert len(counts) == 1
    assert 1.7 < twice / counts.pop() < 2


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("family", "recompute"),
    [
        ("ast", False),
        ("ast", True),
        ("pretrain", False),
        ("pretrain", True),
        ("visible", False),
        ("passt", False),
        ("passt", True),
        ("cnn", False),
    ],
)
def test_within_a_fifth_of_what_a_gpu_measures(family: str, precision: Precision, recompute: bool) -> None:
    sizes = {} if family == "cnn" else {"embed_dim": 384, "num_heads": 6, "depth": 6}
    patchout = {"patchout_freq": 4, "patchout_time": 40} if family == "passt" else {}
    fields = {"n_frames": 998, **sizes, **patchout}
    use = memory_of_step(
        build(family, "meta", recompute, **fields), objective(family), part(32, 998), precision=precision, on_cuda=True
    )
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model = build(family, "cpu", recompute, **fields).cuda()
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    device = torch.device("cuda")
    for _ in range(2):
        run_step(model, objective(family), part(32, 998, "cuda"), 1, optimiser.step, precision, device)
    assert use.total == pytest.approx(torch.cuda.max_memory_allocated() - before, rel=0.2)
