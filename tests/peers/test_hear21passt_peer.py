"""The released PaSST, live, from its package: the same numbers in both directions."""

from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.export import convert

passt = pytest.importorskip(
    "hear21passt.models.passt", reason="hear21passt, the peer, is not installed (pip install -e '.[peers]')"
)

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-9}
NUMBERS: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3, "num_classes": 4}
GEOMETRIES: list[dict[str, Any]] = [
    {"stride": (10, 10), "n_frames": 118},
    {"stride": (16, 16), "n_frames": 96},
    {"stride": (16, 12), "n_frames": 144},
    {"stride": (12, 12), "n_frames": 100},
]


def peer_of(stride: tuple[int, int], n_frames: int) -> Any:
    """The released class with weights that make every part matter."""
    peer = passt.PaSST(img_size=(128, n_frames), stride=stride, distilled=True, **NUMBERS).eval()
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return peer


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_their_file_loads_here(tmp_path: Path, geometry: dict[str, Any]) -> None:
    peer = peer_of(**geometry)
    torch.save(peer.state_dict(), tmp_path / "passt.pt")
    model: Any = zoo.load(tmp_path / "passt.pt", own={"num_heads": 3, **geometry}).double()
    x = torch.randn(2, 128, geometry["n_frames"], dtype=torch.float64)
    logits, features = peer.double()(x[:, None])
    torch.testing.assert_close(model(x), logits, **CLOSE)
    torch.testing.assert_close(model.features(x), features, **CLOSE)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_our_file_loads_there(tmp_path: Path, geometry: dict[str, Any]) -> None:
    config = preset_config("passt-tiny", **NUMBERS, **geometry, patchout_freq=1, patchout_time=1)
    model: Any = build_model(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_checkpoint(tmp_path / "c", model.state_dict(), {"model": config.model_dump(mode="json")})
    convert(tmp_path / "c", tmp_path / "passt.pt", "official")
    peer = peer_of(**geometry)
    peer.load_state_dict(torch.load(tmp_path / "passt.pt", weights_only=True))
    x = torch.randn(2, 128, geometry["n_frames"], dtype=torch.float64)
    logits, features = peer.double()(x[:, None])
    torch.testing.assert_close(logits, model.double()(x), **CLOSE)
    torch.testing.assert_close(features, model.features(x), **CLOSE)


@pytest.mark.filterwarnings("ignore:Input image size:UserWarning")
@pytest.mark.parametrize("n_frames", [50, 100])
def test_a_shorter_clip_has_the_first_positions(tmp_path: Path, n_frames: int) -> None:
    """In their forward pass, and in ours at that length, and in a model of ours that was built for it."""
    peer = peer_of((10, 10), 118)
    torch.save(peer.state_dict(), tmp_path / "passt.pt")
    own = {"num_heads": 3, "n_frames": 118}
    x = torch.randn(2, 128, n_frames, dtype=torch.float64)
    logits, _ = peer.double()(x[:, None])
    torch.testing.assert_close(zoo.load(tmp_path / "passt.pt", own=own).double()(x), logits, **CLOSE)
    short: Any = zoo.load(tmp_path / "passt.pt", own=own, n_frames=n_frames)
    torch.testing.assert_close(short.double()(x), logits, **CLOSE)
