"""A count, or a share below 1: the same whether for one clip or for a batch."""

import pytest
import torch

from zoo.errors import ShapeError
from zoo.nn.share import check_count_or_share, resolve_count, resolve_counts


@pytest.mark.parametrize(
    ("value", "total", "expected"),
    [(0, 10, 0), (0.5, 10, 5), (0.5, 11, 5), (0.29, 100, 29), (0.7, 10, 7), (1, 10, 1), (40.0, 99, 40), (0.999, 10, 9)],
)
def test_counts(value, total, expected):
    assert resolve_count(value, total) == expected
    assert resolve_counts(value, torch.tensor([total, total])).tolist() == [expected] * 2


def test_batch_and_single_agree_for_all_shares():
    totals = torch.arange(1, 600)
    for share in [i / 100 for i in range(100)]:
        assert resolve_counts(share, totals).tolist() == [resolve_count(share, total) for total in totals.tolist()]


@pytest.mark.parametrize("value", [-1, -0.1, 2.5])
def test_neither_count_nor_share(value):
    with pytest.raises(ShapeError, match=f"patchout_time: {value} - expected a whole number, or a share"):
        check_count_or_share("patchout_time", value)
