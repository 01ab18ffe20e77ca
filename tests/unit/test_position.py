"""Position tables: which vector goes where, narrower and wider input, PaSST's window."""

import math

import pytest
import torch

from zoo.draws import clip_keys
from zoo.errors import ShapeError
from zoo.nn.patch import PatchGrid
from zoo.nn.position import FrequencyTimePosition, LearnedPosition, SinusoidalPosition

TABLE = PatchGrid(3, 7)


def filled(position):
    for parameter in position.parameters():
        torch.nn.init.normal_(parameter)
    return position


@pytest.fixture(
    params=[
        lambda: LearnedPosition(TABLE, 8),
        lambda: SinusoidalPosition(TABLE, 8, "2d"),
        lambda: SinusoidalPosition(TABLE, 8, "1d"),
        lambda: FrequencyTimePosition(TABLE.freq, TABLE.time, 8),
    ],
    ids=["learned", "sinusoidal-2d", "sinusoidal-1d", "frequency-time"],
)
def position(request):
    return filled(request.param())


def test_width_of_the_table_is_known(position):
    assert position.grid == TABLE
    assert position(TABLE).shape == (1, 21, 8)


def test_narrower_input_takes_the_first_columns(position):
    whole = position(TABLE).view(3, 7, 8)
    narrow = position(PatchGrid(3, 4)).view(3, 4, 8)
    assert torch.equal(narrow, whole[:, :4])


def test_wider_input_is_an_error_with_both_widths_and_the_cure(position):
    with pytest.raises(ShapeError, match=r"9 patch columns - expected at most the 7 .* resize"):
        position(PatchGrid(3, 9))


def test_open_to_any_length_every_clip_is_stretched_over_its_own_columns(position):
    """Clips of 9, 5, 7 and 12 columns in a batch of 12: what a table of each clip's own length would have."""
    position.is_open = True
    columns = torch.tensor([9, 5, 7, 12])
    found = position(PatchGrid(3, 12), num_columns=columns).expand(4, -1, -1).view(4, 3, 12, 8)
    for row, count in zip(found, columns.tolist(), strict=True):
        alone = position(PatchGrid(3, count)).view(3, count, 8)
        assert torch.equal(row[:, :count], alone)
        assert torch.equal(position(PatchGrid(3, count), num_columns=torch.tensor([count])).view(3, count, 8), alone)
    assert torch.equal(found[1][:, :5], position(TABLE).view(3, 7, 8)[:, :5])
    assert torch.equal(position(PatchGrid(3, 12))[0].view(3, 12, 8), found[3])
    with pytest.raises(ShapeError, match="4 patch rows"):
        position(PatchGrid(4, 12))
    position.is_open = False
    with pytest.raises(ShapeError, match="12 patch columns"):
        position(PatchGrid(3, 12))


def test_a_stretched_table_is_torchs_interpolation():
    position = filled(LearnedPosition(TABLE, 8))
    position.is_open = True
    picture = position.table.permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(picture, (3, 19), mode="bilinear", align_corners=False)
    found = position(PatchGrid(3, 19)).view(3, 19, 8)
    torch.testing.assert_close(found, expected[0].permute(1, 2, 0))


@pytest.mark.parametrize("form", ["1d", "2d"])
def test_sinusoids_go_on_as_a_longer_table_has_them(form):
    position = SinusoidalPosition(TABLE, 8, form)
    position.is_open = True
    longer = SinusoidalPosition(PatchGrid(3, 11), 8, form)
    assert torch.equal(position(PatchGrid(3, 11)), longer(PatchGrid(3, 11)))


@pytest.mark.parametrize("rows", [2, 4])
def test_another_number_of_rows_is_an_error_with_both_numbers(position, rows):
    with pytest.raises(ShapeError, match=f"{rows} patch rows - expected the 3 .* resize"):
        position(PatchGrid(rows, 7))


def test_all_places_differ(position):
    vectors = position(TABLE)[0]
    distance = torch.cdist(vectors, vectors) + torch.eye(21)
    assert distance.min() > 1e-2


def test_learned_position_is_the_table_frequency_major():
    position = filled(LearnedPosition(TABLE, 8))
    assert [name for name, _ in position.named_parameters()] == ["table"]
    assert torch.equal(position(TABLE)[0, 2 * 7 + 5], position.table[2, 5])


def test_frequency_time_position_is_the_sum():
    position = filled(FrequencyTimePosition(3, 7, 8))
    assert torch.equal(position(TABLE)[0, 2 * 7 + 5], position.freq[2] + position.time[5])


def test_sinusoids_in_one_dimension_by_the_formula():
    table = SinusoidalPosition(TABLE, 8, "1d")(TABLE)[0]
    place = 2 * 7 + 5
    for i in range(4):
        angle = place / 10000 ** (2 * i / 8)
        assert table[place, 2 * i] == pytest.approx(math.sin(angle), abs=1e-7)
        assert table[place, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-7)


def test_sinusoids_in_two_dimensions_by_the_formula():
    table = SinusoidalPosition(TABLE, 16, "2d")(TABLE)[0]
    f, t = 2, 5
    for half, place in ((0, f), (8, t)):
        for i in range(4):
            angle = place / 10000 ** (i / 4)
            assert table[f * 7 + t, half + i] == pytest.approx(math.sin(angle), abs=1e-7)
            assert table[f * 7 + t, half + 4 + i] == pytest.approx(math.cos(angle), abs=1e-7)


def test_sinusoids_are_neither_trained_nor_saved():
    position = SinusoidalPosition(TABLE, 8)
    assert not list(position.parameters())
    assert not position.state_dict()


@pytest.mark.parametrize(("form", "embed_dim", "multiple"), [("2d", 6, 4), ("1d", 7, 2)])
def test_sinusoids_need_a_fitting_width(form, embed_dim, multiple):
    with pytest.raises(ShapeError, match=f"embed_dim {embed_dim} - expected a multiple of {multiple}"):
        SinusoidalPosition(TABLE, embed_dim, form)
    with pytest.raises(ShapeError, match="'3d' - expected '2d' or '1d'"):
        SinusoidalPosition(TABLE, embed_dim, "3d")


class TestRandomWindow:
    keys = clip_keys(0, 0, torch.arange(600))

    def test_first_and_last_window_are_both_drawn_and_all_alike(self):
        position = FrequencyTimePosition(3, 7, 4, random_time_offset=True)
        offset = position.draw_time_offset(PatchGrid(3, 4), self.keys)
        counts = torch.bincount(offset)
        assert counts.shape == (4,)  # 0, 1, 2, 3 = 7 - 4
        # Binomial(600, 1/4): sd 10.6; five of them.
        assert (counts - 150).abs().max() < 53

    def test_a_spare_column_gives_two_windows(self):
        # TorchOnlyAST never draws the last one.
        position = FrequencyTimePosition(3, 7, 4, random_time_offset=True)
        assert set(position.draw_time_offset(PatchGrid(3, 6), self.keys).tolist()) == {0, 1}

    def test_the_largest_number_does_not_round_beyond_the_last_window(self, monkeypatch):
        largest = torch.full((1, 1), 1 - 2.0**-24)
        monkeypatch.setattr("zoo.nn.position.uniform", lambda keys, purpose, count: largest)
        for spare in range(1, 1200):
            position = FrequencyTimePosition(1, spare + 1, 1, random_time_offset=True)
            assert position.draw_time_offset(PatchGrid(1, 1), self.keys[:1]).item() == spare

    def test_every_clip_takes_its_own_window(self):
        position = filled(FrequencyTimePosition(3, 7, 8, random_time_offset=True))
        grid, keys = PatchGrid(3, 4), self.keys[:20]
        offset = position.draw_time_offset(grid, keys)
        vectors = position(grid, keys)
        assert vectors.shape == (20, 12, 8)
        for clip in range(20):
            start = int(offset[clip])
            expected = position.freq[:, None] + position.time[None, start : start + 4]
            assert torch.equal(vectors[clip], expected.flatten(0, 1))
        assert torch.equal(position(grid, time_offset=offset), vectors)
        assert torch.equal(position(grid, keys), vectors)

    def test_without_keys_one_window_for_all(self):
        position = filled(FrequencyTimePosition(3, 7, 8, random_time_offset=True))
        drawn = {position(PatchGrid(3, 4))[0, 0, 0].item() for _ in range(60)}
        assert len(drawn) == 4

    def test_in_evaluation_the_first_columns(self):
        position = filled(FrequencyTimePosition(3, 7, 8, random_time_offset=True)).eval()
        assert torch.equal(position(PatchGrid(3, 4), self.keys[:5])[0, :4], position.freq[0] + position.time[:4])

    def test_input_as_wide_as_the_table_has_nothing_to_draw(self):
        position = filled(FrequencyTimePosition(3, 7, 8, random_time_offset=True))
        assert position(TABLE, self.keys[:5]).shape == (1, 21, 8)

    def test_gradients_reach_the_drawn_columns_only(self):
        position = filled(FrequencyTimePosition(3, 7, 8, random_time_offset=True))
        position(PatchGrid(3, 4), time_offset=torch.tensor([2])).sum().backward()
        assert position.time.grad.abs().sum(dim=1).bool().tolist() == [False, False, True, True, True, True, False]
