"""What stands beside the tensors in a Hugging Face AST folder, read and written.

    config.json                the model: `transformers.ASTConfig`
    preprocessor_config.json   the front end: `transformers.ASTFeatureExtractor`
    zoo.json                   ours, and read by nobody else: everything that the two cannot express, so that a model
                               comes back as it went

Source: transformers' ASTConfig and ASTFeatureExtractor (tests/peers/test_transformers_peer.py).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig, parse_front_end
from zoo.disk import write_json
from zoo.errors import CheckpointError
from zoo.models.registry import parse_model_config

MODEL_TYPE = "audio-spectrogram-transformer"
PREPROCESSOR, SIDECAR = "preprocessor_config.json", "zoo.json"
_DIGEST = "weights_sha256"
_TASKS = {"single-label": "single_label_classification", "multi-label": "multi_label_classification"}
_FRAME_SECONDS, _HOP_SECONDS = 0.025, 0.010  # fixed in the extractor


def read_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str] | None, str | None]:
    """Fields of our config, the label names and the task from a `config.json`; nothing from an empty one.

    Raises:
        CheckpointError: a value that no AST has.
    """
    if not config:
        return {}, None, None
    if config.get("hidden_act", "gelu") != "gelu":
        raise CheckpointError(
            f"found hidden_act {config['hidden_act']!r} - expected 'gelu', as in all of this zoo - it cannot be used"
        )
    try:
        embed_dim, eps = int(config.get("hidden_size", 768)), float(config.get("layer_norm_eps", 1e-12))
        fields = {
            "embed_dim": embed_dim,
            "depth": int(config.get("num_hidden_layers", 12)),
            "num_heads": int(config.get("num_attention_heads", 12)),
            "mlp_ratio": int(config.get("intermediate_size", 3072)) / embed_dim,
            "patch_size": (int(config.get("patch_size", 16)),) * 2,
            "stride": (int(config.get("frequency_stride", 10)), int(config.get("time_stride", 10))),
            "n_mels": int(config.get("num_mel_bins", 128)),
            "n_frames": int(config.get("max_length", 1024)),
            "norm_eps": eps,
            "head_norm_eps": eps,
        }
        names = config.get("id2label")
        labels = [str(names[key]) for key in sorted(names, key=int)] if names else None
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"config.json: found a value that is none of an ASTConfig ({error}) - expected whole numbers for sizes and "
            "strides, and id2label from number to name - was it edited?"
        ) from None
    tasks = {theirs: ours for ours, theirs in _TASKS.items()}
    return fields, labels, tasks.get(str(config.get("problem_type")))


def write_config(model: Any, labels: list[str] | None, task: str | None) -> dict[str, Any]:
    """The `config.json` of an AST of square patches. There is one epsilon, and the trunk's is written.

    Labels without names are LABEL_0 and so on, as in transformers.
    """
    names = labels or [f"LABEL_{index}" for index in range(model.num_classes)]
    return {
        "architectures": ["ASTForAudioClassification" if model.num_classes else "ASTModel"],
        "model_type": MODEL_TYPE,
        "hidden_size": model.embed_dim,
        "num_hidden_layers": model.depth,
        "num_attention_heads": model.num_heads,
        "intermediate_size": round(model.embed_dim * model.mlp_ratio),
        "hidden_act": "gelu",
        "hidden_dropout_prob": model.dropout,
        "attention_probs_dropout_prob": model.dropout,
        "layer_norm_eps": model.norm_eps,
        "patch_size": model.patch_size[0],
        "qkv_bias": True,
        "frequency_stride": model.stride[0],
        "time_stride": model.stride[1],
        "num_mel_bins": model.n_mels,
        "max_length": model.n_frames,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "problem_type": _TASKS.get(task or ""),
    }


def read_preprocessor(preprocessor: Mapping[str, Any] | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The front end of a `preprocessor_config.json`, and what was assumed: Kaldi's frames of 25 ms every 10 ms.

    Raises:
        CheckpointError: a value that is no number.
    """
    standard = FAMILIES["hf"].model_dump(mode="json")
    if preprocessor is None:
        return standard, (
            "front end assumed: ASTFeatureExtractor's defaults, for there is no preprocessor_config.json",
        )
    try:
        sample_rate = int(preprocessor.get("sampling_rate", standard["sample_rate"]))
        win_length = int(sample_rate * _FRAME_SECONDS)
        return {
            **standard,
            "sample_rate": sample_rate,
            "hop_length": int(sample_rate * _HOP_SECONDS),
            "win_length": win_length,
            "n_fft": 1 << (win_length - 1).bit_length(),
            "n_mels": int(preprocessor.get("num_mel_bins", standard["n_mels"])),
            "normalise": "dataset" if preprocessor.get("do_normalize", True) else "none",
            "mean": float(preprocessor.get("mean", standard["mean"])),
            "std": float(preprocessor.get("std", standard["std"])),
        }, ()
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"preprocessor_config.json: found a value that is no number ({error}) - expected an ASTFeatureExtractor's "
            "- was it edited?"
        ) from None


def write_preprocessor(front_end: AnyFrontEndConfig, n_mels: int, n_frames: int) -> dict[str, Any]:
    """The `preprocessor_config.json` of the extractor that is nearest to a front end; see `unexpressed`.

    Mel bands and frames are the model's.
    """
    return {
        "feature_extractor_type": "ASTFeatureExtractor",
        "feature_size": 1,
        "sampling_rate": front_end.sample_rate,
        "num_mel_bins": n_mels,
        "max_length": n_frames,
        "padding_value": 0.0,
        "padding_side": "right",
        "do_normalize": getattr(front_end, "normalise", "dataset") == "dataset",
        "mean": front_end.mean,
        "std": front_end.std,
        "return_attention_mask": False,
    }


def unexpressed(front_end: AnyFrontEndConfig) -> list[str]:
    """The fields in which an ASTFeatureExtractor cannot follow a front end, each with both values."""
    ours = front_end.model_dump(mode="json")
    theirs, _ = read_preprocessor(write_preprocessor(front_end, front_end.n_mels, 1))
    is_half_the_rate = ours["f_max"] == front_end.sample_rate / 2  # the same as none stated
    return [
        f"{key} is {ours.get(key)!r}, in ASTFeatureExtractor {theirs.get(key)!r}"
        for key in (*ours, *(theirs.keys() - ours.keys()))
        if ours.get(key) != theirs.get(key) and not (key == "f_max" and is_half_the_rate)
    ]


def write_sidecar(folder: Path, weights: Path, config: Mapping[str, Any]) -> None:
    """Writes `zoo.json`: what our own `config.json` would have, and the digest of the weights that it is about."""
    write_json(folder / SIDECAR, {**config, _DIGEST: _digest(weights)})


def read_sidecar(
    folder: Path, weights: Path, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None
) -> tuple[dict[str, Any] | None, str | None]:
    """What `zoo.json` says, or why it is left aside: the files beside it were changed after it was written.

    Args:
        weights: the file with the tensors.
        config, preprocessor: what the two other files say.

    Returns:
        (its content or None, a note for the user or None).
    """
    path = folder / SIDECAR
    if not path.is_file():
        return None, None
    try:
        sidecar = json.loads(path.read_text(encoding="utf-8"))
        digest = sidecar.pop(_DIGEST)
        differing = _differing(sidecar, config, preprocessor) or (weights.name if digest != _digest(weights) else None)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None, f"{SIDECAR} left aside: it is damaged"
    if differing is not None:
        return None, f"{SIDECAR} left aside: {differing} is not the one that it was written with"
    return sidecar, f"{SIDECAR}: exported by this zoo; what transformers cannot express comes from it"


def _differing(
    sidecar: Mapping[str, Any], config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None
) -> str | None:
    """What beside the sidecar does not say the same as it; None when all does."""
    model = parse_model_config(sidecar["model"])
    if model.kind != "ast" or sidecar.get("pretraining"):
        return "its model"
    if read_config(write_config(model, sidecar.get("labels"), sidecar.get("task"))) != read_config(config):
        return "config.json"
    front_end = parse_front_end(sidecar["front_end"]) if sidecar.get("front_end") else FAMILIES["hf"]
    written = write_preprocessor(front_end, model.n_mels, model.n_frames)
    return None if read_preprocessor(written) == read_preprocessor(preprocessor) else PREPROCESSOR


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
