"""The released AST: a checkpoint as it is, from ImageNet's DeiT, and from AudioSet's AST to another input."""

from pathlib import Path
from typing import Any

import torch
from golden import Golden

import zoo
from kinds.kind import Kind, arrays_of, fill_head, log_mel_of, position_of, write_weights

_OFFICIAL: dict[str, Any] = {"label_dim": 527, "fstride": 10, "tstride": 10, "input_fdim": 128, "input_tdim": 1024}
_AUDIOSET: dict[str, Any] = {"n_mels": 128, "n_frames": 1024, "stride": (10, 10)}  # fixed in the released code


def geometry_of(constructor: dict[str, Any]) -> dict[str, Any]:
    """The released arguments, with their defaults, in the zoo's names."""
    official = _OFFICIAL | constructor
    return {
        "n_mels": official["input_fdim"],
        "n_frames": official["input_tdim"],
        "stride": (official["fstride"], official["tstride"]),
    }


def _num_classes(golden: Golden) -> int:
    return (_OFFICIAL | golden.meta["constructor"])["label_dim"]


def _build(golden: Golden, folder: Path) -> Any:
    return zoo.load(write_weights(golden, "main", folder), own=geometry_of(golden.meta["constructor"]))


def _build_from_deit(golden: Golden, folder: Path) -> Any:
    path = write_weights(golden, "deit", folder, wrap=True)
    model: Any = zoo.load(
        path,
        kind="ast",
        num_classes=_num_classes(golden),
        positions="official",
        **geometry_of(golden.meta["constructor"]),
    )
    fill_head(model, golden.state("head"), "mlp_head")
    return model


def _build_from_audioset(golden: Golden, folder: Path) -> Any:
    path = write_weights(golden, "audioset", folder)
    model: Any = zoo.load(
        path,
        own=_AUDIOSET,
        num_classes=_num_classes(golden),
        positions="official",
        **geometry_of(golden.meta["constructor"]),
    )
    fill_head(model, golden.state("head"), "mlp_head")
    return model


@torch.no_grad()
def _compute(golden: Golden, model: Any) -> dict[str, Any]:
    x = log_mel_of(golden.inputs()["x"])
    tokens = model.tokens(x)
    features = model.aggregator(tokens)
    return arrays_of(
        {
            "logits": model.head(features),
            "pooled": features,
            "tokens": tokens,
            "pos_embed": position_of(model),
            "conv_weight": model.embedding.patch.proj.weight,
            "conv_bias": model.embedding.patch.proj.bias,
        }
    )


AST_EVAL = Kind(_build, _compute)
AST_FROM_DEIT = Kind(_build_from_deit, _compute)
AST_FROM_AUDIOSET = Kind(_build_from_audioset, _compute)
