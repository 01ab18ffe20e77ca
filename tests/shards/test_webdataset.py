"""The webdataset package reads our shards; shards that it wrote can be indexed and trained from."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.shards.conftest import FILES, read
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.decode import decode
from zoo.data.shards.foreign import index_shards
from zoo.data.shards.verify import verify_pack
from zoo.errors import DataError

Pack = Callable[..., Any]
# webdataset 1.0.2 leaves files to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file", "ignore:.*:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def wds() -> Any:
    return pytest.importorskip("webdataset", reason="webdataset is not installed (extra `dev`)")


def samples(wds: Any, folder: Path, decode: bool = True) -> list[dict[str, Any]]:
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    data = wds.WebDataset(urls, shardshuffle=False)
    return list(data.decode() if decode else data)


def test_webdataset_reads_flac_and_labels(wds: Any, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    pack(csv_path, mode="flac")
    ours = read(tmp_path / "pack").clips
    theirs = samples(wds, tmp_path / "pack", decode=False)
    assert [sample["__key__"] for sample in theirs] == [clip.path.member.split(".")[0] for clip in ours]  # type: ignore[union-attr]
    for sample, clip in zip(theirs, ours, strict=True):
        assert set(sample) == {"__key__", "__url__", "__local_path__", "flac", "json"}
        told = json.loads(sample["json"])
        assert (told["id"], told["labels"], told["fold"]) == (clip.id, list(clip.labels), clip.fold)
        assert set(told) <= {"id", "labels", "fold", "split", "group"}
        wave, rate = soundfile.read(io.BytesIO(sample["flac"]), dtype="float32")
        assert rate == 16_000
        assert np.array_equal(wave, decode(clip.path, 16_000).waveform.numpy())


def test_webdataset_reads_original_bytes_and_cuts(wds: Any, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    """Its own decoder reads the JSON; cuts of one file come as one sample with a list of clips."""
    pack(csv_path)
    found = {}
    for sample in samples(wds, tmp_path / "pack", decode=False):
        (ending,) = set(sample) - {"__key__", "__url__", "__local_path__", "json"}
        found[sample["__key__"].split("_", 1)[1] + "." + ending] = sample
    assert found.keys() == {"a.wav", "long.wav", "b.flac", "ete_ete_v2.ogg", "d.mp3", "e.wav"}
    assert found["b.flac"]["flac"] == (csv_path.parent / "b.flac").read_bytes()
    cuts = json.loads(found["long.wav"]["json"])["clips"]
    assert [(cut.get("start"), cut.get("stop"), cut["labels"]) for cut in cuts] == [
        (0.0, 1.1, ["rain", "dog"]),
        (0.9, 2.55, ["rain"]),
        (2.0, None, ["dog"]),
    ]


def test_webdataset_decodes_log_mels(wds: Any, csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    front_end = AstFrontEndConfig()
    pack(csv_path, mode="features", options={"front_end": front_end, "dtype": "float16", "sample_rate": 16_000})
    found = samples(wds, tmp_path / "pack")
    assert [sample["json"]["id"] for sample in found] == [clip.id for clip in read(csv_path).clips]
    assert found[2]["npy"].shape == (front_end.build().num_frames(32_000), 128)
    assert found[2]["npy"].dtype == np.float16


def write_foreign(wds: Any, folder: Path, csv_path: Path, **labels: Any) -> None:
    folder.mkdir()
    with wds.ShardWriter(str(folder / "train-%03d.tar"), maxcount=2, verbose=0) as sink:
        for i, name in enumerate(sorted(FILES)):
            ending = name.rsplit(".", 1)[1]
            told = {key: value(i) for key, value in labels.items()}
            sink.write({"__key__": f"set/clip{i}", ending: (csv_path.parent / name).read_bytes(), **told})


@pytest.mark.parametrize(
    "labels",
    [
        {"json": lambda i: {"label": ("dog", "rain")[i % 2], "fold": i % 3}},
        {"json": lambda i: {"labels": [("dog", "rain")[i % 2]], "fold": i % 3, "ignored": [1]}},
        {"txt": lambda i: ("dog", "rain")[i % 2], "json": lambda i: {"fold": i % 3}},
        {"cls": lambda i: i % 2, "json": lambda i: {"fold": i % 3}},
    ],
)
def test_shards_of_others_get_an_index(labels: dict[str, Any], wds: Any, csv_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    write_foreign(wds, folder, csv_path, **labels)
    before = {path: path.read_bytes() for path in folder.glob("*.tar")}
    assert len(before) == 3
    pack = index_shards(folder, "theirs", {})
    assert {path: path.read_bytes() for path in folder.glob("*.tar")} == before
    assert (pack.clips, pack.members, pack.options.labelled) == (6, 6, True)
    manifest = read(folder)
    assert [clip.id for clip in manifest.clips] == [f"set/clip{i}" for i in range(6)]
    names = ("0", "1") if "cls" in labels else ("dog", "rain")
    assert [clip.labels for clip in manifest.clips] == [(names[i % 2],) for i in range(6)]
    assert [clip.fold for clip in manifest.clips] == [str(i % 3) for i in range(6)]
    for clip, name in zip(manifest.clips, sorted(FILES), strict=True):
        ours, theirs = decode(clip.path, 16_000), decode(csv_path.parent / name, 16_000)
        assert np.array_equal(ours.waveform.numpy(), theirs.waveform.numpy())
    assert verify_pack(folder, "theirs")["clips"] == 6


def test_an_index_can_be_made_again(csv_path: Path, pack: Pack, tmp_path: Path) -> None:
    """All that a row says is in the shards."""
    made = tmp_path / "pack"
    pack(csv_path)
    before = (made / "index.jsonl").read_text(encoding="utf-8").splitlines()
    (made / "index.jsonl").unlink()
    with pytest.raises(DataError, match="a pack already"):
        index_shards(made, "made", {})
    (made / "pack.json").unlink()
    index_shards(made, "made", {})
    after = (made / "index.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(after) == sorted(before)


def test_twins_of_different_shards_are_told_apart(tmp_path: Path, csv_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in ("a", "b"):
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            tar.add(csv_path.parent / "b.flac", "000.flac")
    index_shards(folder, "theirs", {})
    assert [clip.id for clip in read(folder, labelled=False).clips] == ["a/000", "b/000"]
    with pytest.raises(DataError, match="packed without labels"):
        read(folder)


def tar_with(path: Path, *members: tuple[str, Any, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = "/etc/passwd"
            tar.addfile(info, io.BytesIO(content) if content else None)


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("/etc/passwd.wav", tarfile.REGTYPE, "is an absolute path"),
        ("../up.wav", tarfile.REGTYPE, "leads out of the folder"),
        ("a/../../up.wav", tarfile.REGTYPE, "leads out of the folder"),
        ("a\\..\\up.wav", tarfile.REGTYPE, "leads out of the folder"),
        ("C:x.wav", tarfile.REGTYPE, "is an absolute path"),
        ("a\x1b[31m.wav", tarfile.REGTYPE, "is no name that can be printed"),
        ("link.wav", tarfile.SYMTYPE, "is a link"),
        ("hard.wav", tarfile.LNKTYPE, "is a link"),
        ("pipe.wav", tarfile.FIFOTYPE, "is no plain file"),
        ("null.wav", tarfile.CHRTYPE, "is no plain file"),
    ],
)
def test_unsafe_members_are_refused(name: str, kind: bytes, told: str, tmp_path: Path) -> None:
    tar_with(tmp_path / "a.tar", ("fine.wav", tarfile.REGTYPE, b"x"), (name, kind, b""))
    with pytest.raises(DataError) as caught:
        index_shards(tmp_path, "theirs", {})
    assert told in str(caught.value)
    assert str(caught.value).startswith("theirs: a.tar: member ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pack.json").exists()


def test_shards_that_make_no_sense(tmp_path: Path, wds: Any) -> None:
    def told(*members: tuple[str, Any, bytes]) -> str:
        tar_with(tmp_path / "a.tar", *members)
        with pytest.raises(DataError) as caught:
            index_shards(tmp_path, "theirs", {})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    plain = tarfile.REGTYPE
    assert "no .tar in this folder" in told_of_nothing(tmp_path)
    assert "no member with audio" in told(("a.txt", plain, b"dog"))
    assert "audio in a.wav, a.flac" in told(("a.wav", plain, b"x"), ("a.flac", plain, b"x"))
    assert "no JSON beside it" in told(("a.wav", plain, b"x"), ("a.json", plain, b"{"))
    assert "a JSON list beside it" in told(("a.wav", plain, b"x"), ("a.json", plain, b"[]"))
    assert "stop 1.0 is not after start 2.0" in told(
        ("a.wav", plain, b"x"), ("a.json", plain, b'{"start": 2, "stop": 1}')
    )
    assert "twice" in told(("a.wav", plain, b"x"), ("b.wav", plain, b"x"), ("a.wav", plain, b"x"))
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError, match="expected an uncompressed tar archive"):
        index_shards(tmp_path, "theirs", {})


def told_of_nothing(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        index_shards(folder, "theirs", {})
    return str(caught.value)
