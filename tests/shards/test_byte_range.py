"""A member of a shard read as a file of its own: the same sound, only the bytes that are needed, one reason each."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zoo.audio import byte_range
from zoo.audio.byte_range import ByteRange, is_header_of
from zoo.audio.decode import UnusableAudio, decode, duration, read_header

KINDS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}


def member_of(path: Path, shard: Path, before: int = 2) -> ByteRange:
    """A shard with other members on either side."""
    with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
        for i in range(before):
            info = tarfile.TarInfo(f"before{i}.json")
            info.size = 700 + i
            tar.addfile(info, io.BytesIO(b"\xff" * info.size))
        tar.add(path, path.name)
        tar.add(path, "after.bin")
    with tarfile.open(shard) as tar:
        info = tar.getmember(path.name)
        return ByteRange(shard, info.offset_data, info.size, path.name)


@pytest.fixture(params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, ByteRange]:
    path = tmp_path / f"sound.{request.param}"
    wave = 0.3 * np.sin(np.arange(3 * 22_050) / 20).astype(np.float32)
    wave += 0.02 * np.random.default_rng(0).standard_normal(wave.size).astype(np.float32)
    soundfile.write(path, wave, 22_050, subtype=KINDS[request.param])
    return path, member_of(path, tmp_path / "shard.tar")


@pytest.mark.parametrize("small", [1 << 20, 0], ids=["in memory", "through a window"])
def test_it_sounds_as_the_file(both: tuple[Path, ByteRange], small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_range, "_SMALL", small)
    path, member = both
    assert duration(member) == duration(path)
    assert read_header(member) == read_header(path)
    assert read_header(member).sample_rate == 22_050
    for start, stop in ((None, None), (1.0, 2.5), (2.9, None)):
        ours, theirs = decode(member, 16_000, start, stop), decode(path, 16_000, start, stop)
        assert torch.equal(ours.waveform, theirs.waveform)
        assert ours.oddities == theirs.oddities


def test_of_a_long_member_only_the_crop_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(16_000 * 600, dtype=np.int16), 16_000)
    member = member_of(path, tmp_path / "shard.tar")
    assert member.size > 19_000_000
    asked: list[int] = []

    class Counting(io.FileIO):
        def readinto(self, buffer) -> int | None:  # type: ignore[no-untyped-def]
            asked.append(len(buffer))
            return super().readinto(buffer)

        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read(-1 if size is None else size)

    monkeypatch.setattr(byte_range.io, "FileIO", Counting)
    assert decode(member, 16_000, 300.0, 310.0).waveform.shape == (160_000,)
    assert 320_000 <= sum(asked) < 700_000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: ByteRange(m.path.with_name("no.tar"), m.offset, m.size, m.member), "missing"),
        (lambda m: ByteRange(m.path.parent, m.offset, m.size, m.member), "not a regular file"),
        (lambda m: ByteRange(m.path, m.offset, 0, m.member), "zero bytes"),
        (lambda m: ByteRange(m.path, m.offset + 512, m.size, m.member), "another member"),
        (lambda m: ByteRange(m.path, m.offset, m.size - 1, m.member), "another member"),
        (lambda m: ByteRange(m.path, m.offset, m.size, "b" + m.member), "another member"),
        (lambda m: ByteRange(m.path, 0, m.size, m.member), "no member can lie there"),
        (lambda m: ByteRange(m.path, -512, m.size, m.member), "no member can lie there"),
        (lambda m: ByteRange(m.path, 1 << 40, m.size, m.member), "ends before"),
        (lambda m: ByteRange(m.path, m.offset, 1 << 40, m.member), "another member"),
        (lambda m: ByteRange(m.path, 512, 700, "before0.json"), "not audio"),
    ],
)
def test_what_is_wrong_has_a_reason(change, reason: str, both: tuple[Path, ByteRange]) -> None:  # type: ignore[no-untyped-def]
    broken = change(both[1])
    with pytest.raises(UnusableAudio, match=reason) as caught:
        decode(broken, 16_000)
    assert caught.value.path == str(broken)
    assert f": member {broken.member}: " in str(caught.value)
    with pytest.raises(UnusableAudio, match=reason):
        duration(broken)


@pytest.mark.parametrize("small", [1 << 20, 0])
def test_a_shard_that_is_cut_short(both: tuple[Path, ByteRange], small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_range, "_SMALL", small)
    member = both[1]
    content = member.path.read_bytes()
    member.path.write_bytes(content[: member.offset + member.size // 2])
    with pytest.raises(UnusableAudio, match="its shard ends before it does"):
        decode(member, 16_000)


def test_a_damaged_member_is_as_a_damaged_file(tmp_path: Path) -> None:
    """The decoder's own judgement: the sound up to the damage, and a word about it."""
    path = tmp_path / "sound.flac"
    soundfile.write(path, (8_000 * np.sin(np.arange(64_000) / 9)).astype(np.int16), 16_000)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\0" * (len(content) - len(content) // 2)
    path.write_bytes(bytes(content))
    member = member_of(path, tmp_path / "shard.tar")
    ours, theirs = decode(member, 16_000), decode(path, 16_000)
    assert ours.oddities == theirs.oddities == ("truncated",)
    assert torch.equal(ours.waveform, theirs.waveform)


@pytest.mark.parametrize("small", [1 << 20, 0])
def test_bytes_of_a_member(both: tuple[Path, ByteRange], small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of any file, from its first byte to its last and none beyond."""
    monkeypatch.setattr(byte_range, "_SMALL", small)
    path, member = both
    content = path.read_bytes()
    with member.open() as file:
        assert file.read() == content
        assert file.read() == b""
        assert file.seek(-10, io.SEEK_END) == len(content) - 10
        assert file.read(100) == content[-10:]
        assert file.seek(5) == file.tell() == 5
        assert file.read(7) == content[5:12]
    assert member.read() == content
    assert member.read(100, 50) == content[100:150]
    with pytest.raises(OSError, match="too few bytes"):
        member.read(member.size - 10, 11)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a.wav", "x/" * 70 + "deep.wav", "b" * 99, "b" * 140 + ".wav", "é.wav"])
def test_headers_of_every_format_are_known(name: str, format: int, tmp_path: Path) -> None:
    if format == tarfile.USTAR_FORMAT and "b" * 140 in name:
        pytest.skip("ustar has no such name")
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as tar:
        info = tarfile.TarInfo(name)
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    with tarfile.open(tmp_path / "a.tar") as tar:
        (info,) = tar.getmembers()
    header = (tmp_path / "a.tar").read_bytes()[info.offset_data - 512 : info.offset_data]
    assert is_header_of(header, name, 5)
    assert not is_header_of(header, name, 6)
    assert not name.isascii() or not is_header_of(header, "other.wav", 5)
    assert ByteRange(tmp_path / "a.tar", info.offset_data, 5, name).read() == b"hello"


def test_a_link_is_no_member(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("a.wav")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(UnusableAudio, match="another member"):
        decode(ByteRange(tmp_path / "a.tar", 512, 10, "a.wav"), 16_000)
