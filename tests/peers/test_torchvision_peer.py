"""torchvision's ViT, live: timm's network under other names."""

from pathlib import Path
from typing import Any

import pytest
import torch

import zoo

models = pytest.importorskip("torchvision.models", reason="torchvision, the peer, is not installed (extra `peers`)")


def test_their_vit_gives_our_tokens(tmp_path: Path) -> None:
    """It has no DIST: ours is then a second CLS, and their encoder sees the same when CLS is given to it twice."""
    size = {"image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 3, "hidden_dim": 24, "mlp_dim": 96}
    peer: Any = models.VisionTransformer(**size, num_classes=5).eval()
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.copy_((torch.randn_like(parameter) * 0.2 * 1024).round() / 1024)  # three channels add up exactly
    torch.save(peer.state_dict(), tmp_path / "vit.pth")
    loaded: Any = zoo.load(
        tmp_path / "vit.pth", own={"num_heads": 3}, num_classes=0, n_mels=64, n_frames=64, stride=(16, 16)
    )
    peer = peer.double()
    x = torch.randn(2, 64, 64, dtype=torch.float64)
    cls, position = peer.class_token.expand(2, -1, -1), peer.encoder.pos_embedding
    peer.encoder.pos_embedding = torch.nn.Parameter(torch.cat([position[:, :1], position], dim=1))
    patches = peer._process_input(x[:, None].expand(-1, 3, -1, -1))
    given = peer.encoder(torch.cat([cls, cls, patches], dim=1))
    torch.testing.assert_close(loaded.double().tokens(x), given, rtol=0, atol=1e-9)
