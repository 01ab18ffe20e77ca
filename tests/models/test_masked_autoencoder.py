"""`encode: visible` and several masks a clip: what they promise beyond what every pretraining model does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.models.cost import build_on_meta, training_flops_per_clip
from zoo.models.masked_patch import CLASSIFY, RECONSTRUCT, MaskedPatchModel
from zoo.models.registry import build_model, preset_config
from zoo.nn.patch import unfold_patches
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.export import convert

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 128, "num_masked": 20}
FORMS = ["patch", "frame"]


def small(form: str = "patch", **overrides: Any) -> MaskedPatchModel:
    fields = {**SMALL, "encode": "visible", **overrides}
    model: Any = zoo.build(f"ssast-{form}-tiny", pretraining=True, **fields)
    return model.eval()


def keys(batch: int) -> Tensor:
    return clip_keys(7, 0, torch.arange(batch))


def by_hand(model: Any, clip: Tensor, is_masked: Tensor) -> tuple[Tensor, Tensor]:
    """(reconstruct, classify) of one clip (mel, frame), patch by patch and token by token, without any padding."""
    embedding, decoder = model.backbone.embedding, model.decoder
    patches, grid = embedding.patches(clip[None])
    table = embedding.position.table
    prefix = embedding.prefix
    tokens = [prefix.cls_token[0, 0] + prefix.position[0, 0], prefix.dist_token[0, 0] + prefix.position[0, 1]]
    visible = [n for n in range(grid.num_patches) if not is_masked[n]]
    tokens += [patches[0, n] + table[n // grid.time, n % grid.time] for n in visible]
    encoded = decoder.embed(model.backbone.encoder(torch.stack(tokens)[None])[0])
    rows = [encoded[0], encoded[1]]
    quarter = decoder.width // 4
    for n in range(grid.num_patches):
        token = decoder.mask_token[0, 0] if is_masked[n] else encoded[2 + visible.index(n)]
        place = []
        for where in divmod(n, grid.time):
            angles = [where / 10000 ** (i / quarter) for i in range(quarter)]
            place += [torch.tensor(angles).sin(), torch.tensor(angles).cos()]
        rows.append(token + torch.cat(place))
    decoded = decoder.trunk(torch.stack(rows)[None])[0, 2:]
    asked = [n for n in range(grid.num_patches) if is_masked[n]]
    return model.reconstruct(decoded[None, asked])[0], model.classify(decoded[None, asked])[0]


@pytest.mark.parametrize("num_masked", [20, 0.7])
@pytest.mark.parametrize("form", FORMS)
def test_predictions_are_those_of_visible_tokens_put_together_one_by_one(form: str, num_masked: float) -> None:
    """In a batch of clips of several lengths, so with several numbers of visible patches."""
    torch.manual_seed(1)
    model, k, lengths = small(form, num_masked=num_masked), keys(4), [128, 97, 40, 16]
    for parameter in model.parameters():  # first values are small: nothing would be seen of a wrong position
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(4, 128, 128)
    for given in (None, torch.tensor(lengths)):
        found = model(x, given, k)
        for clip in range(4):
            alone = x[clip] if given is None else x[clip, :, : lengths[clip]]
            grid = model.backbone.embedding.grid_for(alone.shape[1])
            is_masked = model.draw(grid, k[clip : clip + 1])[0]
            for task, expected in zip(found, by_hand(model, alone, is_masked), strict=True):
                count = int(is_masked.sum())
                assert int(task.length[clip]) == count > 0
                torch.testing.assert_close(task.output[clip, :count], expected, atol=2e-5, rtol=1e-5)
                assert not task.output[clip, count:].any()


def test_the_encoder_sees_the_visible_patches_alone() -> None:
    model, seen = small(), []
    model.backbone.encoder.register_forward_hook(lambda _m, given, _o: seen.append((given[0].shape[1], given[1])))
    model(torch.randn(3, 128, 128), keys=keys(3))
    assert seen == [(2 + 44, None)]  # and nothing is padded, for which attention has faster kernels
    model(torch.randn(3, 128, 128), torch.tensor([128, 80, 50]), keys(3))
    assert seen[1][0] == 2 + 44
    assert (~seen[1][1]).sum(dim=1).tolist() == [2 + 44, 2 + 20, 2 + 4]


@pytest.mark.parametrize("encode", ["all", "visible"])
@pytest.mark.parametrize("form", FORMS)
def test_stated_masks_of_different_counts(form: str, encode: str) -> None:
    model, x = small(form, encode=encode), torch.randn(3, 128, 128)
    grid = model.backbone.embedding.grid_for(128)
    is_masked = torch.rand(3, grid.num_patches) < torch.tensor([[0.1], [0.5], [0.9]])
    together = model(x, masks=(is_masked, is_masked))
    for clip in range(3):
        alone = model(x[clip : clip + 1], masks=(is_masked[clip : clip + 1], is_masked[clip : clip + 1]))
        count = int(is_masked[clip].sum())
        for one, other in zip(together, alone, strict=True):
            assert int(one.length[clip]) == count
            torch.testing.assert_close(one.output[clip, :count], other.output[0], atol=1e-5, rtol=0)


def test_a_clip_that_is_all_hidden_or_all_padding_is_answered() -> None:
    model, x = small(), torch.randn(2, 128, 128)
    everything = torch.ones(2, 64, dtype=torch.bool)
    for task in model(x, masks=(everything, everything)):
        assert task.length.tolist() == [64, 64]
        assert task.output.isfinite().all()
    for task in model(x, torch.tensor([128, 3]), keys(2)):
        assert task.length.tolist() == [20, 0]
        assert task.output.isfinite().all()


def test_the_released_sampler_leaves_as_many_as_it_likes() -> None:
    """On a grid on which it masks one patch less than asked, no visible patch is lost."""
    torch.manual_seed(2)
    model, x, k = small(mask_sampler="released", num_masked=62), torch.randn(2, 128, 96), keys(2)
    found = model(x, keys=k)
    is_masked = model.draw(model.backbone.embedding.grid_for(96), k)
    assert is_masked.sum(dim=1).tolist() == [46, 46]  # of 48, where 47 would be asked for
    for clip in range(2):
        expected, _ = by_hand(model, x[clip], is_masked[clip])
        torch.testing.assert_close(found.reconstruct.output[clip, :46], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_pictures_show_what_forward_predicts(form: str) -> None:
    model, k, x = small(form), keys(2), torch.randn(2, 128, 120)
    num_frames = torch.tensor([120, 70])
    size = model.backbone.embedding.patch.patch_size
    details, (reconstruct, _) = model.details(x, num_frames, k), model(x, num_frames, k)
    drawn = unfold_patches(details.reconstructed, size, size)
    for clip in range(2):
        mask, count = details.is_masked[clip], int(reconstruct.length[clip])
        torch.testing.assert_close(drawn[clip][mask], reconstruct.output[clip, :count])
        assert torch.equal(drawn[clip][~mask], unfold_patches(x, size, size)[clip][~mask])


def test_clips_longer_than_the_model() -> None:
    """The decoder's sinusoids go on where they were; the backbone's table is stretched, as always."""
    torch.manual_seed(3)
    model, x = small(), torch.randn(1, 128, 200)
    with pytest.raises(zoo.ShapeError, match="expected at most 143"):
        model(x)
    with model.any_length():
        found = model(x, torch.tensor([200]), keys(1))
    longer: Any = zoo.build("ssast-patch-tiny", pretraining=True, **{**SMALL, "encode": "visible", "n_frames": 192})
    state = model.state_dict()
    name = "backbone.embedding.position.table"
    state[name] = torch.nn.functional.interpolate(
        state[name].permute(2, 0, 1)[None], (8, 12), mode="bilinear", align_corners=False
    )[0].permute(1, 2, 0)
    longer.load_state_dict(state)
    expected = longer.eval()(x, torch.tensor([200]), keys(1))
    torch.testing.assert_close(found.reconstruct.output, expected.reconstruct.output, atol=1e-5, rtol=0)


def test_training_under_autocast_and_with_dropout() -> None:
    model = small(masks_per_clip=2, dropout=0.1, drop_path=0.1).train()
    with torch.autocast("cpu", torch.bfloat16):
        tasks = model(torch.randn(2, 128, 128), torch.tensor([128, 70]))
    torch.stack([task.output.float().square().mean() for task in tasks]).sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


# --- several masks of a clip ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separate_masks", [False, True])
@pytest.mark.parametrize("encode", ["all", "visible"])
def test_each_mask_is_the_answer_to_that_mask_alone(encode: str, separate_masks: bool) -> None:
    """The first is the one of a single mask, the others are others, and all are drawn from the clip's key."""
    torch.manual_seed(4)
    several = small(encode=encode, separate_masks=separate_masks, masks_per_clip=3).train()
    single = small(encode=encode, separate_masks=separate_masks).train()
    single.load_state_dict(several.state_dict())
    x, num_frames, k = torch.randn(2, 128, 128), torch.tensor([128, 90]), keys(2)
    found, first = several(x, num_frames, k), single(x, num_frames, k)
    for task, one in zip(found, first, strict=True):
        assert task.output.shape[0] == 6
        assert torch.equal(task.target[:2], one.target)
        torch.testing.assert_close(task.output[:2], one.output, atol=1e-5, rtol=0)
        assert task.length.tolist() == one.length.tolist() * 3
        targets = task.target.unflatten(0, (3, 2))
        assert not torch.equal(targets[0], targets[1])
        assert not torch.equal(targets[1], targets[2])
    swapped = several(x.flip(0), num_frames.flip(0), k.flip(0))
    for task, other in zip(found, swapped, strict=True):
        assert torch.equal(task.target, other.target.unflatten(0, (3, 2)).flip(1).flatten(0, 1))
    # Stated one by one, each mask gives what it gave among the others.
    size = several.backbone.embedding.patch.patch_size
    values = unfold_patches(x, size, size)
    for number in range(3):
        masks = []
        for task in found:
            rows = task.target.unflatten(0, (3, 2))[number]
            lengths = task.length[:2]
            masks.append(
                torch.stack([(rows[c, : lengths[c], None] == values[c]).all(dim=2).any(dim=0) for c in range(2)])
            )
        alone = single(x, num_frames, masks=(masks[0], masks[1]))
        for task, one in zip(found, alone, strict=True):
            there = task.output.unflatten(0, (3, 2))[number]
            torch.testing.assert_close(there, one.output, atol=1e-5, rtol=0)


def test_the_clip_is_embedded_once_and_evaluation_has_one_mask() -> None:
    model, calls = small(masks_per_clip=4), []
    model.backbone.embedding.patch.register_forward_hook(lambda _m, given, _o: calls.append(given[0].shape[0]))
    x, k = torch.randn(2, 128, 128), keys(2)
    assert model.train()(x, keys=k).reconstruct.output.shape[0] == 8
    evaluated = model.eval()(x, keys=k)
    assert evaluated.reconstruct.output.shape[0] == 2
    assert calls == [2, 2]
    assert torch.equal(model.train()(x, keys=k).reconstruct.target[:2], evaluated.reconstruct.target)


def test_the_loss_of_several_masks_is_the_mean_over_all_their_patches() -> None:
    torch.manual_seed(5)
    several, single = small(masks_per_clip=3).train(), small()
    single.load_state_dict(several.state_dict())
    x, num_frames, k = torch.randn(2, 128, 128), torch.tensor([128, 40]), keys(2)
    task = several(x, num_frames, k).reconstruct
    total = count = 0.0
    for row in range(6):
        for place in range(int(task.length[row])):
            total += float((task.output[row, place] - task.target[row, place]).square().mean().detach())
            count += 1
    _, weight, scalars = MaskedPatchConfig().build()(several, _inputs(x, num_frames, k))
    assert float(weight) == count == 3 * (20 + 15)
    assert float(scalars["loss/reconstruct"]) == pytest.approx(total / count, rel=1e-5)
    assert float(scalars["pretext/chance"]) == pytest.approx(6 / count)


def _inputs(x: Tensor, num_frames: Tensor, k: Tensor) -> Any:
    return Inputs(x, num_frames, None, k, ("a", "b"))


# --- names, sizes and costs -------------------------------------------------------------------------------------------


def test_the_backbone_is_that_of_fine_tuning_and_nothing_else_has_the_name_of_another() -> None:
    state = small().state_dict()
    tuned = {n for n in zoo.build("ssast-patch-tiny", **SMALL).state_dict() if not n.startswith("head.")}
    assert {n.removeprefix("backbone.") for n in state if n.startswith("backbone.")} == tuned
    assert {n.split(".")[0] for n in state if not n.startswith("backbone.")} == {"decoder", "reconstruct", "classify"}
    assert "decoder.mask_token" in state
    assert not any("position" in n for n in state if n.startswith("decoder."))  # of no length, of no grid


@pytest.mark.parametrize(
    ("fields", "width"),
    [
        ({}, 12),
        ({"embed_dim": 192, "num_heads": 3}, 96),
        ({"embed_dim": 50, "num_heads": 5}, 40),
        ({"decoder_dim": 36}, 36),
    ],
)
def test_width_of_the_decoder(fields: dict[str, Any], width: int) -> None:
    model: Any = small(**fields)
    assert model.decoder.width == width
    assert model.reconstruct.hidden.in_features == width
    assert model.decoder.trunk.blocks[0].attn.num_heads == fields.get("num_heads", 3)


def test_a_width_that_cannot_be_is_named() -> None:
    text = r"model\.decoder_dim: found 20 with num_heads 3 - expected a multiple of 12.*choose 12"
    with pytest.raises(zoo.RecipeError, match=text):
        small(decoder_dim=20)
    zoo.build("ssast-patch-tiny", **SMALL, encode="visible", decoder_dim=20)  # fine-tuning alone may have it
    for wrong in ({"masks_per_clip": 0}, {"decoder_depth": 0}, {"encode": "some"}):
        with pytest.raises(zoo.RecipeError, match=next(iter(wrong))):
            small(**wrong)


def _blocks(tokens: int, width: int, depth: int) -> int:
    return depth * (2 * tokens * width * width * 12 + 2 * 2 * tokens * tokens * width)


@pytest.mark.parametrize("masks", [1, 3])
def test_operations_of_a_step_are_those_of_the_visible_tokens_and_the_decoder(masks: int) -> None:
    config = preset_config("ssast-patch-tiny", **SMALL, encode="visible", masks_per_clip=masks)
    visible, every = 2 + 44, 2 + 64
    heads = 2 * 2 * 20 * (12 * 12 + 12 * 256)
    once = _blocks(visible, 24, 2) + 2 * visible * 24 * 12 + _blocks(every, 12, 2) + heads
    expected = masks * 3 * once + 2 * (2 * 64 * 256 * 24)  # the log-mel needs no gradient
    assert training_flops_per_clip(build_on_meta(config, pretraining=True)) == expected


def test_the_published_model_costs_a_quarter() -> None:
    fields = [{}, {"encode": "visible"}]
    full, visible = (
        training_flops_per_clip(build_on_meta(preset_config("ssast-patch-base", **one), pretraining=True))
        for one in fields
    )
    assert visible / full == pytest.approx(0.25, abs=0.01)


# --- going on from one to the other -----------------------------------------------------------------------------------


def saved(folder: Path, **fields: Any) -> Any:
    config = preset_config("ssast-patch-tiny", **{**SMALL, **fields})
    model = build_model(config, pretraining=True)
    save_checkpoint(folder, model.state_dict(), {"model": config.model_dump(mode="json"), "pretraining": True})
    return model


@pytest.mark.parametrize(
    ("there", "here", "fresh"),
    [
        ({}, {"encode": "visible"}, {"decoder", "reconstruct", "classify"}),
        ({"encode": "visible"}, {"encode": "all"}, {"mask_token", "reconstruct", "classify"}),
        ({"encode": "visible"}, {"decoder_depth": 1}, {"decoder", "reconstruct", "classify"}),
        ({"encode": "visible"}, {"decoder_dim": 24}, {"decoder", "reconstruct", "classify"}),
        ({"encode": "visible"}, {"masks_per_clip": 2, "num_masked": 0.3}, set()),
        ({"encode": "visible"}, {"n_frames": 64}, set()),
        ({}, {"masks_per_clip": 2, "decoder_depth": 7, "decoder_dim": 7}, set()),
    ],
)
def test_pretraining_goes_on_with_the_backbone_and_with_heads_that_read_the_same(
    there: dict[str, Any], here: dict[str, Any], fresh: set[str], tmp_path: Path
) -> None:
    before = saved(tmp_path / "c", **there).state_dict()
    model: Any = zoo.load(tmp_path / "c", pretraining=True, **here)
    state = model.state_dict()
    same = {n for n in state if n in before and torch.equal(state[n], before[n])}
    different = {n.split(".")[0] for n in state if n not in same} - {"backbone"}
    assert different == fresh
    resized = {"backbone.embedding.position.table"} if "n_frames" in here else set()
    assert {n for n in state if n.startswith("backbone.")} - same == resized
    told = [note for note in model.load_notes if note.startswith("pretraining heads: fresh, for they read ")]
    assert len(told) == bool(fresh)
    tuned: Any = zoo.load(tmp_path / "c", pretraining=False, num_classes=3)
    assert torch.equal(tuned.state_dict()["encoder.norm.weight"], before["backbone.encoder.norm.weight"])


def test_a_checkpoint_of_before_these_fields_is_read(tmp_path: Path) -> None:
    config = preset_config("ssast-patch-tiny", **SMALL)
    model = build_model(config, pretraining=True)
    described = config.model_dump(mode="json")
    for field in ("masks_per_clip", "encode", "decoder_depth", "decoder_dim"):
        del described[field]
    save_checkpoint(tmp_path / "c", model.state_dict(), {"model": described, "pretraining": True})
    loaded: Any = zoo.load(tmp_path / "c")
    assert loaded.config == config
    assert loaded.load_notes == ("pretraining heads and mask token: the checkpoint's",)
    assert list(loaded.state_dict()) == list(model.state_dict())


def test_released_code_has_no_place_for_a_decoder(tmp_path: Path) -> None:
    saved(tmp_path / "c", encode="visible")
    with pytest.raises(zoo.CheckpointError, match=r"found a decoder.*expected encode: all"):
        convert(tmp_path / "c", tmp_path / "c.pth", "official")


def test_the_two_tasks_have_masks_of_their_own_if_asked() -> None:
    model, k, x = small(separate_masks=True), keys(3), torch.randn(3, 128, 128)
    values = unfold_patches(x, (16, 16), (16, 16))
    for name, task in zip((RECONSTRUCT, CLASSIFY), model(x, keys=k), strict=True):
        is_masked = model.draw(model.config.grid, k, name)
        for clip in range(3):
            assert torch.equal(task.target[clip], values[clip][is_masked[clip]])
            expected = by_hand(model, x[clip], is_masked[clip])[name == CLASSIFY]
            torch.testing.assert_close(task.output[clip], expected, atol=1e-5, rtol=0)
