"""Frames in pieces: every one once, in order, with rows of its own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.audio.pieces import blank_frames, in_pieces, pieces_of_frames


@given(
    counts=st.lists(st.integers(0, 70), max_size=8),
    length=st.sampled_from([400, 1_024, 8_192, 100_000]),
    apart=st.booleans(),
)
def test_every_frame_once_and_in_order(counts: list[int], length: int, apart: bool) -> None:
    found = []
    for piece in pieces_of_frames(counts, length, apart):
        places = [place for span in piece for place in range(span.place.start, span.place.stop)]
        assert places == list(range(len(places)))
        assert 1 <= len(places) <= max(16, 2**18 // length)
        rows = {span.row for span in piece}
        assert len(rows) == 1 or not apart
        assert blank_frames(piece, 3, torch.ones(1)).shape == (max(16, len(places)), 3)
        for span in piece:
            assert span.place.stop - span.place.start == span.last - span.first
            found += [(span.row, frame) for frame in range(span.first, span.last)]
    assert found == [(row, frame) for row, count in enumerate(counts) for frame in range(count)]


def test_a_full_piece_is_as_large_as_may_be() -> None:
    assert [[span.place.stop for span in piece] for piece in pieces_of_frames([1_000, 100], 512)] == [
        [512],
        [488, 512],
        [76],
    ]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_where_to_work_in_pieces(device: str) -> None:
    plain, wanted = torch.zeros(1, device=device), torch.zeros(1, device=device, requires_grad=True)
    assert in_pieces(plain) == (device == "cpu")
    assert not in_pieces(wanted)
    with torch.no_grad():
        assert in_pieces(wanted) == (device == "cpu")
