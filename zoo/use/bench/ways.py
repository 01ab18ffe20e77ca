"""The ways of training that `zoo bench train` races: ours and what it is made of, and those of other code."""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.audio.front_ends import FAMILIES
from zoo.data.batch import Inputs
from zoo.models.registry import ModelConfig, build_model, preset_config
from zoo.nn.patch import patch_grid
from zoo.objectives.classification import ClassificationConfig
from zoo.objectives.masked_patch import MaskedPatchConfig
from zoo.use.bench.log_mels import why_no_peer as why_no_torchaudio
from zoo.use.bench.released_ssast import ReleasedSsast

Family = Literal["ast", "ssast", "passt"]
Size = Literal["tiny", "small", "base"]

OURS, PEER = "ours", "peer"
WAYS: dict[str, dict[str, str]] = {
    "ast": {OURS: "", PEER: "transformers' ASTForAudioClassification with sdpa"},
    "ssast": {
        OURS: "one mask and one pass for both losses, our default",
        "two-pass": "the released losses, two masks and two passes: the peer's work",
        PEER: "the released way: clip by clip, two passes",
    },
    "passt": {
        OURS: "",
        "no-patchout": "the same model with no patch left out",
        PEER: "hear21passt's PaSST, patchout as ours",
    },
}
"""By family: the ways that there are, and what each is."""
FRONT_ENDS = {"ast": "ast", "ssast": "ast", "passt": "passt"}
PEER_FRONT_ENDS = {
    "ast": "transformers' ASTFeatureExtractor, a clip at a time",
    "ssast": "torchaudio.compliance.kaldi.fbank, a clip at a time",
    "passt": "hear21passt's AugmentMelSTFT, a batch at a time on the device",
}
PEER_PACKAGES = {"ast": "transformers", "ssast": "", "passt": "hear21passt.models.passt"}

NUM_CLASSES = 527
_PASST_COLUMNS, _PASST_PATCHOUT = 99, 40  # of the preset: 10 s at stride 10


@dataclass(frozen=True)
class Way:
    """A model in training mode on the CPU, its loss, and what of it `--compile` compiles."""

    model: nn.Module
    loss: Callable[[nn.Module, Inputs], Tensor]
    compiled: nn.Module


def why_no_peer(family: str) -> str:
    """Why this family's other code cannot be raced with; "" where it can. Nothing has to be installed for SSAST's."""
    package = PEER_PACKAGES[family]
    if not package:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(package)
    except Exception as error:  # a build that does not fit raises whatever it likes
        lines = str(error).splitlines() or [type(error).__name__]
        return f"{package.split('.')[0]} does not import: {lines[0]} (pip install 'spectrogram-zoo[peers]')"
    return ""


def why_no_peer_from_waveform(family: str) -> str:
    """The same for the way that begins with audio."""
    return why_no_peer(family) or why_no_torchaudio()


def n_frames_of(family: str, seconds: float) -> int:
    """Frames of a clip of so many seconds as the family has it: for ten 1,024, and 998 for PaSST."""
    front_end = FAMILIES["ast"].build()
    frames = max(front_end.num_frames(round(seconds * front_end.sample_rate)), 16)
    return frames if family == "passt" else -(-frames // 64) * 64


def config_of(family: str, size: str, seconds: float, way: str) -> ModelConfig:
    """The preset at this length. What is masked or left out keeps its share of the columns that the preset has.

    The peer's is that of ours which does the same work.
    """
    n_frames = n_frames_of(family, seconds)
    if family == "ast":
        return preset_config(f"ast-{size}", n_frames=n_frames)
    if family == "ssast":
        num_patches = patch_grid(128, n_frames, (16, 16), (16, 16)).num_patches
        separate = way != OURS
        return preset_config(
            f"ssast-patch-{size}", n_frames=n_frames, num_masked=num_patches * 400 // 512, separate_masks=separate
        )
    columns = patch_grid(128, n_frames, (16, 16), (10, 10)).time
    time = round(columns * _PASST_PATCHOUT / _PASST_COLUMNS)
    if way == "no-patchout":
        return preset_config(f"passt-{size}", n_frames=n_frames, patchout_freq=0, patchout_time=0)
    return preset_config(f"passt-{size}", n_frames=n_frames, patchout_time=time)


def make_way(family: str, size: str, seconds: float, way: str) -> Way:
    """A way by its name, with fresh weights. Raises whatever a peer that does not fit raises."""
    config: Any = config_of(family, size, seconds, way)
    if family == "ssast":
        model: Any = build_model(config, pretraining=True).train()
        if way == PEER:
            return Way(ReleasedSsast(model).train(), _released_loss, model.backbone.encoder)
    else:
        model = {"ast": _hugging_face, "passt": _hear21passt}[family](config) if way == PEER else build_model(config)
        model.train()
    return Way(model, loss_of(family, way), model)


def loss_of(family: str, way: str) -> Callable[[nn.Module, Inputs], Tensor]:
    """The loss that a way of ours is trained by, and a peer that classifies."""
    if family == "ssast":
        objective = MaskedPatchConfig(softmax_over="targets" if way == OURS else "predictions").build()
    else:
        objective = ClassificationConfig().build("multi-label")
    return lambda model, inputs: objective(model, inputs)[0]


def _released_loss(model: nn.Module, inputs: Inputs) -> Tensor:
    loss: Tensor = model(inputs.log_mel)
    return loss


class _Peer(nn.Module):
    """Another code's classifier under our signature: log-mel (B, M, T) to logits (B, C)."""

    def __init__(self, model: nn.Module, logits: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._logits = logits

    def forward(self, log_mel: Tensor, num_frames: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        """num_frames, keys: of no use to it."""
        return self._logits(self.model, log_mel)


def _hugging_face(config: Any) -> nn.Module:
    transformers: Any = importlib.import_module("transformers")
    described = transformers.ASTConfig(
        hidden_size=config.embed_dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        intermediate_size=round(config.embed_dim * config.mlp_ratio),
        patch_size=config.patch_size[0],
        frequency_stride=config.stride[0],
        time_stride=config.stride[1],
        num_mel_bins=config.n_mels,
        max_length=config.n_frames,
        layer_norm_eps=config.norm_eps,
        num_labels=config.num_classes,
        attn_implementation="sdpa",
    )
    return _Peer(transformers.ASTForAudioClassification(described), lambda model, x: model(x.mT).logits)


def _hear21passt(config: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        passt: Any = importlib.import_module("hear21passt.models.passt")
    passt.first_RUN = False  # else its first pass prints shapes
    model = passt.PaSST(
        img_size=(config.n_mels, config.n_frames),
        stride=tuple(config.stride),
        distilled=True,
        num_classes=config.num_classes,
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        s_patchout_f=int(config.patchout_freq),
        s_patchout_t=int(config.patchout_time),
    )
    return _Peer(model, lambda found, x: found(x[:, None])[0])


def example_targets(batch: int) -> Tensor:
    """(B, C): two or three classes a clip, as AudioSet has them."""
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(batch, NUM_CLASSES, generator=generator) < 2.5 / NUM_CLASSES).float()
