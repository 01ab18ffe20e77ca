"""The front ends: Kaldi's of AST and SSAST, Hugging Face's extractor, PaSST's mel."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden import Golden
from torch import Tensor

import zoo
from kinds.hugging_face import write_folder
from kinds.kind import Kind
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.passt_front_end import PasstFrontEndConfig

_EXTRACTOR: dict[str, Any] = {"feature_extractor_type": "ASTFeatureExtractor", "max_length": 1024}
_MEL: dict[str, Any] = {
    "n_mels": 128,
    "sr": 32_000,
    "win_length": 800,
    "hopsize": 320,
    "n_fft": 1024,
    "fmin": 0.0,
    "fmax": None,
    "fmin_aug_range": 1,
    "fmax_aug_range": 1000,
}


def clips_of(golden: Golden) -> dict[str, Tensor]:
    """The waveforms (S,) by their case."""
    return {case: torch.from_numpy(samples) for case, samples in golden.inputs().items()}


def _build_fbank(golden: Golden, folder: Path) -> Any:
    """Without normalising, and with."""
    official = golden.meta["constructor"]
    rate = official["sample_rate"]
    win_length = int(rate * 0.025)  # Kaldi's 25 ms every 10 ms, in the next power of two
    frames = {"hop_length": int(rate * 0.010), "win_length": win_length, "n_fft": 1 << (win_length - 1).bit_length()}
    sizes = {"sample_rate": rate, "n_mels": official["num_mel_bins"], **frames}
    plain = AstFrontEndConfig(**sizes, normalise="none")
    normalised = AstFrontEndConfig(**sizes, mean=float(official["mean"]), std=float(official["std"]))
    return plain.build(), normalised.build()


def _compute_fbank(golden: Golden, front_ends: Any) -> dict[str, Any]:
    plain, normalised = front_ends
    outputs: dict[str, np.ndarray] = {}
    for case, clip in clips_of(golden).items():
        outputs[f"fbank_{case}"] = plain(clip[None])[0].T.numpy()
        outputs[f"final_{case}"] = normalised(clip[None], n_frames=golden.meta["constructor"]["target_length"])[0].T
    return outputs


def _build_extractor(golden: Golden, folder: Path) -> Any:
    """The front end of a folder whose preprocessor_config.json says what the golden's extractor was told."""
    official = {key: value for key, value in golden.meta["constructor"].items() if key != "backend"}
    config = {
        **{"hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 2},
        **{"patch_size": 1, "frequency_stride": 1, "time_stride": 1, "num_mel_bins": 1, "max_length": 1},
    }
    return zoo.front_end(write_folder(folder, config, _smallest_state(), _EXTRACTOR | official))


def _smallest_state() -> dict[str, np.ndarray]:
    """A Hugging Face AST of one patch and one layer of width 2, for whose folder an extractor can be stated."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, 2),
        "embeddings.distillation_token": (1, 1, 2),
        "embeddings.position_embeddings": (1, 3, 2),
        "embeddings.patch_embeddings.projection.weight": (2, 1, 1, 1),
        "embeddings.patch_embeddings.projection.bias": (2,),
    }
    layer = "encoder.layer.0."
    linear = [f"attention.attention.{name}" for name in ("query", "key", "value")]
    linear += ["attention.output.dense", "intermediate.dense", "output.dense"]
    shapes |= {f"{layer}{name}.weight": (2, 2) for name in linear} | {f"{layer}{name}.bias": (2,) for name in linear}
    norms = [f"{layer}layernorm_before", f"{layer}layernorm_after", "layernorm"]
    shapes |= {f"{name}.{part}": (2,) for name in norms for part in ("weight", "bias")}
    return {f"audio_spectrogram_transformer.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}


def _compute_extractor(golden: Golden, front_end: Any) -> dict[str, Any]:
    n_frames = (_EXTRACTOR | golden.meta["constructor"])["max_length"]
    return {
        f"final_{case}": front_end(clip[None], n_frames=n_frames)[0].T.numpy()
        for case, clip in clips_of(golden).items()
    }


def mel_config_of(official: dict[str, Any]) -> PasstFrontEndConfig:
    """From the arguments of the released class, with its defaults."""
    official = _MEL | official
    # A stated fmax needs no range in evaluation; one that is not stated follows from the range.
    ranges = {"f_min_range": official["fmin_aug_range"], "f_max_range": official["fmax_aug_range"]}
    is_stated = official["fmax"] is not None
    return PasstFrontEndConfig(
        n_mels=official["n_mels"],
        sample_rate=official["sr"],
        win_length=official["win_length"],
        hop_length=official["hopsize"],
        n_fft=official["n_fft"],
        f_min=float(official["fmin"]),
        f_max=float(official["fmax"]) if is_stated else None,
        **({"f_min_range": 1, "f_max_range": 1} if is_stated else ranges),
    )


def _build_mel(golden: Golden, folder: Path) -> Any:
    return mel_config_of(golden.meta["constructor"]).build()


def _compute_mel(golden: Golden, front_end: Any) -> dict[str, Any]:
    official = _MEL | golden.meta["constructor"]
    band_edges = None
    if "train_randint" in official:  # what training draws: the rise of fmin, and the fall of fmax from its highest
        low, high = front_end.config.band_limits
        rise, fall = official["train_randint"]
        edges = (low + rise, high + official["fmax_aug_range"] // 2 - fall)
        band_edges = (torch.tensor([float(edges[0])]), torch.tensor([float(edges[1])]))
    return {
        f"mel_{case}": front_end(clip[None], band_edges=band_edges)[0].numpy()
        for case, clip in clips_of(golden).items()
    }


AST_FBANK = Kind(_build_fbank, _compute_fbank)
HF_FEATURE_EXTRACTOR = Kind(_build_extractor, _compute_extractor)
PASST_MEL = Kind(_build_mel, _compute_mel)
