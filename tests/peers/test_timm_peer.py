"""timm's DeiT and ViT, live: the networks that AST and PaSST begin as."""

from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.export import convert

timm = pytest.importorskip("timm", reason="timm, the peer, is not installed (extra `peers`)")
deit = pytest.importorskip("timm.models.deit", reason="this timm has no DeiT")

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-9}
NUMBERS: dict[str, Any] = {"embed_dim": 24, "depth": 2, "num_heads": 3}
WIDTHS = [64, 160, 400]


def peer_of(n_mels: int, n_frames: int, channels: int = 1, distilled: bool = True, classes: int = 0) -> Any:
    """timm's model on spectrograms, with weights that make every part matter.

    They are multiples of 1/1024, so that the sum of the channels' kernels is exact in float32.
    """
    build = deit.VisionTransformerDistilled if distilled else timm.models.vision_transformer.VisionTransformer
    numbers = {"img_size": (n_mels, n_frames), "patch_size": 16, "in_chans": channels, "num_classes": classes}
    peer = build(**numbers, **NUMBERS).eval()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.copy_((torch.randn_like(parameter) * 0.2 * 1024).round() / 1024)
    return peer


def ours_of(path: Path, n_mels: int, n_frames: int) -> Any:
    """The AST that starts from this file, with patches side by side as in the image."""
    side_by_side: dict[str, Any] = {"n_mels": n_mels, "n_frames": n_frames, "stride": (16, 16)}
    own = {"num_heads": 3}
    if n_mels != n_frames:
        own |= side_by_side  # a grid that is no square does not tell
    return zoo.load(path, own=own, num_classes=0, **side_by_side)


@pytest.mark.parametrize("n_frames", [128, *WIDTHS])
def test_their_deit_gives_our_tokens(tmp_path: Path, n_frames: int) -> None:
    peer = peer_of(128, n_frames)
    torch.save(peer.state_dict(), tmp_path / "deit.pth")
    model = ours_of(tmp_path / "deit.pth", 128, n_frames).double()
    x = torch.randn(2, 128, n_frames, dtype=torch.float64)
    torch.testing.assert_close(model.tokens(x), peer.double().forward_features(x[:, None]), **CLOSE)


@pytest.mark.parametrize("n_frames", [128, 160])
def test_their_vit_gives_our_tokens(tmp_path: Path, n_frames: int) -> None:
    """It has no DIST: ours is then a second CLS, and so it is in a DeiT with two tokens alike."""
    vit = peer_of(128, n_frames, distilled=False)
    torch.save(vit.state_dict(), tmp_path / "vit.pth")
    model = ours_of(tmp_path / "vit.pth", 128, n_frames).double()
    state = vit.state_dict()
    position = state["pos_embed"]
    twin = peer_of(128, n_frames)
    both = {"dist_token": state["cls_token"], "pos_embed": torch.cat([position[:, :1], position], dim=1)}
    twin.load_state_dict({**state, **both})
    x = torch.randn(2, 128, n_frames, dtype=torch.float64)
    torch.testing.assert_close(model.tokens(x), twin.double().forward_features(x[:, None]), **CLOSE)


@pytest.mark.parametrize("n_frames", WIDTHS)
def test_our_tokens_are_those_of_their_deit(tmp_path: Path, n_frames: int) -> None:
    config = preset_config("ast-tiny", **NUMBERS, n_frames=n_frames, stride=(16, 16), num_classes=4)
    model: Any = build_model(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_checkpoint(tmp_path / "c", model.state_dict(), {"model": config.model_dump(mode="json")})
    convert(tmp_path / "c", tmp_path / "ast.pth", "official", bare=True)
    state = torch.load(tmp_path / "ast.pth", weights_only=True)
    peer = peer_of(128, n_frames, classes=1000)
    peer.load_state_dict({name.removeprefix("v."): tensor for name, tensor in state.items() if name.startswith("v.")})
    x = torch.randn(2, 128, n_frames, dtype=torch.float64)
    torch.testing.assert_close(peer.double().forward_features(x[:, None]), model.double().tokens(x), **CLOSE)


def test_one_channel_is_the_sum_of_three(tmp_path: Path) -> None:
    """A picture in three equal channels: the adapted kernel sees in one what DeiT sees in three."""
    peer = peer_of(64, 64, channels=3, classes=10)
    torch.save({"model": peer.state_dict()}, tmp_path / "deit.pth")  # as the authors of DeiT publish it
    model = ours_of(tmp_path / "deit.pth", 64, 64).double()
    x = torch.randn(2, 64, 64, dtype=torch.float64)
    picture = x[:, None].expand(-1, 3, -1, -1)
    peer = peer.double()
    tokens = model.tokens(x)
    torch.testing.assert_close(tokens, peer.forward_features(picture), **CLOSE)
    torch.testing.assert_close(peer.forward_head(tokens), peer(picture), **CLOSE)
    assert any("sum of 3 channels" in note for note in model.load_notes)
    mean: Any = zoo.load(
        tmp_path / "deit.pth",
        own={"num_heads": 3},
        channels="mean",
        num_classes=0,
        n_mels=64,
        n_frames=64,
        stride=(16, 16),
    )
    torch.testing.assert_close(mean.double().tokens(3 * x), tokens, rtol=0, atol=1e-5)
