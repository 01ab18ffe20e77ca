"""Narrow models as pretraining leaves them, ours and in the released format, and runs that start from them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data.batch import Inputs
from zoo.models.registry import build_model, preset_config
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.adapt import AdaptConfig
from zoo.weights.formats.format import Format
from zoo.weights.formats.official_ssast import OfficialSsast
from zoo.weights.load import InitReport, initialise
from zoo.weights.source import read

WIDTH = 64  # as one released head is wide
NARROW: dict[str, Any] = {"embed_dim": WIDTH, "depth": 2, "num_heads": 1}
HEADS = {
    "mask_token",
    *(
        f"{head}.{layer}.{what}"
        for head in ("reconstruct", "classify")
        for layer in ("hidden", "output")
        for what in ("weight", "bias")
    ),
}
PATCH, FRAME = "ssast-patch-tiny", "ssast-frame-tiny"


def config_of(preset: str, **fields: Any) -> Any:
    return preset_config(preset, **{**NARROW, **fields})


def made(config: Any, pretraining: bool, seed: int = 0) -> Any:
    """A model in which every tensor has something to lose, biases and norms too."""
    torch.manual_seed(seed)
    model = build_model(config, pretraining=pretraining)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def released(path: Path, format_: Format, config: Any, pretraining: bool) -> Any:
    """A file as the released code writes it, and the model whose weights it has."""
    model = made(config, pretraining)
    state = format_.export(model.state_dict(), config)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    return model


def released_ssast(path: Path, config: Any) -> Any:
    """As `released`, of SSAST's pretraining."""
    return released(path, OfficialSsast(), config, True)


def ours(folder: Path, config: Any, pretraining: bool = True) -> Any:
    """A checkpoint of a run of the zoo, and its model."""
    model = made(config, pretraining)
    save_checkpoint(folder, model.state_dict(), {"model": config.model_dump(mode="json"), "pretraining": pretraining})
    return model


def started(source: Path, config: Any, pretraining: bool = True, **options: Any) -> tuple[Any, InitReport]:
    """What a run with `init.from` begins with: another seed, then the checkpoint."""
    model = made(config, pretraining, seed=1)
    report = initialise(model, read(source, {}, config.model_dump()), options=AdaptConfig(**options))
    return model.eval(), report


def loss_of(model: Any, frames: int, n_mels: int = 128, **fields: Any) -> dict[str, float]:
    """Both losses of two clips, the masks decided by their keys."""
    log_mel = torch.randn(2, n_mels, frames, generator=torch.Generator().manual_seed(5))
    inputs = Inputs(log_mel, None, None, torch.tensor([3, 4]), ("a", "b"))
    with torch.no_grad():
        loss, _, scalars = MaskedPatchConfig(**fields).build(None)(model, inputs)
    return {"loss": float(loss), **{name: float(value) for name, value in scalars.items()}}


def assert_same_weights(model: Any, source: Any, but: tuple[str, ...] = ()) -> None:
    there = source.state_dict()
    assert model.state_dict().keys() == there.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, there[name]) != name.endswith(but or ("\0",)), name


def assert_same_blocks(model: Any, blocks: dict[str, Tensor]) -> None:
    """The encoder of a pretraining model is this, by the backbone's names."""
    own = {name: tensor for name, tensor in model.backbone.state_dict().items() if name.startswith("encoder.")}
    assert own.keys() == {name for name in blocks if name.startswith("encoder.")}
    assert all(torch.equal(tensor, blocks[name]) for name, tensor in own.items())
