"""The numbers of a preparation: clips and hours of its parts, classes, groups, hashes, and how to train on it."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable, Task
from zoo.data.manifest import Manifest
from zoo.data.prepare.preparer import Found

_SHOWN = 5
_HELD_OUT = ("valid", "test", "eval")
_TRAIN = ("train", "balanced_train", "unbalanced_train")
_MOST_HASHED = 50


def count_all(found: Found, manifest: Manifest, seconds: Mapping[str, float], quick: bool) -> dict[str, Any]:
    """Clips, hours, classes and groups; splits and folds with their hashes; what is missing or extra.

    `manifest` is what was read back, `seconds` the length of each clip by id; with `quick` no length is known.
    """
    labels = found.labels
    listed = (*manifest.clips, *found.missing)
    groups = {clip.group for clip in manifest.clips if clip.group is not None}
    bare = Manifest(tuple(replace(clip, labels=()) for clip in manifest.clips), manifest.source)

    def parts(column: str, names: list[str]) -> dict[str, Any]:
        chosen: dict[str, list[Clip]] = {name: [] for name in names}
        for clip in manifest.clips:
            if (name := getattr(clip, column)) is not None:
                chosen[name].append(clip)
        missing = Counter(getattr(clip, column) for clip in found.missing)
        is_hashed = len(names) <= _MOST_HASHED
        return {
            name: {
                "clips": len(clips),
                "missing": missing[name],
                "hours": None if quick else _hours(clips, seconds),
                "hash": Manifest(tuple(clips), manifest.source).hash if is_hashed and clips else None,
            }
            for name, clips in chosen.items()
        }

    return {
        "clips": len(manifest),
        "hours": None if quick else _hours(manifest.clips, seconds),
        "splits": parts("split", split_names(listed)),
        "folds": parts("fold", fold_names(listed)),
        "without_split": _without(manifest, "split"),
        "without_fold": _without(manifest, "fold"),
        "classes": len(labels) if labels is not None else 0,
        "clips_of_class": _clips_of_class(manifest, labels),
        "groups": len(groups),
        "groups_in_several": {column: _in_several(manifest, column) for column in ("split", "fold")},
        "missing": some([clip.id for clip in found.missing]),
        "extra": some(list(found.extra)),
        "hash": manifest.hash,
        "hash_without_labels": bare.hash,
    }


def split_names(clips: Iterable[Clip]) -> list[str]:
    """train, valid and test first, then the others in the order in which they come."""
    names = list(dict.fromkeys(clip.split for clip in clips if clip.split is not None))
    order = {name: place for place, name in enumerate(("train", "valid", "test"))}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def fold_names(clips: Iterable[Clip]) -> list[str]:
    """1, 2, …, 10, then names that are no numbers."""
    names = {clip.fold for clip in clips if clip.fold is not None}
    return sorted(names, key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))


def _without(manifest: Manifest, column: str) -> int:
    """Clips without a split (or fold), where others have one."""
    bare = sum(getattr(clip, column) is None for clip in manifest.clips)
    return bare if bare < len(manifest) else 0


def _in_several(manifest: Manifest, column: str) -> int:
    """Groups that are on more than one side: what they measure is memory."""
    sides: dict[str, set[str]] = {}
    for clip in manifest.clips:
        name = getattr(clip, column)
        if clip.group is not None and name is not None:
            sides.setdefault(clip.group, set()).add(name)
    return sum(len(names) > 1 for names in sides.values())


def _clips_of_class(manifest: Manifest, labels: LabelTable | None) -> dict[str, int] | None:
    """How many clips each class has, in the order of the table."""
    if labels is None:
        return None
    counts = Counter(name for clip in manifest.clips for name in clip.labels)
    return {name: counts[name] for name in labels.names}


def _hours(clips: Iterable[Clip], seconds: Mapping[str, float]) -> float:
    return round(sum(seconds.get(clip.id, 0.0) for clip in clips) / 3600, 5)


def some(names: Sequence[str], known: bool = True) -> dict[str, Any] | None:
    """How many, and the first few."""
    return {"count": len(names), "first": list(names[:_SHOWN])} if known else None


def next_command(manifest: Manifest, path: str, labels: str | None, task: Task | None) -> str:
    """A command that trains on what was prepared."""
    if labels is None:
        return f"zoo pretrain recipes/pretrain/ssast-patch-base.yaml {shlex.quote(f'data.train={path}')}"
    words = ["zoo", "finetune", "recipes/finetune/folder/ast-base.yaml"]
    splits, folds = split_names(manifest.clips), fold_names(manifest.clips)
    train = next((name for name in _TRAIN if name in splits), None)
    held_out = next((name for name in _HELD_OUT if name in splits), None)
    if train is not None:
        words += [f"data.train.path={path}", f"data.train.split={train}"]
        words += [f"data.eval.path={path}", f"data.eval.split={held_out}"] if held_out is not None else []
    elif len(folds) > 1:
        words += [f"data.train.path={path}", f"data.train.fold=[{','.join(folds[1:])}]"]
        words += [f"data.eval.path={path}", f"data.eval.fold={folds[0]}"]
    else:
        words += [f"data.train={path}"]
    words += [f"data.labels={labels}"]
    words += ["data.task=multi-label", "evaluate.metric=mAP"] if task == "multi-label" else []
    return shlex.join(words)
