"""Laws of the parts that hold for every size, searched by hypothesis."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.draws import clip_keys
from zoo.nn.encoder import Encoder
from zoo.nn.masking import draw_mask, mask_count, masked_index
from zoo.nn.patch import PatchEmbed, PatchGrid, fold_patches, num_real_columns, patch_grid, unfold_patches
from zoo.nn.patchout import Patchout
from zoo.nn.share import resolve_count

side = st.integers(1, 9)
pair = st.tuples(side, side)
grids = st.builds(PatchGrid, st.integers(1, 9), st.integers(1, 24))
seeds = st.integers(0, 2**31)

searched = settings(deadline=None, max_examples=60, derandomize=True)
slowly_searched = settings(searched, max_examples=25)


def padding(grid, columns):
    is_padded = torch.arange(grid.time) >= torch.tensor(columns)[:, None]
    return is_padded[:, None].expand(-1, grid.freq, -1).flatten(1)


@searched
@given(st.integers(0, 40), st.integers(0, 40), pair, pair)
def test_the_grid_is_that_of_the_convolution(more_mels, more_frames, patch_size, stride):
    n_mels, n_frames = patch_size[0] + more_mels, patch_size[1] + more_frames
    grid = patch_grid(n_mels, n_frames, patch_size, stride)
    conv = F.conv2d(torch.zeros(1, 1, n_mels, n_frames), torch.zeros(1, 1, *patch_size), stride=stride)
    assert grid == conv.shape[2:]
    assert unfold_patches(torch.zeros(1, n_mels, n_frames), patch_size, stride).shape[1] == grid.num_patches
    assert num_real_columns(torch.tensor([n_frames]), patch_size, stride).item() == grid.time


@searched
@given(st.integers(0, 60), pair, pair)
def test_real_columns_are_those_wholly_inside(num_frames, patch_size, stride):
    starts = range(0, 80 - patch_size[1] + 1, stride[1])
    expected = sum(start + patch_size[1] <= num_frames for start in starts)
    assert num_real_columns(torch.tensor([num_frames]), patch_size, stride).item() == expected


@searched
@given(grids, pair, seeds)
def test_folding_undoes_unfolding(grid, patch_size, seed):
    torch.manual_seed(seed)
    log_mel = torch.randn(2, grid.freq * patch_size[0], grid.time * patch_size[1])
    patches = unfold_patches(log_mel, patch_size, patch_size)
    assert patches.shape == (2, grid.num_patches, patch_size[0] * patch_size[1])
    assert torch.equal(fold_patches(patches, grid, patch_size), log_mel)
    assert torch.equal(unfold_patches(fold_patches(patches, grid, patch_size), patch_size, patch_size), patches)


@searched
@given(st.integers(0, 12), st.integers(0, 12), pair, pair, seeds)
def test_unfolding_is_that_of_torch_and_of_the_convolution(more_mels, more_frames, patch_size, stride, seed):
    torch.manual_seed(seed)
    log_mel = torch.randn(2, patch_size[0] + more_mels, patch_size[1] + more_frames)
    rows = unfold_patches(log_mel, patch_size, stride)
    assert torch.equal(rows, F.unfold(log_mel[:, None], patch_size, stride=stride).transpose(1, 2))
    embed = PatchEmbed(4, patch_size, stride)
    by_rows = rows @ embed.proj.weight.flatten(1).T + embed.proj.bias
    torch.testing.assert_close(embed(log_mel)[0], by_rows, atol=1e-5, rtol=1e-5)


count_or_share = st.one_of(st.integers(1, 250), st.floats(0.01, 0.99))


@searched
@given(grids, count_or_share, st.integers(1, 6), st.integers(0, 3), seeds, st.data())
def test_masks_have_their_exact_count_at_every_length(grid, num_masked, smallest, more, seed, data):
    columns = data.draw(st.lists(st.integers(0, grid.time), min_size=1, max_size=5))
    keys = clip_keys(seed, 0, torch.arange(len(columns)))
    is_padded = padding(grid, columns)
    cluster_size = (smallest, smallest + more)
    is_masked = draw_mask(grid, num_masked, cluster_size, keys, is_padded)
    counts = [mask_count(num_masked, grid.freq * c) for c in columns]
    assert is_masked.sum(dim=1).tolist() == counts
    assert not (is_masked & is_padded).any()
    index, length = masked_index(is_masked, max(counts))
    assert length.tolist() == counts
    for clip, count in enumerate(counts):
        assert torch.equal(index[clip, :count], is_masked[clip].nonzero()[:, 0])
        if columns[clip]:
            alone_grid = PatchGrid(grid.freq, columns[clip])
            alone = draw_mask(alone_grid, num_masked, cluster_size, keys[clip : clip + 1])
            wide = is_masked[clip].view(grid.freq, grid.time)[:, : columns[clip]]
            assert torch.equal(wide, alone.view(grid.freq, columns[clip]))


@searched
@given(count_or_share, st.integers(1, 300), st.data())
def test_a_shorter_clip_has_no_more_visible_patches(num_masked, longest, data):
    """What `encode: visible` takes for granted: the longest clip of a batch says how many the encoder sees at most."""
    shorter = data.draw(st.integers(0, longest))
    assert shorter - mask_count(num_masked, shorter) <= longest - mask_count(num_masked, longest)


dropped = st.one_of(st.integers(0, 30), st.floats(0.0, 0.99))


@searched
@given(grids, dropped, dropped, dropped, seeds, st.data())
def test_patchout_keeps_what_it_says_and_a_real_patch(grid, freq, time, random, seed, data):
    columns = data.draw(st.lists(st.integers(1, grid.time), min_size=1, max_size=4))
    keys = clip_keys(seed, 0, torch.arange(len(columns)))
    patchout = Patchout(freq, time, random)
    tokens = torch.arange(grid.num_patches).float().expand(len(columns), -1)[:, :, None]
    out, is_padded, index = patchout(tokens, grid, padding(grid, columns), keys)
    rows = grid.freq - min(resolve_count(freq, grid.freq), grid.freq - 1)
    left = rows * (grid.time - min(resolve_count(time, grid.time), grid.time - 1))
    assert out.shape[1] == index.shape[1] == left - min(resolve_count(random, left), left - 1)
    assert torch.equal(out[:, :, 0].long(), index)
    assert (index.diff(dim=1) > 0).all()
    assert (~is_padded).any(dim=1).all()
    for clip, width in enumerate(columns):
        alone_grid = PatchGrid(grid.freq, width)
        alone_tokens = torch.zeros(1, alone_grid.num_patches, 1)
        _, _, alone = patchout(alone_tokens, alone_grid, None, keys[clip : clip + 1])
        # The clip alone, unless it is already down to its last column or patch.
        assert torch.equal(index[clip][~is_padded[clip]], alone[0] // width * grid.time + alone[0] % width)


@slowly_searched
@given(st.integers(1, 3), st.integers(1, 8), seeds, st.sampled_from(["pre", "post"]), st.data())
def test_the_encoder_does_not_see_padding(batch, length, seed, norm, data):
    lengths = data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch))
    torch.manual_seed(seed)
    encoder = Encoder(8, 1, 2, norm=norm).double()
    tokens = torch.randn(batch, length, 8, dtype=torch.float64)
    is_padded = torch.arange(length) >= torch.tensor(lengths)[:, None]
    out = encoder(tokens, is_padded)
    for clip, real in enumerate(lengths):
        alone = encoder(tokens[clip : clip + 1, :real])
        torch.testing.assert_close(out[clip, :real], alone[0], atol=1e-12, rtol=1e-12)


@slowly_searched
@given(seeds)
def test_the_encoder_follows_a_permutation_of_its_tokens(seed):
    torch.manual_seed(seed)
    encoder = Encoder(8, 1, 2).double()
    tokens, order = torch.randn(2, 6, 8, dtype=torch.float64), torch.randperm(6)
    torch.testing.assert_close(encoder(tokens)[:, order], encoder(tokens[:, order]), atol=1e-12, rtol=1e-12)
