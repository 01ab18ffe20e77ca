"""Packs that lie, by accident or by intent: one clear line each, or bad audio in a run; never another exception."""

import contextlib
import hashlib
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.shards.conftest import read
from zoo.data.loader import Loader
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.shards.verify import verify_pack
from zoo.data.training_set import TrainingSet
from zoo.errors import DataError, ZooError

Pack = Callable[..., Any]


@pytest.fixture
def made(csv_path: Path, pack: Pack, tmp_path: Path) -> Path:
    pack(csv_path)
    return tmp_path / "pack"


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()]


def rewrite(folder: Path, changed: list[Any], fit_checksum: bool = True) -> None:
    """Another index, with its right checksum in pack.json."""
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in changed)
    (folder / "index.jsonl").write_text(text, encoding="utf-8")
    if fit_checksum:
        pack = json.loads((folder / "pack.json").read_text())
        pack["index_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        (folder / "pack.json").write_text(json.dumps(pack))


def bad_of_a_run(folder: Path) -> dict[str, str]:
    """Name and reason of every clip that two epochs could not use."""
    manifest = read(folder, labelled=False)
    loader = Loader(TrainingSet(ClipReader(manifest, None, 16_000), 16_000), EpochSampler(len(manifest), 4))
    return {
        bad.name: bad.reason for epoch in (0, 1) for batch in loader.epoch(epoch) for bad in batch.bad if not bad.used
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"offset": -512}, "offset -512 and size"),
        ({"offset": 513}, "are no member of shard-000000.tar"),
        ({"offset": 1 << 70}, "are no member of shard-000000.tar"),
        ({"offset": 2.0}, "are no place in a file"),
        ({"offset": True}, "are no place in a file"),
        ({"size": -1}, "are no place in a file"),
        ({"size": 1 << 40}, "are no member of shard-000000.tar"),
        ({"size": None}, "are no place in a file"),
        ({"shard": "../secret.tar"}, "is none of this pack"),
        ({"shard": "/etc/passwd"}, "is none of this pack"),
        ({"shard": ["x"]}, "is none of this pack"),
        ({"member": "../../a.wav"}, "leads out of the folder"),
        ({"member": "/a.wav"}, "is an absolute path"),
        ({"member": "a\nb.wav"}, "is no name that can be printed"),
        ({"member": 7}, "is no name"),
        ({"id": ""}, "is no text"),
        ({"id": None}, "is no text"),
        ({"labels": "dog"}, "are no list of names"),
        ({"labels": [1]}, "are no list of names"),
        ({"fold": 1}, "fold 1 is no text"),
        ({"start": -1.0}, "is no number of seconds"),
        ({"start": 5, "stop": 4}, "stop 4.0 is not after start 5.0"),
        ({"stop": "x"}, "is no number of seconds"),
    ],
)
def test_rows_that_no_pack_has(change: dict[str, Any], told: str, made: Path) -> None:
    changed = rows(made)
    changed[2] |= change
    rewrite(made, changed)
    with pytest.raises(DataError) as caught:
        read(made)
    assert str(caught.value).startswith(f"{made}/index.jsonl:3: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_things_in_an_index(made: Path) -> None:
    good = rows(made)
    for changed, told in (
        ([*good[:-1], "{"], "index.jsonl:8"),
        ([*good[:-1], "[1]"], "is no JSON object"),
        ([*good[:-1], "[" * 100_000], "index.jsonl:8"),
        ([*good[:-1], '{"offset": ' + "9" * 10_000 + "}"], "index.jsonl:8"),
        (good[:-1], "7 rows - expected 8"),
        ([*good[:-1], good[0]], "id 'a.wav' stands there twice"),
        ([], "0 rows - expected 8"),
    ):
        rewrite(made, changed)
        with pytest.raises(DataError) as caught:
            read(made)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
    (made / "index.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read(made)
    (made / "index.jsonl").unlink()
    with pytest.raises(DataError, match=r"index\.jsonl: No such file"):
        read(made)


def test_all_that_is_wrong_at_once(made: Path) -> None:
    rewrite(made, [row | {"offset": -1} for row in rows(made)])
    with pytest.raises(DataError) as caught:
        read(made)
    assert len(str(caught.value).splitlines()) == 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "version"),
        ({"format": "else"}, "format"),
        ({"shards": [{"name": "../x.tar", "bytes": 1, "sha256": "0" * 64, "clips": 1}]}, "is not the name of a .tar"),
        ({"clips": -1}, "clips"),
        ({"options": {"mode": "features"}}, "belong to mode features"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_pack_json_that_no_pack_has(change: dict[str, Any], told: str, made: Path) -> None:
    path = made / "pack.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"pack\.json: ") as caught:
        read(made)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    path.write_text("{")
    with pytest.raises(DataError, match=r"pack\.json: .*pack again"):
        read(made)


def test_a_missing_shard_is_bad_audio(made: Path) -> None:
    (made / "shard-000001.tar").unlink()
    found = bad_of_a_run(made)
    assert found == dict.fromkeys(("été/été.v2.ogg", "d.mp3", "e.wav"), "missing")


def test_a_truncated_shard_is_bad_audio_from_there_on(made: Path) -> None:
    last = rows(made)[6]
    assert last["id"] == "e.wav"
    path = made / last["shard"]
    path.write_bytes(path.read_bytes()[: last["offset"] + 100])
    assert bad_of_a_run(made) == {"e.wav": "cannot be opened (its shard ends before it does)"}


def test_a_shard_in_the_place_of_another_is_bad_audio(made: Path) -> None:
    (made / "shard-000001.tar").write_bytes((made / "shard-000000.tar").read_bytes())
    found = bad_of_a_run(made)
    assert found.keys() == {"été/été.v2.ogg", "d.mp3", "e.wav"}
    assert all("not the one that was indexed" in reason or "ends before" in reason for reason in found.values())


def test_overlapping_places_are_bad_audio(made: Path) -> None:
    changed = rows(made)
    changed[0] |= {"size": changed[0]["size"] + 512}
    changed[2] |= {"offset": changed[2]["offset"] + 512}
    rewrite(made, changed)
    found = bad_of_a_run(made)
    assert found.keys() == {"a.wav", "b.flac"}
    assert all("another member lies in its place" in reason for reason in found.values())


def test_a_damaged_member_is_bad_audio(made: Path) -> None:
    row = rows(made)[2]
    path = made / row["shard"]
    content = bytearray(path.read_bytes())
    content[row["offset"] : row["offset"] + row["size"]] = bytes(row["size"])
    path.write_bytes(bytes(content))
    assert bad_of_a_run(made) == {"b.flac": "not audio, or damaged from the start"}


def test_a_link_in_a_shard_is_never_followed(made: Path, tmp_path: Path) -> None:
    path = made / "shard-000001.tar"
    row = next(row for row in rows(made) if row["shard"] == path.name)
    with tarfile.open(path) as tar:
        info = tar.getmember(row["member"])
    content = bytearray(path.read_bytes())
    info.type, info.linkname, info.size = tarfile.SYMTYPE, str(tmp_path / "files" / "a.wav"), row["size"]
    content[row["offset"] - 512 : row["offset"]] = info.tobuf(tarfile.USTAR_FORMAT)
    path.write_bytes(bytes(content))
    assert "another member" in bad_of_a_run(made)[row["id"]]


def test_verifying_names_what_is_wrong(made: Path) -> None:
    """All of it at once: a shard that is gone, one with other bytes, an index that is not the one that was written."""
    row = rows(made)[2]
    path = made / row["shard"]
    content = bytearray(path.read_bytes())
    content[row["offset"] + 50] ^= 1
    path.write_bytes(bytes(content))
    (made / "shard-000001.tar").unlink()
    rewrite(made, rows(made)[::-1], fit_checksum=False)
    with pytest.raises(DataError) as caught:
        verify_pack(made, "packs/mine")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("packs/mine/index.jsonl: not the index that was written")
    assert f"packs/mine/shard-000000.tar: other bytes in {row['member']}" in lines[1]
    assert lines[2].startswith("packs/mine/shard-000001.tar: No such file")


@pytest.mark.parametrize("where", ["header", "json", "end", "size"])
def test_verifying_finds_any_other_byte(where: str, made: Path) -> None:
    path = made / "shard-000000.tar"
    content = bytearray(path.read_bytes())
    first = rows(made)[0]
    json_at = first["offset"] + -(-first["size"] // 512) * 512 + 512
    content[{"header": 110, "json": json_at + 3, "end": -1, "size": 126}[where]] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"shard-000000\.tar: "):
        verify_pack(made, "here")


def test_verifying_finds_a_row_that_points_elsewhere(made: Path) -> None:
    changed = rows(made)
    changed[0]["member"] = "0000001_other.wav"
    rewrite(made, changed)
    with pytest.raises(DataError, match=r"shard-000000\.tar has no member 0000001_other\.wav at byte 512"):
        verify_pack(made, "here")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_never_raises_anything_else(data: st.DataObject, made: Path) -> None:
    """Bytes of any file of the pack changed or cut off: clips or bad audio, or one ZooError."""
    names = ("index.jsonl", "pack.json", "shard-000000.tar", "shard-000001.tar")
    before = {name: (made / name).read_bytes() for name in names}
    name = data.draw(st.sampled_from(names))
    content = bytearray(before[name])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    else:
        for _ in range(data.draw(st.integers(1, 20))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        (made / name).write_bytes(bytes(content))
        with contextlib.suppress(ZooError):
            bad_of_a_run(made)
        if bytes(content) != before[name] and name != "pack.json":
            with pytest.raises(ZooError):
                verify_pack(made, "here")
    finally:
        for name, content_before in before.items():
            (made / name).write_bytes(content_before)
