"""A model behind the interface of HEAR, the Holistic Evaluation of Audio Representations (Turian et al. 2022).

    model = load_model("passt-base-stride10-struct-ap0.476-swa")    # or a run, a checkpoint folder, a file
    embeddings = get_scene_embeddings(audio, model)                 # audio (B, S) at model.sample_rate -> (B, E)
    embeddings, milliseconds = get_timestamp_embeddings(audio, model)     # (B, T, E), (B, T)

For PaSST the numbers are those of hear21passt, the module that its authors submitted (tests/unit/test_hear.py has the
peer). There the windows of a clip run one at a time; here they run in batches.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.audio.front_end import FrontEnd, check_waveform
from zoo.errors import CheckpointError, ShapeError
from zoo.weights.load import load

Mode = Literal["all", "embed_only", "logits"]
Milliseconds = float | int

_SECONDS_AT_ONCE = 160  # of audio through the model: 16 windows of 10 s, or 1,000 of 160 ms
_SCENE_HOPS: dict[float, int] = {10_000: 2_500, 20_000: 5_000, 30_000: 10_000}  # ms, by window, as hear21passt has them


class HearWrapper(nn.Module):
    """Embeddings of whole clips and of moments in them, from any model of the zoo. Nothing is trained here.

    A clip no longer than `max_model_window_ms` gives its embedding in one pass. Of a longer one it is the mean over
    windows of that length, `scene_hop_ms` apart. A moment's embedding is that of the window of `timestamp_window_ms`
    around it. In both, the clip is mirrored at its ends by half a window first, so that the windows are centred on
    0, 1, 2, ... hops. What is too short to be mirrored, or shorter than the model's shortest input, is filled with
    zeros: 160 ms, the window of hear21passt, are 16 frames and one column of patches behind PaSST's front end, but 14
    frames behind AST's. They are not padded to the model's full length, as the released AST has its clips.
    """

    def __init__(
        self,
        model: nn.Module,
        front_end: FrontEnd,
        mode: Mode = "all",
        max_model_window_ms: Milliseconds = 10_000,
        timestamp_window_ms: Milliseconds = 160,
        timestamp_hop_ms: Milliseconds = 50,
        scene_hop_ms: Milliseconds = 2_500,
    ) -> None:
        """
        Args:
            model: a model of the zoo, with an aggregator.
            front_end: the one that the model was trained behind.
            mode: an embedding is the logits followed by the features, the features alone, or the logits alone.

        Raises:
            ShapeError: a window or hop shorter than a sample, windows longer than the model's input, or logits of a
                model without a head.
        """
        super().__init__()
        self.model: Any = model.eval()
        self.front_end = front_end.eval()
        self.mode = mode
        self.sample_rate = front_end.sample_rate
        self.max_model_window = self._samples("max_model_window_ms", max_model_window_ms)
        self.timestamp_window = self._samples("timestamp_window_ms", timestamp_window_ms)
        self.timestamp_hop = self._samples("timestamp_hop_ms", timestamp_hop_ms)
        self.scene_hop = self._samples("scene_hop_ms", scene_hop_ms)
        if mode != "embed_only" and self.model.head is None:
            raise ShapeError(
                f"HearWrapper: mode '{mode}' with a model that has no head - expected one that gives logits - "
                "use mode='embed_only'"
            )
        self._check_windows()
        with torch.no_grad():
            shortest = torch.zeros(1, self._min_samples, device=self._device)
            self.scene_embedding_size = self.timestamp_embedding_size = self._embed(shortest).shape[1]

    def get_scene_embeddings(self, audio: Float[Tensor, "..."]) -> Float[Tensor, "batch embed"]:
        """One embedding a clip, on the model's device.

        Args:
            audio: (B, S), mono, in [-1, 1], at `sample_rate`. Raises ShapeError for another rank.
        """
        check_waveform(audio)
        if audio.shape[1] <= self.max_model_window:
            return self._embed_in_turn(audio)
        embeddings, _ = self._slide(audio, self.max_model_window, self.scene_hop)
        return embeddings.mean(1)

    def get_timestamp_embeddings(
        self, audio: Float[Tensor, "..."]
    ) -> tuple[Float[Tensor, "batch time embed"], Float[Tensor, "batch time"]]:
        """Embeddings of the moments `timestamp_hop_ms` apart, and when they are, in milliseconds. See above."""
        check_waveform(audio)
        return self._slide(audio, self.timestamp_window, self.timestamp_hop)

    def _slide(self, audio: Tensor, window: int, hop: int) -> tuple[Tensor, Tensor]:
        """(B, T, E) and (B, T) ms: windows centred on multiples of the hop."""
        reach = window // 2
        audio = F.pad(audio, (0, max(0, reach + 1 - audio.shape[1])))
        windows = F.pad(audio, (reach, reach), mode="reflect").unfold(1, window, hop)  # (B, T, window)
        embeddings = self._embed_in_turn(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
        milliseconds = torch.arange(windows.shape[1], device=embeddings.device) * hop * 1000.0 / self.sample_rate
        return embeddings, milliseconds.expand(windows.shape[0], -1)

    def _embed_in_turn(self, audio: Tensor) -> Tensor:
        at_once = max(1, _SECONDS_AT_ONCE * self.sample_rate // max(1, audio.shape[1]))
        return torch.cat([self._embed(few) for few in audio.to(self._device).split(at_once)])

    def _embed(self, audio: Tensor) -> Tensor:
        audio = F.pad(audio, (0, max(0, self._min_samples - audio.shape[1])))
        features = self.model.features(self.front_end(audio))
        if self.mode == "embed_only":
            return features
        logits = self.model.head(features)
        return logits if self.mode == "logits" else torch.cat((logits, features), 1)

    @property
    def _min_samples(self) -> int:
        return self.front_end.num_samples(self.model.min_frames)

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _samples(self, name: str, milliseconds: Milliseconds) -> int:
        samples = int(milliseconds * self.sample_rate / 1000)
        if samples < 1:
            raise ShapeError(
                f"HearWrapper: {name}: found {milliseconds:g} ms - expected at least a sample "
                f"({1000 / self.sample_rate:g} ms) - raise it"
            )
        return samples

    def _check_windows(self) -> None:
        max_frames = getattr(self.model, "max_frames", None)  # None: a model that takes any length
        for name in ("max_model_window", "timestamp_window"):
            n_frames = self.front_end.num_frames(getattr(self, name))
            if max_frames is not None and n_frames > max_frames:
                raise ShapeError(
                    f"HearWrapper: {name}_ms: found {n_frames} frames - expected at most the {max_frames} that the "
                    "model takes - lower it, or load the model with a larger n_frames"
                )


def load_model(
    model_file_path: str | Path = "",
    mode: Mode | None = None,
    max_model_window_ms: Milliseconds | None = None,
    scene_hop_ms: Milliseconds | None = None,
) -> HearWrapper:
    """HEAR's entry point: a checkpoint behind the front end that it was trained behind, on the CPU.

    Args:
        model_file_path: anything that `zoo.load` takes. HEAR's default, "", means weights that come with the package;
            there are none.
        mode: None is "all", or "embed_only" for a model without a head.
        max_model_window_ms: None is the longest input of the model, in whole seconds if that leaves any; 10 s for one
            that takes any length.
        scene_hop_ms: None is hear21passt's for windows of 10, 20 and 30 s (2.5, 5 and 10 s), and a quarter of a window
            otherwise.

    Raises:
        CheckpointError: nothing usable there, or a checkpoint that carries no front end.
    """
    if not str(model_file_path):
        raise CheckpointError("load_model: found no path - expected a checkpoint, as HEAR's --model option gives it")
    model: Any = load(model_file_path, pretraining=False)
    if model.front_end is None:
        raise CheckpointError(
            f"{model_file_path}: carries no front end - expected the one that the weights were trained behind - "
            "build HearWrapper(model, front_end) yourself"
        )
    front_end = model.front_end.build()
    window = _longest_window(model, front_end) if max_model_window_ms is None else max_model_window_ms
    hop = _SCENE_HOPS.get(window, window / 4) if scene_hop_ms is None else scene_hop_ms
    mode = mode or ("embed_only" if model.head is None else "all")
    return HearWrapper(model, front_end, mode, max_model_window_ms=window, scene_hop_ms=hop)


def _longest_window(model: Any, front_end: FrontEnd) -> Milliseconds:
    if not hasattr(model, "max_frames"):
        return 10_000
    milliseconds = front_end.num_samples(model.max_frames) * 1000 / front_end.sample_rate
    return int(milliseconds) // 1000 * 1000 or milliseconds


@torch.no_grad()
def get_scene_embeddings(audio: Float[Tensor, "..."], model: HearWrapper) -> Float[Tensor, "batch embed"]:
    """HEAR's entry point: `model.get_scene_embeddings(audio)` in eval mode, without gradients."""
    model.eval()
    return model.get_scene_embeddings(audio)


@torch.no_grad()
def get_timestamp_embeddings(
    audio: Float[Tensor, "..."], model: HearWrapper
) -> tuple[Float[Tensor, "batch time embed"], Float[Tensor, "batch time"]]:
    """HEAR's entry point: `model.get_timestamp_embeddings(audio)` in eval mode, without gradients."""
    model.eval()
    return model.get_timestamp_embeddings(audio)
