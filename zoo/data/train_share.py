"""A share of the training clips, as if the others had no labels: each label alike, and the same clips on every machine.

Whether a clip is drawn depends on the seed and the ids of the clips with its labels, not on their order. Shares are
nested: the clips of a smaller one are in every larger one of the same seed, so that what more labels add is not the
luck of other clips.
"""

from collections import defaultdict
from dataclasses import replace

import torch

from zoo.data.clip import Clip
from zoo.data.manifest import Manifest
from zoo.draws import clip_keys, combine, stable_id

_SHARE = stable_id("train share")


def share_of(train: Manifest, share: float, seed: int = 0) -> Manifest:
    """Some of the clips, in their order.

    Of clips with one label (or none), round(share × n) of the n clips of each label, one at least. Where clips have
    several labels, round(share × n) of all n clips, and the first drawn one of each label that would be missing.

    Args: `share`: above 0; 1 is all clips.
    """
    keys = clip_keys(combine(seed, _SHARE), 0, torch.tensor([stable_id(clip.id) for clip in train.clips])).tolist()
    order = sorted(range(len(train)), key=lambda place: (keys[place], train.clips[place].id))
    if any(len(clip.labels) > 1 for clip in train.clips):
        kept = set(order[: _count(share, len(order))])
        kept |= _first_of_each_label(train.clips, order)
    else:
        alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place in order:
            alike[train.clips[place].labels].append(place)
        kept = {place for places in alike.values() for place in places[: _count(share, len(places))]}
    return replace(train, clips=tuple(clip for place, clip in enumerate(train.clips) if place in kept))


def _count(share: float, of: int) -> int:
    return min(of, max(1, round(share * of)))


def _first_of_each_label(clips: tuple[Clip, ...], order: list[int]) -> set[int]:
    first: dict[str, int] = {}
    for place in order:
        for name in clips[place].labels:
            first.setdefault(name, place)
    return set(first.values())
