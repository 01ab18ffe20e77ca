"""The front end of AST and SSAST, which is Hugging Face's too: Kaldi's filter bank."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from zoo.audio.front_end import (
    Count,
    Deviation,
    FrameLength,
    FrontEnd,
    HighEdge,
    HopLength,
    LowEdge,
    MelConfig,
    SampleRate,
    check_waveform,
    clips_at_once,
    real_samples,
    without_autocast,
)
from zoo.audio.mel_bank import blocks_of_bands, in_blocks, make_mel_bank
from zoo.audio.pieces import blank_frames, in_pieces, pieces_of_frames

_PREEMPHASIS = 0.97
_LOG_FLOOR = torch.finfo(torch.float32).eps
_STD_FLOOR = 1e-2  # of one clip, for digital silence; music and speech are above 1


class AstFrontEndConfig(MelConfig):
    """The Kaldi filter bank of AST and SSAST: 25 ms windows every 10 ms, 128 bands, AudioSet's mean and deviation.

    With `subtract_mean: false` it is Hugging Face's ASTFeatureExtractor (tests/unit/test_front_end.py).
    """

    kind: Literal["ast"] = "ast"
    sample_rate: SampleRate = 16_000
    """Hz."""
    hop_length: HopLength = 160
    """Samples from one frame to the next."""
    win_length: FrameLength = 400
    """Samples in a frame."""
    n_fft: FrameLength = 512
    """Samples in a frame after padding it with zeros; even, and no less than win_length."""
    f_min: LowEdge = 20.0
    """Lower edge of the lowest band, Hz."""
    f_max: HighEdge | None = None
    """Upper edge of the highest band, Hz; null is half the sampling rate."""
    window: Literal["hann", "hamming", "povey"] = "hann"
    """The released code and checkpoints use Hann, where the AST paper says Hamming."""
    subtract_mean: bool = True
    """Whether every clip's own mean is taken off its waveform: the released training code does, Hugging Face's
    extractor and the released demonstration do not."""
    normalise: Literal["dataset", "clip", "none"] = "dataset"
    """By the mean and std below, by those of each clip's own log-mel, or not at all (Hugging Face's do_normalize)."""
    pad: Literal["before_normalise", "after_normalise"] = "before_normalise"
    """When padded frames become 0. Before, as AST, SSAST and Hugging Face have it, they end as -mean / (2 std), louder
    than silence; after, as SSAST's code for SUPERB has it, they end as 0. With normalise clip it is always after."""
    mean: float = -4.2677393
    """Of the log-mel over the data set (AudioSet); used when normalise is dataset."""
    std: Deviation = 4.5689974
    """Of the log-mel over the data set; the result is (x - mean) / (2 * std)."""

    @property
    def band_limits(self) -> tuple[float, float]:
        return self.f_min, self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def zero_level(self) -> float | None:
        if self.normalise == "clip":
            return None
        return 0.0 if self.normalise == "none" else super().zero_level

    def build(self) -> FrontEnd:
        return AstFrontEnd(self)


class AstFrontEnd(FrontEnd):
    """Log-mel as AST and SSAST were trained on.

    Before normalising it is torchaudio.compliance.kaldi.fbank(htk_compat=True, use_energy=False, dither=0,
    window_type="hanning", num_mel_bins=128, frame_shift=10) of the waveform less its mean, which is what the released
    code calls (YuanGongND/ast src/dataloader.py; tests/golden/test_front_end_golden.py). On a CPU it differs by no more
    than 4e-6: up to the spectrum all numbers are Kaldi's bit for bit, then the power is re² + im² without a root in
    between, and the bands are summed in another order. That is some ulps of the power, and one of its log
    (tests/unit/test_front_end.py). A frame is real when it lies wholly inside the clip. normalise="clip" is this
    zoo's own. Nothing is drawn.

    On a CPU, where no gradient is wanted, real frames alone are computed, a few hundred at a time, so that they stay
    in the cache from the first step to the last; else whole clips at once.
    """

    config: AstFrontEndConfig
    window: Tensor
    mel_bank: Tensor

    def __init__(self, config: AstFrontEndConfig) -> None:
        super().__init__(config)
        edges = torch.tensor(config.band_limits, dtype=torch.float64)
        bank = make_mel_bank(edges[0], edges[1], config.n_mels, config.n_fft, config.sample_rate)
        self.register_buffer("window", make_window(config.window, config.win_length), persistent=False)
        self.register_buffer("mel_bank", bank, persistent=False)
        self._blocks = blocks_of_bands(bank)

    @property
    def min_samples(self) -> int:
        return self.config.win_length

    @property
    def first_centre(self) -> float:
        return self.config.win_length / 2

    def num_samples(self, n_frames: Count) -> Count:
        """The fewest that give `n_frames` frames."""
        num_samples = (n_frames - 1) * self.config.hop_length + self.config.win_length
        if isinstance(num_samples, Tensor):
            return num_samples.where(num_samples >= self.config.win_length, 0)
        return num_samples if n_frames > 0 else 0

    @property
    def silence(self) -> float:
        return math.log(_LOG_FLOOR)

    def normalise(
        self, log_mel: Float[Tensor, "batch mel frame"], num_frames: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch mel frame"]:
        """See `FrontEnd.normalise`."""
        frame = torch.arange(log_mel.shape[2], device=log_mel.device)
        return self._normalise(log_mel.float(), (frame < num_frames[:, None])[:, None])

    def forward(
        self,
        waveform: Float[Tensor, "..."],
        num_samples: Int[Tensor, "batch"] | None = None,
        n_frames: int | None = None,
        keys: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch mel frame"]:
        """See `FrontEnd.forward`."""
        check_waveform(waveform)
        num_samples = real_samples(waveform, num_samples)
        with without_autocast(waveform.device):
            waveform = waveform.float()
            width = self.num_frames(waveform.shape[1]) if n_frames is None else n_frames
            mean = _mean_of_real(waveform, num_samples) if self.config.subtract_mean else None
            if in_pieces(waveform):
                log_mel = self._log_mel_in_pieces(waveform, num_samples, mean, width)
            else:
                log_mel = self._log_mel_at_once(waveform, mean, width)
            return self._normalise(log_mel, self.is_real(num_samples, width))

    def _log_mel_in_pieces(self, waveform: Tensor, num_samples: Tensor, mean: Tensor | None, width: int) -> Tensor:
        """(B, M, width); 0 in the frames that are not real."""
        hop, win = self.config.hop_length, self.config.win_length
        counts = self.num_frames(num_samples).clamp(max=width).tolist()
        log_mel = waveform.new_empty(waveform.shape[0], self.n_mels, width)
        for row, count in enumerate(counts):
            log_mel[row, :, count:] = 0.0
        for piece in pieces_of_frames(counts, self.config.n_fft):
            frames = blank_frames(piece, self.config.n_fft, waveform)
            for span in piece:
                samples = waveform[span.row, span.first * hop : (span.last - 1) * hop + win]
                unfolded = (samples if mean is None else samples - mean[span.row]).unfold(0, win, hop)
                torch.sub(unfolded, unfolded.mean(1, keepdim=True), out=frames[span.place, :win])
            bands = in_blocks(self._power(frames), self.mel_bank, self._blocks).clamp_(min=_LOG_FLOOR).log_()  # (M, N)
            for span in piece:
                log_mel[span.row, :, span.first : span.last] = bands[:, span.place]
        return log_mel

    def _log_mel_at_once(self, waveform: Tensor, mean: Tensor | None, width: int) -> Tensor:
        """(B, M, width), whatever lies in the frames that are not real."""
        waveform = (waveform if mean is None else waveform - mean)[:, : self.num_samples(width)]
        n_frames = self.num_frames(waveform.shape[1])
        if waveform.shape[0] == 0 or n_frames == 0:
            return waveform.new_zeros(waveform.shape[0], self.n_mels, width)
        log_mels = []
        for few in waveform.split(clips_at_once(waveform)):
            frames = few.unfold(1, self.config.win_length, self.config.hop_length)  # (B, T, win_length)
            frames = F.pad(frames - frames.mean(2, keepdim=True), (0, self.config.n_fft - self.config.win_length))
            bands = self._power(frames) @ self.mel_bank.T
            log_mels.append(bands.clamp(min=_LOG_FLOOR).log().transpose(1, 2))
        return F.pad(torch.cat(log_mels), (0, width - n_frames))

    def _power(self, frames: Float[Tensor, "*batch n_fft"]) -> Float[Tensor, "*batch bin"]:
        """Of frames without their mean and with zeros behind; in place. Every rounding is Kaldi's but for the last."""
        real = frames[..., : self.config.win_length]
        before = real[..., :-1] * _PREEMPHASIS
        first = real[..., :1]
        first -= first * _PREEMPHASIS  # the first sample is its own predecessor
        real[..., 1:] -= before
        real *= self.window
        squares = torch.view_as_real(torch.fft.rfft(frames)).square_()
        return squares[..., 0] + squares[..., 1]

    def _normalise(self, log_mel: Tensor, is_real: Tensor) -> Tensor:
        """As the config says; frames that are not real become 0 before or after it. In place."""
        if not in_pieces(log_mel):
            return self._normalise_(log_mel, is_real)
        for row, real in zip(log_mel.split(1), is_real.split(1), strict=True):  # a clip at a time stays in the cache
            if self.config.normalise == "clip":  # the same sums, whatever lies behind a clip
                count = int(real.sum())
                row[:, :, :count] = self._normalise_(row[:, :, :count].contiguous(), real[:, :, :count])
                row[:, :, count:] = 0.0
            else:
                self._normalise_(row, real)
        return log_mel

    def _normalise_(self, log_mel: Tensor, is_real: Tensor) -> Tensor:
        if self.config.normalise == "none":
            return log_mel.masked_fill_(~is_real, 0.0)
        if self.config.normalise == "dataset":
            if self.config.pad == "before_normalise":
                return log_mel.masked_fill_(~is_real, 0.0).sub_(self.config.mean).div_(2 * self.config.std)
            return log_mel.sub_(self.config.mean).div_(2 * self.config.std).masked_fill_(~is_real, 0.0)
        count = (is_real.sum(2, keepdim=True) * self.n_mels).clamp(min=1)  # (B, 1, 1)
        mean = log_mel.where(is_real, 0.0).sum((1, 2), keepdim=True) / count
        centred = (log_mel - mean).where(is_real, 0.0)
        std = (centred.square().sum((1, 2), keepdim=True) / count).sqrt().clamp(min=_STD_FLOOR)
        return centred / (2 * std)


def _mean_of_real(waveform: Tensor, num_samples: Tensor) -> Tensor:
    """(B, 1). In float32, and so for a full row the very number that the released code subtracts."""
    if in_pieces(waveform):  # the same sum, whatever lies behind a clip
        rows = zip(waveform, num_samples.tolist(), strict=True)
        total = torch.stack([row[:count].sum() for row, count in rows]) if len(waveform) else waveform.new_zeros(0)
        return (total / num_samples.clamp(min=1))[:, None]
    is_real = torch.arange(waveform.shape[1], device=waveform.device) < num_samples[:, None]  # (B, S)
    return waveform.where(is_real, 0.0).sum(1, keepdim=True) / num_samples.clamp(min=1)[:, None]


def make_window(name: str, win_length: int) -> Float[Tensor, "{win_length}"]:
    """Kaldi's windows; symmetric, where most libraries have periodic ones."""
    if name == "hamming":
        return torch.hamming_window(win_length, periodic=False, alpha=0.54, beta=0.46)
    hann = torch.hann_window(win_length, periodic=False)
    return hann.pow(0.85) if name == "povey" else hann
