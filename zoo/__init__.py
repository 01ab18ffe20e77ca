"""A zoo of spectrogram transformers: pretrain, fine-tune and compare AST, SSAST, PaSST and baselines.

    model = zoo.build("ast-base", num_classes=50, n_frames=512)
    logits = model(log_mel)                                     # log_mel (B, n_mels, n_frames)

    zoo.predict("runs/mine", ["a.wav", "folder"])               # and zoo.embed, zoo.probe: audio of any length

The public names are loaded when first used, so that `import zoo` costs nothing and does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from zoo.errors import CheckpointError, DataError, RecipeError, ShapeError, ZooError

if TYPE_CHECKING:
    from zoo.models.registry import build
    from zoo.nn.aggregator import ClsAggregator, HeadTokensAggregator, PatchMeanAggregator
    from zoo.nn.head import MLPHead
    from zoo.use.embed import embed
    from zoo.use.predict import predict
    from zoo.use.probe import probe
    from zoo.weights.catalogue import checkpoints
    from zoo.weights.front_end import front_end
    from zoo.weights.load import load

    def models() -> list[str]: ...


__version__ = "0.1.0"

_WHERE = {
    "ClsAggregator": "zoo.nn.aggregator",
    "HeadTokensAggregator": "zoo.nn.aggregator",
    "MLPHead": "zoo.nn.head",
    "PatchMeanAggregator": "zoo.nn.aggregator",
    "build": "zoo.models.registry",
    "checkpoints": "zoo.weights.catalogue",
    "embed": "zoo.use.embed",
    "front_end": "zoo.weights.front_end",
    "load": "zoo.weights.load",
    "predict": "zoo.use.predict",
    "probe": "zoo.use.probe",
}

__all__ = [
    "CheckpointError",
    "ClsAggregator",
    "DataError",
    "HeadTokensAggregator",
    "MLPHead",
    "PatchMeanAggregator",
    "RecipeError",
    "ShapeError",
    "ZooError",
    "build",
    "checkpoints",
    "embed",
    "front_end",
    "load",
    "models",
    "predict",
    "probe",
]


def __getattr__(name: str) -> Any:
    if name == "models":
        # The package itself, which can be called: `zoo.models()` lists the presets, `zoo.models.ast` is the file.
        return importlib.import_module("zoo.models")
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
