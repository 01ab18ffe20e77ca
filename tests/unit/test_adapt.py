"""Weights brought to another geometry: channels, patch sizes, prefix tokens, positions of every kind, and the notes."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo.errors import CheckpointError
from zoo.models.registry import build_model, preset_config
from zoo.nn.patch import PatchGrid
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.adapt import resize_kernel
from zoo.weights.positions import released_ssast

SMALL: dict[str, Any] = {"embed_dim": 12, "depth": 1, "num_heads": 2, "n_mels": 48, "num_classes": 3}


def saved(folder: Path, preset: str = "ast-tiny", origin: str | None = None, **overrides: Any) -> Any:
    """A checkpoint folder; with `origin` as if converted from released code."""
    config = preset_config(preset, **{**SMALL, "n_frames": 96, **overrides})
    model = build_model(config)
    described: dict[str, Any] = {"model": config.model_dump(mode="json")}
    if origin is not None:
        described["origin"] = {"format": f"official {origin}", "rule": origin}
    save_checkpoint(folder, model.state_dict(), described)
    return model.eval()


def image(tmp_path: Path, num_tokens: int = 2, channels: int = 3, side: int = 4, patch: int = 16) -> dict[str, Any]:
    """A DeiT or ViT of 12 channels and one layer, with the path of its file under `path`."""
    torch.manual_seed(1)
    shapes = {
        "patch_embed.proj.weight": (12, channels, patch, patch),
        "patch_embed.proj.bias": (12,),
        "cls_token": (1, 1, 12),
        "pos_embed": (1, num_tokens + side * side, 12),
        "norm.weight": (12,),
        "norm.bias": (12,),
        "head.weight": (10, 12),
        "head.bias": (10,),
        "blocks.0.norm1.weight": (12,),
        "blocks.0.norm1.bias": (12,),
        "blocks.0.norm2.weight": (12,),
        "blocks.0.norm2.bias": (12,),
        "blocks.0.attn.qkv.weight": (36, 12),
        "blocks.0.attn.qkv.bias": (36,),
        "blocks.0.attn.proj.weight": (12, 12),
        "blocks.0.attn.proj.bias": (12,),
        "blocks.0.mlp.fc1.weight": (48, 12),
        "blocks.0.mlp.fc1.bias": (48,),
        "blocks.0.mlp.fc2.weight": (12, 48),
        "blocks.0.mlp.fc2.bias": (12,),
    }
    if num_tokens == 2:
        shapes |= {"dist_token": (1, 1, 12), "head_dist.weight": (10, 12), "head_dist.bias": (10,)}
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    torch.save({"model": state}, tmp_path / "image.pth")
    return {**state, "path": tmp_path / "image.pth"}


def from_image(state: dict[str, Any], **overrides: Any) -> Any:
    return zoo.load(state["path"], own={"num_heads": 2}, n_mels=48, n_frames=96, num_classes=3, **overrides)


def test_channels_are_added_up_or_averaged(tmp_path: Path) -> None:
    state = image(tmp_path)
    kernel = state["patch_embed.proj.weight"]
    assert torch.equal(from_image(state).embedding.patch.proj.weight, kernel.sum(1, keepdim=True))
    torch.testing.assert_close(
        from_image(state, channels="mean").embedding.patch.proj.weight, kernel.mean(1, keepdim=True)
    )
    assert "patch kernel: sum of 3 channels" in from_image(state).load_notes


def test_prefix_tokens_of_every_number(tmp_path: Path) -> None:
    vit = image(tmp_path, num_tokens=1)
    model = from_image(vit)
    for token in (model.embedding.prefix.cls_token, model.embedding.prefix.dist_token):
        assert torch.equal(token, vit["cls_token"])
    deit = image(tmp_path)
    both = from_image(deit).embedding.prefix
    assert torch.equal(both.cls_token, deit["cls_token"])
    assert torch.equal(both.dist_token, deit["dist_token"])
    assert torch.equal(both.position, deit["pos_embed"][:, :2])
    averaged = from_image(deit, cls="averaged").embedding.prefix
    mean = (deit["cls_token"] + deit["dist_token"]) / 2
    torch.testing.assert_close(averaged.cls_token, mean)
    torch.testing.assert_close(averaged.dist_token, mean)
    torch.testing.assert_close(averaged.position[:, :1], deit["pos_embed"][:, :2].mean(1, keepdim=True))


@pytest.mark.parametrize("new", [(16, 16), (20, 16), (24, 32)])
def test_a_larger_patch_gives_the_same_token(new: tuple[int, int]) -> None:
    kernel, patches = torch.randn(5, 1, 16, 16), torch.randn(9, 1, 16, 16)
    before = F.conv2d(patches, kernel)
    larger = F.interpolate(patches, new, mode="bilinear", align_corners=False)
    torch.testing.assert_close(F.conv2d(larger, resize_kernel(kernel, new)), before, rtol=1e-3, atol=1e-3)


def test_patch_size_is_resampled_or_fresh(tmp_path: Path) -> None:
    model = saved(tmp_path / "c")
    other: Any = zoo.load(tmp_path / "c", patch_size=(24, 8))
    assert other.embedding.patch.proj.weight.shape == (12, 1, 24, 8)
    assert torch.equal(other.embedding.patch.proj.bias, model.embedding.patch.proj.bias)
    expected = resize_kernel(model.embedding.patch.proj.weight.detach(), (24, 8))
    assert torch.equal(other.embedding.patch.proj.weight, expected)
    fresh: Any = zoo.load(tmp_path / "c", patch_size=(24, 8), patches="reinit")
    assert not torch.equal(fresh.embedding.patch.proj.bias, model.embedding.patch.proj.bias)


def test_the_zoos_own_checkpoints_keep_true_time(tmp_path: Path) -> None:
    model = saved(tmp_path / "c")
    shorter: Any = zoo.load(tmp_path / "c", n_frames=46)
    assert torch.equal(shorter.embedding.position.table, model.embedding.position.table[:, :4])
    cut: Any = zoo.load(tmp_path / "c", n_frames=46, positions="official")
    assert torch.equal(cut.embedding.position.table, model.embedding.position.table[:, 2:6])


def test_released_checkpoints_are_cut_as_released(tmp_path: Path) -> None:
    model = saved(tmp_path / "c", origin="ast")
    shorter: Any = zoo.load(tmp_path / "c", n_frames=46)
    assert torch.equal(shorter.embedding.position.table, model.embedding.position.table[:, 2:6])
    assert "positions: official, 4x9 to 4x4" in shorter.load_notes


def test_released_ssast_blurs_other_rows_than_eight_even_on_an_equal_grid(tmp_path: Path) -> None:
    """Its released code stretches through 8 rows whatever the grid; pretraining itself goes on untouched."""
    config = preset_config("ssast-patch-tiny", **{**SMALL, "n_mels": 64, "n_frames": 96, "num_masked": 9})
    pretrained: Any = build_model(config, pretraining=True)
    described = {"model": config.model_dump(mode="json"), "pretraining": True}
    origin = {"format": "official SSAST (pretraining)", "rule": "ssast"}
    save_checkpoint(tmp_path / "p", pretrained.state_dict(), {**described, "origin": origin})
    table = pretrained.backbone.embedding.position.table.detach()
    tuned: Any = zoo.load(tmp_path / "p", num_classes=3)
    assert torch.equal(tuned.embedding.position.table, released_ssast(table, PatchGrid(4, 6)))
    assert not torch.equal(tuned.embedding.position.table, table)
    for kept in (zoo.load(tmp_path / "p"), zoo.load(tmp_path / "p", positions="resample", num_classes=3)):
        assert torch.equal(getattr(kept, "backbone", kept).embedding.position.table, table)


def test_a_passt_of_another_origin_becomes_an_ast(tmp_path: Path) -> None:
    """TorchOnlyAST's PaSST follows AST's rule, which has nothing to say about two tables."""
    passt = saved(tmp_path / "p", "passt-tiny", origin="ast", patchout_freq=0, patchout_time=0)
    x = torch.randn(2, 48, 96)
    torch.testing.assert_close(zoo.load(tmp_path / "p", kind="ast")(x), passt(x))


def test_what_the_released_code_cannot_do_is_resampled_and_said(tmp_path: Path) -> None:
    saved(tmp_path / "c", origin="ast")
    other: Any = zoo.load(tmp_path / "c", stride=(16, 16))
    note = next(note for note in other.load_notes if note.startswith("positions"))
    assert note.startswith("positions: resample, 4x9 to 3x6 (the released code keeps the stride of 10x10")
    with pytest.raises(CheckpointError, match="positions: official of 4x9 to 3x6 - the released code keeps the stride"):
        zoo.load(tmp_path / "c", stride=(16, 16), positions="official")


def test_fresh_positions_keep_the_prefix(tmp_path: Path) -> None:
    model = saved(tmp_path / "c")
    other: Any = zoo.load(tmp_path / "c", positions="reinit")
    assert not torch.equal(other.embedding.position.table, model.embedding.position.table)
    assert torch.equal(other.embedding.prefix.position, model.embedding.prefix.position)


def test_nearest_takes_entries_as_they_are(tmp_path: Path) -> None:
    model = saved(tmp_path / "c")
    other: Any = zoo.load(tmp_path / "c", n_frames=196, positions="nearest")
    before, after = model.embedding.position.table, other.embedding.position.table
    assert after.shape == (4, 19, 12)
    assert (after[:, :, None] == before[:, None]).all(-1).any(2).all()


def test_between_kinds(tmp_path: Path) -> None:
    """PaSST's two tables are their sum in an AST; a whole table becomes the two whose sum is nearest."""
    passt = saved(tmp_path / "p", "passt-tiny", patchout_freq=0, patchout_time=0)
    as_ast: Any = zoo.load(tmp_path / "p", kind="ast")
    position = passt.embedding.position
    expected = (position.freq[:, None] + position.time[None])[:, : as_ast.embedding.position.table.shape[1]]
    torch.testing.assert_close(as_ast.embedding.position.table, expected.detach())
    x = torch.randn(2, 48, 96)
    torch.testing.assert_close(as_ast(x), passt(x))
    ast = saved(tmp_path / "a")
    as_passt: Any = zoo.load(tmp_path / "a", kind="passt")
    torch.testing.assert_close(as_passt.embedding.position.freq, ast.embedding.position.table.mean(1).detach())
    as_ssast: Any = zoo.load(tmp_path / "a", kind="ssast")
    assert torch.equal(as_ssast.tokens(x), ast.tokens(x))


def test_more_mel_bands_keep_true_frequency(tmp_path: Path) -> None:
    model = saved(tmp_path / "c")
    other: Any = zoo.load(tmp_path / "c", n_mels=96)
    before, after = model.embedding.position.table, other.embedding.position.table
    assert after.shape == (9, 9, 12)
    # Row 4 of 9 has its centre at (40 + 8) / 96, half of the range; of 48 bands that is 24, row 1.6 of 4.
    torch.testing.assert_close(after[4], torch.lerp(before[1], before[2], 0.6).detach())


def test_unknown_words_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "c")
    with pytest.raises(zoo.RecipeError, match="load: positions: found 'offical'"):
        zoo.load(tmp_path / "c", positions="offical")
    with pytest.raises(zoo.RecipeError, match=r"load: found 'n_frame'.* did you mean 'n_frames'"):
        zoo.load(tmp_path / "c", n_frame=4)
