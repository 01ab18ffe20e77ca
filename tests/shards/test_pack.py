"""Packing: the same bytes however it is done and whatever kills it, everything verified, nothing overwritten."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.shards.conftest import ROWS, content, read, write_manifest
from zoo import disk
from zoo.audio.byte_range import ByteRange
from zoo.data.in_order import in_order
from zoo.data.shards import write
from zoo.data.shards.encode import to_pcm16
from zoo.data.shards.layout import PackOptions, is_pack
from zoo.data.shards.verify import verify_pack
from zoo.errors import CheckpointError, DataError

Pack = Callable[..., Any]


def index(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_index_says_what_the_manifest_said_and_where_the_bytes_are(
    csv_path: Path, pack: Pack, tmp_path: Path
) -> None:
    pack(csv_path)
    rows = index(tmp_path / "pack")
    assert [row["id"] for row in rows] == [clip.id for clip in read(csv_path).clips]
    assert rows[1]["labels"] == ["rain", "dog"]
    assert (rows[4]["start"], rows[4]["stop"], rows[7].get("stop")) == (0.9, 2.55, None)
    assert rows[3] | {"offset": 0, "crc32": 0, "size": 0} == {
        "id": "été/été.v2.ogg",
        "labels": ["dog"],
        "fold": "2",
        "seconds": 1.6,
        "shard": "shard-000001.tar",
        "member": "0000003_ete_ete_v2.ogg",
        "offset": 0,
        "size": 0,
        "crc32": 0,
    }
    for row in rows:
        with tarfile.open(tmp_path / "pack" / row["shard"]) as tar:
            found = tar.extractfile(row["member"])
            assert found is not None
            assert found.read() == (tmp_path / "pack" / row["shard"]).read_bytes()[row["offset"] :][: row["size"]]
    assert len({(row["shard"], row["offset"]) for row in rows}) == 6  # three cuts share a member
    assert "été" in (tmp_path / "pack" / "index.jsonl").read_text(encoding="utf-8")  # can be searched


def test_the_bytes_are_those_of_the_files(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    pack(csv_path)
    for ours, theirs in zip(read(tmp_path / "pack").clips, read(csv_path).clips, strict=True):
        assert isinstance(ours.path, ByteRange)
        assert isinstance(theirs.path, Path)
        assert ours.path.read() == theirs.path.read_bytes()


def test_members_are_plain_files_of_nobody(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    pack(csv_path, mode="flac")
    names = []
    for path in sorted((tmp_path / "pack").glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                assert info.isreg()
                assert (info.mtime, info.uid, info.gid, info.uname, info.gname, info.pax_headers) == (
                    0,
                    0,
                    0,
                    "",
                    "",
                    {},
                )
                names.append(info.name)
    assert len(names) == len(set(names)) == 16
    assert all(name.isascii() and name.count(".") == 1 and "/" not in name for name in names)


@pytest.mark.parametrize("mode", ["original", "flac"])
def test_the_same_input_gives_the_same_folder(mode: str, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    for name in ("one", "two"):
        pack(csv_path, tmp_path / name, mode=mode)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert set(content(tmp_path / "one")) - {f"shard-{i:06d}.tar" for i in range(9)} == {
        "pack.json",
        "index.jsonl",
        "bad_audio.jsonl",
    }


def test_the_number_of_workers_changes_nothing(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    pack(csv_path, tmp_path / "one", mode="flac")
    pack(csv_path, tmp_path / "two", mode="flac", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_sums_are_done_by_one_thread() -> None:
    """More of them would add up in another order."""
    torch.set_num_threads(2)
    assert list(in_order(lambda _: torch.get_num_threads(), [1, 2, 3], 0)) == [1, 1, 1]
    assert torch.get_num_threads() == 2


def test_a_shard_ends_before_it_is_too_large(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    """One that holds a single member may be larger; together they hold all, in order."""
    pack(csv_path, options={"shard_bytes": 120_000, "shard_clips": None})
    sizes = [path.stat().st_size for path in sorted((tmp_path / "pack").glob("*.tar"))]
    counts = []
    for path in sorted((tmp_path / "pack").glob("*.tar")):
        with tarfile.open(path) as tar:
            counts.append(len(tar.getnames()) // 2)
    assert sum(counts) == 6
    assert len(counts) > 2
    assert max(counts) > 1
    assert all(size <= 120_000 or count == 1 for size, count in zip(sizes, counts, strict=True))
    assert any(size > 120_000 for size in sizes)


def test_a_finished_pack_is_left_alone(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    before = pack(csv_path)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").iterdir()}
    again = pack(csv_path)
    assert again.was_finished
    assert not before.was_finished
    assert again.pack == before.pack
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pack").iterdir()} == stamps


class Killed(BaseException):
    """Nothing cleans up after it, as after a kill."""


def killed_after(calls: int) -> Callable[..., None]:
    left = [calls]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return count


@pytest.mark.parametrize("clips", range(1, 9))
def test_killed_after_any_clip_it_goes_on(clips: int, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    pack(csv_path, tmp_path / "whole", mode="flac", shard_clips=2)
    with pytest.raises(Killed):
        pack(csv_path, mode="flac", shard_clips=2, on_progress=killed_after(clips))
    assert is_pack(tmp_path / "pack")
    with pytest.raises(DataError, match="not finished"):
        read(tmp_path / "pack")
    resumed = pack(csv_path, mode="flac", shard_clips=2)
    assert resumed.kept_shards == (clips - 1) // 2
    assert content(tmp_path / "pack") == content(tmp_path / "whole")


@pytest.mark.parametrize("calls", [*range(1, 12), 15, 19, 23])
def test_killed_at_any_step_on_the_disk_it_goes_on(
    calls: int, csv_path: Path, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after every file takes its name, and while the parts are removed."""
    pack(csv_path, tmp_path / "whole", shard_clips=3)
    count = killed_after(calls)
    for name in ("sync_names", "remove"):
        original = getattr(disk, name)

        def counted(path: Path, original: Callable[[Path], None] = original) -> None:
            count()
            original(path)

        monkeypatch.setattr(disk, name, counted)
    with pytest.raises(Killed):
        pack(csv_path, shard_clips=3)
    monkeypatch.undo()
    pack(csv_path, shard_clips=3)
    assert content(tmp_path / "pack") == content(tmp_path / "whole")


def test_a_real_kill(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    """A process that is killed with -9 while its workers encode."""
    script = f"""
import os, signal
from pathlib import Path
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.in_order import in_order
from zoo.data.shards.layout import PackOptions
from zoo.data.shards.write import write_pack
manifest = read_manifest(SourceConfig(path={str(csv_path)!r}), labelled=True)
options = PackOptions(mode="flac", sample_rate=16_000, shard_clips=3)
write_pack(manifest, Path({str(tmp_path / "pack")!r}), options,
           on_progress=lambda done, total: done == 5 and os.kill(os.getpid(), signal.SIGKILL))
"""
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": root}, timeout=120)
    assert done.returncode == -signal.SIGKILL
    left = content(tmp_path / "pack")
    assert {"shard-000000.tar", "parts/shard-000000.jsonl", "packing.json"} <= set(left)
    assert pack(csv_path, mode="flac").kept_shards == 1
    pack(csv_path, tmp_path / "whole", mode="flac")
    assert content(tmp_path / "pack") == content(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["shard", "part", "shard gone"])
def test_what_was_damaged_meanwhile_is_packed_again(damage: str, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    pack(csv_path, tmp_path / "whole", shard_clips=1)
    with pytest.raises(Killed):
        pack(csv_path, shard_clips=1, on_progress=killed_after(6))
    out = tmp_path / "pack"
    path = out / "parts/shard-000002.jsonl" if damage == "part" else out / "shard-000002.tar"
    if damage == "shard gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:700] + b"?" + path.read_bytes()[701:] if damage == "shard" else b"{")
    assert pack(csv_path, shard_clips=1).kept_shards == 2
    assert content(out) == content(tmp_path / "whole")


def test_another_source_or_other_options_are_refused(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        pack(csv_path, on_progress=killed_after(5))
    for _ in range(2):  # while it is made, and when it is finished
        before = content(tmp_path / "pack")
        with pytest.raises(DataError, match=r"mode was 'original', is 'flac'.*put them back, or choose a new folder"):
            pack(csv_path, mode="flac")
        with pytest.raises(DataError, match="shard_clips was 3, is 4"):
            pack(csv_path, shard_clips=4)
        for change in (
            {"labels": "cat"},
            {"fold": 7},
            {"id": "x"},
            {"group": "other"},
            {"path": "e.wav", "id": "a.wav"},
        ):
            other = write_manifest(csv_path.with_name("other.csv"), [ROWS[0] | change, *ROWS[1:]])
            with pytest.raises(DataError, match=r"the clips of .*other\.csv are others"):
                pack(other)
        assert content(tmp_path / "pack") == before
        pack(csv_path)


def test_other_files_are_not_touched(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    out.mkdir()
    (out / "thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match="not empty, and no pack"):
        pack(csv_path)
    with pytest.raises(DataError, match="a file - expected a folder"):
        pack(csv_path, out / "thesis.txt")
    assert content(out).keys() == {"thesis.txt"}
    with pytest.raises(DataError, match="not empty"):
        pack(csv_path, csv_path.parent)


def add_bad_ones(csv_path: Path) -> Path:
    folder = csv_path.parent
    (folder / "zero.wav").touch()
    (folder / "text.wav").write_text("no sound")
    nan = np.full(1_600, np.nan, dtype=np.float32)
    soundfile.write(folder / "nan.wav", nan, 16_000, subtype="FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(1_600, dtype=np.int16), 16_000)
    bad = [{"path": f"{name}.wav", "labels": "dog"} for name in ("zero", "text", "nan", "gone")]
    past = {"path": "long.wav", "labels": "dog", "start": 50, "stop": 60}
    silent = {"path": "silent.wav", "labels": "dog"}
    return write_manifest(folder / "with_bad.csv", [bad[0], *ROWS[:4], bad[1], silent, *ROWS[4:], *bad[2:], past])


@pytest.mark.parametrize("mode", ["original", "wav"])
def test_unusable_clips_are_left_out_and_listed(mode: str, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    packed = pack(add_bad_ones(csv_path), mode=mode).pack
    assert (packed.clips, packed.bad_clips, packed.odd_clips) == (9, 5, 1)
    ids = [clip.id for clip in read(tmp_path / "pack").clips]
    assert sorted(ids) == sorted([*(clip.id for clip in read(csv_path).clips), "silent.wav"])
    lines = [json.loads(line) for line in (tmp_path / "pack" / "bad_audio.jsonl").read_text().splitlines()]
    found = {line["name"]: (line["reason"], line["used"]) for line in lines}
    assert found == {
        "zero.wav": ("zero bytes", False),
        "text.wav": ("not audio, or damaged from the start", False),
        "nan.wav": ("NaN or Inf among the samples", False),
        "gone.wav": ("missing", False),
        "long.wav#50.0-60.0": ("no samples at 50 s: it lasts 3.00 s", False),
        "silent.wav": ("silent", True),
    }


@pytest.mark.parametrize("clips", [1, 3, 7, 9])
def test_a_resumed_pack_lists_them_as_an_uninterrupted_one(
    clips: int, csv_path: Path, pack: Pack, tmp_path: Path
) -> None:
    source = add_bad_ones(csv_path)
    pack(source, tmp_path / "whole", shard_clips=2)
    with pytest.raises(Killed):
        pack(source, shard_clips=2, on_progress=killed_after(clips))
    pack(source, shard_clips=2)
    assert content(tmp_path / "pack") == content(tmp_path / "whole")


def test_too_many_unusable_clips(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    source = add_bad_ones(csv_path)
    with pytest.raises(
        DataError, match=r"5 of 14 clips tried cannot be used - expected at most 30% \(--max-bad-share\)"
    ):
        pack(source, max_bad_share=0.3)
    assert len((tmp_path / "pack" / "bad_audio.jsonl").read_text().splitlines()) == 6  # shows what to repair
    assert pack(source, max_bad_share=0.5).pack.clips == 9


def test_nothing_usable(csv_path: Path, pack: Pack) -> None:
    source = write_manifest(csv_path.with_name("none.csv"), [{"path": "gone.wav", "labels": "dog"}])
    with pytest.raises(DataError, match="no clip can be used"):
        pack(source, max_bad_share=1.0)


def test_16_bits_and_what_goes_beyond() -> None:
    waveform = torch.tensor([0.0, 1.0, -1.0, 1.5, -1.5, 32767 / 32768, 0.5 / 32768, 1.5 / 32768, 1.00002])
    steps, clipped = to_pcm16(waveform)
    assert steps.tolist() == [0, 32767, -32768, 32767, -32768, 32767, 0, 2, 32767]
    assert clipped == 3
    every = torch.arange(-32768, 32768) / 32768
    assert to_pcm16(every)[0].tolist() == list(range(-32768, 32768))


def test_samples_cut_off_at_full_scale_are_counted(tmp_path: Path, pack: Pack) -> None:
    folder = tmp_path / "loud"
    folder.mkdir()
    for name, peak in (("loud", 1.5), ("fine", 1.0)):
        wave = np.full(100, peak, dtype=np.float32)
        wave[50:] = -0.5
        soundfile.write(folder / f"{name}.wav", wave, 16_000, subtype="FLOAT")
    packed = pack(folder, mode="wav", options={"labelled": False}).pack
    assert (packed.clipped_clips, packed.clipped_samples) == (1, 50)


def test_a_disk_that_fills_up(csv_path: Path, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line; what is finished stays, and the same command goes on."""
    pack(csv_path, tmp_path / "whole", shard_clips=1)
    original, left = write.TarWriter.add, [7]

    def full(*args: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return original(*args)

    monkeypatch.setattr(write.TarWriter, "add", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*the same command goes on") as caught:
        pack(csv_path, shard_clips=1)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert pack(csv_path, shard_clips=1).kept_shards == 3
    assert content(tmp_path / "pack") == content(tmp_path / "whole")


def test_a_disk_that_writes_something_else_is_found_out(
    csv_path: Path, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = write.forget_cached

    def rot(path: Path) -> None:
        original(path)
        content = bytearray(path.read_bytes())
        content[1_000] ^= 1
        path.write_bytes(bytes(content))

    monkeypatch.setattr(write, "forget_cached", rot)
    with pytest.raises(DataError, match=r"0000000_a\.wav' has other bytes than were written"):
        pack(csv_path)
    assert not list((tmp_path / "pack").glob("*.tar"))


def test_a_file_that_changes_while_it_is_packed(csv_path: Path, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    original = write.encode

    def then_grow(*args: Any) -> Any:
        found = original(*args)
        with (csv_path.parent / "a.wav").open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(write, "encode", then_grow)
    with pytest.raises(DataError, match=r"a\.wav: changed while it was packed"):
        pack(csv_path)


def test_hours_are_measured_in_stretches(
    csv_path: Path, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.data.shards import encode

    pack(csv_path, tmp_path / "whole")
    monkeypatch.setattr(encode, "_STRETCH", 0.7)
    pack(csv_path, tmp_path / "stretched")
    assert content(tmp_path / "stretched") == content(tmp_path / "whole")


def test_a_good_pack_is_found_good(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    packed = pack(csv_path).pack
    found = verify_pack(tmp_path / "pack", "pack")
    assert found == {"shards": 2, "clips": 8, "bytes": sum(shard.bytes for shard in packed.shards)}


def test_options_that_make_no_sense() -> None:
    for fields in (
        {"mode": "flac"},
        {"mode": "original", "sample_rate": 16_000},
        {"mode": "features", "sample_rate": 16_000},
        {"mode": "mp3", "sample_rate": 16_000},
    ):
        with pytest.raises(ValueError, match=r"mode|sample_rate|front_end"):
            PackOptions.model_validate(fields)
