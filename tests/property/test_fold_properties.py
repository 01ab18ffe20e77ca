"""Rules of folds and of drawing by weight, for any clips."""

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.clip import Clip
from zoo.data.folds import assign_folds
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.sampler import EpochSampler, WeightedDraws
from zoo.data.written import write_manifest

FEW = settings(max_examples=60, deadline=None)

rows = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcdefg"), max_size=3, unique=True),
        st.integers(0, 9),
        st.sampled_from([None, "train", "test"]),
    ),
    min_size=2,
    max_size=40,
)


def clips_of(rows: list[tuple[list[str], int, str | None]]) -> list[Clip]:
    return [
        Clip(Path("a"), f"clip {i}", tuple(labels), group=f"g{group}", split=split)
        for i, (labels, group, split) in enumerate(rows)
    ]


@FEW
@given(
    rows=rows,
    num_folds=st.integers(2, 6),
    by=st.sampled_from(["label", "group", "clip"]),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_folds(
    rows: list[tuple[list[str], int, str | None]], num_folds: int, by: str, seed: int, data: st.DataObject
) -> None:
    """Every clip has a fold, every fold a clip, no group two folds; the order of the rows plays no part."""
    clips = clips_of(rows)
    units = len({clip.group for clip in clips}) if by == "group" else len(clips)
    if units < num_folds or (by == "label" and not any(clip.labels for clip in clips)):
        return
    folds = assign_folds(clips, num_folds, by, seed)  # type: ignore[arg-type]
    assert set(folds) == set(range(1, num_folds + 1))
    assert len(folds) == len(clips)
    if by == "group":
        assert len({(clip.group, fold) for clip, fold in zip(clips, folds, strict=True)}) == units
    if by == "clip" and len({clip.split for clip in clips}) == 1:
        sizes = Counter(folds).values()
        assert max(sizes) - min(sizes) <= 1
    if by == "label" and all(len(clip.labels) == 1 for clip in clips) and len({clip.split for clip in clips}) == 1:
        sizes = Counter(folds).values()
        assert max(sizes) - min(sizes) <= 1
        per_label = Counter((clip.labels, fold) for clip, fold in zip(clips, folds, strict=True))
        for labels in {clip.labels for clip in clips}:
            counts = [per_label[labels, fold] for fold in range(1, num_folds + 1)]
            assert max(counts) - min(counts) <= 1
    order = data.draw(st.permutations(range(len(clips))))
    again = assign_folds([clips[i] for i in order], num_folds, by, seed)  # type: ignore[arg-type]
    assert [folds[i] for i in order] == list(again)


@FEW
@given(
    weights=st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=20).filter(any),
    num_draws=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    replacement=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 10**6),
    data=st.data(),
)
def test_draws(
    weights: list[float],
    num_draws: int,
    batch_size: int,
    replacement: bool,
    drop_last: bool,
    seed: int,
    epoch: int,
    data: st.DataObject,
) -> None:
    """As many as stated, of positive weight; repeats counted from 0 on; the tail of an epoch is the tail of it."""
    if not replacement:
        num_draws = min(num_draws, int(np.count_nonzero(weights)))
    draws = WeightedDraws(np.array(weights), num_draws, replacement, seed)
    sampler = EpochSampler(len(weights), batch_size, seed, drop_last=drop_last, draws=draws)
    whole = list(sampler.batches(epoch))
    keys = [key for batch in whole for key in batch]
    assert len(whole) == sampler.num_batches() >= 1
    is_whole = not drop_last or num_draws < batch_size
    assert len(keys) == (num_draws if is_whole else num_draws // batch_size * batch_size)
    seen: Counter[int] = Counter()
    for key in keys:
        assert weights[key.index] > 0
        assert (key.epoch, key.repeat) == (epoch, seen[key.index])
        seen[key.index] += 1
    assert replacement or max(seen.values()) == 1
    start = data.draw(st.integers(0, len(whole)))
    assert list(sampler.batches(epoch, start)) == whole[start:]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6)


@FEW
@given(
    rows=st.lists(
        st.tuples(
            texts.filter(lambda name: name.strip("./\\") == name and "/" not in name and "\\" not in name),
            st.lists(texts, max_size=3, unique=True),
            st.none() | st.integers(1, 5).map(str),
            st.none() | st.sampled_from(["train", "x y"]),
            st.none() | texts,
            st.none() | st.floats(0, 10),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    ),
    suffix=st.sampled_from([".csv", ".jsonl"]),
    is_beside=st.booleans(),
)
def test_a_written_manifest_reads_as_the_same_clips(
    rows: list[tuple[str, list[str], str | None, str | None, str | None, float | None]], suffix: str, is_beside: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        source = Path(folder) / "m.jsonl"
        with source.open("w") as file:
            for name, labels, fold, split, group, start in rows:
                entry = {
                    "path": f"sub/{name}.wav",
                    "labels": labels,
                    "fold": fold,
                    "split": split,
                    "group": group,
                    "start": start,
                }
                file.write(json.dumps(entry) + "\n")
        clips = read_manifest(SourceConfig(path=str(source)), labelled=None).clips
        out = Path(folder if is_beside else other) / f"out{suffix}"
        write_manifest(out, clips)
        assert read_manifest(SourceConfig(path=str(out)), labelled=None).clips == clips
        if is_beside:
            assert str(folder) not in out.read_text()
