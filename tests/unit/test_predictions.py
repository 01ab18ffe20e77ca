"""What a run keeps of its answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.errors import DataError
from zoo.evaluate.predictions import Predictions


def _some(task: str = "single-label") -> Predictions:
    scores = torch.randn(3, 2)
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    return Predictions(("a", "b/ü", "c"), scores, targets, ("low", "high; very"), task)  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_what_is_written_is_read(task: str, tmp_path: Path) -> None:
    written = _some(task)
    written.write(tmp_path / "p.npz")
    read = Predictions.read(tmp_path / "p.npz")
    assert (read.names, read.labels, read.task) == (written.names, written.labels, task)
    assert torch.equal(read.scores, written.scores)
    assert torch.equal(read.targets, written.targets)
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.npz"]


def test_what_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    with pytest.raises(DataError, match="No such file"):
        Predictions.read(path)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match="found no predictions"):
        Predictions.read(path)
    np.savez(path, names=np.array(["a"]))
    with pytest.raises(DataError, match="scores"):
        Predictions.read(path)
    np.savez(path, names=np.array([{"a": 1}], dtype=object), scores=0, targets=0, labels=0, task="x")
    with pytest.raises(DataError, match="found no predictions"):  # never unpickled
        Predictions.read(path)


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    two = np.zeros((2, 2))
    np.savez(path, names=np.array(["a"]), scores=two, targets=two, labels=np.array(["x", "y"]), task="single-label")
    with pytest.raises(DataError, match=r"scores \(2, 2\)"):
        Predictions.read(path)
