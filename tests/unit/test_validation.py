"""Training clips that are set aside and watched."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from zoo.data.clip import Clip
from zoo.data.manifest import Manifest
from zoo.data.validation import ValidationConfig, set_aside
from zoo.errors import DataError


def _clips(count: int, labels: tuple[str, ...] = ("a", "b"), groups: int = 0) -> Manifest:
    clips = [
        Clip(
            id=f"{i:03}",
            path=Path(f"/x/{i}.wav"),
            labels=(labels[i % len(labels)],) if labels else (),
            group=f"g{i % groups}" if groups else None,
            origin="m.csv:",
            line=i,
        )
        for i in range(count)
    ]
    return Manifest(tuple(clips), "m.csv")


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_every_clip_is_on_one_side_in_order_and_shares_hold(share: float) -> None:
    all_of = _clips(200)
    train, watched = set_aside(all_of, ValidationConfig(share=share))
    ids = [clip.id for clip in all_of.clips]
    for side in (train, watched):
        assert [clip.id for clip in side.clips] == [i for i in ids if i in {clip.id for clip in side.clips}]
    assert sorted(clip.id for side in (train, watched) for clip in side.clips) == ids
    assert len(watched) == 200 * share
    assert set(Counter(clip.labels for clip in watched.clips).values()) == {100 * share}  # every label its share


def test_whole_groups_where_all_clips_have_one() -> None:
    all_of = _clips(120, groups=30)
    train, watched = set_aside(all_of, ValidationConfig())
    assert not {clip.group for clip in train.clips} & {clip.group for clip in watched.clips}
    assert len(watched) == 12
    clip, *others = all_of.clips
    with_a_bare_one = replace(all_of, clips=(replace(clip, group=None), *others))
    assert ValidationConfig().chosen_by(with_a_bare_one) == "label"
    assert ValidationConfig().chosen_by(_clips(10, labels=())) == "clip"


def test_the_same_clips_in_any_order_of_the_rows_and_others_with_another_seed() -> None:
    all_of = _clips(100)
    there = {clip.id for clip in set_aside(all_of, ValidationConfig())[1].clips}
    back = replace(all_of, clips=tuple(reversed(all_of.clips)))
    assert {clip.id for clip in set_aside(back, ValidationConfig())[1].clips} == there
    assert {clip.id for clip in set_aside(all_of, ValidationConfig(seed=1))[1].clips} != there


def test_too_few_groups_are_told() -> None:
    with pytest.raises(DataError, match=r"data\.validation: found 3 groups in m\.csv to set a share of 0\.1 aside"):
        set_aside(_clips(60, groups=3), ValidationConfig())
