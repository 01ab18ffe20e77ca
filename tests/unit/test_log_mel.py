"""A log-mel knows its front end, and a loaded model refuses one that another front end made."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.audio.front_ends import FAMILIES
from zoo.audio.log_mel import LogMel
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint

SMALL: dict[str, Any] = {"embed_dim": 24, "depth": 1, "num_heads": 3, "n_frames": 64, "num_classes": 4}


@pytest.fixture
def waveform() -> Tensor:
    return 0.1 * torch.randn(2, 20_000)


def saved(
    folder: Path, preset: str = "ast-tiny", family: str = "ast", pretraining: bool = False, **fields: Any
) -> Path:
    config = preset_config(preset, **{**SMALL, **fields})
    described = {
        "model": config.model_dump(mode="json"),
        "front_end": FAMILIES[family].model_dump(mode="json"),
        "labels": ["a", "b", "c", "d"],
        "pretraining": pretraining,
    }
    save_checkpoint(folder, build_model(config, pretraining=pretraining).state_dict(), described)
    return folder


def test_moving_and_cutting_keep_the_maker_and_computing_loses_it(waveform: Tensor) -> None:
    front_end = zoo.front_end("ast")
    log_mel = front_end(waveform)
    for kept in (
        log_mel[..., :8],
        log_mel[0],
        log_mel.to(torch.float64),
        log_mel.clone(),
        log_mel.detach(),
        log_mel.cpu(),
        log_mel.contiguous(),
        torch.nn.functional.pad(log_mel, (0, 5)),
        copy.deepcopy(log_mel),
        torch.cat([log_mel, log_mel]),
        torch.stack(list(log_mel)),
        torch.stack(log_mel.unbind()),
        log_mel.unsqueeze(0).squeeze(0),
        log_mel.mT.mT,
        log_mel.transpose(1, 2),
        log_mel.bfloat16().float(),
        log_mel.split(1)[1],
        log_mel.expand(2, -1, -1),
        log_mel.roll(3, dims=-1),
        log_mel.reshape(-1, 128, log_mel.shape[-1]),
    ):
        assert isinstance(kept, LogMel)
        assert kept.front_end == front_end.config
    for plain in (log_mel + 1, log_mel.mean(), log_mel.softmax(-1), -log_mel, torch.cat([log_mel + 1, log_mel + 2])):
        assert type(plain) is Tensor
    assert torch.equal(log_mel + 0, log_mel.as_subclass(Tensor))


def test_parts_of_two_front_ends_are_no_batch(waveform: Tensor) -> None:
    one, other = zoo.front_end("ast")(waveform), zoo.front_end("hf")(waveform)
    with pytest.raises(zoo.ShapeError, match="two front ends in one batch"):
        torch.cat([one, other])


def test_it_is_saved_as_a_plain_tensor(waveform: Tensor, tmp_path: Path) -> None:
    log_mel = zoo.front_end("ast")(waveform)
    torch.save(log_mel, tmp_path / "log_mel.pt")
    again = torch.load(tmp_path / "log_mel.pt", weights_only=True)
    assert type(again) is Tensor
    assert torch.equal(again, log_mel)


def test_a_loaded_model_carries_its_front_end_and_labels(tmp_path: Path, waveform: Tensor) -> None:
    model: Any = zoo.load(saved(tmp_path / "c"))
    assert model.front_end == FAMILIES["ast"]
    assert model.labels == ("a", "b", "c", "d")
    log_mel = model.front_end.build()(waveform)[..., :64]
    assert torch.equal(model(log_mel), model(log_mel.as_subclass(Tensor)))


@pytest.mark.parametrize(
    ("family", "field"), [("hf", "subtract_mean is False, the model's True"), ("passt", "kind is 'passt'")]
)
@pytest.mark.parametrize("method", ["tokens", "features", "__call__"])
def test_features_of_another_front_end_are_refused(
    tmp_path: Path, waveform: Tensor, family: str, field: str, method: str
) -> None:
    model = zoo.load(saved(tmp_path / "c"))
    log_mel = torch.stack(list(zoo.front_end(family)(waveform)))[..., :64]
    with pytest.raises(zoo.ShapeError, match=f"another front end .*{field}"):
        getattr(model, method)(log_mel)


def test_pretraining_refuses_them_too(tmp_path: Path, waveform: Tensor) -> None:
    model: Any = zoo.load(saved(tmp_path / "p", "ssast-patch-tiny", pretraining=True, num_masked=9))
    log_mel = zoo.front_end("hf")(waveform)[..., :64]
    for use in (model, model.details):
        with pytest.raises(zoo.ShapeError, match="subtract_mean is False"):
            use(log_mel)
    model(zoo.front_end("ast")(waveform)[..., :64])


def test_a_new_model_takes_any_log_mel(waveform: Tensor) -> None:
    model = zoo.build("cnn-baseline", n_frames=64)
    for family in FAMILIES:
        assert model(zoo.front_end(family)(waveform)[..., :64]).shape == (2, 527)
