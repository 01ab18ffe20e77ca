"""The clips that are measured on: cut from real audio, or notes made up here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from zoo.audio.decode import UnusableAudio, decode
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.errors import DataError

MADE_UP = "made up: struck notes over a little noise"
_BLOCK = 8_000  # frames written at a time: libsndfile's Vorbis crashes on much more

Samples = np.ndarray


def sounds(source: str | None, sample_rate: int, seconds: float, count: int) -> Iterator[Samples]:
    """`count` clips of so many seconds, float32 in [-1, 1].

    source: a manifest or folder, whose clips are joined until they are long enough, and used again when there are too
        few; None makes notes up.

    Raises: DataError - nothing of the source can be decoded.
    """
    size = round(seconds * sample_rate)
    if source is None:
        yield from (_notes(number, size, sample_rate) for number in range(count))
        return
    endless = _endless(source, sample_rate)
    rest = np.empty(0, dtype=np.float32)
    for _ in range(count):
        while len(rest) < size:
            rest = np.concatenate([rest, next(endless)])
        yield rest[:size]
        rest = rest[size:]


def _endless(source: str, sample_rate: int) -> Iterator[Samples]:
    manifest = read_manifest(SourceConfig(path=source))
    while True:
        found = False
        for clip in manifest.clips:
            try:
                waveform = decode(clip.path, sample_rate, clip.start, clip.stop).waveform
            except UnusableAudio:
                continue
            found = True
            yield waveform.numpy().clip(-1.0, 1.0)
        if not found:
            raise DataError(f"{source}: no clip can be decoded - expected audio - give another SOURCE, or none")


def _notes(number: int, size: int, sample_rate: int) -> Samples:
    """Four notes a second, each with eight partials that die away; noise 60 dB below full scale."""
    rng = np.random.default_rng(number)
    sound = 1e-3 * rng.standard_normal(size).astype(np.float32)
    length = sample_rate
    clock = np.arange(length) / sample_rate
    for begin in range(0, size, sample_rate // 4):
        pitch = 55.0 * 2.0 ** (rng.integers(0, 48) / 12)
        partials = np.arange(1, 9)[pitch * np.arange(1, 9) < sample_rate / 2][:, None]
        note = (np.sin(2 * np.pi * pitch * partials * clock) * np.exp(-3 * partials**0.5 * clock) / partials).sum(0)
        part = sound[begin : begin + length]
        part += (0.15 * note[: len(part)]).astype(np.float32)
    return sound.clip(-1.0, 1.0)


@dataclass(frozen=True)
class Stored:
    """The same clips in one form: what our loader is given as a source, and the files for who reads files."""

    source: str
    files: tuple[Path, ...]
    num_bytes: int


def _writer(suffix: str, **how: str) -> Callable[[Iterator[Samples], int, Path], Stored]:
    def store(clips: Iterator[Samples], sample_rate: int, folder: Path) -> Stored:
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for number, clip in enumerate(clips):
            files.append(folder / f"clip_{number:06d}.{suffix}")
            write_sound(files[-1], [clip], sample_rate, **how)
        return Stored(str(folder), tuple(files), sum(file.stat().st_size for file in files))

    return store


def write_sound(path: Path, parts: Iterator[Samples] | list[Samples], sample_rate: int, **how: str) -> None:
    """One file of mono sound, from parts, of any length; `how` is soundfile's format and subtype."""
    with path.open("wb+") as stream, soundfile.SoundFile(stream, "w", sample_rate, 1, **how) as file:
        for part in parts:
            for begin in range(0, len(part), _BLOCK):
                file.write(part[begin : begin + _BLOCK])


CODECS: dict[str, dict[str, str]] = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
}
"""How soundfile writes each."""

FORMS: dict[str, Callable[[Iterator[Samples], int, Path], Stored]] = {
    name: _writer(name, **how) for name, how in CODECS.items()
}
"""What `--formats` may name. Each stores clips (and their sampling rate) in a folder."""


def check_forms(names: list[str], known: list[str]) -> None:
    """Raises DataError for a name that is none of them."""
    for name in names:
        if name not in known:
            raise DataError(f"--formats: {name!r} - expected some of {', '.join(known)} - separate them by commas")
