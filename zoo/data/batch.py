"""What travels from the loader to the model: a batch of waveforms, and the log-mels that an objective gets."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zoo.audio.augment import Augment
from zoo.audio.front_end import FrontEnd
from zoo.draws import clip_keys

_EVALUATION_EPOCH = -1


@dataclass(frozen=True)
class BadAudio:
    """Something about a clip's audio to put on record: it could not be used, or it is odd and was `used`."""

    name: str
    path: str
    reason: str
    used: bool


@dataclass(frozen=True)
class Batch:
    """Clips as waveforms. `bad` also names clips that are not in the batch: those left out, and those replaced."""

    waveform: Float[Tensor, "batch sample"]
    num_samples: Int[Tensor, "batch"]
    """How many samples of each row are real; zeros follow."""
    target: Float[Tensor, "batch cls"] | None
    ids: Int[Tensor, "batch"]
    names: tuple[str, ...]
    bad: tuple[BadAudio, ...] = ()
    clips: tuple[int, ...] = ()
    """In evaluation, the place in the manifest of the clip that each row is a window of."""

    def __len__(self) -> int:
        return self.waveform.shape[0]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device; from pinned memory without waiting for the copy."""
        return replace(
            self,
            waveform=self.waveform.to(device, non_blocking=True),
            num_samples=self.num_samples.to(device, non_blocking=True),
            target=None if self.target is None else self.target.to(device, non_blocking=True),
            ids=self.ids.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "Batch":
        """Called by torch's loader when it is to pin memory."""
        return replace(
            self,
            waveform=self.waveform.pin_memory(),
            num_samples=self.num_samples.pin_memory(),
            target=None if self.target is None else self.target.pin_memory(),
            ids=self.ids.pin_memory(),
        )


@dataclass(frozen=True)
class Inputs:
    """Clips as normalised log-mels: what an objective gets."""

    log_mel: Float[Tensor, "batch mel frame"]
    num_frames: Int[Tensor, "batch"] | None
    """How many frames of each clip are real; None when padding is to be seen, as in released code."""
    target: Float[Tensor, "batch cls"] | None
    keys: Int[Tensor, "batch"]
    """The key of each clip in this epoch, for every draw of the model."""
    names: tuple[str, ...]


class InputMaker(nn.Module):
    """Waveforms to log-mels on the device of the batch, with augmentation in training; no gradient.

    In evaluation the keys are those of one fixed epoch, so that a masked-patch loss is measured on the same masks
    each time. With `padding="as_source"` the log-mel is padded or cut to `n_frames` and its padding is seen, as in
    the released code of AST and SSAST; with "masked" it is as wide as the batch and comes with `num_frames`.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        augment: Augment | None,
        seed: int,
        padding: Literal["masked", "as_source"] = "masked",
        n_frames: int | None = None,
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.augment = augment
        self.seed = seed
        self.padding = padding
        self.n_frames = n_frames

    @torch.no_grad()
    def forward(self, batch: Batch, epoch: int, training: bool) -> Inputs:
        keys = clip_keys(self.seed, epoch if training else _EVALUATION_EPOCH, batch.ids)
        drawn = keys if training else None  # what a front end draws, it draws in training only
        num_frames = None
        if self.padding == "masked":
            log_mel = self.front_end(batch.waveform, batch.num_samples, keys=drawn).as_subclass(Tensor)
            num_frames = self.front_end.num_frames(batch.num_samples)
        else:
            log_mel = self.front_end(batch.waveform, batch.num_samples, self.n_frames, drawn).as_subclass(Tensor)
        if training and self.augment is not None:
            log_mel = self.augment(log_mel, num_frames, keys)
        return Inputs(log_mel, num_frames, batch.target, keys, batch.names)
