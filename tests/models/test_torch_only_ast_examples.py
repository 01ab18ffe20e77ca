"""What the README of TorchOnlyAST shows, in this zoo's names: the same steps, the same shapes.

Widths are the real ones and the depth is one layer. `build_from_pretrained(name)` there is `zoo.load(path)` here; the
checkpoints are written by the tests, with random weights.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.train.checkpoint import save_checkpoint

BATCH, N_MELS, N_FRAMES = 4, 128, 512


@pytest.fixture
def log_mel() -> Tensor:
    return torch.randn(BATCH, N_MELS, N_FRAMES)


def checkpoint(folder: Path, name: str, *, pretraining: bool = False) -> Path:
    model: Any = zoo.build(name, depth=1, pretraining=pretraining)
    config = {"model": model.config.model_dump(mode="json"), "pretraining": pretraining}
    save_checkpoint(folder, model.state_dict(), config)
    return folder


def test_ast(tmp_path: Path, log_mel: Tensor) -> None:
    path = checkpoint(tmp_path / "ast", "ast-base")
    model: Any = zoo.load(path)
    assert model(log_mel).shape == (4, 527)

    model.head = None
    assert model(log_mel).shape == (4, 768)

    head = zoo.MLPHead(model.embedding.embed_dim, 50)
    model.head = head
    assert model(log_mel).shape == (4, 50)

    model = zoo.load(path, head=head)
    assert model(log_mel).shape == (4, 50)
    assert model.head is head

    model.aggregator = None
    model.head = None
    assert model(log_mel).shape == (4, 602, 768)  # CLS, DIST and 600 patches


@pytest.mark.parametrize("form", ["patch", "frame"])
def test_ssast(tmp_path: Path, log_mel: Tensor, form: str) -> None:
    path = checkpoint(tmp_path / "ssast", f"ssast-{form}-base", pretraining=True)
    model: Any = zoo.load(path, pretraining=False, aggregator=None)
    assert model.head is None
    assert model(log_mel).shape == (4, 258, 768)  # CLS, DIST and 256 patches

    aggregator = zoo.HeadTokensAggregator()
    head = zoo.MLPHead(model.embedding.embed_dim, 50)
    model.aggregator = aggregator
    model.head = head
    assert model(log_mel).shape == (4, 50)

    model = zoo.load(path, aggregator=aggregator, head=head)
    assert model(log_mel).shape == (4, 50)
    assert (model.aggregator, model.head) == (aggregator, head)


@pytest.mark.parametrize("form", ["patch", "frame"])
def test_ssast_pretraining(form: str) -> None:
    """The two triples (output, target, length): to reconstruct and to classify 400 patches of 256 values."""
    model = zoo.build(f"ssast-{form}-base", depth=1, pretraining=True)
    reconstruct, classify = model(torch.randn(2, N_MELS, 1024))
    for output, target, length in (reconstruct, classify):
        assert output.shape == target.shape == (2, 400, 256)
        assert length.tolist() == [400, 400]


def test_ssast_pretraining_with_lengths() -> None:
    model = zoo.build("ssast-patch-base", depth=1, pretraining=True)
    lengths = torch.tensor([1024, 600, 300])
    for output, target, length in model(torch.randn(3, N_MELS, 1024), lengths):
        assert output.shape == target.shape == (3, 400, 256)
        assert length.tolist() == [400, 8 * 37 - 1, 8 * 18 - 1]


def test_passt(tmp_path: Path, log_mel: Tensor) -> None:
    path = checkpoint(tmp_path / "passt", "passt-base")
    model: Any = zoo.load(path).train()
    assert model(log_mel).shape == (4, 527)

    model.head = None
    assert model(log_mel).shape == (4, 768)

    head = zoo.MLPHead(model.embedding.embed_dim, 50)
    model.head = head
    assert model(log_mel).shape == (4, 50)

    model = zoo.load(path, head=head).train()
    assert model(log_mel).shape == (4, 50)

    model.aggregator = None
    model.head = None
    assert model(log_mel).shape == (4, 82, 768)  # patchout in training
    assert model.eval()(log_mel).shape == (4, 602, 768)  # and none in evaluation


@pytest.mark.parametrize("name", ["ast-base", "passt-base"])
def test_printing_shows_the_parts(name: str) -> None:
    shown = repr(zoo.build(name, depth=1))
    for part in ("(embedding)", "Conv2d(1, 768, kernel_size=(16, 16), stride=(10, 10))", "(encoder)", "(aggregator)"):
        assert part in shown
    assert "(linear): Linear(in_features=768, out_features=527, bias=True)" in shown
    assert ("Patchout(freq=4, time=40" in shown) is (name == "passt-base")
