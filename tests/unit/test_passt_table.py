"""PaSST's table of positions in time, where it is for another length than the clips."""

from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.models.passt import PasstConfig
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.export import convert

TINY: dict[str, Any] = {"embed_dim": 24, "depth": 1, "num_heads": 2, "num_classes": 3}


@pytest.mark.parametrize(
    ("n_frames", "table_frames", "stride", "columns"),
    [
        (1000, 998, 10, 99),  # the released model and its front end
        (500, 998, 10, 99),  # ESC-50
        (1000, 2000, 10, 200),  # 20 s
        (1000, 3000, 10, 300),  # 30 s
        (998, None, 10, 99),
        (998, None, 12, 83),
        (1000, 500, 10, 99),  # never less than the clips have
    ],
)
def test_its_columns_are_those_of_the_released_models(
    n_frames: int, table_frames: int | None, stride: int, columns: int
) -> None:
    config = PasstConfig(**TINY, n_frames=n_frames, table_frames=table_frames, stride=(stride, stride))
    assert config.build().embedding.position.grid.time == columns


def test_a_longer_table_is_trained_throughout_and_takes_longer_clips() -> None:
    torch.manual_seed(0)
    model = PasstConfig(**TINY, n_frames=64, table_frames=200).build()
    log_mel = torch.randn(64, 128, 64)
    model(log_mel, keys=torch.arange(64)).sum().backward()
    gradient = model.embedding.position.time.grad
    assert gradient is not None
    assert (gradient.abs().sum(dim=1) > 0).all()
    model.eval()
    assert model.max_frames >= 200
    with torch.no_grad():
        alone = model(log_mel[:1])
        model.embedding.position.time[5:] += 1.0  # a clip of five columns begins with the first in evaluation
        assert torch.equal(model(log_mel[:1]), alone)
        assert model(torch.randn(1, 128, 200)).shape == (1, 3)


def test_a_released_file_has_the_table_alone(tmp_path: Path) -> None:
    """Written as released and read back it is a model of the table's length, with the same weights and answers."""
    torch.manual_seed(0)
    model = PasstConfig(**TINY, n_frames=500, table_frames=998).build().eval()
    about = {"model": model.config.model_dump(mode="json"), "pretraining": False, "labels": ["a", "b", "c"]}
    save_checkpoint(tmp_path / "own", model.state_dict(), about)
    convert(tmp_path / "own", tmp_path / "released.pth", "official")
    heads: dict[str, Any] = {"num_heads": 2}
    back: Any = zoo.load(tmp_path / "released.pth", own=heads)
    assert back.config.n_frames == 998
    again: Any = zoo.load(tmp_path / "released.pth", own=heads, n_frames=500, table_frames=998)
    log_mel = torch.randn(2, 128, 500)
    with torch.no_grad():
        expected = model(log_mel)
        assert torch.allclose(back(log_mel), expected, atol=1e-6)
        assert torch.allclose(again(log_mel), expected, atol=1e-6)
    assert torch.equal(again.embedding.position.time, model.embedding.position.time)
