"""An audio file, or a stretch of it, as a mono waveform at the wanted sampling rate.

Files are judged by their content, never by their name. What cannot be used raises `UnusableAudio` with a short
reason; what is odd but usable comes back with a word about it, for the bad-audio log.
"""

import errno
import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from zoo.audio.byte_range import ByteRange
from zoo.audio.mp3_cut import cut_mp3
from zoo.audio.oddities import UNKNOWN_LENGTH, odd_name, oddities_of
from zoo.audio.resample import reach, reduced, resample, resampled_length
from zoo.audio.uninterrupted import uninterrupted
from zoo.errors import DataError

_MAX_RATE = 1_000_000
_MAX_HOURS = 24
_BLOCK = 1 << 22  # numbers read at a time: hours of many channels never lie in memory at once
_MAX_PEAK = 1e15  # its power spectrum still fits float32
_MP3_RESERVOIR = 20 * 1152
_FAR = 60.0  # seconds into an mp3: libsndfile takes 2 ms to get there
_SHORT = {"PCM_16", "PCM_S8", "PCM_U8"}  # subtypes whose samples are 16-bit numbers, or fewer bits of them
_SHORT_STEP = np.float32(2.0**-15)


Audio = str | Path | ByteRange
"""Where audio lies: a file, or a member of a shard."""


class UnusableAudio(DataError):  # noqa: N818 - named for the file, not for the error
    """A file, or a stretch of one, from which no waveform can be had. `reason` is short and free of the path."""

    def __init__(self, path: Audio, reason: str) -> None:
        super().__init__(path, reason)  # both, so that it survives the way out of a worker process
        self.path = str(path)
        self.reason = reason

    def __str__(self) -> str:
        name = self.path if self.path.isprintable() else repr(self.path)
        return f"{name}: {self.reason} - expected an audio file that soundfile decodes - repair it or leave it out"


class _SequentialFile(soundfile.SoundFile):
    """Reads straight on. soundfile itself seeks after every read, which fails at the end of a file without a length."""

    def seekable(self) -> bool:
        return False


@dataclass(frozen=True)
class Decoded:
    """A mono waveform, and what is odd about the file it is from (nothing, as a rule)."""

    waveform: Float[Tensor, "sample"]
    oddities: tuple[str, ...]

    @property
    def length(self) -> int:
        """Samples."""
        return self.waveform.shape[0]


@dataclass(frozen=True)
class AudioHeader:
    """What a file says about itself."""

    sample_rate: int
    """Hz."""
    channels: int
    format: str
    """Container and coding, as libsndfile names them: WAV/PCM_16, OGG/OPUS."""


def read_header(path: Audio) -> AudioHeader:
    """Raises: UnusableAudio - as `decode`, as far as that shows without decoding."""
    with _open(path) as file:
        return AudioHeader(file.samplerate, file.channels, f"{file.format}/{file.subtype}")


def decode(path: Audio, sample_rate: int, start: float | None = None, stop: float | None = None) -> Decoded:
    """Read, average the channels, resample to `sample_rate` (Hz).

    Args:
        start, stop: seconds; None is the beginning and the end. Only this stretch is read. It equals, sample for
            sample, the same stretch of the whole decoded clip: round(start * sample_rate) up to, but without,
            round(stop * sample_rate), or less where the file ends before.

    Raises: UnusableAudio - missing, no permission, a directory, zero bytes, not audio, no samples, NaN or Inf.
    """
    with open_audio(path) as audio:
        return audio.decode(sample_rate, start, stop)


def duration(path: Audio) -> float:
    """Seconds, as the header says; counted where the header says nothing.

    An mp3 or flac that was cut short still promises its whole length: only decoding shows that the end is missing.

    Raises: UnusableAudio - as `decode`, as far as that shows without decoding.
    """
    with open_audio(path) as audio:
        return audio.duration


def count_samples(path: Audio, sample_rate: int) -> int:
    """Exactly as many samples as `decode` gives of the whole file at `sample_rate` (Hz), if the header is right.

    Raises: UnusableAudio - as `duration`.
    """
    with open_audio(path) as audio:
        return audio.count_samples(sample_rate)


class OpenAudio:
    """An open audio file: its length and a stretch of it cost one opening together."""

    def __init__(self, path: Audio, file: soundfile.SoundFile) -> None:
        self._path = path
        self._file = file
        self._is_read = False

    @property
    def duration(self) -> float:
        """See the function `duration`."""
        return float(self._stated_frames() / self._file.samplerate)

    def count_samples(self, sample_rate: int) -> int:
        """See the function `count_samples`."""
        return resampled_length(self._stated_frames(), self._file.samplerate, sample_rate)

    def decode(self, sample_rate: int, start: float | None = None, stop: float | None = None) -> Decoded:
        """See the function `decode`. Where it raises, the file has to be opened anew for another stretch."""
        path, file = self._path, self._file
        first = 0 if start is None else round(start * sample_rate)
        last = None if stop is None else round(stop * sample_rate)
        if first < 0 or (last is not None and last <= first):
            raise UnusableAudio(
                path, f"no samples between {start or 0:g} s and {math.inf if stop is None else stop:g} s"
            )
        rate = file.samplerate
        begin, end = _frames_for(path, file, sample_rate, first, last)
        mono, failed = self._read(begin, end)
        low, high = _check_range(path, mono, failed)
        is_cut = failed or mono.size < end - begin < UNKNOWN_LENGTH
        oddities = oddities_of(file, mono.size, low, high, is_cut) + odd_name(path)
        waveform = resample(torch.from_numpy(mono), rate, sample_rate)
        if first or last is not None:  # what the resampler saw on either side goes
            offset = first - begin * sample_rate // rate
            waveform = waveform[offset : None if last is None else offset + last - first].contiguous()
            if waveform.shape[0] == 0:
                raise UnusableAudio(path, "no samples")
        return Decoded(waveform, oddities)

    def _stated_frames(self) -> int:
        frames = self._file.frames
        if frames >= UNKNOWN_LENGTH:
            frames = self._read(0, frames)[0].size
        if frames == 0:
            raise UnusableAudio(self._path, "no samples")
        return frames

    def _read(self, begin: int, end: int) -> tuple[np.ndarray, bool]:
        file = self._file
        if file.format == "MP3" and begin > _FAR * file.samplerate and end <= file.frames:
            with suppress(OSError, ValueError):  # gone, or of no length: libsndfile has it open
                cut = cut_mp3(self._path, begin, end, file.frames)
                if cut is not None:
                    with _SequentialFile(io.BytesIO(cut[0])) as short:
                        return _read_mono(short, cut[1], cut[1] + end - begin, False)
        is_read, self._is_read = self._is_read, True
        return _read_mono(file, begin, end, is_read)


@contextmanager
def open_audio(path: Audio) -> Iterator[OpenAudio]:
    """A file to be asked for its length, then for a stretch of it.

    Raises: UnusableAudio - as `decode`, as far as that shows without decoding.
    """
    with _open(path) as file:
        yield OpenAudio(path, file)


@contextmanager
def _open(path: Audio) -> Iterator[soundfile.SoundFile]:
    """The file, whatever its name; every way in which it cannot be opened becomes a reason."""
    try:
        stream = _stream(path)
    except (OSError, ValueError) as error:
        raise UnusableAudio(path, _reason(error)) from error
    by_callbacks = os.name != "posix" or isinstance(path, ByteRange)
    with stream, uninterrupted() if by_callbacks else nullcontext():
        try:
            # A descriptor is the fastest; on Windows it does not cross into libsndfile, nor does it know of members.
            source = stream if by_callbacks else stream.fileno()
            file = _SequentialFile(source, closefd=False)
        except (soundfile.SoundFileError, OSError) as error:
            raise UnusableAudio(path, "not audio, or damaged from the start") from error
        with file:
            if not 1 <= file.samplerate <= _MAX_RATE:
                raise UnusableAudio(path, f"a sampling rate of {file.samplerate} Hz")
            yield file


def _stream(path: Audio) -> io.FileIO | io.BufferedReader | io.BytesIO:
    """The bytes of a regular file, or of a member, of which there is at least one. Raises OSError, ValueError."""
    if isinstance(path, ByteRange):
        if path.size == 0:
            raise UnusableAudio(path, "zero bytes")
        return path.open()
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise UnusableAudio(path, "a directory")
    if not stat.S_ISREG(found.st_mode):
        raise UnusableAudio(path, "not a regular file")
    if found.st_size == 0:
        raise UnusableAudio(path, "zero bytes")
    # Opened here and not by soundfile, which would go by the name's ending and cannot encode every name.
    return open(path, "rb", buffering=0)


def _reason(error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "missing"
        case PermissionError():
            return "permission denied"
        case OSError(errno=errno.ESTALE):
            return "missing"
        case OSError():
            return f"cannot be opened ({error.strerror})"
        case _:
            return "missing"  # a name that no file can have: a zero byte in it


def _frames_for(
    path: Audio, file: soundfile.SoundFile, sample_rate: int, first: int, last: int | None
) -> tuple[int, int]:
    """The frames of the file that output samples `first` to `last` depend on."""
    rate, declared = file.samplerate, file.frames
    step_in, step_out = reduced(rate, sample_rate)
    if declared and first * step_in >= declared * step_out:
        raise UnusableAudio(path, f"no samples at {first / sample_rate:g} s: it lasts {declared / rate:.2f} s")
    margin = reach(rate, sample_rate) if rate != sample_rate else 0
    # Begin where samples of both rates coincide: the resampler then does the same sums as for the whole clip.
    begin = max(0, first * step_in // step_out - margin) // step_in * step_in
    end = declared if last is None else min(declared, -(-last * step_in // step_out) + margin)
    if UNKNOWN_LENGTH > end - begin > _MAX_HOURS * 3600 * rate:
        raise UnusableAudio(path, f"longer than {_MAX_HOURS} hours: it has to be read in stretches")
    return begin, end


def _read_mono(file: soundfile.SoundFile, begin: int, end: int, is_read: bool) -> tuple[np.ndarray, bool]:
    """The mean of the channels of frames `begin` to `end`, or of those that decode; and whether the decoder failed.

    `is_read`: the file was read before, and is not at its beginning.
    """
    weights = np.full(file.channels, 1.0 / file.channels, dtype=np.float32)
    blocks = [np.empty(0, dtype=np.float32)]
    # An mp3 frame may need up to some ten frames before it (the bit reservoir), more than libsndfile's decoder reads.
    position = max(0, begin - _MP3_RESERVOIR) if file.format == "MP3" else begin
    # libsndfile's own conversion of stored 16-bit samples takes three times as long as reading them; that of FLAC's
    # is part of its decoder.
    dtype = np.int16 if file.subtype in _SHORT and file.format != "FLAC" else np.float32
    try:
        if position or is_read:
            file.seek(position)
        while position < end:
            block = np.empty((min(end - position, max(1, _BLOCK // file.channels)), file.channels), dtype=dtype)
            got = 0
            try:
                got = len(file.read(out=block))
            except soundfile.LibsndfileError:  # what was decoded before the damage is in the block
                got = min(max(0, file.tell() - position), len(block))
                raise
            finally:
                blocks.append(_mean_of_channels(block[max(0, begin - position) : got], weights))
            position += got
            if got < len(block):
                break
    except soundfile.LibsndfileError:
        return np.concatenate(blocks), True
    return blocks[1] if len(blocks) == 2 else np.concatenate(blocks), False


def _mean_of_channels(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(frames, channels) of float32 or int16 to (frames,) of float32."""
    if block.dtype == np.int16:
        block = block * _SHORT_STEP  # exactly what libsndfile makes of them
    with np.errstate(all="ignore"):  # Inf in two channels; the caller sees the NaN
        return block[:, 0] if len(weights) == 1 else block @ weights


def _check_range(path: Audio, mono: np.ndarray, failed: bool) -> tuple[float, float]:
    """The lowest and the highest sample of a usable waveform."""
    if mono.size == 0:
        raise UnusableAudio(path, "undecodable" if failed else "no samples")
    low, high = float(mono.min()), float(mono.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # one NaN makes both NaN
        raise UnusableAudio(path, "NaN or Inf among the samples")
    if max(-low, high) > _MAX_PEAK:
        raise UnusableAudio(path, f"samples as large as {max(-low, high):.0e}")
    return low, high
