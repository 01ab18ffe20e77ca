"""A share of the training clips: each label alike, the same everywhere, and inside every larger share."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.clip import Clip
from zoo.data.manifest import Manifest
from zoo.data.train_share import share_of
from zoo.recipe import parse_recipe
from zoo.run import find_data

RECIPE = """
name: few
model: {kind: cnn, n_mels: 128, n_frames: 48}
objective: {kind: classification}
data: {train: TRAIN, task: single-label}
train: {clips: 10}
"""
labels_of_clips = st.lists(st.lists(st.sampled_from("abcde"), max_size=3, unique=True), min_size=1, max_size=60)
shares = st.floats(0.01, 1.0)


def _manifest(labels: list[list[str]]) -> Manifest:
    return Manifest(tuple(Clip(Path("a"), f"clip {i}", tuple(some)) for i, some in enumerate(labels)), "m.csv")


def _ids(clips: Manifest) -> list[str]:
    return [clip.id for clip in clips.clips]


@given(labels=labels_of_clips, several=st.booleans(), one=shares, other=shares, seed=st.integers(0, 5))
def test_shares_are_nested_in_order_and_have_every_label(
    labels: list[list[str]], several: bool, one: float, other: float, seed: int
) -> None:
    clips = _manifest(labels if several else [some[:1] for some in labels])
    small, large = (share_of(clips, share, seed) for share in sorted((one, other)))
    assert set(_ids(small)) <= set(_ids(large)) <= set(_ids(clips))
    for part in (small, large):
        assert [name for name in _ids(clips) if name in set(_ids(part))] == _ids(part)
        assert part.labels() == clips.labels()
        assert len(part) >= 1
    back = replace(clips, clips=tuple(reversed(clips.clips)))
    assert set(_ids(share_of(back, one, seed))) == set(_ids(share_of(clips, one, seed)))
    assert _ids(share_of(clips, 1.0, seed)) == _ids(clips)


@pytest.mark.parametrize(("share", "expected"), [(0.1, {"a": 10, "b": 3, "c": 1}), (0.3, {"a": 30, "b": 9, "c": 1})])
def test_each_label_keeps_its_share_and_one_clip_at_least(share: float, expected: dict[str, int]) -> None:
    clips = _manifest([["a"]] * 100 + [["b"]] * 30 + [["c"]] * 4)
    found = Counter(clip.labels[0] for clip in share_of(clips, share).clips)
    assert found == expected
    assert _ids(share_of(clips, share)) != _ids(share_of(clips, share, seed=1))


def test_it_is_taken_of_the_training_folds_and_validation_of_what_is_left(tmp_path: Path) -> None:
    rows = "".join(f"{i}.wav,{'ab'[i % 2]},{i % 4}\n" for i in range(80))
    (tmp_path / "m.csv").write_text("path,label,fold\n" + rows)
    text = RECIPE.replace("TRAIN", "{path: " + str(tmp_path / "m.csv") + ", not_fold: 0}")

    def found(*overrides: str) -> tuple[set[str], set[str]]:
        data = find_data(parse_recipe(text, "x.yaml", overrides))
        assert data.train is not None
        return set(_ids(data.train)), set(_ids(data.eval)) if data.eval else set()

    everything, _ = found()
    assert len(everything) == 60
    few, watched = found("data.train_share=0.5")
    assert len(few) == 30
    assert not watched
    assert few < everything
    assert found("data.train_share=0.5", "seed=7")[0] == few, "the recipe's seed draws no labels"
    assert found("data.train_share=0.5", "data.train_share_seed=7")[0] != few
    train, watched = found("data.train_share=0.5", "data.validation={share: 0.2}")
    assert train | watched == few
    assert len(watched) == 6
