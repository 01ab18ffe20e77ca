"""Hugging Face's AST, read from a folder as its hub has them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden import Golden
from safetensors.torch import save_file

import zoo
from kinds.kind import Kind, arrays_of, log_mel_of


def write_folder(
    folder: Path, config: dict[str, Any], state: dict[str, np.ndarray], preprocessor: dict[str, Any] | None = None
) -> Path:
    """config.json from ASTConfig's arguments, which that class writes as they are, but for the label names."""
    fields = {key: value for key, value in config.items() if key != "num_labels"}
    fields["model_type"] = "audio-spectrogram-transformer"
    fields["id2label"] = {str(i): f"LABEL_{i}" for i in range(config.get("num_labels", 2))}
    (folder / "config.json").write_text(json.dumps(fields))
    save_file({key: torch.from_numpy(array) for key, array in state.items()}, folder / "model.safetensors")
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def _build(golden: Golden, folder: Path) -> Any:
    return zoo.load(write_folder(folder, golden.meta["constructor"], golden.state()))


@torch.no_grad()
def _compute(golden: Golden, model: Any) -> dict[str, Any]:
    tokens = model.tokens(log_mel_of(golden.inputs()["x"]))
    pooled = model.aggregator(tokens)
    return arrays_of({"tokens": tokens, "pooled": pooled, "logits": model.head(pooled)})


HF_AST_EVAL = Kind(_build, _compute)
