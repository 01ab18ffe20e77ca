"""A stretch of an mp3 cut out as an mp3 of its own: the samples of the whole clip, or nothing."""

import os
import tarfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zoo.audio import decode as decoder
from zoo.audio import mp3_cut as module
from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import decode, duration
from zoo.audio.mp3_cut import cut_mp3, map_mp3

KINDS = [
    (rate, channels, mode, level)
    for rate, channels in [(16_000, 1), (44_100, 2), (48_000, 1), (8_000, 2), (11_025, 1)]
    for mode, level in [("CONSTANT", 0.5), ("VARIABLE", 0.5), ("VARIABLE", 0.9)]
]


def _write(path: Path, rate: int, channels: int, mode: str = "CONSTANT", level: float = 0.5, seconds: int = 8) -> Path:
    """Chirps and noise that comes and goes, so that frames of a variable rate differ."""
    rng = np.random.default_rng(0)
    clock = np.arange(seconds * rate) / rate
    loud = np.clip(np.sin(2 * np.pi * 0.7 * clock), 0, 1)[:, None]
    sound = 0.3 * np.sin(2 * np.pi * (200 + 150 * clock) * clock)[:, None] + 0.3 * loud * rng.uniform(
        -1, 1, (len(clock), channels)
    )
    with (
        path.open("wb+") as out,
        soundfile.SoundFile(
            out, "w", rate, channels, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=mode, compression_level=level
        ) as file,
    ):
        for begin in range(0, len(sound), 4_000):
            file.write(sound[begin : begin + 4_000].astype(np.float32))
    return path


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Cuts from the first second on; tells of every try whether there was one."""
    told: list[bool] = []

    def cut(*args: object) -> object:
        found = cut_mp3(*args)  # type: ignore[arg-type]
        told.append(found is not None)
        return found

    monkeypatch.setattr(decoder, "_FAR", 1.0)
    monkeypatch.setattr(decoder, "cut_mp3", cut)
    return told


@pytest.mark.parametrize(("rate", "channels", "mode", "level"), KINDS)
def test_a_cut_is_the_slice_of_the_whole(
    tmp_path: Path, cuts: list[bool], rate: int, channels: int, mode: str, level: float
) -> None:
    path = _write(tmp_path / "clip", rate, channels, mode, level)
    assert duration(path) == 8.0
    whole = decode(path, rate).waveform
    places = np.random.default_rng(1).integers(2 * rate, 7 * rate, 25).tolist()
    for first in [*places, 8 * rate - 500]:
        last = min(first + rate, 8 * rate)
        found = decode(path, rate, first / rate, last / rate)
        torch.testing.assert_close(found.waveform, whole[first:last], rtol=0, atol=1e-6)
        assert "truncated" not in found.oddities
    assert all(cuts)
    assert len(cuts) == 26


def test_a_member_of_a_shard(tmp_path: Path, cuts: list[bool]) -> None:
    """Mapped where it lies, between other members; the very samples of the file."""
    path = _write(tmp_path / "clip", 16_000, 1, "CONSTANT", 0.1)
    with tarfile.open(tmp_path / "shard.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("before", "clip", "behind"):
            tar.add(path, name)
    with tarfile.open(tmp_path / "shard.tar") as tar:
        found = tar.getmember("clip")
    member = ByteRange(tmp_path / "shard.tar", found.offset_data, found.size, "clip")
    for first in (30_000, 70_000, 110_000):
        stretch = (first / 16_000, first / 16_000 + 1)
        assert torch.equal(decode(member, 16_000, *stretch).waveform, decode(path, 16_000, *stretch).waveform)
    assert cuts == [True] * 6


def test_a_resampled_cut(tmp_path: Path, cuts: list[bool]) -> None:
    path = _write(tmp_path / "clip", 44_100, 2)
    whole = decode(path, 16_000).waveform
    found = decode(path, 16_000, 4.5, 5.5).waveform
    torch.testing.assert_close(found, whole[72_000:88_000], rtol=0, atol=2e-6)
    assert cuts == [True]


def test_tags_before_and_behind(tmp_path: Path, cuts: list[bool]) -> None:
    path = _write(tmp_path / "clip", 16_000, 1)
    whole = decode(path, 16_000).waveform
    title = b"TIT2" + (9_000).to_bytes(4, "big") + bytes(9_002)
    size = len(title)
    header = b"ID3\x04\x00\x00" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    path.write_bytes(header + title + path.read_bytes() + b"TAG" + bytes(125))
    found = decode(path, 16_000, 5.0, 6.0).waveform
    torch.testing.assert_close(found, whole[80_000:96_000], rtol=0, atol=1e-6)
    assert cuts == [True]


@pytest.mark.parametrize("damage", ["garbage", "cut short", "no tag", "another count", "low rate"])
def test_what_is_not_plain_is_left_to_libsndfile(
    tmp_path: Path, cuts: list[bool], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _write(tmp_path / "clip", 16_000, 1).read_bytes()
    tag = max(content.find(b"Info"), content.find(b"Xing"))
    path = tmp_path / "damaged"
    path.write_bytes(
        {
            "garbage": content[:20_000] + b"garbage" + content[20_000:],
            "cut short": content[:-3_000],
            "low rate": _write(tmp_path / "low", 16_000, 1, level=0.99).read_bytes(),  # no room for a tag in its frames
            "no tag": content[:tag] + b"None" + content[tag + 4 :],
            "another count": content[: tag + 8] + (9_999).to_bytes(4, "big") + content[tag + 12 :],
        }[damage]
    )
    found = decode(path, 16_000, 2.0, 2.5).waveform
    assert cuts == [False]
    monkeypatch.setattr(decoder, "_FAR", 1_000.0)
    assert torch.equal(found, decode(path, 16_000, 2.0, 2.5).waveform)
    assert cuts == [False]


@pytest.mark.parametrize("content", [b"", b"I", b"ID3", b"ID3\4\0\0\0\0\0\x05", b"\xff\xfb", b"\xff\xfb\x90\x00" * 99])
def test_what_is_no_mp3_at_all(content: bytes) -> None:
    assert map_mp3(content) is None


def test_headers_are_walked_once(tmp_path: Path, cuts: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    walked = []
    monkeypatch.setattr(module, "map_mp3", lambda content: walked.append(1) or map_mp3(content))
    monkeypatch.setattr(module, "_KEPT_FILES", 2)
    monkeypatch.setattr(module, "_known", OrderedDict())
    paths = [_write(tmp_path / str(i), 8_000, 1, seconds=3) for i in range(3)]
    for path in (0, 0, 1, 0, 2, 0):
        decode(paths[path], 8_000, 2.0, 2.5)
    assert len(walked) == 3
    decode(paths[1], 8_000, 2.0, 2.5)  # it was longest out of use
    assert len(walked) == 4
    os.utime(paths[1], ns=(1, 1))  # another file under the same name
    decode(paths[1], 8_000, 2.0, 2.5)
    assert len(walked) == 5
    assert all(cuts)


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts bytes as Linux does")
def test_libsndfile_reads_no_more_than_the_beginning(tmp_path: Path, cuts: list[bool]) -> None:
    path = _write(tmp_path / "clip", 16_000, 1, seconds=60)
    decode(path, 16_000, 50.0, 51.0)

    def read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    before = read()
    decode(path, 16_000, 50.0, 51.0)
    assert read() - before < 0.2 * path.stat().st_size
    assert cuts == [True, True]
