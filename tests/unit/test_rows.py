"""Rows of batches, gathered into blocks."""

import pytest
import torch

from zoo.evaluate import rows as rows_module
from zoo.evaluate.rows import Rows


@pytest.mark.parametrize("sizes", [[3], [4, 4, 4], [1] * 11, [3, 2, 9, 0, 1], [10, 1], [0, 2]])
def test_rows_come_out_as_they_went_in(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_BLOCK", 4)
    batches = [torch.randn(size, 3) for size in sizes]
    rows = Rows()
    for batch in batches:
        given = batch.clone()
        rows.add(given)
        given.zero_()
    assert len(rows) == sum(sizes)
    assert torch.equal(rows.on_cpu(), torch.cat(batches))


def test_half_precision_and_integers_come_out_as_float32() -> None:
    rows = Rows()
    rows.add(torch.tensor([[1.5]], dtype=torch.bfloat16))
    rows.add(torch.tensor([[2]]))
    assert rows.on_cpu().dtype == torch.float32
    assert rows.on_cpu().tolist() == [[1.5], [2.0]]
