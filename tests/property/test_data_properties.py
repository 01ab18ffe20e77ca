"""Rules of the data part for any input: orders, crops, padding, manifests."""

import csv
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.clip import Clip, parse_labels
from zoo.data.item import Collate, Item, Key
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.packed import PackedTexts
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.training_set import TrainingSet
from zoo.errors import DataError

FEW = settings(max_examples=40, deadline=None)

names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters=";\ufeff"),
    min_size=1,
    max_size=8,
)


@FEW
@given(
    num_clips=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 10**6),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    data=st.data(),
)
def test_order(
    num_clips: int, batch_size: int, seed: int, epoch: int, shuffle: bool, drop_last: bool, data: st.DataObject
) -> None:
    sampler = EpochSampler(num_clips, batch_size, seed, shuffle, drop_last)
    whole = list(sampler.batches(epoch))
    assert len(whole) == sampler.num_batches() >= 1
    seen = [key.index for batch in whole for key in batch]
    assert len(set(seen)) == len(seen)
    if len(seen) < num_clips:
        assert drop_last
        assert len(seen) == num_clips // batch_size * batch_size
    start = data.draw(st.integers(0, len(whole)))
    assert list(sampler.batches(epoch, start)) == whole[start:]


@FEW
@given(
    length=st.integers(1, 300),
    num_samples=st.integers(1, 300) | st.none(),
    min_samples=st.integers(1, 300),
    epoch=st.integers(0, 1000),
    crop=st.sampled_from(["random", "start"]),
)
def test_crop(length: int, num_samples: int | None, min_samples: int, epoch: int, crop: str) -> None:
    """Of any clip, an unbroken stretch of the right length, zeros only below the smallest input."""
    if num_samples is not None:
        min_samples = min(min_samples, num_samples)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.wav"
        soundfile.write(path, np.arange(1, length + 1, dtype=np.float32) / 1024, 16_000, subtype="FLOAT")
        manifest = Manifest((Clip(path, "a"),), "s")
        data = TrainingSet(ClipReader(manifest, None, 16_000, min_samples), num_samples, crop)  # type: ignore[arg-type]
        item = data[Key(epoch, 0)]
        assert item.waveform is not None
        real = min(length, num_samples or length)
        assert item.num_samples == len(item.waveform) == max(real, min_samples)
        values = (item.waveform * 1024).round().int().tolist()
        assert values == [*range(values[0], values[0] + real), *[0] * (item.num_samples - real)]
        assert crop == "random" or values[0] == 1


@FEW
@given(lengths=st.lists(st.integers(0, 20), min_size=1, max_size=6), extra=st.integers(0, 5) | st.none())
def test_collation(lengths: list[int], extra: int | None) -> None:
    """Length 0 stands for a clip that cannot be used."""
    items = [
        Item(torch.full((n,), float(n)) if n else None, n, torch.tensor([float(n)]), i, str(i))
        for i, n in enumerate(lengths)
    ]
    batch = Collate(None if extra is None else max(lengths) + extra)(items)
    used = [(i, n) for i, n in enumerate(lengths) if n]
    assert batch.ids.tolist() == [i for i, _ in used]
    assert batch.num_samples.tolist() == [n for _, n in used]
    assert batch.waveform.shape == (len(used), max(lengths) + (extra or 0))
    assert batch.waveform.sum(1).tolist() == [n * n for _, n in used]
    assert batch.target is not None
    assert batch.target.tolist() == [[n] for _, n in used]


rows = st.lists(
    st.tuples(
        names,
        st.lists(names, min_size=1, max_size=3),
        st.integers(1, 5),
        st.floats(0, 1e6),
        st.floats(0.001, 1e6),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[0],
)


@FEW
@given(rows=rows, with_bom=st.booleans(), end=st.sampled_from(["\n", "\r\n"]))
def test_csv_and_json_lines_say_the_same(
    rows: list[tuple[str, list[str], int, float, float]], with_bom: bool, end: str
) -> None:
    """Whatever the names: what was written is what is read, from both formats, with one hash."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator=end)
    writer.writerow(["filename", "labels", "fold", "start", "stop", "id"])
    lines = []
    for number, (name, labels, fold, start, more) in enumerate(rows):
        writer.writerow([f"{name}.wav", json.dumps(labels), fold, start, start + more, f"id {number}"])
        entry = {"path": f"{name}.wav", "label": labels, "fold": fold, "start": start, "stop": start + more}
        lines.append(json.dumps({**entry, "id": f"id {number}"}) + end)
    with tempfile.TemporaryDirectory() as folder:
        encoding = "utf-8-sig" if with_bom else "utf-8"
        (Path(folder) / "m.csv").write_bytes(table.getvalue().encode(encoding))
        (Path(folder) / "m.jsonl").write_bytes("".join(lines).encode(encoding))
        one, other = (read_manifest(SourceConfig(path=f"{folder}/{name}"), {}, True) for name in ("m.csv", "m.jsonl"))
    assert one.clips == other.clips
    assert one.hash == other.hash
    assert [clip.path.name for clip in one.clips] == [Path(f"{row[0]}.wav").name for row in rows]
    assert [(clip.start, clip.stop) for clip in one.clips] == [(row[3], row[3] + row[4]) for row in rows]


@FEW
@given(st.lists(names, min_size=1, max_size=5))
def test_labels(labels: list[str]) -> None:
    parsed = parse_labels(labels)
    assert len(set(parsed)) == len(parsed)
    assert parse_labels(list(parsed)) == parsed
    assert parse_labels(json.dumps(labels)) == parsed
    if not labels[0].startswith("["):
        assert parse_labels(";".join(labels)) == parsed
    table = LabelTable(tuple(sorted(parsed)), "multi-label")
    assert table.target(Clip(Path("a"), "a", parsed)).tolist() == [1.0] * len(parsed)


@FEW
@given(st.lists(st.text(max_size=10), max_size=10))
def test_packed_texts(texts: list[str]) -> None:
    packed = PackedTexts(texts)
    assert [packed[i] for i in range(len(packed))] == texts


@FEW
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".json"]), labelled=st.booleans())
def test_any_bytes_for_a_manifest(content: bytes, suffix: str, labelled: bool) -> None:
    """Clips, or an error that says where; never anything else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"m{suffix}"
        path.write_bytes(b"path,label\n" + content if suffix == ".csv" else content)
        found = ""
        try:
            found = f"{path}: {len(read_manifest(SourceConfig(path=str(path)), {}, labelled))} clips"
        except DataError as error:
            found = str(error)
        assert str(path) in found
