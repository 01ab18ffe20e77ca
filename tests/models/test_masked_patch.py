"""The pretraining model of SSAST: what is hidden, what is asked, and that nothing leaks."""

from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.draws import clip_keys
from zoo.models.masked_patch import CLASSIFY, RECONSTRUCT, MaskedPatchModel
from zoo.nn.patch import unfold_patches
from zoo.nn.released_masking import draw_released_mask

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "n_frames": 128}
FORMS = ["patch", "frame"]


def small(form: str, **overrides: Any) -> MaskedPatchModel:
    model = zoo.build(f"ssast-{form}-tiny", pretraining=True, **{**SMALL, "num_masked": 20, **overrides})
    assert isinstance(model, MaskedPatchModel)
    return model.eval()


def keys(batch: int) -> Tensor:
    return clip_keys(7, 0, torch.arange(batch))


@pytest.mark.parametrize("separate_masks", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_targets_are_the_inputs_values_at_the_masked_places(form: str, separate_masks: bool) -> None:
    model, x, k = small(form, separate_masks=separate_masks), torch.randn(3, 128, 128), keys(3)
    size = model.config.patch_size
    grid = model.backbone.embedding.grid_for(128)
    values = unfold_patches(x, size, size)
    for name, task in zip((RECONSTRUCT, CLASSIFY), model(x, keys=k), strict=True):
        is_masked = model.draw(grid, k, name)
        assert is_masked.sum(dim=1).tolist() == task.length.tolist() == [20] * 3
        for clip in range(3):
            assert torch.equal(task.target[clip], values[clip][is_masked[clip]])
        assert not task.target.requires_grad


def test_both_tasks_share_a_mask_unless_asked_otherwise() -> None:
    model, k, x = small("patch"), keys(8), torch.randn(8, 128, 128)
    grid = model.backbone.embedding.grid_for(128)
    assert torch.equal(model.draw(grid, k, RECONSTRUCT), model.draw(grid, k, CLASSIFY))
    assert torch.equal(model(x, keys=k).reconstruct.target, model(x, keys=k).classify.target)
    apart = small("patch", separate_masks=True)
    first, second = apart.draw(grid, k, RECONSTRUCT), apart.draw(grid, k, CLASSIFY)
    assert not (first == second).all(dim=1).any()


def test_separate_masks_are_two_independent_passes() -> None:
    """The classify task of one batch of twice the size is what the model says about that mask alone."""
    torch.manual_seed(3)
    apart, x, k = small("patch", separate_masks=True), torch.randn(4, 128, 128), keys(4)
    patches, grid = apart.backbone.embedding.patches(x)
    is_masked = apart.draw(grid, k, CLASSIFY)
    tokens = apart.encode(patches, grid, is_masked, None, k)
    alone = apart.predict(apart.classify, tokens, unfold_patches(x, (16, 16), (16, 16)), is_masked, 20)
    both = apart(x, keys=k).classify
    assert torch.equal(both.target, alone.target)
    torch.testing.assert_close(both.output, alone.output, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_stated_masks_are_those_that_were_drawn(form: str) -> None:
    """Stating the masks of one or of two passes gives the very answer of drawing them."""
    torch.manual_seed(3)
    x, k = torch.randn(3, 128, 128), keys(3)
    num_frames = torch.tensor([128, 90, 128])
    for separate_masks in (False, True):
        model = small(form, separate_masks=separate_masks)
        grid = model.backbone.embedding.grid_for(128)
        is_padded = model.backbone.embedding.padding(num_frames, grid)
        masks = (model.draw(grid, k, RECONSTRUCT, is_padded), model.draw(grid, k, CLASSIFY, is_padded))
        assert torch.equal(*masks) is not separate_masks
        drawn, stated = model(x, num_frames, k), model(x, num_frames, masks=masks)
        for one, other in zip(drawn, stated, strict=True):
            assert torch.equal(one.length, other.length)
            assert torch.equal(one.target, other.target)
            assert torch.equal(one.output, other.output)


def test_stated_masks_of_any_count_leave_padding_out() -> None:
    model, x = small("patch"), torch.randn(2, 128, 128)
    everything, one = torch.ones(2, 64, dtype=torch.bool), torch.zeros(2, 64, dtype=torch.bool)
    one[:, 9] = True
    reconstruct, classify = model(x, torch.tensor([128, 64]), masks=(everything, one))
    assert reconstruct.length.tolist() == [64, 32]
    assert classify.length.tolist() == [1, 1]
    assert torch.equal(classify.target[:, 0], unfold_patches(x, (16, 16), (16, 16))[:, 9])


def test_masks_of_another_grid_are_refused() -> None:
    mask = torch.zeros(2, 63, dtype=torch.bool)
    with pytest.raises(zoo.ShapeError, match=r"masks: mask-reconstruct: found shape \(2, 63\) - expected \(2, 64\)"):
        small("patch")(torch.randn(2, 128, 128), masks=(mask, mask))


@pytest.mark.parametrize("form", FORMS)
def test_the_released_sampler_is_an_option(form: str) -> None:
    model, x, k = small(form, mask_sampler="released"), torch.randn(2, 128, 128), keys(2)
    grid = model.backbone.embedding.grid_for(128)
    drawn = draw_released_mask(grid, 20, model.config.cluster_size, k, purpose=RECONSTRUCT)
    assert torch.equal(model.draw(grid, k), drawn)
    assert model(x, keys=k).reconstruct.length.tolist() == [20, 20]
    assert not torch.equal(small(form).draw(grid, k), drawn)


def test_rescaled_pictures_have_the_level_of_the_true_patches() -> None:
    model, k, x = small("patch"), keys(2), 3 + 2 * torch.randn(2, 128, 128)
    drawn = unfold_patches(model.details(x, keys=k, rescale=True).reconstructed, (16, 16), (16, 16))
    plain = unfold_patches(model.details(x, keys=k).reconstructed, (16, 16), (16, 16))
    values, masked = unfold_patches(x, (16, 16), (16, 16)), model.details(x, keys=k).is_masked
    expected = plain * values.std(2, correction=0, keepdim=True) + values.mean(2, keepdim=True)
    torch.testing.assert_close(drawn[masked], expected[masked], atol=1e-5, rtol=1e-5)
    assert torch.equal(drawn[~masked], values[~masked])


@pytest.mark.parametrize("form", FORMS)
def test_the_same_keys_give_the_same_answer(form: str) -> None:
    model, x = small(form), torch.randn(3, 128, 128)
    k = keys(3)
    once, again, other = model(x, keys=k), model(x, keys=k), model(x, keys=k + 1)
    assert torch.equal(once.reconstruct.output, again.reconstruct.output)
    assert torch.equal(once.classify.target, again.classify.target)
    assert not torch.equal(once.classify.target, other.classify.target)
    alone = model(x[1:2], keys=k[1:2])
    assert torch.equal(alone.classify.target, once.classify.target[1:2])
    torch.testing.assert_close(alone.reconstruct.output, once.reconstruct.output[1:2], atol=1e-5, rtol=0)


def test_masks_are_drawn_without_keys_too() -> None:
    model, x = small("patch"), torch.randn(2, 128, 128)
    assert not torch.equal(model(x).reconstruct.target, model(x).reconstruct.target)


@pytest.mark.parametrize("form", FORMS)
def test_masked_patches_do_not_reach_the_output(form: str) -> None:
    """The gradient of every prediction is zero at the values that were hidden, and is not at those that were not."""
    model, k = small(form), keys(2)
    x = torch.randn(2, 128, 128, requires_grad=True)
    grid, size = model.backbone.embedding.grid_for(128), model.config.patch_size
    for name, task in zip((RECONSTRUCT, CLASSIFY), model(x, keys=k), strict=True):
        (gradient,) = torch.autograd.grad(task.output.sum(), x, retain_graph=True)
        reached = unfold_patches(gradient, size, size).abs().sum(dim=2) > 0
        assert torch.equal(reached, ~model.draw(grid, k, name))


@pytest.mark.parametrize("num_masked", [20, 0.5])
@pytest.mark.parametrize("form", FORMS)
def test_padding_changes_nothing(form: str, num_masked: float) -> None:
    """A clip padded with anything has the masks, the targets and the predictions that it has alone."""
    model, k = small(form, num_masked=num_masked), keys(3)
    lengths = [128, 90, 40]
    alone = [torch.randn(1, 128, length) for length in lengths]
    batch = 5 * torch.randn(3, 128, 128)
    for row, clip in zip(batch, alone, strict=True):
        row[:, : clip.shape[2]] = clip[0]
    padded = model(batch, torch.tensor(lengths), k)
    for i, clip in enumerate(alone):
        for together, task in zip(padded, model(clip, keys=k[i : i + 1]), strict=True):
            length = int(task.length)
            assert int(together.length[i]) == length > 0
            assert torch.equal(together.target[i, :length], task.target[0, :length])
            torch.testing.assert_close(together.output[i, :length], task.output[0, :length], atol=1e-5, rtol=0)
            assert not together.output[i, length:].any()
            assert not together.target[i, length:].any()


@pytest.mark.parametrize("form", FORMS)
def test_padding_is_neither_masked_nor_asked(form: str) -> None:
    model, k = small(form, num_masked=0.75), keys(2)
    x = torch.randn(2, 128, 128, requires_grad=True)
    num_frames = torch.tensor([128, 70])
    details = model.details(x, num_frames, k)
    assert details.is_padded is not None
    assert not (details.is_masked & details.is_padded).any()
    (gradient,) = torch.autograd.grad(model(x, num_frames, k).reconstruct.output.sum(), x)
    assert not gradient[1, :, 70:].any()


@pytest.mark.parametrize("form", FORMS)
def test_shorter_input_masks_all_but_one(form: str) -> None:
    model = small(form, num_masked=30)
    num_patches = model.backbone.embedding.grid_for(40).num_patches
    assert num_patches < 30 or form == "patch"
    for task in model(torch.randn(2, 128, 40)):
        assert task.length.tolist() == [min(30, num_patches - 1)] * 2


@pytest.mark.parametrize("form", FORMS)
def test_shortest_input(form: str) -> None:
    model = small(form)
    assert model.min_frames == {"patch": 16, "frame": 4}[form]
    for task in model(torch.randn(1, 128, model.min_frames)):
        assert task.length.tolist() == [{"patch": 7, "frame": 1}[form]]
    with pytest.raises(zoo.ShapeError, match="expected at least"):
        model(torch.randn(1, 128, model.min_frames - 1))
    with pytest.raises(zoo.ShapeError, match="expected at most"):
        model(torch.randn(1, 128, model.max_frames + 1))
    with pytest.raises(zoo.ShapeError, match="expected 3"):
        model(torch.randn(128, 128))


def test_details_draw_what_forward_does() -> None:
    model, k = small("patch"), keys(2)
    x = torch.randn(2, 128, 120)  # 7 columns of patches and 8 frames that none covers
    details, (reconstruct, _) = model.details(x, keys=k), model(x, keys=k)
    assert details.grid == (8, 7)
    assert details.is_padded is None
    assert details.masked.shape == details.reconstructed.shape == (2, 128, 112)
    values = unfold_patches(x, (16, 16), (16, 16))
    drawn = unfold_patches(details.reconstructed, (16, 16), (16, 16))
    hidden = unfold_patches(details.masked, (16, 16), (16, 16))
    for clip in range(2):
        m = details.is_masked[clip]
        torch.testing.assert_close(drawn[clip][m], reconstruct.output[clip])
        assert torch.equal(drawn[clip][~m], values[clip][~m])
        assert torch.equal(hidden[clip][~m], values[clip][~m])
        assert not hidden[clip][m].any()


def test_bf16_autocast() -> None:
    model = small("patch").train()
    with torch.autocast("cpu", torch.bfloat16):
        reconstruct, classify = model(torch.randn(2, 128, 128), torch.tensor([128, 70]))
    for task in (reconstruct, classify):
        assert task.output.isfinite().all()
        assert task.target.dtype == torch.float32


def test_a_model_taken_from_pretraining_continues_it() -> None:
    """Fine-tuning loads exactly what is under `backbone.`, and the encoder then gives the same tokens."""
    pretrained = small("patch", num_masked=1)
    tuned: Any = zoo.build("ssast-patch-tiny", **SMALL).eval()
    state = pretrained.backbone.state_dict()
    missing, unexpected = tuned.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(key.startswith("head.") for key in missing)
    x = torch.randn(2, 128, 128)
    assert torch.equal(tuned.tokens(x), pretrained.backbone(x))


def test_first_values() -> None:
    """The mask token has std 1 / sqrt(D); the prediction heads keep torch's default, as in the released code."""
    torch.manual_seed(0)
    model = zoo.build("ssast-patch-base", pretraining=True, depth=1)
    model.requires_grad_(False)
    assert model.mask_token.std() == pytest.approx(768**-0.5, rel=0.1)
    assert model.reconstruct.hidden.weight.abs().max() == pytest.approx(768**-0.5, rel=0.01)
    assert model.classify.hidden.bias.any()
    assert model.backbone.encoder.blocks[0].attn.qkv.weight.std() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"num_masked": 64}, r"num_masked: 64 on the grid 8 x 8 \(64 patches\).*choose 1 to 63"),
        ({"num_masked": 400}, r"num_masked: 400 on the grid 8 x 8 \(64 patches\)"),
        ({"num_masked": 0}, r"num_masked: 0 on the grid"),
        ({"num_masked": 1.5}, r"num_masked: 1\.5 - expected a whole number, or a share"),
        ({"cluster_size": (5, 3)}, r"cluster_size: \(5, 3\) - expected \(smallest, largest\)"),
        ({"num_masked": 63, "mask_sampler": "released"}, r"num_masked: 63 with mask_sampler 'released'.*at most 62"),
        ({"stride": (10, 10)}, r"stride: found 10x10 with patch_size 16x16 - expected the same in pretraining"),
    ],
)
def test_geometry_that_cannot_be_pretrained(overrides: dict[str, Any], text: str) -> None:
    fields = {**SMALL, "num_masked": 20, **overrides}
    with pytest.raises(zoo.RecipeError, match=text):
        zoo.build("ssast-patch-tiny", pretraining=True, **fields)
    zoo.build("ssast-patch-tiny", **fields)  # fine-tuning alone may use it


@pytest.mark.parametrize("name", ["ast-tiny", "passt-tiny", "cnn-baseline"])
def test_other_families_have_no_pretraining(name: str) -> None:
    with pytest.raises(zoo.RecipeError, match="has no pretraining of its own - expected a masked-patch family"):
        zoo.build(name, pretraining=True)
