"""Patchout: exact counts, order, padding, keys, and what released code gets wrong silently."""

import pytest
import torch

from zoo.draws import clip_keys
from zoo.errors import ShapeError
from zoo.nn.patch import PatchGrid
from zoo.nn.patchout import Patchout

GRID = PatchGrid(6, 20)
KEYS = clip_keys(3, 0, torch.arange(8))


def numbered(grid=GRID, batch=8):
    """Tokens that say where they come from."""
    return torch.arange(grid.num_patches, dtype=torch.float32).expand(batch, -1)[:, :, None]


def padding(grid, columns):
    is_padded = torch.arange(grid.time) >= torch.tensor(columns)[:, None]
    return is_padded[:, None].expand(-1, grid.freq, -1).flatten(1)


@pytest.mark.parametrize(
    ("patchout", "kept"),
    [
        (Patchout(freq=2), 4 * 20),
        (Patchout(time=7), 6 * 13),
        (Patchout(random=11), 109),
        (Patchout(freq=2, time=7), 4 * 13),
        (Patchout(freq=2, time=7, random=11), 4 * 13 - 11),
        (Patchout(freq=5, time=19), 1),
        (Patchout(freq=0.34, time=0.5), 4 * 10),
        (Patchout(random=0.25), 90),
        (Patchout(freq=0.5, random=0.5), 30),
    ],
)
def test_exact_counts_in_order(patchout, kept):
    tokens, is_padded, index = patchout(numbered(), GRID, keys=KEYS)
    assert tokens.shape == (8, kept, 1)
    assert patchout.num_kept(GRID) == kept
    assert is_padded is None
    assert (index.diff(dim=1) > 0).all()  # ascending, so none twice and in the order of the grid
    assert torch.equal(tokens[:, :, 0].long(), index)


def test_structured_patchout_takes_whole_rows_and_columns():
    _, _, index = Patchout(freq=2, time=7)(numbered(), GRID, keys=KEYS)
    for clip in index:
        rows, columns = (clip // GRID.time).unique(), (clip % GRID.time).unique()
        assert (len(rows), len(columns)) == (4, 13)
        assert torch.equal(clip, (rows[:, None] * GRID.time + columns).flatten())


def test_published_token_counts():
    grid = PatchGrid(12, 99)  # PaSST, stride 10; two prefix tokens on top
    assert Patchout(freq=4, time=40).num_kept(grid) + 2 == 474
    assert Patchout(random=400).num_kept(grid) + 2 == 790
    assert Patchout(freq=3, time=30).num_kept(PatchGrid(9, 71)) + 2 == 248


def test_nothing_in_evaluation():
    tokens, is_padded = numbered(), padding(GRID, [20] * 8)
    out, still, index = Patchout(freq=2, time=7, random=3).eval()(tokens, GRID, is_padded, KEYS)
    assert out is tokens
    assert still is is_padded
    assert torch.equal(index, torch.arange(120).expand(8, -1))


def test_nothing_to_leave_out():
    tokens = numbered()
    out, is_padded, index = Patchout()(tokens, GRID, None, KEYS)
    assert out is tokens
    assert is_padded is None
    assert torch.equal(index, torch.arange(120).expand(8, -1))


def test_every_clip_has_its_own_draw_that_depends_on_its_key_alone():
    patchout = Patchout(freq=2, time=7, random=5)
    _, _, index = patchout(numbered(), GRID, keys=KEYS)
    assert len({tuple(row.tolist()) for row in index}) == 8
    _, _, reversed_index = patchout(numbered(), GRID, keys=KEYS.flip(0))
    assert torch.equal(reversed_index.flip(0), index)
    _, _, alone = patchout(numbered(batch=1), GRID, keys=KEYS[3:4])
    assert torch.equal(alone[0], index[3])


def test_without_keys_the_generator_of_torch_decides():
    patchout = Patchout(random=60)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(patchout(numbered(), GRID)[2])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize(
    "patchout",
    [Patchout(2, 3), Patchout(random=9), Patchout(2, 3, 9), Patchout(0.3, 0.4, 0.2)],
    ids=["structured", "random", "both", "shares"],
)
def test_a_clip_padded_in_a_wider_batch_loses_what_it_loses_alone(patchout):
    columns = [20, 19, 11, 7, 5, 4, 13, 1]
    tokens, is_padded, index = patchout(numbered(), GRID, padding(GRID, columns), KEYS)
    assert tokens.shape == (8, patchout.num_kept(GRID), 1)
    for clip, width in enumerate(columns):
        grid = PatchGrid(6, width)
        _, _, alone = patchout(numbered(grid, 1), grid, keys=KEYS[clip : clip + 1])
        real = index[clip][~is_padded[clip]]
        assert torch.equal(real, alone[0] // width * GRID.time + alone[0] % width)
        assert (real % GRID.time < width).all()


@pytest.mark.parametrize("patchout", [Patchout(time=19), Patchout(freq=5, time=19), Patchout(random=119)])
def test_one_real_patch_survives(patchout):
    columns = [20, 1, 2, 1, 7, 1, 3, 1]
    _, is_padded, _ = patchout(numbered(), GRID, padding(GRID, columns), KEYS)
    assert (~is_padded).any(dim=1).all()
    assert (~is_padded).sum(dim=1).max() <= max(GRID.freq, 1)


def test_an_input_smaller_than_the_counts_keeps_one_row_and_column():
    small = PatchGrid(2, 3)
    tokens, _, _ = Patchout(freq=4, time=40, random=5)(numbered(small), small, keys=KEYS)
    assert tokens.shape == (8, 1, 1)


def test_a_clip_that_is_all_padding_is_harmless():
    tokens, is_padded, _ = Patchout(2, 7, 5)(numbered(batch=2), GRID, padding(GRID, [0, 20]), KEYS[:2])
    assert tokens.shape == (2, 47, 1)
    assert is_padded[0].all()
    assert not is_padded[1].any()


@pytest.mark.parametrize(
    ("patchout", "message"),
    [
        (Patchout(freq=6), "patchout_freq: 6 of the 6 rows of the grid 6 x 20 - expected at least one to stay"),
        (Patchout(time=40), "patchout_time: 40 of the 20 columns of the grid 6 x 20 .* choose at most 19"),
        (Patchout(random=120), "patchout_random: 120 of the 120 patches left .* of the grid 6 x 20"),
        (Patchout(freq=4, time=18, random=4), "patchout_random: 4 of the 4 patches left .* choose at most 3"),
    ],
)
def test_counts_that_leave_nothing_are_named_at_build(patchout, message):
    with pytest.raises(ShapeError, match=message):
        patchout.check(GRID)


def test_counts_that_leave_something_pass():
    Patchout(freq=5, time=19).check(GRID)
    Patchout(random=119).check(GRID)
    Patchout(0.99, 0.99, 0.99).check(PatchGrid(1, 1))


@pytest.mark.parametrize("options", [{"freq": -1}, {"time": 2.5}, {"random": -0.5}])
def test_neither_count_nor_share(options):
    with pytest.raises(ShapeError, match=f"patchout_{next(iter(options))}: .* expected a whole number, or a share"):
        Patchout(**options)


def test_what_stays_can_be_stated():
    rows, columns = torch.tensor([[0, 2, 5]] * 8), torch.tensor([[1, 3, 4, 19]] * 8)
    patches = torch.tensor([[0, 5, 11]] * 8)
    _, _, index = Patchout(3, 16, 9)(
        numbered(), GRID, keys=KEYS, kept_rows=rows, kept_columns=columns, kept_patches=patches
    )
    assert index[0].tolist() == [0 * 20 + 1, 2 * 20 + 3, 5 * 20 + 19]


def test_all_rows_columns_and_patches_go_equally_often():
    keys = clip_keys(0, 0, torch.arange(6000))
    tokens = numbered(batch=6000)
    for patchout, share in ((Patchout(freq=2), 4 / 6), (Patchout(time=7), 13 / 20), (Patchout(random=30), 90 / 120)):
        _, _, index = patchout(tokens, GRID, keys=keys)
        kept = torch.zeros(120).scatter_add_(0, index.flatten(), torch.ones(index.numel())) / 6000
        # A binomial share per place: five standard deviations, and at most 120 places.
        assert (kept - share).abs().max() < 5 * (share * (1 - share) / 6000) ** 0.5


def test_gradients_reach_what_stays_alone():
    tokens = torch.randn(8, 120, 4, requires_grad=True)
    out, _, index = Patchout(2, 7, 5)(tokens, GRID, keys=KEYS)
    out.sum().backward()
    expected = torch.zeros(8, 120).scatter_(1, index, 1.0)
    assert torch.equal(tokens.grad, expected[:, :, None].expand(-1, -1, 4))
