"""Cutting into patches: numbers by hand, order against the convolution, errors."""

import pytest
import torch
import torch.nn.functional as F

from zoo.errors import ShapeError
from zoo.nn.patch import PatchEmbed, PatchGrid, fold_patches, num_real_columns, patch_grid, unfold_patches


@pytest.mark.parametrize(
    ("n_frames", "patch_size", "stride", "expected"),
    [
        (1024, (16, 16), (10, 10), (12, 101)),  # AST, all strides of the released checkpoints
        (1024, (16, 16), (12, 12), (10, 85)),
        (1024, (16, 16), (14, 14), (9, 73)),
        (1024, (16, 16), (16, 16), (8, 64)),
        (512, (16, 16), (10, 10), (12, 50)),
        (128, (16, 16), (10, 10), (12, 12)),
        (100, (16, 16), (10, 10), (12, 9)),
        (1024, (128, 2), (128, 2), (1, 512)),  # SSAST by frame: pretraining, then fine-tuning
        (1024, (128, 2), (128, 1), (1, 1023)),
        (998, (16, 16), (12, 12), (10, 82)),  # PaSST
    ],
)
def test_grid_of_the_published_geometries(n_frames, patch_size, stride, expected):
    assert patch_grid(128, n_frames, patch_size, stride) == expected


def test_grid_counts_its_patches():
    grid = PatchGrid(12, 101)
    assert grid.num_patches == 1212
    assert (grid.freq, grid.time) == (12, 101)


@pytest.mark.parametrize(("n_mels", "n_frames"), [(15, 100), (128, 15)])
def test_a_patch_larger_than_the_input_is_named_with_both_sizes(n_mels, n_frames):
    with pytest.raises(ShapeError, match=rf"{n_mels} mels and {n_frames} frames - expected .* 16 mels and 16 frames"):
        patch_grid(n_mels, n_frames, (16, 16), (10, 10))
    with pytest.raises(ShapeError):
        PatchEmbed(8, (16, 16), (10, 10))(torch.zeros(1, n_mels, n_frames))
    with pytest.raises(ShapeError):
        unfold_patches(torch.zeros(1, n_mels, n_frames), (16, 16), (10, 10))


def test_a_column_is_real_only_when_it_lies_wholly_inside_the_clip():
    frames = torch.tensor([0, 15, 16, 25, 26, 36])
    assert num_real_columns(frames, (16, 16), (10, 10)).tolist() == [0, 0, 1, 1, 2, 3]


def test_tokens_are_frequency_major():
    torch.manual_seed(0)
    embed = PatchEmbed(8, (4, 3), (2, 3))
    log_mel = torch.randn(2, 10, 14)
    tokens, grid = embed(log_mel)
    assert grid == (4, 4)
    assert tokens.shape == (2, 16, 8)
    f, t = 2, 3
    patch = log_mel[:, f * 2 : f * 2 + 4, t * 3 : t * 3 + 3]
    by_hand = torch.einsum("bpq,dpq->bd", patch, embed.proj.weight[:, 0]) + embed.proj.bias
    torch.testing.assert_close(tokens[:, f * grid.time + t], by_hand, atol=1e-6, rtol=1e-5)
    assert embed.patch_dim == 12


def test_unfolded_patches_are_what_the_convolution_sees():
    embed = PatchEmbed(8, (4, 3), (2, 1))
    log_mel = torch.randn(2, 10, 14)
    rows = unfold_patches(log_mel, (4, 3), (2, 1))
    by_rows = rows @ embed.proj.weight.flatten(1).T + embed.proj.bias
    torch.testing.assert_close(by_rows, embed(log_mel)[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rows, F.unfold(log_mel[:, None], (4, 3), stride=(2, 1)).transpose(1, 2))


def test_inside_a_patch_mels_come_first_and_time_is_fast():
    log_mel = torch.arange(4 * 6.0).view(1, 4, 6)
    assert unfold_patches(log_mel, (2, 3), (2, 3))[0, 1].tolist() == [3, 4, 5, 9, 10, 11]


def test_fold_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"7 patches of 6 values - expected 8 of 6 for the grid \(2, 4\)"):
        fold_patches(torch.zeros(1, 7, 6), PatchGrid(2, 4), (2, 3))
    with pytest.raises(ShapeError, match="8 patches of 5 values - expected 8 of 6"):
        fold_patches(torch.zeros(1, 8, 5), PatchGrid(2, 4), (2, 3))
