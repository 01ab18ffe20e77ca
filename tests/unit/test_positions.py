"""Position tables on other grids: the released rules on hand-made tables, and true time and frequency."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import ShapeError
from zoo.nn.interpolation import stretched_places, take
from zoo.nn.patch import PatchGrid
from zoo.weights.positions import (
    Axis,
    released_ast,
    released_ast_from_image,
    released_passt_from_image,
    released_ssast,
    resample,
    split_axes,
    time_places,
)

sizes = st.integers(1, 20)


def numbered(freq: int, time: int) -> torch.Tensor:
    """Every entry holds its own place: (freq, time)."""
    rows, columns = torch.meshgrid(torch.arange(freq), torch.arange(time), indexing="ij")
    return torch.stack([rows, columns], dim=-1).float()


def test_released_ast_cuts_the_middle() -> None:
    """AudioSet's 12 x 101 to 5 s: columns 25 to 74; to 64 mel bands: rows 4 to 8."""
    assert torch.equal(released_ast(numbered(12, 101), PatchGrid(12, 50)), numbered(12, 101)[:, 25:75])
    assert torch.equal(released_ast(numbered(12, 101), PatchGrid(5, 101)), numbered(12, 101)[4:9])


def test_released_image_cuts_an_equal_axis_too_and_stretches_a_longer_one() -> None:
    """DeiT's 24 x 24 to 10 s: rows 6 to 17, and time stretched before they are cut."""
    table = torch.randn(24, 24, 3)
    stretched = F.interpolate(table.permute(2, 0, 1)[None], (24, 101), mode="bilinear", align_corners=False)
    expected = stretched[0].permute(1, 2, 0)[6:18]
    assert torch.equal(released_ast_from_image(table, PatchGrid(12, 101)), expected)
    assert torch.equal(released_ast_from_image(table, PatchGrid(24, 9)), table[:, 8:17])


def test_released_ssast_goes_through_eight_rows() -> None:
    table = torch.randn(4, 16, 3)
    picture = table.permute(2, 0, 1)[None]
    by_eight = F.interpolate(
        F.interpolate(picture, (8, 39), mode="bilinear", align_corners=False),
        (5, 39),
        mode="bilinear",
        align_corners=False,
    )
    assert torch.equal(released_ssast(table, PatchGrid(5, 39)), by_eight[0].permute(1, 2, 0))


@pytest.mark.parametrize(("freq", "works"), [(7, True), (6, False), (4, False), (1, False)])
def test_released_ssast_fails_where_the_released_code_does(freq: int, works: bool) -> None:
    """It takes as many rows as there are columns, so from 8 rows only 7 can be cut."""
    if works:
        assert torch.equal(released_ssast(numbered(8, 64), PatchGrid(freq, 50)), numbered(8, 64)[1:, 7:57])
    else:
        with pytest.raises(ShapeError, match=rf"where {freq} are needed"):
            released_ssast(numbered(8, 64), PatchGrid(freq, 50))


def test_released_passt_counts_the_mean_twice() -> None:
    freq, time = released_passt_from_image(torch.ones(14, 14, 2), 12, 99)
    assert freq.shape == (12, 2)
    assert time.shape == (99, 2)
    torch.testing.assert_close(freq[:, None] + time[None], torch.full((12, 99, 2), 2.0))


@given(sizes, sizes, sizes, sizes)
def test_every_rule_gives_the_grid_asked_for(freq: int, time: int, new_freq: int, new_time: int) -> None:
    grid = PatchGrid(new_freq, new_time)
    for rule in (released_ast, released_ast_from_image):
        assert rule(numbered(freq, time), grid).shape == (new_freq, new_time, 2)


@given(sizes, sizes)
def test_the_same_grid_stays(freq: int, time: int) -> None:
    table = torch.randn(freq, time, 2)
    for rule in (released_ast, released_ast_from_image):
        assert torch.equal(rule(table, PatchGrid(freq, time)), table)
    same_rows, same_columns = Axis(freq, 16, 10, 128), Axis(time, 16, 10)
    again = resample(table, same_rows.places_in(same_rows), time_places(same_columns, same_columns))
    assert torch.equal(again, table)


@given(st.integers(2, 30), st.integers(1, 30), st.sampled_from([10, 16]))
def test_a_shorter_model_of_the_same_step_has_the_first_columns(time: int, shorter: int, stride: int) -> None:
    shorter = min(shorter, time)
    places = time_places(Axis(shorter, 16, stride), Axis(time, 16, stride))
    table = torch.randn(3, time, 2)
    assert torch.equal(take(table, 1, places), table[:, :shorter])


def test_true_time_at_another_stride() -> None:
    """A patch of stride 10 has its centre at frame 10 j + 8; the table of stride 16 has one there at j = 10 j / 16."""
    places = time_places(Axis(50, 16, 10), Axis(64, 16, 16))
    torch.testing.assert_close(places, torch.arange(50, dtype=torch.float64) * 10 / 16)
    values = take(numbered(1, 64), 1, places)[0, :, 1]
    torch.testing.assert_close(values, torch.arange(50) * 0.625)


def test_true_frequency_with_other_bands() -> None:
    """Row centres are at (10 i + 8) / 64 of the mel range with 64 bands, at (10 i + 8) / 128 with 128."""
    places = Axis(5, 16, 10, 64).places_in(Axis(12, 16, 10, 128))
    torch.testing.assert_close(places, (2 * (torch.arange(5) * 10.0 + 8) - 8).double() / 10)


def test_a_longer_clip_is_stretched_to_the_end() -> None:
    places = time_places(Axis(101, 16, 10), Axis(50, 16, 10))
    torch.testing.assert_close(places, stretched_places(101, 50))
    table = torch.randn(1, 50, 2)
    expected = F.interpolate(table.permute(2, 0, 1)[None], (1, 101), mode="bilinear", align_corners=False)
    torch.testing.assert_close(take(table, 1, places), expected[0].permute(1, 2, 0))


def test_a_whole_table_is_split_into_the_nearest_sum() -> None:
    freq, time = torch.randn(5, 3), torch.randn(7, 3)
    rows, columns = split_axes(freq[:, None] + time[None])
    torch.testing.assert_close(rows[:, None] + columns[None], freq[:, None] + time[None])
