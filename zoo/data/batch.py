"""What travels from the loader to the model: a batch of clips, and the log-mels that an objective gets."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.audio.augment import Augment
from zoo.audio.augment.mixup import mix_log_mels, mix_targets, mix_waveforms
from zoo.audio.front_end import FrontEnd
from zoo.data.partners import Partners
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
    partners: Partners | None = None
    """Clips to mix into these; None mixes nothing. They are no clips of the batch, and not counted in it."""
    clips: tuple[int, ...] = ()
    """In evaluation, the place in the manifest of the clip that each row is a window of."""
    is_full: bool = False
    """Whether every row, of partners too, is real to its end: known to the host without asking the device."""

    def __len__(self) -> int:
        return self.ids.shape[0]

    @property
    def num_read(self) -> int:
        """Usable clips that were read for it: its own, and their partners."""
        return len(self) + (0 if self.partners is None else len(self.partners))

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on a device; from pinned memory without waiting for the copy."""
        return replace(
            self,
            waveform=None if self.waveform is None else self.waveform.to(device, non_blocking=True),
            log_mel=None if self.log_mel is None else self.log_mel.to(device, non_blocking=True),
            num_samples=self.num_samples.to(device, non_blocking=True),
            target=None if self.target is None else self.target.to(device, non_blocking=True),
            ids=self.ids.to(device, non_blocking=True),
            partners=None if self.partners is None else self.partners.to(device),
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
            partners=None if self.partners is None else self.partners.pin_memory(),
        )


@dataclass(frozen=True)
class Inputs:
    """Clips as normalised log-mels: what an objective gets. A mixed clip has its first clip's key and name."""

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
    the released code of AST and SSAST; with "masked" it is as wide as the batch and comes with `num_frames`. In
    training these are left out where all clips are full: they say nothing then, and attention is faster without a mask.

    In training: gain and roll of every waveform, mixing of waveforms, noise, log-mel, masks and what else there is for
    log-mels, mixing of log-mels. Partners go the same way as the clips, under keys of their own, until they are mixed.
    """

    silence: Tensor

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
        silence = torch.zeros(front_end.n_mels, 1)
        if augment is not None and augment.config.log_mel_mixup is not None:
            device = next(front_end.buffers(), silence).device
            silence = front_end(torch.zeros(1, front_end.num_samples(1), device=device))[0].as_subclass(Tensor)
        self.register_buffer("silence", silence, persistent=False)

    @torch.no_grad()
    def forward(self, batch: Batch, epoch: int, training: bool) -> Inputs:
        keys = clip_keys(self.seed, epoch if training else _EVALUATION_EPOCH, batch.ids)
        if training and self.augment is not None:
            return self._augmented(self.augment, batch, keys, epoch)
        assert batch.partners is None, "partners without an augmentation that mixes"
        drawn = keys if training else None  # what a front end draws, it draws in training only
        log_mel, num_frames = self._log_mel(batch.waveform, batch.log_mel, batch.num_samples, drawn)
        if training and self._is_full(batch):
            num_frames = None
        return Inputs(log_mel, num_frames, batch.target, keys, batch.names)

    def _is_full(self, batch: Batch) -> bool:
        """Whether every frame of the log-mels is real; mixing full clips makes full ones."""
        if batch.log_mel is not None and self.n_frames is not None:  # stored ones are padded to this
            return batch.is_full and batch.log_mel.shape[2] == self.n_frames
        return batch.is_full

    def _log_mel(
        self, waveform: Tensor | None, stored: Tensor | None, num_samples: Tensor, keys: Tensor | None
    ) -> tuple[Float[Tensor, "batch mel frame"], Int[Tensor, "batch"] | None]:
        """Normalised log-mels of waveforms, or of log-mels that were stored; and how many frames of each are real."""
        if waveform is None:
            assert stored is not None
            width = stored.shape[2] if self.n_frames is None else self.n_frames
            log_mel = self.front_end.normalise(F.pad(stored, (0, width - stored.shape[2])), num_samples)
            return log_mel, num_samples if self.padding == "masked" else None
        if self.padding == "masked":
            log_mel = self.front_end(waveform, num_samples, keys=keys).as_subclass(Tensor)
            return log_mel, self.front_end.num_frames(num_samples)
        return self.front_end(waveform, num_samples, self.n_frames, keys).as_subclass(Tensor), None

    def _augmented(self, augment: Augment, batch: Batch, keys: Tensor, epoch: int) -> Inputs:
        partners, config = batch.partners, augment.config
        waveform, stored, target = batch.waveform, batch.log_mel, batch.target
        num_samples, row_keys = batch.num_samples, keys
        if partners is not None:
            waveform = _joined(waveform, partners.waveform)
            stored = _joined(stored, partners.log_mel)
            num_samples = torch.cat((num_samples, partners.num_samples))
            row_keys = torch.cat((keys, clip_keys(self.seed, epoch, partners.ids)))
            target = _joined(target, partners.target)
        if waveform is not None:
            if config.waveform_roll and self.padding == "as_source":
                waveform, num_samples = self._filled(waveform, num_samples)
            waveform = augment.vary_waveforms(waveform, num_samples, row_keys)
            if partners is not None and config.waveform_mixup is not None:
                row, share = partners.waveform_row, partners.waveform_share
                waveform, num_samples = mix_waveforms(waveform, num_samples, row, share, config.waveform_mixup.length)
                target = mix_targets(target, row, share)
                row_keys = row_keys[: waveform.shape[0]]
            waveform = augment.add_noise(waveform, num_samples, row_keys)
        log_mel, num_frames = self._log_mel(waveform, stored, num_samples, row_keys)
        log_mel = augment(log_mel, num_frames, row_keys)
        if partners is not None and config.log_mel_mixup is not None:
            row, share, length = partners.log_mel_row, partners.log_mel_share, config.log_mel_mixup.length
            log_mel, num_frames = mix_log_mels(log_mel, num_frames, row, share, length, self.silence)
            target = mix_targets(target, row, share)
        assert log_mel.shape[0] == len(batch), "partners without an augmentation that mixes them"
        return Inputs(log_mel, None if self._is_full(batch) else num_frames, target, keys, batch.names)

    def _filled(self, waveform: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """All of the input's length real: PaSST's loader fills clips with zeros before it rolls and mixes them."""
        assert self.n_frames is not None
        width = self.front_end.num_samples(self.n_frames)
        waveform = F.pad(waveform, (0, max(0, width - waveform.shape[1])))
        return waveform, torch.full_like(num_samples, waveform.shape[1])


def _joined(of_batch: Tensor | None, of_partners: Tensor | None) -> Tensor | None:
    return None if of_batch is None or of_partners is None else torch.cat((of_batch, of_partners))
