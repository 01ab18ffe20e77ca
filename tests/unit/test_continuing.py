"""Pretraining goes on from others' weights and from our own: what comes along, what starts afresh, and that it works.

Proof that heads were really taken: the first loss of the new run is the last one of the old, at the same masks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.unit.pretrained import (
    FRAME,
    HEADS,
    PATCH,
    WIDTH,
    assert_same_blocks,
    assert_same_weights,
    config_of,
    loss_of,
    made,
    ours,
    released,
    released_ssast,
    started,
)
from zoo.models.masked_patch import BACKBONE
from zoo.weights.formats.official_ast import OfficialAst
from zoo.weights.positions import resample
from zoo.weights.tensor_names import CLS, DIST, KERNEL, TABLE


@pytest.mark.parametrize("preset", [PATCH, FRAME])
def test_from_released_ssast_with_its_heads(preset: str, tmp_path: Path) -> None:
    config = config_of(preset)
    source = released_ssast(tmp_path / "s.pth", config)
    model, report = started(tmp_path / "s.pth", config)
    assert_same_weights(model, source)
    assert report.fresh == ()
    assert "pretraining heads and mask token: the checkpoint's" in report.notes
    assert loss_of(model, 1024, softmax_over="predictions") == loss_of(source, 1024, softmax_over="predictions")
    assert loss_of(made(config, True, seed=1), 1024)["loss"] != pytest.approx(loss_of(source, 1024)["loss"], rel=1e-3)


@pytest.mark.parametrize("preset", [PATCH, FRAME])
@pytest.mark.parametrize("write", [ours, released_ssast])
def test_on_shorter_clips_it_is_the_model_that_it_was(preset: str, write: Callable[..., Any], tmp_path: Path) -> None:
    """A shorter model has the first columns, so that on a short clip it is what the longer one is on it."""
    long, path = config_of(preset, n_frames=1024, num_masked=0.7), tmp_path / "checkpoint"
    source = write(path, long)
    short = config_of(preset, n_frames=192, num_masked=0.7)
    model, report = started(path, short)
    assert_same_weights(model, source, but=("position.table",))
    assert any(note.startswith("positions: resample") for note in report.notes)
    assert loss_of(model, 192) == pytest.approx(loss_of(source, 192))


@pytest.mark.parametrize("preset", [PATCH, FRAME])
def test_on_longer_clips(preset: str, tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of(preset, n_frames=192, num_masked=0.7))
    model, report = started(tmp_path / "c", config_of(preset, n_frames=480, num_masked=0.7))
    assert_same_weights(model, source, but=("position.table",))
    rows, columns = (8, 30) if preset == PATCH else (1, 240)
    before = source.backbone.embedding.position.table
    places = (torch.arange(columns, dtype=torch.float64) + 0.5) * 0.4 - 0.5  # 2.5 times as many over the same
    expected = resample(before, torch.arange(rows, dtype=torch.float64), places)
    assert torch.allclose(model.backbone.embedding.position.table, expected, atol=1e-6)
    assert any(f"to {rows}x{columns}" in note for note in report.notes)
    assert loss_of(model, 480)["loss"] > 0


def test_other_masks_and_the_other_form_of_passes_change_no_weight(tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of(PATCH, n_frames=192, num_masked=0.7))
    other = {"num_masked": 30, "cluster_size": (2, 2), "separate_masks": True, "mask_sampler": "released"}
    model, report = started(tmp_path / "c", config_of(PATCH, n_frames=192, **other))
    assert_same_weights(model, source)
    assert report.fresh == ()
    assert model.num_masked == 30


def test_other_mel_bands_keep_heads_of_the_same_patches(tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of(PATCH, n_frames=192, num_masked=0.7))
    model, _ = started(tmp_path / "c", config_of(PATCH, n_frames=192, n_mels=64, num_masked=0.7))
    assert_same_weights(model, source, but=("position.table",))


@pytest.mark.parametrize(
    ("there", "here", "size"),
    [
        (PATCH, {"preset": FRAME}, "16x16 there, 128x2 here"),  # as many values a patch, in another order
        (PATCH, {"preset": PATCH, "patch_size": (32, 16), "stride": (32, 16)}, "16x16 there, 32x16 here"),
        (FRAME, {"preset": PATCH}, "128x2 there, 16x16 here"),
        (FRAME, {"preset": FRAME, "n_mels": 64, "patch_size": (64, 2), "stride": (64, 2)}, "128x2 there, 64x2 here"),
    ],
)
def test_heads_for_other_patches_start_afresh(there: str, here: dict[str, Any], size: str, tmp_path: Path) -> None:
    """A head for one shape of patch says nothing about another, even where it gives as many values."""
    source = ours(tmp_path / "c", config_of(there, n_frames=192, num_masked=0.5))
    model, report = started(tmp_path / "c", config_of(**here, n_frames=192, num_masked=0.5))
    assert set(report.fresh) == HEADS - {"mask_token"}
    assert f"pretraining heads: fresh, for patches are {size}" in report.notes
    assert any(note.startswith("patch kernel: ") for note in report.notes)
    assert torch.equal(model.mask_token, source.mask_token)
    assert_same_blocks(model, source.backbone.state_dict())
    fresh = made(config_of(**here, n_frames=192, num_masked=0.5), True, seed=1)
    assert torch.equal(model.reconstruct.output.weight, fresh.reconstruct.output.weight)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ({}, {"encode": "visible"}),
        ({"encode": "visible"}, {}),
        ({"encode": "visible", "decoder_dim": WIDTH}, {}),  # heads of the same width, which read something else
        ({"encode": "visible"}, {"encode": "visible", "decoder_depth": 1}),
    ],
    ids=str,
)
def test_between_encoders_of_all_and_of_visible_patches(
    there: dict[str, Any], here: dict[str, Any], tmp_path: Path
) -> None:
    """The backbone goes on as it is. Heads read an encoder's tokens or a decoder's, and start afresh with them."""
    rest: dict[str, Any] = {"n_frames": 192, "num_masked": 0.7}
    source = ours(tmp_path / "c", config_of(PATCH, **rest, **there))
    model, report = started(tmp_path / "c", config_of(PATCH, **rest, **here))
    fresh, backbone = made(config_of(PATCH, **rest, **here), True, seed=1), source.backbone.state_dict()
    for name, tensor in model.state_dict().items():
        expected = backbone[name.removeprefix(BACKBONE)] if name.startswith(BACKBONE) else fresh.state_dict()[name]
        assert torch.equal(tensor, expected), name
    assert set(report.fresh) == {name for name in fresh.state_dict() if not name.startswith(BACKBONE)}
    why, listed = report.notes[-2:]
    assert why.startswith("pretraining heads: fresh, for they read ")
    assert set(listed.removeprefix("fresh: ").split(", ")) == (
        {"decoder.*", "reconstruct.*", "classify.*"} if "encode" in here else HEADS
    )
    assert loss_of(model, 192)["loss"] > 0


def test_visible_goes_on_with_its_decoder_and_heads(tmp_path: Path) -> None:
    config = config_of(PATCH, n_frames=192, num_masked=0.7, encode="visible")
    source = ours(tmp_path / "c", config)
    model, report = started(tmp_path / "c", config)
    assert_same_weights(model, source)
    assert report.fresh == ()
    assert loss_of(model, 192) == loss_of(source, 192)
    shorter, _ = started(tmp_path / "c", config.model_copy(update={"n_frames": 96}))
    assert loss_of(shorter, 96) == pytest.approx(loss_of(source, 96))


def deit(path: Path) -> dict[str, Tensor]:
    """A DeiT of this width as its authors write it: three channels, 14 x 14 positions, two classifiers."""
    model = made(config_of("ast-tiny", n_mels=224, n_frames=224, stride=(16, 16), num_classes=10), False)
    state = OfficialAst().export(model.state_dict(), model.config)
    image = {name.removeprefix("v."): tensor for name, tensor in state.items() if name.startswith("v.")}
    kernel = image["patch_embed.proj.weight"]
    image["patch_embed.proj.weight"] = torch.cat([kernel, 2 * kernel, 3 * kernel], dim=1)
    torch.save({"model": image}, path)
    return model.state_dict()


def test_from_imagenet(tmp_path: Path) -> None:
    """The kernel is the sum over the channels, the middle 8 rows of the positions stay, and the heads are new."""
    state = deit(tmp_path / "deit.pth")
    model, report = started(tmp_path / "deit.pth", config_of(PATCH))
    assert set(report.fresh) == HEADS
    assert torch.allclose(model.backbone.state_dict()[KERNEL], 6 * state[KERNEL])
    assert_same_blocks(model, state)
    assert torch.equal(model.backbone.state_dict()[CLS], state[CLS])
    assert torch.equal(model.backbone.state_dict()[DIST], state[DIST])
    columns = (torch.arange(64, dtype=torch.float64) + 0.5) * 14 / 64 - 0.5
    expected = resample(state[TABLE], torch.arange(3, 11, dtype=torch.float64), columns)
    assert torch.allclose(model.backbone.state_dict()[TABLE], expected, atol=1e-5)
    assert {"patch kernel: sum of 3 channels", "positions: official, 14x14 to 8x64"} <= set(report.notes)
    assert loss_of(model, 1024)["loss"] > 0


def test_from_imagenet_to_frames(tmp_path: Path) -> None:
    state = deit(tmp_path / "deit.pth")
    model, report = started(tmp_path / "deit.pth", config_of(FRAME))
    assert set(report.fresh) == HEADS
    assert_same_blocks(model, state)
    assert "patch kernel: 16x16 to 128x2, resample" in report.notes


@pytest.mark.parametrize("origin", ["released ast", "own ast", "own ssast, fine-tuned"])
def test_from_a_classifier_of_overlapping_patches(origin: str, tmp_path: Path) -> None:
    """At step 10 there are 12 x 101 patches; pretraining has none that overlap: positions at true time, new heads."""
    kind = PATCH if origin == "own ssast, fine-tuned" else "ast-tiny"
    config, path = config_of(kind, stride=(10, 10), num_classes=3), tmp_path / "checkpoint"
    is_released = origin == "released ast"
    source = released(path, OfficialAst(), config, False) if is_released else ours(path, config, False)
    model, report = started(path, config_of(PATCH, n_frames=512, num_masked=0.7))
    assert set(report.fresh) == HEADS
    state = source.state_dict()
    assert_same_blocks(model, state)
    assert torch.equal(model.backbone.state_dict()[KERNEL], state[KERNEL])
    centres = torch.arange(32, dtype=torch.float64) * 16 + 8
    rows = torch.arange(8, dtype=torch.float64) * 16 + 8
    expected = resample(state[TABLE], (rows - 8) / 10, (centres - 8) / 10)
    assert torch.allclose(model.backbone.state_dict()[TABLE], expected, atol=1e-6)
    assert any(note.startswith("positions: resample, 12x101 to 8x32") for note in report.notes)


def test_from_a_passt(tmp_path: Path) -> None:
    source = ours(tmp_path / "c", config_of("passt-tiny", num_classes=3, patchout_freq=2, patchout_time=4), False)
    model, report = started(tmp_path / "c", config_of(PATCH))
    assert set(report.fresh) == HEADS
    assert_same_blocks(model, source.state_dict())
