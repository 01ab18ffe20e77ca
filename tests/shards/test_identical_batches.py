"""Training from shards and from files gives the same batches, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.shards.conftest import FILES, ROWS, read, write_manifest
from zoo.audio.decode import decode
from zoo.data.batch import Batch
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.data.manifest import Manifest
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.training_set import TrainingSet
from zoo.data.windows import Windows, read_lengths


def batches(manifest: Manifest, workers: int = 0, training: bool = True, start_batch: int = 0) -> list[Batch]:
    """Three epochs in training, from the middle of one on if asked for."""
    labels = LabelTable.from_manifest(manifest, "multi-label")
    reader = ClipReader(manifest, labels, 16_000, 5_000)
    data: Any = (
        TrainingSet(reader, 16_000, seed=3)
        if training
        else EvaluationSet(reader, Windows(read_lengths(reader), 10**9, 10**9, 10**9))
    )
    sampler = EpochSampler(len(manifest), 3, seed=3, shuffle=training)
    loader = Loader(data, sampler, workers, 16_000 if training else None)
    found = [batch for epoch in range(3 if training else 1) for batch in loader.epoch(epoch, start_batch)]
    loader.close()
    return found


def assert_same(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.waveform is not None
        assert other.waveform is not None
        assert torch.equal(one.waveform, other.waveform)
        assert torch.equal(one.num_samples, other.num_samples)
        assert one.target is not None
        assert other.target is not None
        assert torch.equal(one.target, other.target)
        assert torch.equal(one.ids, other.ids)
        assert one.names == other.names
        assert [(bad.name, bad.reason, bad.used) for bad in one.bad] == [
            (bad.name, bad.reason, bad.used) for bad in other.bad
        ]


def test_original_bytes(csv_path: Path, pack: Callable[..., Any], tmp_path: Path) -> None:
    packed = pack(csv_path).pack
    files, shards = read(csv_path), read(tmp_path / "pack")
    assert (packed.clips, packed.members, len(packed.shards)) == (8, 6, 2)
    assert shards.hash == files.hash
    assert [(c.id, c.labels, c.fold, c.split, c.group, c.start, c.stop) for c in shards.clips] == [
        (c.id, c.labels, c.fold, c.split, c.group, c.start, c.stop) for c in files.clips
    ]
    whole = batches(files)
    assert len({tuple(batch.names) for batch in whole}) > 3  # epochs differ
    assert_same(batches(shards), whole)
    assert_same(batches(shards, start_batch=1), batches(files, start_batch=1))
    assert_same(batches(shards, training=False), batches(files, training=False))
    assert_same(batches(shards, workers=2), whole)


def test_selections_and_unlabelled_reading(csv_path: Path, pack: Callable[..., Any], tmp_path: Path) -> None:
    pack(csv_path)
    files, shards = read(csv_path), read(tmp_path / "pack")
    assert shards.select(fold=["3"]).hash == files.select(fold=["3"]).hash
    assert [clip.id for clip in shards.select(split="eval").clips] == ["b.flac"]
    assert read(tmp_path / "pack", labelled=False).hash == read(csv_path, labelled=False).hash


@pytest.mark.parametrize("mode", ["flac", "wav"])
def test_16_bit_audio_is_as_16_bit_files_of_that_rate(
    mode: str, csv_path: Path, pack: Callable[..., Any], tmp_path: Path
) -> None:
    pack(csv_path, mode=mode)
    folder = tmp_path / "rounded"
    folder.mkdir()
    rows = []
    for i, (row, clip) in enumerate(zip(ROWS, read(csv_path).clips, strict=True)):
        waveform = decode(clip.path, 16_000, clip.start, clip.stop).waveform.numpy()
        steps = np.clip(np.round(waveform.astype(np.float64) * 32_768), -32_768, 32_767).astype(np.int16)
        soundfile.write(folder / f"{i}.wav", steps, 16_000)
        rows.append({"path": f"{i}.wav", "labels": row["labels"], "id": clip.id})
    files = read(write_manifest(folder / "meta.csv", rows))
    shards = read(tmp_path / "pack")
    assert all(clip.start is None and clip.stop is None for clip in shards.clips)
    assert_same(batches(shards), batches(files))
    assert_same(batches(shards, training=False), batches(files, training=False))


def test_what_was_16_bit_at_that_rate_is_as_it_was(csv_path: Path, pack: Callable[..., Any], tmp_path: Path) -> None:
    pack(csv_path, mode="flac")
    files, shards = read(csv_path), read(tmp_path / "pack")
    name = "b.flac"
    assert FILES[name][0] == 16_000
    theirs = next(clip for clip in files.clips if clip.id == name)
    ours = next(clip for clip in shards.clips if clip.id == name)
    assert torch.equal(decode(ours.path, 16_000).waveform, decode(theirs.path, 16_000).waveform)


def test_a_pack_of_a_pack(csv_path: Path, pack: Callable[..., Any], tmp_path: Path) -> None:
    """Shards can be packed anew, into larger ones or another mode, with the same result as from the files."""
    pack(csv_path, tmp_path / "small", shard_clips=1)
    pack(tmp_path / "small", tmp_path / "large", shard_clips=100)
    assert_same(batches(read(tmp_path / "large")), batches(read(csv_path)))
    pack(tmp_path / "small", tmp_path / "flac", mode="flac")
    pack(csv_path, tmp_path / "direct", mode="flac")
    assert_same(batches(read(tmp_path / "flac")), batches(read(tmp_path / "direct")))
