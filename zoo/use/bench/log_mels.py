"""The front end alone: ours over a batch, and the straightforward one, a clip at a time."""

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.front_ends import FAMILIES
from zoo.use.bench.sounds import sounds

Transform = Callable[[Tensor], Tensor]
"""A waveform (S,) to a normalised log-mel (M, T)."""

PEER_NAMES = {
    "ast": "torchaudio.compliance.kaldi.fbank, a clip at a time",
    "passt": "torch.stft and torchaudio's mel banks, a clip at a time",
}


def why_no_peer() -> str:
    """Why torchaudio cannot be compared with; "" where it can."""
    try:
        importlib.import_module("torchaudio")
    except Exception as error:  # a build that does not fit raises ImportError, OSError or RuntimeError
        return f"torchaudio does not import: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    return ""


def plain_transform(kind: str) -> Transform:
    """As the released training code of the family has it in its data set, for one clip."""
    return _plain_ast() if kind == "ast" else _plain_passt()


def _plain_ast() -> Transform:
    kaldi: Any = importlib.import_module("torchaudio").compliance.kaldi
    config = AstFrontEndConfig()

    def transform(waveform: Tensor) -> Tensor:
        log_mel = kaldi.fbank(
            (waveform - waveform.mean())[None],
            htk_compat=True,
            sample_frequency=config.sample_rate,
            use_energy=False,
            window_type="hanning",
            num_mel_bins=config.n_mels,
            dither=0.0,
            frame_shift=10,
        )
        return ((log_mel - config.mean) / (2 * config.std)).T

    return transform


def _plain_passt() -> Transform:
    kaldi: Any = importlib.import_module("torchaudio").compliance.kaldi
    window = torch.hann_window(800, periodic=False)

    def transform(waveform: Tensor) -> Tensor:
        sharp = waveform[1:] - 0.97 * waveform[:-1]
        spectrum = torch.stft(sharp, 1_024, 320, 800, window, center=True, return_complex=True)
        bank, _ = kaldi.get_mel_banks(128, 1_024, 32_000, 0.0, 15_000.0, 100.0, -500.0, 1.0)
        mel = torch.nn.functional.pad(bank, (0, 1)) @ (spectrum.real**2 + spectrum.imag**2)
        return ((mel + 1e-5).log() + 4.5) / 5

    return transform


def make_batch(kind: str, seconds: float, batch: int) -> Tensor:
    """(B, S) of notes at the sampling rate of the front end."""
    clips = sounds(None, FAMILIES[kind].sample_rate, seconds, batch)
    return torch.stack([torch.from_numpy(clip) for clip in clips])


class OurLogMels:
    """The front end as training calls it: a batch on the device, without a gradient."""

    num_workers = 0

    def __init__(self, kind: str, seconds: float, batch: int, device: str, repeats: int) -> None:
        self._device = torch.device(device)
        self._front_end = FAMILIES[kind].build().to(self._device)
        self._waveform = make_batch(kind, seconds, batch)
        self._repeats = repeats

    def log_mels(self) -> Tensor:
        """(B, M, T), on the CPU's side of a device that has finished."""
        with torch.no_grad():
            found = self._front_end(self._waveform.to(self._device)).as_subclass(Tensor)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return found

    def run(self) -> int:
        for _ in range(self._repeats):
            self.log_mels()
        return self._repeats * len(self._waveform)

    def stages(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


class PlainLogMels:
    """The straightforward way, which is on the CPU whatever the device: it is in the loader there."""

    num_workers = 0

    def __init__(self, kind: str, seconds: float, batch: int, repeats: int) -> None:
        self._transform = plain_transform(kind)
        self._waveform = make_batch(kind, seconds, batch)
        self._repeats = repeats

    def log_mels(self) -> Tensor:
        """(B, M, T)"""
        with torch.no_grad():
            return torch.stack([self._transform(waveform) for waveform in self._waveform])

    def run(self) -> int:
        for _ in range(self._repeats):
            self.log_mels()
        return self._repeats * len(self._waveform)

    def stages(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass
