"""Pretraining recipes have the published numbers, and each ablation changes what its name says, and nothing else."""

from typing import Any

import pytest

from zoo.models.cost import build_on_meta, num_parameters
from zoo.recipe import read_recipe, recipe_differences, recipe_names

WHOLE, FRAMES = "pretrain/ssast-patch-base", "pretrain/ssast-frame-base"
ONE_PASS = {"model.separate_masks": False}
OTHER_DATA = {"train.epochs": None, "train.clips": 22_343_230}
ABLATIONS: dict[str, dict[str, Any]] = {
    "masked-100": {"model.num_masked": 100},
    "masked-250": {"model.num_masked": 250},
    "masked-400": {},
    "frame-masked-250": {"model.num_masked": 250},
    "reconstruct-only": {"objective.classify_weight": 0, **ONE_PASS},
    "classify-only": {"objective.reconstruct_weight": 0, **ONE_PASS},
    "audioset-20k": OTHER_DATA,
    "audioset": OTHER_DATA,
    "librispeech": OTHER_DATA,
}


def _changed(name: str, base: str) -> dict[str, Any]:
    found = {key: after for key, _, after in recipe_differences(read_recipe(base), read_recipe(name))}
    found.pop("name", None)
    return found


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_one_thing(name: str) -> None:
    base = FRAMES if name.startswith("frame") else WHOLE
    assert _changed(f"pretrain/ablations/{name}", base) == ABLATIONS[name]


def test_all_ablations_are_looked_at() -> None:
    names = {name.removeprefix("pretrain/ablations/") for name in recipe_names() if "pretrain/ablations/" in name}
    assert names == set(ABLATIONS)


def test_visible_changes_the_encoder_alone() -> None:
    assert _changed("pretrain/ssast-patch-base-visible", WHOLE) == {"model.encode": "visible", **ONE_PASS}


# Batch and rate of the released scripts run_mask_patch.sh, run_mask_frame.sh and their tiny forms. Small has no script.
@pytest.mark.parametrize(
    ("size", "width", "heads", "batch", "rate"),
    [("base", 768, 12, 24, 1e-4), ("small", 384, 6, 60, 2.5e-4), ("tiny", 192, 3, 120, 5e-4)],
)
@pytest.mark.parametrize(
    ("form", "patch", "sides"), [("patch", (16, 16), (3, 5)), ("frame", (128, 2), (1, 1))], ids=["patch", "frame"]
)
def test_the_published_numbers(
    form: str,
    patch: tuple[int, int],
    sides: tuple[int, int],
    size: str,
    width: int,
    heads: int,
    batch: int,
    rate: float,
) -> None:
    recipe: Any = read_recipe(f"pretrain/ssast-{form}-{size}")
    model, optim = recipe.model, recipe.optim
    assert (model.embed_dim, model.depth, model.num_heads) == (width, 12, heads)
    assert model.patch_size == model.stride == patch
    assert (model.cluster_size, model.num_masked, model.grid.num_patches) == (sides, 400, 512)
    assert model.separate_masks
    assert (model.encode, model.masks_per_clip) == ("all", 1)
    assert (recipe.objective.reconstruct_weight, recipe.objective.classify_weight) == (10, 1)
    assert (recipe.objective.normalise_targets, recipe.objective.temperature) == (False, 1)
    assert (optim.kind, optim.lr, optim.betas, optim.weight_decay) == ("adam", rate, (0.95, 0.999), 5e-7)
    assert (recipe.train.batch_size, recipe.train.epochs) == (batch, 10)
    assert recipe.schedule.warmup_clips == 1000 * batch
    assert recipe.evaluate.every_clips == 96_000
    assert (recipe.front_end.mean, recipe.front_end.std) == (-4.2677393, 4.5689974)
    assert set(_changed(f"pretrain/ssast-{form}-{size}", WHOLE)) <= {
        *("model.embed_dim", "model.num_heads", "model.patch_size", "model.stride", "model.cluster_size"),
        *("optim.lr", "train.batch_size", "schedule.warmup_clips", "evaluate.batch_size", "log.every_clips"),
    }


def test_the_recipe_for_a_cpu_is_small() -> None:
    """At most a million parameters, heads included; and what fine-tunes it has its geometry and front end."""
    recipe, tuned = read_recipe("pretrain/cpu"), read_recipe("quickstart/ssast")
    assert num_parameters(build_on_meta(recipe.model, pretraining=True)) <= 1_000_000
    assert recipe.front_end == tuned.front_end
    different = [key for key, *_ in recipe_differences(recipe, tuned) if key.startswith("model.")]
    # Not geometry: what fresh weights are, and how patches are hidden.
    assert set(different) <= {"model.num_classes", "model.initial_values", "model.cluster_size"}
