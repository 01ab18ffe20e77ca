"""The released PaSST: inputs of several lengths, patchout in training, and the start from ImageNet's DeiT."""

from pathlib import Path
from typing import Any

import torch
from golden import Golden
from torch import Tensor

import zoo
from kinds.kind import Kind, arrays_of, fill_head, log_mel_of, write_weights


def geometry_of(constructor: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the class (img_size, stride) or of `get_model` (input_fdim, ...), with their defaults."""
    size = constructor.get("img_size", [constructor.get("input_fdim", 128), constructor.get("input_tdim", 998)])
    stride = constructor.get("stride", [constructor.get("fstride", 10), constructor.get("tstride", 10)])
    fields = {"n_mels": size[0], "n_frames": size[1], "stride": tuple(stride)}
    return fields | {key: constructor[key] for key in ("num_heads",) if key in constructor}


def _build(golden: Golden, folder: Path) -> Any:
    return zoo.load(write_weights(golden, "main", folder), own=geometry_of(golden.meta["constructor"]))


def _build_training(golden: Golden, folder: Path) -> Any:
    official = golden.meta["constructor"]
    knobs = {"patchout_freq": "s_patchout_f", "patchout_time": "s_patchout_t", "patchout_random": "u_patchout"}
    model: Any = zoo.load(
        write_weights(golden, "main", folder),
        own=geometry_of(official),
        **{ours: float(official.get(theirs, 0)) for ours, theirs in knobs.items()},
    )
    return model.train()


def _build_from_deit(golden: Golden, folder: Path) -> Any:
    official = golden.meta["constructor"]
    model: Any = zoo.load(
        write_weights(golden, "deit", folder, wrap=True),
        kind="passt",
        num_classes=official.get("num_classes", 527),
        positions="official",
        **geometry_of(official),
    )
    fill_head(model, golden.state("head"), "head")
    return model


@torch.no_grad()
def _compute(golden: Golden, model: Any) -> dict[str, Any]:
    outputs: dict[str, Tensor] = {}
    for name, array in golden.inputs().items():
        # The released code drops the patches beyond its table, without a word; the zoo refuses such an input.
        tokens = model.tokens(log_mel_of(array)[:, :, : model.max_frames])
        outputs |= _read(model, tokens, f"_{name}")
    return arrays_of(outputs)


@torch.no_grad()
def _compute_training(golden: Golden, model: Any) -> dict[str, Any]:
    given = {name: torch.from_numpy(array) for name, array in golden.inputs().items() if array.ndim == 1}
    outputs: dict[str, Tensor] = {}
    for name, array in golden.inputs().items():
        if array.ndim == 4:
            outputs |= _read(model, _training_tokens(model, log_mel_of(array), given), f"_{name}")
    return arrays_of(outputs)


def _training_tokens(model: Any, x: Tensor, given: dict[str, Tensor]) -> Tensor:
    """As in training, with what is drawn there stated: the window of the time table, and what patchout keeps."""
    embedding, batch = model.embedding, x.shape[0]

    def of_every_clip(index: Tensor) -> Tensor:
        return index.expand(batch, -1)

    patches, grid = embedding.patches(x)
    offset = of_every_clip(given.get("time_offset", torch.zeros(1, dtype=torch.int64)))[:, 0]
    rows, columns = given.get("keep_f", torch.arange(grid.freq)), given.get("keep_t", torch.arange(grid.time))
    left = given.get("keep_u", torch.arange(len(rows) * len(columns)))
    kept, _, _ = embedding.patchout(
        patches + embedding.position(grid, time_offset=offset),
        grid,
        kept_rows=of_every_clip(rows),
        kept_columns=of_every_clip(columns),
        kept_patches=of_every_clip(left),
    )
    return model.encoder(embedding.prefix(kept))


@torch.no_grad()
def _compute_from_deit(golden: Golden, model: Any) -> dict[str, Any]:
    embedding = model.embedding
    outputs = {
        "new_pos_embed": embedding.prefix.position,
        "freq_new_pos_embed": embedding.position.freq.T[None, :, :, None],
        "time_new_pos_embed": embedding.position.time.T[None, :, None],
        "conv_weight": embedding.patch.proj.weight,
        "conv_bias": embedding.patch.proj.bias,
    }
    x = log_mel_of(golden.inputs()["x"])[:, :, : model.max_frames]
    return arrays_of(outputs | _read(model, model.tokens(x), ""))


def _read(model: Any, tokens: Tensor, suffix: str) -> dict[str, Tensor]:
    features = model.aggregator(tokens)
    return {f"tokens{suffix}": tokens, f"features{suffix}": features, f"logits{suffix}": model.head(features)}


PASST_EVAL = Kind(_build, _compute)
PASST_ARCH = Kind(_build, _compute)
PASST_TRAIN_PATCHOUT = Kind(_build_training, _compute_training)
PASST_FROM_DEIT = Kind(_build_from_deit, _compute_from_deit)
