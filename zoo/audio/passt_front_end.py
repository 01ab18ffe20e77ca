"""The front end of PaSST: a centred spectrogram at 32 kHz under Kaldi's mel filters, whose band edges move in training.

Source: Koutini et al. 2022 and its released code (kkoutini/PaSST models/preprocess.py), with the numbers that every
released checkpoint was trained with; tests/unit/test_passt_front_end.py has the peer.
"""

import math
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
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
from zoo.draws import uniform

_PREEMPHASIS = 0.97
_LOG_OFFSET = 1e-5

DrawRange = Annotated[int, Field(ge=1, le=100_000)]

BandEdges = tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]
"""Lower and upper band edge of every clip, Hz."""


class PasstFrontEndConfig(MelConfig):
    """PaSST's log-mel: 25 ms windows every 10 ms at 32 kHz, 128 bands up to 15 kHz, (x + 4.5) / 5."""

    kind: Literal["passt"] = "passt"
    sample_rate: SampleRate = 32_000
    """Hz."""
    hop_length: HopLength = 320
    """Samples from one frame to the next; two released checkpoints have 160 and 100."""
    win_length: FrameLength = 800
    """Samples under the window."""
    n_fft: FrameLength = 1_024
    """Samples in a frame, the window in their middle; even, and no less than win_length."""
    f_min: LowEdge = 0.0
    """Lower edge of the lowest band, Hz."""
    f_max: HighEdge | None = None
    """Upper edge of the highest band, Hz; null is half the sampling rate less half of f_max_range: 15 kHz."""
    f_min_range: DrawRange = 10
    """In training a clip's f_min is higher by 0 to f_min_range - 1 Hz; 1 moves nothing."""
    f_max_range: DrawRange = 2_000
    """In training a clip's f_max is higher by f_max_range // 2 less 0 to f_max_range - 1 Hz; 1 moves nothing."""
    mean: float = -4.5
    """The result is (x - mean) / (2 * std), in the released code (x + 4.5) / 5."""
    std: Deviation = 2.5
    """See mean."""

    @property
    def band_limits(self) -> tuple[float, float]:
        released = float(self.sample_rate // 2 - self.f_max_range // 2)
        return self.f_min, released if self.f_max is None else self.f_max

    @model_validator(mode="after")
    def _check_ranges(self) -> "PasstFrontEndConfig":
        low, high = self.band_limits
        highest = high + self.f_max_range // 2
        lowest_high, highest_low = highest - (self.f_max_range - 1), low + self.f_min_range - 1
        if highest > self.sample_rate / 2:
            raise ValueError(
                f"f_max_range: found {self.f_max_range}, which takes f_max ({high}) to {highest} Hz in training - "
                f"expected at most {self.sample_rate / 2} Hz, half the rate - lower one of the two"
            )
        if highest_low >= lowest_high:
            raise ValueError(
                f"f_min_range: found {self.f_min_range}, which takes f_min to {highest_low} Hz in training, and f_max "
                f"goes down to {lowest_high} Hz - expected f_min below f_max - lower f_min_range or f_max_range"
            )
        return self

    def build(self) -> FrontEnd:
        return PasstFrontEnd(self)


class PasstFrontEnd(FrontEnd):
    """Log-mel as PaSST was trained on: the released AugmentMelSTFT in evaluation.

    On a CPU it differs by no more than 2e-6 (tests/unit/test_passt_front_end.py): the power is the released one bit for
    bit, and the bands are summed in another order. There, where no gradient is wanted, real frames alone are computed,
    a few hundred at a time, so that they stay in the cache from the first step to the last; else whole clips at once.

    The waveform is sharpened to y[n] = x[n + 1] - 0.97 x[n], one sample shorter, and mirrored at both ends, so that
    frame t is centred on sample t * hop_length. In a batch every clip is mirrored at its own end, and the frames after
    its last are silence, log 1e-5. With `n_frames` the waveform is cut or filled with zeros to n_frames * hop_length
    samples beforehand, as the released loader does with its clips. Clips shorter than the mirror needs, n_fft // 2 + 2
    samples, which the released code refuses, are filled with zeros up to that length first.

    Differs from the released code, by intent: the band edges are drawn for each clip, from its key, where one draw
    there serves the batch; and SpecAugment is no part of the front end (zoo/audio/augment/).
    """

    config: PasstFrontEndConfig
    window: Tensor
    mel_bank: Tensor

    def __init__(self, config: PasstFrontEndConfig) -> None:
        super().__init__(config)
        edges = torch.tensor(config.band_limits, dtype=torch.float64)
        self.register_buffer("window", torch.hann_window(config.win_length, periodic=False), persistent=False)
        self.register_buffer("mel_bank", self._make_bank(edges[0], edges[1]), persistent=False)
        self._blocks = blocks_of_bands(self.mel_bank)

    @property
    def min_samples(self) -> int:
        return 1

    @property
    def first_centre(self) -> float:
        return 0.0

    def num_samples(self, n_frames: Count) -> Count:
        """Whole hops, as released clips have: 10 s are 1,000 frames. The most that give `n_frames` frames."""
        return n_frames * self.config.hop_length

    @property
    def silence(self) -> float:
        return math.log(_LOG_OFFSET)

    def normalise(
        self, log_mel: Float[Tensor, "batch mel frame"], num_frames: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch mel frame"]:
        """See `FrontEnd.normalise`."""
        frame = torch.arange(log_mel.shape[2], device=log_mel.device)
        log_mel = log_mel.float().where((frame < num_frames[:, None])[:, None], self.silence)
        return (log_mel - self.config.mean) / (2 * self.config.std)

    def draw_band_edges(self, keys: Int[Tensor, "batch"]) -> BandEdges:
        """The band edges of every clip in training, Hz: whole steps of 1 Hz, all equally likely."""
        low, high = self.config.band_limits
        drawn = uniform(keys, "band-edges", 2)  # (B, 2)
        rise = (drawn[:, 0] * self.config.f_min_range).long()
        fall = (drawn[:, 1] * self.config.f_max_range).long()
        return low + rise, high + self.config.f_max_range // 2 - fall

    def forward(
        self,
        waveform: Float[Tensor, "..."],
        num_samples: Int[Tensor, "batch"] | None = None,
        n_frames: int | None = None,
        keys: Int[Tensor, "batch"] | None = None,
        band_edges: BandEdges | None = None,
    ) -> Float[Tensor, "batch mel frame"]:
        """See `FrontEnd.forward`. `band_edges` states the edges instead of drawing them."""
        check_waveform(waveform)
        num_samples = real_samples(waveform, num_samples)
        if band_edges is None and keys is not None:
            band_edges = self.draw_band_edges(keys)
        with without_autocast(waveform.device):
            waveform = waveform.float()
            width = waveform.shape[1] if n_frames is None else self.num_samples(n_frames)
            # With a stated width, the zeros that fill a clip are part of it.
            lengths = num_samples if n_frames is None else torch.full_like(num_samples, width)
            mel_of = self._mel_in_pieces if in_pieces(waveform) else self._mel_at_once
            mel = mel_of(waveform, num_samples, lengths, width, band_edges)
            return self._normalise(mel, self.is_real(lengths, mel.shape[2]))

    def _mel_in_pieces(
        self, waveform: Tensor, num_samples: Tensor, lengths: Tensor, width: int, band_edges: BandEdges | None
    ) -> Tensor:
        """(B, M, T): the power in every band; 0 in the frames that are not real."""
        n_fft, win = self.config.n_fft, self.config.win_length
        counts = self.num_frames(lengths).tolist()
        mel = waveform.new_zeros(waveform.shape[0], self.n_mels, self.num_frames(width))
        bank, blocks = self.mel_bank, self._blocks
        middle = slice((n_fft - win) // 2, (n_fft - win) // 2 + win)
        row, signal = -1, waveform  # of the clip whose frames are being cut
        for piece in pieces_of_frames(counts, n_fft, apart=band_edges is not None):
            frames = blank_frames(piece, n_fft, waveform)
            for span in piece:
                if span.row != row:
                    row = span.row
                    signal = self._mirrored(waveform[row, : int(num_samples[row])], int(lengths[row]))
                    if band_edges is not None:
                        bank = self._make_bank(band_edges[0][row], band_edges[1][row])
                        blocks = blocks_of_bands(bank)
                windows = signal.unfold(0, n_fft, self.config.hop_length)[span.first : span.last, middle]
                torch.mul(windows, self.window, out=frames[span.place, middle])
            squares = torch.view_as_real(torch.fft.rfft(frames)).square_()
            bands = in_blocks(squares[..., 0] + squares[..., 1], bank, blocks)  # (M, N)
            for span in piece:
                mel[span.row, :, span.first : span.last] = bands[:, span.place]
        return mel

    def _mirrored(self, clip: Tensor, length: int) -> Tensor:
        """One clip, filled with zeros up to its length, sharpened, and mirrored at both ends."""
        length = max(length, self.config.n_fft // 2 + 2)
        filled = F.pad(clip, (0, length - clip.shape[0]))
        reach = self.config.n_fft // 2
        return F.pad((filled[1:] - _PREEMPHASIS * filled[:-1])[None], (reach, reach), mode="reflect")[0]

    def _mel_at_once(
        self, waveform: Tensor, num_samples: Tensor, lengths: Tensor, width: int, band_edges: BandEdges | None
    ) -> Tensor:
        """(B, M, T): the power in every band, whatever lies in the frames that are not real."""
        n_frames = self.num_frames(width)
        if waveform.shape[0] == 0:
            return waveform.new_zeros(0, self.n_mels, n_frames)
        sample = torch.arange(waveform.shape[1], device=waveform.device)
        waveform = waveform.where(sample < num_samples[:, None], 0.0)
        shortest = self.config.n_fft // 2 + 2
        waveform = F.pad(waveform, (0, max(width, shortest) - waveform.shape[1]))
        lengths = lengths.clamp(min=shortest)
        at_once, mels = clips_at_once(waveform), []
        for start in range(0, waveform.shape[0], at_once):
            few = slice(start, start + at_once)
            bank = self.mel_bank if band_edges is None else self._make_bank(*(edge[few] for edge in band_edges))
            mels.append(bank @ self._power(waveform[few], lengths[few]))
        return torch.cat(mels)[:, :, :n_frames]

    def _power(self, waveform: Tensor, num_samples: Tensor) -> Tensor:
        """(B, K, T): the power in every bin."""
        sharp = waveform[:, 1:] - _PREEMPHASIS * waveform[:, :-1]
        spectrum = torch.stft(
            mirrored(sharp, num_samples - 1, self.config.n_fft // 2),
            self.config.n_fft,
            self.config.hop_length,
            self.config.win_length,
            self.window,
            center=False,  # it is already: torch would mirror at the end of the batch, not of each clip
            return_complex=True,
        )
        return spectrum.real.square() + spectrum.imag.square()

    def _normalise(self, mel: Tensor, is_real: Tensor) -> Tensor:
        """The log of real frames, and silence after them. In place."""
        rows = zip(mel.split(1), is_real.split(1), strict=True) if in_pieces(mel) else [(mel, is_real)]
        for few, real in rows:  # one clip at a time stays in the cache
            few.masked_fill_(~real, 0.0).add_(_LOG_OFFSET).log_().sub_(self.config.mean).div_(2 * self.config.std)
        return mel

    def _make_bank(self, f_min: Tensor, f_max: Tensor) -> Tensor:
        config = self.config
        return make_mel_bank(f_min, f_max, config.n_mels, config.n_fft, config.sample_rate)


def mirrored(
    signal: Float[Tensor, "batch sample"], length: Int[Tensor, "batch"], reach: int
) -> Float[Tensor, "batch extended"]:
    """`reach` more samples on either side, those of the signal in reverse; on the right of each row's own `length`.

    The samples at the two ends are not repeated, as in torch's padding mode "reflect". What follows in a shorter row is
    as it was. Every length must be more than `reach`.
    """
    offset = torch.arange(reach, device=signal.device)
    head = signal[:, 1 : reach + 1].flip(1)
    tail = signal.gather(1, length[:, None] - 2 - offset)
    extended = torch.cat((head, F.pad(signal, (0, reach))), 1)
    return extended.scatter(1, reach + length[:, None] + offset, tail)
