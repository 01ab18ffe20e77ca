"""Checkpoints of every family, small enough that a clip takes a millisecond, and audio for them."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from zoo.audio.front_ends import FAMILIES
from zoo.models.registry import build_model, preset_config
from zoo.train.checkpoint import save_checkpoint

FAMILY = {
    "ast-tiny": "ast",
    "ssast-patch-tiny": "ast",
    "ssast-frame-tiny": "ast",
    "passt-tiny": "passt",
    "ast-minimal": "ast",
    "ast-sinusoidal": "hf",
    "cnn-baseline": "ast",
}
SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def save_small(
    folder: Path, name: str = "ast-tiny", n_frames: int = 64, seed: int = 0, carried: Any = None, **fields: Any
) -> Path:
    """A checkpoint of random weights, large enough to matter, behind the family's front end."""
    sizes = {} if name.startswith("cnn") else SMALL
    if name.startswith("passt"):
        sizes = {**sizes, "patchout_freq": 2.0, "patchout_time": 1.0}
    config = preset_config(name, **{**sizes, "num_classes": 3, "n_frames": n_frames, **fields})
    torch.manual_seed(seed)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    described = {
        "model": config.model_dump(mode="json"),
        "front_end": FAMILIES[FAMILY[name]].model_dump(mode="json"),
        "labels": ["cat", "dog", "owl"][: config.num_classes] or None,
        "task": "single-label",
    }
    save_checkpoint(folder, model.state_dict(), {**described, **(carried or {})})
    return folder


def noise(path: Path, seconds: float, rate: int = 16_000, seed: int = 0, channels: int = 1) -> Path:
    """A file of noise whose loudness and colour change with time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    wave = 0.1 * rng.standard_normal((count, channels)) * (1.2 + np.sin(np.arange(count) * 7 / rate))[:, None]
    soundfile.write(path, wave.astype(np.float32), rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path
