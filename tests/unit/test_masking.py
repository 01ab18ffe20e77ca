"""Masks: exact counts, fair to every patch, real clusters, the same for a clip alone and in a batch."""

import pytest
import torch

from zoo.draws import clip_keys
from zoo.errors import ShapeError
from zoo.nn.masking import check_mask, draw_mask, mask_count, mask_counts, masked_index
from zoo.nn.patch import PatchGrid
from zoo.nn.released_masking import check_released_mask, draw_released_mask

GRID = PatchGrid(8, 64)  # SSAST by patch, 10 s
KEYS = clip_keys(0, 0, torch.arange(4000))
CLUSTERS = [(1, 1), (3, 3), (5, 5), (3, 5), (1, 3)]


def padding(grid, columns):
    is_padded = torch.arange(grid.time) >= torch.as_tensor(columns)[:, None]
    return is_padded[:, None].expand(-1, grid.freq, -1).flatten(1)


@pytest.mark.parametrize("cluster_size", CLUSTERS)
@pytest.mark.parametrize("num_masked", [1, 100, 400, 511])
def test_exact_counts(cluster_size, num_masked):
    is_masked = draw_mask(GRID, num_masked, cluster_size, KEYS[:50])
    assert (is_masked.sum(dim=1) == num_masked).all()


@pytest.mark.parametrize("cluster_size", CLUSTERS)
@pytest.mark.parametrize("num_masked", [400, 30, 0.75, 0.5, 0.01])
def test_exact_counts_at_every_length_in_one_batch(cluster_size, num_masked):
    columns = torch.arange(65)  # 0 to all
    is_padded = padding(GRID, columns)
    is_masked = draw_mask(GRID, num_masked, cluster_size, KEYS[:65], is_padded)
    assert not (is_masked & is_padded).any()
    assert is_masked.sum(dim=1).tolist() == [mask_count(num_masked, 8 * c) for c in columns.tolist()]


@pytest.mark.parametrize(
    ("num_masked", "num_real", "expected"),
    [
        (400, 512, 400),
        (400, 401, 400),
        (400, 400, 399),  # one stays visible
        (400, 300, 299),
        (1, 1, 0),
        (3, 0, 0),
        (0.75, 512, 384),
        (0.29, 100, 29),
        (0.99, 8, 7),
        (0.01, 20, 1),  # at least one
        (0.5, 1, 0),
        (0.5, 0, 0),
    ],
)
def test_how_many_are_masked(num_masked, num_real, expected):
    assert mask_count(num_masked, num_real) == expected
    assert mask_counts(num_masked, torch.tensor([num_real])).tolist() == [expected]


@pytest.mark.parametrize("num_masked", [400, 100])
@pytest.mark.parametrize("cluster_size", CLUSTERS)
def test_every_patch_is_masked_equally_often(cluster_size, num_masked):
    share = num_masked / GRID.num_patches
    masks = [draw_mask(GRID, num_masked, cluster_size, clip_keys(1, b, KEYS)) for b in range(2)]
    frequency = torch.cat(masks).float().mean(dim=0)
    # A patch is a coin of this share in 8000 independent clips. Five standard deviations: one of 512 patches of a fair
    # sampler lies outside with probability 3e-4. Clusters add a true bias at the corners, where the last cluster that
    # fits the count is cut; it was 0.0069 at most in 100,000 masks. The released sampler is off by 0.37 (see below).
    bias = 0.0 if cluster_size == (1, 1) else 0.007
    assert (frequency - share).abs().max() < bias + 5 * (share * (1 - share) / 8000) ** 0.5
    # A row is the mean of 64 patches, but of the same clips: the standard deviation of one patch still bounds it.
    rows, columns = frequency.view(8, 64).mean(dim=1), frequency.view(8, 64).mean(dim=0)
    assert (rows - share).abs().max() < 0.01
    assert (columns - share).abs().max() < 0.015


def test_the_bound_would_catch_the_released_sampler():
    """Starts in the grid alone, clusters cut at the far edges: the first row and column come up too seldom."""
    generator = torch.Generator().manual_seed(0)
    count = torch.zeros(8, 64)
    for _ in range(1000):
        mask = torch.zeros(8, 64, dtype=torch.bool)
        while mask.sum() < 100:
            f, t = torch.randint(8, (1,), generator=generator), torch.randint(64, (1,), generator=generator)
            mask[f : f + 3, t : t + 3] = True
        count += mask
    rows = (count / 1000).mean(dim=1)
    assert (rows - 100 / 512).abs().max() > 0.05


@pytest.mark.parametrize(("cluster_size", "num_masked"), [((5, 5), 1), ((3, 3), 4), ((3, 5), 7), ((1, 1), 5)])
def test_ties_favour_no_side(cluster_size, num_masked):
    """On a small grid one cluster covers many patches at the same time; which of them come first must be fair."""
    grid = PatchGrid(5, 6)
    frequency = draw_mask(grid, num_masked, cluster_size, clip_keys(2, 0, torch.arange(20000))).float().mean(0)
    frequency = frequency.view(5, 6)
    # Mirrored places are equally likely by symmetry. The difference of two shares below 0.35: sd below 0.0048.
    for mirrored in (frequency.flip(0), frequency.flip(1), frequency.flip(0, 1)):
        assert (frequency - mirrored).abs().max() < 5 * (2 * 0.35 * 0.65 / 20000) ** 0.5
    assert frequency.max() < 0.35


@pytest.mark.parametrize("cluster_size", CLUSTERS)
@pytest.mark.parametrize("num_masked", [50, 0.6])
def test_a_clip_padded_in_a_wider_batch_has_the_mask_it_has_alone(cluster_size, num_masked):
    columns = [64, 40, 17, 8, 3, 1]
    wide = draw_mask(GRID, num_masked, cluster_size, KEYS[:6], padding(GRID, columns)).view(6, 8, 64)
    for clip, width in enumerate(columns):
        alone = draw_mask(PatchGrid(8, width), num_masked, cluster_size, KEYS[clip : clip + 1])
        assert torch.equal(wide[clip, :, :width], alone.view(8, width))


def masked_neighbours(is_masked):
    """Among the neighbours (above, below, left, right) of masked patches: the share that is masked."""
    mask = is_masked.view(-1, 8, 64).float()
    around = torch.zeros_like(mask)
    exists = torch.zeros_like(mask)
    for shift, dim in ((1, 1), (-1, 1), (1, 2), (-1, 2)):
        for total, source in ((around, mask), (exists, torch.ones_like(mask))):
            moved = source.roll(shift, dim)
            moved.select(dim, 0 if shift == 1 else -1).zero_()
            total += moved
    return ((around * mask).sum() / (exists * mask).sum()).item()


def test_clusters_are_clusters():
    singles, small, large = (masked_neighbours(draw_mask(GRID, 100, (s, s), KEYS[:500])) for s in (1, 3, 5))
    assert singles == pytest.approx(99 / 511, abs=0.01)  # the other masked ones, spread over the other places
    # A lone 3 x 3 square has 24 of its 36 neighbours inside, a 5 x 5 square 80 of 100; cuts and overlaps move this.
    assert 0.6 < small < 0.75
    assert 0.72 < large < 0.9
    assert small < masked_neighbours(draw_mask(GRID, 100, (3, 5), KEYS[:500])) < large


@pytest.mark.parametrize("side", [3, 5])
def test_one_cluster_is_one_square(side):
    is_masked = draw_mask(GRID, side * side, (side, side), KEYS[:500]).view(500, 8, 64)
    squares = 0
    for mask in is_masked:
        f, t = mask.nonzero().T
        # Where the first cluster fell inside the grid, the mask is that square and nothing else.
        squares += int(f.max() - f.min() == side - 1 and t.max() - t.min() == side - 1)
    inside = (8 - side + 1) * (64 - side + 1) / ((8 + side - 1) * (64 + side - 1))
    # Binomial share over 500 clips: five standard deviations.
    assert abs(squares / 500 - inside) < 5 * (inside * (1 - inside) / 500) ** 0.5


def test_clusters_do_not_wrap_over_the_edge():
    is_masked = draw_mask(GRID, 9, (3, 3), KEYS).view(-1, 8, 64)
    has_both_ends = is_masked[:, :, 0].any(dim=1) & is_masked[:, :, -1].any(dim=1)
    # Both ends only when two of the few first clusters fell at the two ends by chance.
    assert has_both_ends.float().mean() < 0.01


def test_every_side_of_the_range_is_drawn_equally_often():
    sides = []
    for mask in draw_mask(PatchGrid(30, 30), 9, (2, 4), KEYS[:3000]).view(-1, 30, 30):
        f, t = mask.nonzero().T
        sides.append((int(f.max() - f.min()) + 1, int(t.max() - t.min()) + 1))
    # 9 patches are a whole 3 x 3 square, part of one 4 x 4 square, or more than two 2 x 2 squares far apart.
    spans = [max(side) for side in sides]
    shares = [sum(s == 3 for s in spans), sum(s == 4 for s in spans), sum(s > 4 for s in spans)]
    # A share of 1/3 each in 3000 clips, less the squares cut at an edge, which count as spread: 12 to 19 %.
    assert shares[0] / 3000 == pytest.approx(1 / 3 * (28 / 33) ** 2, abs=0.045)
    assert shares[1] / 3000 == pytest.approx(1 / 3 * (27 / 33) ** 2, abs=0.06)


def test_frames_are_masked_one_by_one_or_in_runs():
    grid = PatchGrid(1, 512)
    assert (draw_mask(grid, 400, (1, 1), KEYS[:50]).sum(dim=1) == 400).all()
    runs = draw_mask(grid, 100, (3, 5), KEYS[:50])
    singles = draw_mask(grid, 100, (1, 1), KEYS[:50])
    together = [(m[:, 1:] & m[:, :-1]).sum() for m in (singles, runs)]
    assert together[1] > 1.5 * together[0]


def test_the_mask_depends_on_the_key_alone():
    first = draw_mask(GRID, 400, (3, 5), KEYS[:20])
    assert torch.equal(draw_mask(GRID, 400, (3, 5), KEYS[:20]), first)
    assert torch.equal(draw_mask(GRID, 400, (3, 5), KEYS[:20].flip(0)), first.flip(0))
    assert len({tuple(row.tolist()) for row in first}) == 20
    assert not torch.equal(draw_mask(GRID, 400, (3, 5), KEYS[:20], purpose="other"), first)


def test_masks_of_two_purposes_are_independent():
    one, two = (draw_mask(GRID, 256, (3, 5), KEYS, purpose=p) for p in ("reconstruct", "classify"))
    both = (one & two).float().mean()
    assert both == pytest.approx(0.25, abs=0.003)


def test_places_of_the_masked():
    is_masked = torch.tensor([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()
    index, length = masked_index(is_masked, 3)
    assert length.tolist() == [3, 1, 0]
    assert index[0].tolist() == [1, 3, 4]
    assert index[1, 0] == 0
    assert not is_masked[1].gather(0, index[1, 1:]).any()  # the rest are valid places that are not masked
    assert not is_masked[2].gather(0, index[2]).any()
    index, length = masked_index(is_masked, 2)
    assert index[0].tolist() == [1, 3]
    assert length.tolist() == [2, 1, 0]


def test_more_places_than_patches():
    with pytest.raises(ShapeError, match="max_count 7 - expected at most the 6 patches"):
        masked_index(torch.zeros(1, 6, dtype=torch.bool), 7)


@pytest.mark.parametrize("num_masked", [512, 400000, 0, 0.0])
def test_counts_that_leave_nothing_are_named_at_build(num_masked):
    with pytest.raises(ShapeError, match=rf"num_masked: {num_masked:g} on the grid 8 x 64 \(512 patches\)"):
        check_mask(GRID, num_masked, (3, 5))


def test_a_single_patch_cannot_be_masked():
    with pytest.raises(ShapeError, match=r"grid 1 x 1 \(1 patches\)"):
        check_mask(PatchGrid(1, 1), 0.5, (1, 1))


def test_counts_that_fit_pass():
    for num_masked in (1, 400, 511, 400.0, 0.75, 0.001):
        check_mask(GRID, num_masked, (3, 5))


@pytest.mark.parametrize("cluster_size", [(0, 3), (5, 3)])
def test_the_sides_have_to_be_a_range(cluster_size):
    with pytest.raises(ShapeError, match=r"cluster_size: .* 1 <= smallest <= largest"):
        check_mask(GRID, 400, cluster_size)


def test_neither_count_nor_share():
    with pytest.raises(ShapeError, match=r"num_masked: 2\.5 - expected a whole number, or a share"):
        check_mask(GRID, 2.5, (3, 5))


@pytest.mark.parametrize("num_masked", [1, 100, 400, 510, 0.75])
@pytest.mark.parametrize("cluster_size", [(3, 5), (1, 3), (1, 1)])
def test_the_released_sampler_masks_exact_counts(cluster_size, num_masked):
    is_masked = draw_released_mask(GRID, num_masked, cluster_size, KEYS[:20])
    assert is_masked.sum(dim=1).tolist() == [mask_count(num_masked, 512)] * 20


def test_the_released_sampler_has_its_slips():
    """Its whole distribution is compared in tests/golden (kind ssast_mask_stats)."""
    frequency = draw_released_mask(GRID, 400, (3, 5), KEYS[:400]).float().mean(dim=0)
    assert frequency[0] == 0  # never masked
    assert frequency[-1] == 0  # always cut
    # Low mels half as often as the others: 0.42 against 0.89 in 4,000 draws of the released code.
    rows = frequency.view(8, 64).mean(dim=1)
    assert rows[0] == pytest.approx(0.42, abs=0.03)
    assert rows[4] == pytest.approx(0.89, abs=0.03)
    # One cluster of nine places in a row of its own: some run over the right edge into the next row.
    few = draw_released_mask(GRID, 9, (3, 3), KEYS[:400]).view(-1, 8, 64)
    assert (few[:, :, 0].any(dim=1) & few[:, :, -1].any(dim=1)).float().mean() > 0.02


def test_the_released_sampler_draws_single_patches_fairly():
    grid = PatchGrid(1, 512)
    frequency = draw_released_mask(grid, 400, (1, 1), KEYS[:2000]).float().mean(dim=0)
    # A coin of 400 / 512 in 2,000 clips, five standard deviations.
    assert (frequency - 400 / 512).abs().max() < 5 * (0.78125 * 0.21875 / 2000) ** 0.5


def test_the_released_mask_depends_on_key_and_purpose_alone():
    first = draw_released_mask(GRID, 100, (3, 5), KEYS[:10])
    assert torch.equal(draw_released_mask(GRID, 100, (3, 5), KEYS[:10].flip(0)), first.flip(0))
    assert len({tuple(row.tolist()) for row in first}) == 10
    assert not torch.equal(draw_released_mask(GRID, 100, (3, 5), KEYS[:10], purpose="other"), first)
    assert not torch.equal(draw_released_mask(GRID, 100, (3, 5), -KEYS[:10]), first)


@pytest.mark.parametrize("cluster_size", [(3, 5), (1, 1)])
@pytest.mark.parametrize("num_masked", [50, 0.6])
def test_the_released_mask_of_a_padded_clip_is_the_one_it_has_alone(cluster_size, num_masked):
    columns = [64, 40, 17, 1, 0]
    is_padded = padding(GRID, columns)
    wide = draw_released_mask(GRID, num_masked, cluster_size, KEYS[:5], is_padded)
    assert not (wide & is_padded).any()
    for clip, width in enumerate(columns[:4]):
        alone = draw_released_mask(PatchGrid(8, width), num_masked, cluster_size, KEYS[clip : clip + 1])
        assert torch.equal(wide.view(5, 8, 64)[clip, :, :width], alone.view(8, width))
        assert alone.any()


def test_counts_with_which_the_released_sampler_would_never_end_are_refused():
    check_released_mask(GRID, 510, (3, 5))
    check_released_mask(GRID, 511, (1, 1))  # drawn one by one
    for num_masked in (511, 0.999):
        with pytest.raises(ShapeError, match=r"mask_sampler 'released' on the grid 8 x 64 .* expected at most 510"):
            check_released_mask(GRID, num_masked, (3, 5))
