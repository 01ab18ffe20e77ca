"""An audio file, or a stretch of it, as a mono waveform at the wanted sampling rate.

Files are judged by their content, never by their name. What cannot be used raises `UnusableAudio` with a short
reason; what is odd but usable comes back with a word about it, for the bad-audio log.
"""

import errno
import io
import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from zoo.audio.byte_range import ByteRange
from zoo.audio.resample import reach, reduced, resample
from zoo.audio.uninterrupted import uninterrupted
from zoo.errors import DataError

_COMMON_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_MAX_RATE = 1_000_000
_MAX_HOURS = 24
_BLOCK = 1 << 22  # numbers read at a time: hours of many channels never lie in memory at once
_UNKNOWN_LENGTH = 1 << 62  # soundfile's count of frames where the header has none (2**63 - 1)
_STREAMED = 0x7FFF_F000  # sizes from here on are what programs write into a header before they know the size
_SILENT = 2.0**-16
_FULL_SCALE = 2.0
_MAX_PEAK = 1e15  # its power spectrum still fits float32
_MP3_RESERVOIR = 20 * 1152
_CUT_OGG = "Last page lacks an end-of-stream bit"
_WAV_SIZE = re.compile(r"^\s*data\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)


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


def decode(path: Audio, sample_rate: int, start: float | None = None, stop: float | None = None) -> Decoded:
    """Read, average the channels, resample to `sample_rate` (Hz).

    Args:
        start, stop: seconds; None is the beginning and the end. Only this stretch is read. It equals, sample for
            sample, the same stretch of the whole decoded clip: round(start * sample_rate) up to, but without,
            round(stop * sample_rate), or less where the file ends before.

    Raises: UnusableAudio - missing, no permission, a directory, zero bytes, not audio, no samples, NaN or Inf.
    """
    first = 0 if start is None else round(start * sample_rate)
    last = None if stop is None else round(stop * sample_rate)
    if first < 0 or (last is not None and last <= first):
        raise UnusableAudio(path, f"no samples between {start or 0:g} s and {math.inf if stop is None else stop:g} s")
    with _open(path) as file:
        rate = file.samplerate
        begin, end = _frames_for(path, file, sample_rate, first, last)
        mono, failed = _read_mono(file, begin, end)
        low, high = _check_range(path, mono, failed)
        is_cut = failed or mono.size < end - begin < _UNKNOWN_LENGTH
        oddities = _oddities(file, mono.size, low, high, is_cut)
    waveform = resample(torch.from_numpy(mono), rate, sample_rate)
    if first or last is not None:  # what the resampler saw on either side goes
        offset = first - begin * sample_rate // rate
        waveform = waveform[offset : None if last is None else offset + last - first].contiguous()
        if waveform.shape[0] == 0:
            raise UnusableAudio(path, "no samples")
    return Decoded(waveform, oddities)


def duration(path: Audio) -> float:
    """Seconds, as the header says; counted where the header says nothing.

    An mp3 or flac that was cut short still promises its whole length: only decoding shows that the end is missing.

    Raises: UnusableAudio - as `decode`, as far as that shows without decoding.
    """
    with _open(path) as file:
        frames = file.frames
        if frames >= _UNKNOWN_LENGTH:
            frames = _read_mono(file, 0, frames)[0].size
        if frames == 0:
            raise UnusableAudio(path, "no samples")
        return float(frames / file.samplerate)


def native_rate(path: Audio) -> int:
    """The sampling rate that the header states, Hz. Raises: UnusableAudio - as `duration`."""
    with _open(path) as file:
        return int(file.samplerate)


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
    if _UNKNOWN_LENGTH > end - begin > _MAX_HOURS * 3600 * rate:
        raise UnusableAudio(path, f"longer than {_MAX_HOURS} hours: it has to be read in stretches")
    return begin, end


def _read_mono(file: soundfile.SoundFile, begin: int, end: int) -> tuple[np.ndarray, bool]:
    """The mean of the channels of frames `begin` to `end`, or of those that decode; and whether the decoder failed."""
    weights = np.full(file.channels, 1.0 / file.channels, dtype=np.float32)
    blocks = [np.empty(0, dtype=np.float32)]
    # An mp3 frame may need up to some ten frames before it (the bit reservoir), more than libsndfile's decoder reads.
    position = max(0, begin - _MP3_RESERVOIR) if file.format == "MP3" else begin
    try:
        if position:
            file.seek(position)
        while position < end:
            block = np.empty((min(end - position, max(1, _BLOCK // file.channels)), file.channels), dtype=np.float32)
            got = 0
            try:
                got = len(file.read(out=block))
            except soundfile.LibsndfileError:  # what was decoded before the damage is in the block
                got = min(max(0, file.tell() - position), len(block))
                raise
            finally:
                wanted = block[max(0, begin - position) : got]
                with np.errstate(all="ignore"):  # Inf in two channels; the caller sees the NaN
                    blocks.append(wanted[:, 0] if file.channels == 1 else wanted @ weights)
            position += got
            if got < len(block):
                break
    except soundfile.LibsndfileError:
        return np.concatenate(blocks), True
    return blocks[1] if len(blocks) == 2 else np.concatenate(blocks), False


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


def _oddities(file: soundfile.SoundFile, size: int, low: float, high: float, is_cut: bool) -> tuple[str, ...]:
    """What the owner of a usable file may want to know. The texts are stable: logs are counted by them."""
    checks = {
        f"odd rate {file.samplerate} Hz": file.samplerate not in _COMMON_RATES,
        f"{file.channels} channels": file.channels > 2,
        "hours long": _UNKNOWN_LENGTH > file.frames > 3600 * file.samplerate,
        "truncated": is_cut or _header_promises_more(file.extra_info),
        "one sample": size == 1,
        "silent": size > 1 and high - low < _SILENT,
        "beyond full scale": max(-low, high) > _FULL_SCALE,
    }
    return tuple(text for text, applies in checks.items() if applies)


def _header_promises_more(info: str) -> bool:
    """libsndfile quietly corrects a count of frames that the file cannot hold; its notes tell."""
    sizes = _WAV_SIZE.search(info)
    return _CUT_OGG in info or (sizes is not None and int(sizes[2]) < int(sizes[1]) < _STREAMED)
