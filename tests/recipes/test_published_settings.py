"""Documents and recipes say the same about published settings, and recipes what their models were made by."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.recipes.conftest import SMALL
from zoo.models.cost import build_on_meta
from zoo.recipe import Recipe, parse_recipe, read_recipe, recipe_names, resolved
from zoo.run.folder import check_front_end
from zoo.weights.load import check_fit
from zoo.weights.source import read

DOCS = Path(__file__).resolve().parents[2] / "docs"
FRAME = """\
name: tiny
model: {kind: ast, embed_dim: 16, depth: 1, num_heads: 2}
objective: {kind: classification}
"""
# The block of a document, counted from 0, and the recipes that it describes.
AUGMENTATION = {
    0: ["audioset/ast-full", "audioset/ast-balanced", "audioset/ssast-patch-balanced", "audioset/ssast-patch-full"],
    1: ["esc50/ast-imagenet", "esc50/ast-audioset"],
    2: ["esc50/ssast-patch", "esc50/ssast-frame"],
    3: ["speech-commands-v2/ast", "speech-commands-v2/ssast-frame", "speech-commands-v2/ssast-patch"],
    5: ["audioset/passt", "audioset/passt-stride16", "audioset/passt-20s", "openmic2018/passt"],
    6: ["esc50/passt"],
    7: ["fsd50k/passt", "fsd50k/passt-stride16"],
}
OPTIMISATION = {
    0: ["audioset/ast-full"],
    1: ["audioset/ast-balanced"],
    2: ["esc50/ast-audioset"],
    3: ["speech-commands-v2/ast"],
    4: ["esc50/ssast-patch", "esc50/ssast-frame"],
    5: ["speech-commands-v2/ssast-frame"],
    6: ["audioset/ssast-patch-balanced", "audioset/ssast-frame-balanced"],
    7: ["speech-commands-v1/ssast-frame"],
    8: ["audioset/passt", "audioset/passt-no-patchout"],
    9: ["fsd50k/passt", "fsd50k/passt-stride16"],
    10: ["esc50/passt"],
}
CASES = [
    (document, number, name)
    for document, recipes in (("augmentation", AUGMENTATION), ("optimisation", OPTIMISATION))
    for number, names in recipes.items()
    for name in names
]
ABLATIONS = sorted(path.stem for path in (DOCS.parent / "recipes/compare/ast-ablations").glob("*.yaml"))


def _block(document: str, number: int) -> str:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / f"{document}.md").read_text(encoding="utf-8"), re.DOTALL)[number]


@pytest.mark.parametrize(("document", "number", "name"), CASES)
def test_a_document_has_the_settings_of_the_recipe(document: str, number: int, name: str) -> None:
    block = _block(document, number)
    stated = yaml.safe_load(block)
    rest = "" if "train" in stated else "train: {steps: 2000}\n"
    described: Any = resolved(parse_recipe(f"{FRAME}{block}{rest}", document, ["data.task=single-label"]))
    recipe: Any = resolved(read_recipe(f"finetune/{name}"))
    for section, values in stated.items():
        # What a document leaves out is the default, but for the data and the length.
        keys = values if section in ("data", "train") else described[section]
        for key in keys:
            assert recipe[section][key] == described[section][key], f"{section}.{key}"


@pytest.mark.parametrize("name", [name for name in ABLATIONS if name != "imagenet"])
def test_an_ablation_changes_one_thing(name: str) -> None:
    published: Any = resolved(read_recipe("finetune/audioset/ast-balanced"))
    changed: Any = resolved(read_recipe(f"compare/ast-ablations/{name}"))
    base: Any = resolved(read_recipe("compare/ast-ablations/imagenet"))
    for section in published:
        if section not in ("name", "model", "init"):
            assert changed[section] == base[section] == published[section]
    assert base["model"] == published["model"]
    assert base["init"] == {**published["init"], "positions": "official"}
    different = {key for part in ("model", "init") for key in base[part] if changed[part][key] != base[part][key]}
    expected = {
        "no-imagenet": {"from", "positions"},
        "positions-reinit": {"positions"},
        "positions-nearest": {"positions"},
        "overlap-0": {"stride"},
        "overlap-2": {"stride"},
        "overlap-4": {"stride"},
        "patch-16x16": {"from", "positions", "stride"},
        "patch-128x2": {"from", "positions", "stride", "patch_size"},
        "patch-32x32": {"from", "positions", "stride", "patch_size"},
    }
    assert different == expected[name]


def _patches(recipe: Recipe) -> int:
    config: Any = recipe.model
    return int(config.grid.num_patches)


@pytest.mark.parametrize(
    ("name", "patches"),
    [
        ("compare/ast-ablations/imagenet", 1212),
        ("compare/ast-ablations/overlap-4", 850),
        ("compare/ast-ablations/overlap-2", 657),
        ("compare/ast-ablations/overlap-0", 512),
        ("compare/ast-ablations/patch-128x2", 512),
        ("finetune/esc50/ast-imagenet", 600),
        ("finetune/speech-commands-v2/ast", 144),
        ("finetune/speech-commands-v1/ssast-patch", 108),
        ("finetune/speech-commands-v1/ssast-frame", 99),
        ("finetune/esc50/ssast-frame", 511),
        ("finetune/audioset/ssast-frame-balanced", 1023),
        ("finetune/audioset/passt", 1188),
        ("finetune/audioset/passt-stride14", 639),
        ("finetune/audioset/passt-stride16", 496),
        ("finetune/esc50/passt", 588),
    ],
)
def test_the_patches_of_a_clip_are_as_many_as_published(name: str, patches: int) -> None:
    assert _patches(read_recipe(name)) == patches


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("audioset/passt", 474),
        ("audioset/passt-unstructured400", 790),
        ("audioset/passt-unstructured600", 590),
        ("audioset/passt-stride14", 248),
        ("audioset/passt-stride16", 296),
        ("esc50/passt", 353),
        ("fsd50k/passt", 714),
        ("fsd50k/passt-stride16", 366),
        ("openmic2018/passt", 474),
    ],
)
def test_patchout_leaves_the_published_number_of_tokens(name: str, tokens: int) -> None:
    config: Any = read_recipe(f"finetune/{name}").model
    model = config.model_copy(update={"embed_dim": 24, "depth": 1, "num_heads": 2}).build()
    assert model.embedding.patchout.num_kept(config.grid) + 2 == tokens


def test_averages_are_of_as_many_epochs_as_published() -> None:
    """PaSST's SWA: 17 snapshots on AudioSet, 14 on FSD50K, 9 on ESC-50 and OpenMIC. AST: 5 epochs, and 20."""
    snapshots = {"audioset/passt": 17, "fsd50k/passt": 14, "esc50/passt": 9, "openmic2018/passt": 9}
    for name, number in snapshots.items():
        run: Any = read_recipe(f"finetune/{name}").train
        assert len(range(run.average.start, run.epochs + 1, run.average.every)) == number
    for name, number in {"audioset/ast-full": 5, "audioset/ast-balanced": 20}.items():
        average: Any = read_recipe(f"finetune/{name}").train.average
        assert average.last - average.first + 1 == number


STARTED = [
    name
    for name in recipe_names()
    if name.startswith(("finetune/", "compare/")) and read_recipe(name).init.path is not None
]


@pytest.mark.parametrize("name", STARTED)
def test_weights_come_to_the_geometry_as_the_released_code_brings_them(
    name: str, small_weights: Callable[[str], Path]
) -> None:
    """AST's and SSAST's positions by the released rule, slips included; PaSST's tables as they are."""
    recipe = read_recipe(name)
    assert recipe.init.path is not None
    source = read(small_weights(recipe.init.path))
    check_front_end(recipe, source)
    model = build_on_meta(recipe.model.model_copy(update=SMALL))
    positions = [note for note in check_fit(model, source, recipe.init) if note.startswith("positions: ")]
    if source.rule == "passt":
        assert positions == []
    elif recipe.init.positions == "auto":
        assert [note.split(",")[0] for note in positions] == ["positions: official"]
    else:
        assert positions[0].startswith(("positions: fresh", f"positions: {recipe.init.positions}"))


def test_some_recipes_start_from_published_weights() -> None:
    assert len(STARTED) >= 35


# By hand from the released scripts, not by way of the documents: lr, batch, epochs, steps of warm-up, rule of the
# step schedule (start, every, gamma), mixup, widths of masks (mel bands, frames), noise, sampling, averaged epochs.
RELEASED: dict[str, tuple[Any, ...]] = {
    "audioset/ast-full": (1e-5, 12, 5, 1000, (2, 1, 0.5), 0.5, (48, 192), 0.0, True, (1, 5)),
    "audioset/ast-balanced": (5e-5, 12, 25, 1000, (10, 5, 0.5), 0.5, (48, 192), 0.0, False, (6, 25)),
    "audioset/ssast-patch-balanced": (5e-5, 12, 25, 0, (10, 5, 0.5), 0.5, (48, 192), 0.0, False, (6, 25)),
    "audioset/ssast-frame-balanced": (5e-5, 12, 25, 0, (10, 5, 0.5), 0.5, (48, 192), 0.0, False, (6, 25)),
    "esc50/ast-audioset": (1e-5, 48, 25, 0, (5, 1, 0.85), None, (24, 96), 0.0, False, None),
    "esc50/ast-imagenet": (1e-4, 48, 25, 0, (5, 1, 0.85), None, (24, 96), 0.0, False, None),
    "esc50/ssast-patch": (1e-4, 48, 50, 0, (6, 1, 0.85), None, (24, 96), 0.1, False, None),
    "esc50/ssast-frame": (1e-4, 48, 50, 0, (6, 1, 0.85), None, (24, 96), 0.1, False, None),
    "speech-commands-v2/ast": (2.5e-4, 128, 30, 0, (5, 1, 0.85), 0.6, (48, 48), 0.1, False, None),
    "speech-commands-v2/ssast-frame": (2.5e-4, 128, 30, 1000, (5, 1, 0.85), 0.6, (48, 48), 0.1, False, None),
}


@pytest.mark.parametrize("name", RELEASED)
def test_the_settings_are_those_of_the_released_scripts(name: str) -> None:
    recipe: Any = read_recipe(f"finetune/{name}")
    schedule, augment, average = recipe.schedule, recipe.augment, recipe.train.average
    found = (
        recipe.optim.lr,
        recipe.train.batch_size,
        recipe.train.epochs,
        schedule.warmup_steps,
        (schedule.start_epoch, schedule.every_epochs, schedule.gamma),
        augment.waveform_mixup and augment.waveform_mixup.probability,
        (augment.freq_mask, augment.time_mask),
        augment.log_mel_noise,
        recipe.data.sampling.kind == "balanced",
        (average.first, average.last) if average.kind == "epochs" else None,
    )
    assert found == RELEASED[name]
    assert (recipe.optim.kind, recipe.optim.betas, recipe.optim.weight_decay) == ("adam", (0.95, 0.999), 5e-7)
