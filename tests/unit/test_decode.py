"""Every format, rate, channel count and kind of damage: a waveform, or a short reason."""

import math
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zoo.audio import decode as module
from zoo.audio.decode import UnusableAudio, decode, duration, open_audio

FORMATS = {
    "wav-16": {"format": "WAV", "subtype": "PCM_16"},
    "wav-24": {"format": "WAV", "subtype": "PCM_24"},
    "wav-float": {"format": "WAV", "subtype": "FLOAT"},
    "flac": {"format": "FLAC"},
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}
LOSSLESS = {"wav-16", "wav-24", "wav-float", "flac"}
# libmpg123 writes to the process's own stderr about bits it cannot find where an mp3 was cut.


def _tone(seconds: float = 1.0, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    """(frames, channels); the tone of channel c is 0.3 / (c + 1) loud."""
    clock = np.arange(round(seconds * rate)) / rate
    wave = np.sin(2 * np.pi * 440 * clock) * (0.8 + 0.2 * np.sin(2 * np.pi * 3 * clock))
    return (wave[:, None] * 0.3 / (1 + np.arange(channels))).astype(np.float32)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(samples: np.ndarray, rate: int = 16_000, kind: str = "wav-float", name: str = "clip") -> Path:
        path = tmp_path / name
        with open(path, "wb") as file:
            soundfile.write(file, samples, rate, **FORMATS[kind])
        return path

    return make


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(write: Callable[..., Path], kind: str) -> None:
    path = write(_tone(), kind=kind)
    decoded = decode(path, 16_000)
    assert decoded.oddities == ()
    assert decoded.waveform.dtype == torch.float32
    assert decoded.waveform.is_contiguous()
    assert duration(path) == 1.0
    expected, _ = soundfile.read(path, dtype="float32")
    # An mp3 decoder that seeks first, as soundfile.read does, ends on other last bits.
    torch.testing.assert_close(decoded.waveform, torch.from_numpy(expected), rtol=0, atol=1e-6 * (kind == "mp3"))
    if kind in LOSSLESS:
        torch.testing.assert_close(decoded.waveform, torch.from_numpy(_tone()[:, 0]), rtol=0, atol=4e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_stretch_equals_the_slice_of_the_whole(write: Callable[..., Path], kind: str) -> None:
    path = write(_tone(2.0), kind=kind)
    whole = decode(path, 16_000).waveform
    for start, stop in [(0.0, 0.5), (0.25, 1.0), (1.9, 5.0), (0.123456, 0.123519), (1.5, None), (None, 0.01)]:
        found = decode(path, 16_000, start, stop).waveform
        first, last = round((start or 0) * 16_000), 32_000 if stop is None else round(stop * 16_000)
        torch.testing.assert_close(found, whole[first:last], rtol=0, atol=0 if kind in LOSSLESS else 1e-6)


def test_a_stretch_of_an_mp3_that_leans_on_frames_far_before(write: Callable[..., Path]) -> None:
    """A quiet-moving tone fills so little of its frames that each takes bits from up to seven earlier ones."""
    path = write(_tone(6.0), kind="mp3")
    whole = decode(path, 16_000).waveform
    for first in range(20_000, 80_000, 5_003):
        found = decode(path, 16_000, first / 16_000, (first + 2_000) / 16_000).waveform
        torch.testing.assert_close(found, whole[first : first + 2_000], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 44_100, 44_101, 96_000])
def test_a_resampled_stretch_equals_the_slice_of_the_whole(write: Callable[..., Path], rate: int) -> None:
    path = write(np.random.default_rng(0).uniform(-0.5, 0.5, rate * 2).astype(np.float32), rate)
    whole = decode(path, 16_000).waveform
    assert whole.shape[0] == 32_000
    for start, stop in [(0.0, 0.5), (0.25, 1.0), (1.9, 5.0), (1.234567, 1.3), (1.5, None), (1.99995, None)]:
        found = decode(path, 16_000, start, stop).waveform
        first, last = round((start or 0) * 16_000), 32_000 if stop is None else round(stop * 16_000)
        torch.testing.assert_close(found, whole[first:last], rtol=0, atol=2e-6)


def test_channels_are_averaged(write: Callable[..., Path]) -> None:
    samples = _tone(channels=3)
    found = decode(write(samples), 16_000)
    torch.testing.assert_close(found.waveform, torch.from_numpy(samples.mean(1)), rtol=1e-5, atol=1e-7)
    assert found.oddities == ("3 channels",)
    opposite = np.concatenate([samples[:, :1], -samples[:, :1]], axis=1)
    assert decode(write(opposite), 16_000).waveform.abs().max() == 0


def test_eight_channels_at_96_khz_in_several_blocks(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(_tone(0.5, 96_000, channels=8), 96_000, kind="wav-24")
    whole = decode(path, 16_000)
    assert whole.oddities == ("odd rate 96000 Hz", "8 channels")
    assert whole.waveform.shape == (8_000,)
    monkeypatch.setattr(module, "_BLOCK", 8 * 1_000)
    assert torch.equal(decode(path, 16_000).waveform, whole.waveform)


@pytest.mark.parametrize(
    "name", ["no-extension", "wrong.mp3", "raw.raw", "two  spaces .wav", "鳥の声 🐦.flac", "a\nb.wav", "-x"]
)
def test_names_do_not_matter(write: Callable[..., Path], name: str) -> None:
    path = write(_tone(0.1), name=name)
    assert decode(path, 16_000).waveform.shape == (1_600,)
    assert decode(str(path), 16_000).waveform.shape == (1_600,)


@pytest.mark.skipif(os.name != "posix", reason="only there are file names bytes")
def test_a_name_that_is_not_utf8(write: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    try:
        write(_tone(0.1)).rename(path)
    except OSError:
        pytest.skip("this file system has no such names")
    assert decode(path, 16_000).waveform.shape == (1_600,)
    path.write_bytes(b"")
    with pytest.raises(UnusableAudio) as caught:
        decode(path, 16_000)
    assert str(caught.value).encode("utf-8")  # can be printed


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_used_and_called_truncated(write: Callable[..., Path], kind: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 96_000).astype(np.float32)
    path = write(noise, kind=kind)
    whole = decode(path, 16_000).waveform
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    half = decode(path, 16_000)
    assert half.oddities == ("truncated",)
    assert 0.2 * whole.shape[0] < half.waveform.shape[0] < 0.7 * whole.shape[0]
    torch.testing.assert_close(half.waveform, whole[: half.waveform.shape[0]], rtol=0, atol=1e-6)
    stretch = decode(path, 16_000, 0.5, 1.0)
    torch.testing.assert_close(stretch.waveform, whole[8_000:16_000], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_a_stretch_behind_the_cut(write: Callable[..., Path], kind: str) -> None:
    """The header still promises it: only decoding shows that nothing is there."""
    path = write(_tone(6.0), kind=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert duration(path) == 6.0
    with pytest.raises(UnusableAudio, match=r"no samples|undecodable"):
        decode(path, 16_000, 5.0, 5.5)


def test_a_streamed_wav_has_no_length_in_its_header(write: Callable[..., Path]) -> None:
    path = write(_tone(), kind="wav-16")
    header = bytearray(path.read_bytes())
    header[4:8] = header[40:44] = b"\xff" * 4
    path.write_bytes(header)
    decoded = decode(path, 16_000)
    assert decoded.waveform.shape == (16_000,)
    assert decoded.oddities == ()


def test_a_flac_without_a_length_in_its_header(write: Callable[..., Path]) -> None:
    path = write(_tone(), kind="flac")
    expected = decode(path, 16_000).waveform
    header = bytearray(path.read_bytes())
    header[21] &= 0xF0
    header[22:26] = bytes(4)
    path.write_bytes(header)
    assert duration(path) == 1.0
    decoded = decode(path, 16_000)
    assert decoded.oddities == ()
    assert torch.equal(decoded.waveform, expected)
    assert torch.equal(decode(path, 16_000, 0.5, 0.75).waveform, expected[8_000:12_000])


def _reason(path: str | Path, *stretch: float) -> str:
    with pytest.raises(UnusableAudio) as caught:
        decode(path, 16_000, *stretch)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_nothing_to_open(tmp_path: Path, write: Callable[..., Path]) -> None:
    vanished = write(_tone(0.1))
    decode(vanished, 16_000)
    vanished.unlink()
    assert _reason(vanished) == "missing"
    assert _reason(tmp_path / "never.wav") == "missing"
    assert _reason(tmp_path / "never" / "below.wav") == "missing"
    assert _reason(write(_tone(0.1), name="file") / "below.wav") == "missing"
    assert _reason("zero\0byte.wav") == "missing"
    assert _reason(tmp_path) == "a directory"
    assert _reason(tmp_path / ("x" * 300)).startswith("cannot be opened (")
    with pytest.raises(UnusableAudio, match="missing"):
        duration(vanished)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert _reason(tmp_path / "pipe.wav") == "not a regular file"


@pytest.mark.parametrize("where", ["stat", "open"])
def test_permission_denied(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Patched, because the superuser may read everything."""
    path = write(_tone(0.1))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(*((module.os, "stat") if where == "stat" else (module, "open")), refuse, raising=False)
    assert _reason(path) == "permission denied"


def test_vanished_between_two_steps(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(_tone(0.1))

    def gone(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(module, "open", gone, raising=False)
    assert _reason(path) == "missing"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"R", "not audio, or damaged from the start"),
        (b"This is a text.\n" * 100, "not audio, or damaged from the start"),
        (b"RIFF" + b"no wave" * 50, "not audio, or damaged from the start"),
        (bytes(5_000), "not audio, or damaged from the start"),
        (bytes(range(256)) * 40, "not audio, or damaged from the start"),
    ],
)
def test_what_is_not_audio(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "text.wav"
    path.write_bytes(content)
    assert _reason(path) == reason


def test_no_samples(write: Callable[..., Path]) -> None:
    path = write(np.zeros(0, np.float32), kind="wav-16")
    assert _reason(path) == "no samples"
    with pytest.raises(UnusableAudio, match="no samples"):
        duration(path)


def test_a_stretch_outside_the_file(write: Callable[..., Path]) -> None:
    path = write(_tone(1.0))
    assert _reason(path, 1.0, 2.0) == "no samples at 1 s: it lasts 1.00 s"
    assert _reason(path, 0.5, 0.5) == "no samples between 0.5 s and 0.5 s"
    assert _reason(path, -0.5, 0.5) == "no samples between -0.5 s and 0.5 s"
    odd_rate = write(_tone(1.0, 44_100), 44_100)
    assert _reason(odd_rate, 1.0, 2.0) == "no samples at 1 s: it lasts 1.00 s"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity(write: Callable[..., Path], value: float) -> None:
    samples = _tone()[:, 0]
    samples[777] = value
    assert _reason(write(samples)) == "NaN or Inf among the samples"
    assert _reason(write(np.stack([samples, _tone()[:, 0]], 1))) == "NaN or Inf among the samples"


def test_infinities_that_cancel(write: Callable[..., Path]) -> None:
    assert _reason(write(np.array([[math.inf, -math.inf], [0.0, 0.0]], np.float32))) == "NaN or Inf among the samples"


def test_numbers_that_would_overflow(write: Callable[..., Path]) -> None:
    assert _reason(write(_tone() * 1e20)) == "samples as large as 3e+19"
    assert decode(write(_tone() * 32_768), 16_000).oddities == ("beyond full scale",)


def test_odd_but_used(write: Callable[..., Path]) -> None:
    one = decode(write(np.array([0.5], np.float32)), 16_000)
    assert one.waveform.tolist() == [0.5]
    assert one.oddities == ("one sample",)
    assert decode(write(np.zeros(1_000, np.float32)), 16_000).oddities == ("silent",)
    assert decode(write(_tone(0.1, 7_919), 7_919), 16_000).oddities == ("odd rate 7919 Hz",)
    assert decode(write(np.array([0.5, -0.5], np.float32), 48_000), 16_000).waveform.shape == (1,)


def test_hours(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(np.random.default_rng(0).integers(-99, 99, 3_700 * 1_000, np.int16), 1_000, kind="wav-16")
    found = decode(path, 1_000, 3_600.5, 3_601.0)
    assert found.waveform.shape == (500,)
    assert found.oddities == ("odd rate 1000 Hz", "hours long")
    monkeypatch.setattr(module, "_MAX_HOURS", 1)
    with pytest.raises(UnusableAudio, match="longer than 1 hours: it has to be read in stretches"):
        decode(path, 1_000)


def test_a_sampling_rate_beyond_reason(write: Callable[..., Path]) -> None:
    assert _reason(write(_tone(0.1), 2_000_000_000)) == "a sampling rate of 2000000000 Hz"


def test_the_error_leaves_a_worker_process_whole() -> None:
    error = pickle.loads(pickle.dumps(UnusableAudio(Path("a") / "b.wav", "zero bytes")))
    assert (error.path, error.reason) == (os.path.join("a", "b.wav"), "zero bytes")
    assert "b.wav: zero bytes - expected" in str(error)


def test_decoding_costs_what_soundfile_costs(write: Callable[..., Path]) -> None:
    path = write(_tone(10.0), kind="wav-16")

    def best(function: Callable[[], object]) -> float:
        seconds = []
        for _ in range(30):
            begin = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    assert best(lambda: decode(path, 16_000)) < 3 * best(lambda: soundfile.read(path, dtype="float32"))


SHORT_SUBTYPES = ("PCM_16", "PCM_S8", "PCM_U8")
SHORT_FORMATS = [
    (kind, subtype)
    for kind in ("WAV", "WAVEX", "AIFF", "AU", "CAF", "NIST", "PAF", "RF64", "SVX", "VOC", "W64", "MAT5", "FLAC")
    for subtype in SHORT_SUBTYPES
    if soundfile.check_format(kind, subtype)
]


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("kind", "subtype"), SHORT_FORMATS)
def test_stored_integers_give_libsndfiles_floats(tmp_path: Path, kind: str, subtype: str, channels: int) -> None:
    """To the last bit, in every format that holds samples of 16 bits or fewer."""
    numbers = np.random.default_rng(0).integers(-32_768, 32_768, (3_000, channels), dtype=np.int16)
    numbers[:2] = [[-32_768], [32_767]]
    path = tmp_path / "clip"
    try:
        with open(path, "wb+") as file:
            soundfile.write(file, numbers, 16_000, format=kind, subtype=subtype)
    except soundfile.LibsndfileError:
        pytest.skip(f"{kind} holds no {channels} channels")
    with open(path, "rb") as file:
        floats, rate = soundfile.read(file, dtype="float32", always_2d=True)  # VOC rounds the rate
    weights = np.full(channels, 1 / channels, dtype=np.float32)
    expected = floats[:, 0] if channels == 1 else floats @ weights
    assert torch.equal(decode(path, rate).waveform, torch.from_numpy(expected))
    assert torch.equal(decode(path, rate, 800 / rate, 1_600 / rate).waveform, torch.from_numpy(expected[800:1_600]))


@pytest.mark.parametrize("kind", FORMATS)
def test_length_and_stretch_at_one_opening(
    write: Callable[..., Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(_tone(2.0), kind=kind)
    stat, asked = os.stat, []
    monkeypatch.setattr(module.os, "stat", lambda *args: asked.append(args) or stat(*args))
    with open_audio(path) as audio:
        assert audio.duration == 2.0
        found = audio.decode(16_000, 0.5, 1.25)
    assert len(asked) == 1
    assert found.oddities == ()
    assert torch.equal(found.waveform, decode(path, 16_000, 0.5, 1.25).waveform)
    with open_audio(path) as audio:
        assert audio.duration == 2.0
        assert torch.equal(audio.decode(16_000).waveform, decode(path, 16_000).waveform)


def test_length_and_stretch_of_a_flac_without_a_length_in_its_header(write: Callable[..., Path]) -> None:
    """It is read to its end to count, and then from where the stretch begins."""
    path = write(_tone(), kind="flac")
    header = bytearray(path.read_bytes())
    header[21] &= 0xF0
    header[22:26] = bytes(4)
    path.write_bytes(header)
    for stretch in [(None, None), (0.0, 0.25), (0.5, 0.75)]:
        with open_audio(path) as audio:
            assert audio.duration == 1.0
            assert torch.equal(audio.decode(16_000, *stretch).waveform, decode(path, 16_000, *stretch).waveform)


def _bytes_read() -> int:
    """By this process since it began, whoever called."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts bytes as Linux does")
@pytest.mark.parametrize("kind", ["wav-16", "wav-24", "flac", "vorbis", pytest.param("opus", marks=pytest.mark.slow)])
def test_ten_seconds_of_a_long_file_read_no_more_than_ten_seconds(tmp_path: Path, kind: str) -> None:
    """The bytes that a crop reads do not grow with the file it is from."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 8_000 * 20).astype(np.float32)
    read = {}
    for repeats in (1, 15):
        path = tmp_path / f"{repeats}"
        with path.open("wb+") as out, soundfile.SoundFile(out, "w", 8_000, 1, **FORMATS[kind]) as file:
            for block in np.split(np.tile(noise, repeats), 20 * repeats):
                file.write(block)  # in one piece it is more than libsndfile's Vorbis can take
        begin = _bytes_read()
        seconds = 20 * repeats
        with open_audio(path) as audio:
            assert audio.duration == seconds
            audio.decode(8_000, 0.5 * seconds, 0.5 * seconds + 10)
        read[repeats] = _bytes_read() - begin
    assert read[15] < 2 * read[1] + 100_000
    assert read[15] < 0.25 * path.stat().st_size
