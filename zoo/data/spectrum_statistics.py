"""Mean and deviation of a data set's log-mels, in one pass over its clips.

Every frame of every clip counts once. Clips are decoded in worker processes, and go through the front end in batches,
on the device; what is longer than a minute goes through in windows, whose frames are those of the whole clip.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.audio.decode import UnusableAudio, decode
from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import AnyFrontEndConfig
from zoo.audio.unnormalised import without_normalisation
from zoo.data.clip import Clip
from zoo.data.in_order import in_order, worth_it
from zoo.data.moments import Moments

_WINDOW_SECONDS = 60
_BATCH_SAMPLES = 8_000_000  # padding counted: 32 MB
_BATCH_CLIPS = 32


@dataclass
class SpectrumStatistics:
    """What was measured. `moments` counts frames; `of_clips` has the mean and deviation of every clip."""

    moments: Moments
    of_clips: list[tuple[float, float]] = field(default_factory=list)
    clips: int = 0
    seconds: float = 0.0
    unusable: list[tuple[str, str]] = field(default_factory=list)
    """Where, and why."""
    without_frame: int = 0


def measure(
    clips: Sequence[Clip],
    config: AnyFrontEndConfig,
    *,
    n_frames: int | None = None,
    device: torch.device | None = None,
    workers: int = 1,
    advance: Callable[[int, int], None] | None = None,
) -> SpectrumStatistics:
    """Moments of the log-mel before it is normalised.

    Args:
        n_frames: None counts all real frames. A number cuts or pads every clip to so many, as the front end does it,
            and counts the padding too: what the official scripts measure, but for augmentation.
        advance: is told (clips done, clips in all).
    """
    front_end = without_normalisation(config).build().to(device or torch.device("cpu"))
    window = _WINDOW_SECONDS * config.sample_rate
    if n_frames is not None:
        window = max(window, front_end.num_samples(n_frames))
    found = SpectrumStatistics(Moments.none(config.n_mels))
    decoding = _Decoding(config.sample_rate, window + 1)
    batch: list[NDArray[np.float32]] = []
    for done, (clip, waveform) in enumerate(
        zip(clips, in_order(decoding, clips, worth_it(workers, len(clips))), strict=True), start=1
    ):
        if isinstance(waveform, str):
            found.unusable.append((clip.where, waveform))
        elif len(waveform) > window and n_frames is None:
            _measure_long(found, front_end, clip, window)
        else:
            if batch and not _has_room(batch, waveform):
                _measure_batch(found, front_end, batch, n_frames)
                batch = []
            batch.append(waveform)
        if advance is not None:
            advance(done, len(clips))
    if batch:
        _measure_batch(found, front_end, batch, n_frames)
    return found


class _Decoding:
    """A clip's waveform, no more than so many samples of it; or the reason why there is none. In a worker."""

    def __init__(self, sample_rate: int, most: int) -> None:
        self.sample_rate, self.most = sample_rate, most

    def __call__(self, clip: Clip) -> NDArray[np.float32] | str:
        begin = clip.start or 0.0
        end = begin + self.most / self.sample_rate
        try:
            decoded = decode(clip.path, self.sample_rate, clip.start, end if clip.stop is None else min(clip.stop, end))
        except UnusableAudio as error:
            return error.reason
        waveform: NDArray[np.float32] = decoded.waveform.numpy()
        return waveform


def _has_room(batch: list[NDArray[np.float32]], waveform: NDArray[np.float32]) -> bool:
    longest = max(len(waveform), *(len(other) for other in batch))
    return len(batch) < _BATCH_CLIPS and longest * (len(batch) + 1) <= _BATCH_SAMPLES


def _measure_batch(
    found: SpectrumStatistics, front_end: FrontEnd, batch: list[NDArray[np.float32]], n_frames: int | None
) -> None:
    device = _device(front_end)
    lengths = torch.tensor([len(waveform) for waveform in batch])
    joined = torch.zeros(len(batch), int(lengths.max()))
    for row, waveform in enumerate(batch):
        joined[row, : len(waveform)] = torch.from_numpy(waveform)
    on_device = lengths.to(device)
    log_mel = front_end(joined.to(device), on_device, n_frames)
    width = log_mel.shape[2]
    counted = front_end.is_real(on_device, width)[:, 0]
    if n_frames is not None:
        counted = torch.ones_like(counted)
    for row in range(len(batch)):
        _add(found, Moments.of(log_mel[row : row + 1], counted[row : row + 1]), len(batch[row]) / front_end.sample_rate)


def _device(front_end: FrontEnd) -> torch.device:
    return next(front_end.buffers()).device


def _add(found: SpectrumStatistics, moments: Moments, seconds: float) -> None:
    found.clips += 1
    found.seconds += seconds
    if moments.count == 0:
        found.without_frame += 1
        return
    found.of_clips.append(moments.overall())
    found.moments = found.moments.joined(moments)


def _measure_long(found: SpectrumStatistics, front_end: FrontEnd, clip: Clip, window: int) -> None:
    moments = Moments.none(front_end.n_mels)
    samples = 0
    try:
        for log_mel, end in windows(front_end, clip, window):
            moments = moments.joined(
                Moments.of(log_mel, torch.ones(1, log_mel.shape[2], dtype=torch.bool, device=log_mel.device))
            )
            samples = end
    except UnusableAudio as error:
        found.unusable.append((clip.where, error.reason))
        return
    _add(found, moments, samples / front_end.sample_rate)


def windows(front_end: FrontEnd, clip: Clip, window: int) -> Iterator[tuple[Tensor, int]]:
    """The log-mel of a clip piece by piece, each with the sample up to which was read.

    The pieces joined are the log-mel of the whole clip: every piece is made from a stretch with some frames more on
    either side, which are dropped, so that no frame sees another end than the clip's own. (With `subtract_mean` each
    stretch has its own mean taken off; a frame's own mean is taken off again after that, so it makes no difference but
    for rounding.) Raises: UnusableAudio.
    """
    hop, rate = front_end.config.hop_length, front_end.sample_rate
    margin = -(-front_end.config.n_fft // hop) + 1  # frames
    frames = max(1, window // hop)
    first = round((clip.start or 0.0) * rate)
    last = None if clip.stop is None else round(clip.stop * rate)
    done = 0
    while True:
        skipped = min(done, margin)
        begin = first + (done - skipped) * hop
        end = first + (done + frames + margin) * hop + front_end.config.win_length
        stop = end if last is None else min(end, last)
        try:
            waveform = decode(clip.path, rate, begin / rate, stop / rate).waveform
        except UnusableAudio as error:
            if done and error.reason.startswith(("no samples", "undecodable")):
                return
            raise
        is_last = len(waveform) < end - begin
        log_mel = front_end(waveform[None].to(_device(front_end))).as_subclass(Tensor)[:, :, skipped:]
        read = begin - first + len(waveform)
        yield (log_mel if is_last else log_mel[:, :, :frames]), read
        if is_last:
            return
        done += frames
