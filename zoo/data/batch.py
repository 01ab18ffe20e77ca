"""What travels from the loader to the model: a batch of clips, and the log-mels that an objective gets."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

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
    """Clips, all as waveforms or all as log-mels; a batch without a clip has waveforms.

    `bad` also names clips that are not in the batch: those left out, and those replaced.
    """

    waveform: Float[Tensor, "batch sample"] | None
    """None where the clips are log-mels."""
    num_samples: Int[Tensor, "batch"]
    """How many samples of each row, or frames where the clips are log-mels, are real; zeros follow."""
    target: Float[Tensor, "batch cls"] | None
    ids: Int[Tensor, "batch"]
    names: tuple[str, ...]
    bad: tuple[BadAudio, ...] = ()
    log_mel: Float[Tensor, "batch mel frame"] | None = None
    """Before normalisation, in the precision in which it is stored."""

    def __len__(self) -> int:
        return self.ids.shape[0]

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device; from pinned memory without waiting for the copy."""
        return replace(
            self,
            waveform=None if self.waveform is None else self.waveform.to(device, non_blocking=True),
            log_mel=None if self.log_mel is None else self.log_mel.to(device, non_blocking=True),
            num_samples=self.num_samples.to(device, non_blocking=True),
            target=None if self.target is None else self.target.to(device, non_blocking=True),
            ids=self.ids.to(device, non_blocking=True),
        )

    def pin_memory(self) -> "Batch":
        """Called by torch's loader when it is to pin memory."""
        return replace(
            self,
            waveform=None if self.waveform is None else self.waveform.pin_memory(),
            log_mel=None if self.log_mel is None else self.log_mel.pin_memory(),
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

    Log-mels that were stored are only normalised.

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
        if batch.waveform is None:
            assert batch.log_mel is not None
            width = batch.log_mel.shape[2] if self.n_frames is None else self.n_frames
            log_mel = F.pad(batch.log_mel, (0, width - batch.log_mel.shape[2]))
            log_mel = self.front_end.normalise(log_mel, batch.num_samples)
            num_frames = batch.num_samples if self.padding == "masked" else None
        elif self.padding == "masked":
            log_mel = self.front_end(batch.waveform, batch.num_samples, keys=drawn).as_subclass(Tensor)
            num_frames = self.front_end.num_frames(batch.num_samples)
        else:
            log_mel = self.front_end(batch.waveform, batch.num_samples, self.n_frames, drawn).as_subclass(Tensor)
        if training and self.augment is not None:
            log_mel = self.augment(log_mel, num_frames, keys)
        return Inputs(log_mel, num_frames, batch.target, keys, batch.names)
