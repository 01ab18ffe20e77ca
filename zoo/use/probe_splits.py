"""Which clips a probe is fitted to and which it is tested on: folds of one manifest, or two manifests."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from zoo.data.clip import Clip, fold_name
from zoo.data.folds import By, FoldsConfig, assign_folds
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.problems import listed
from zoo.errors import DataError

_INNER_FOLDS = 4


@dataclass(frozen=True)
class Split:
    """Rows of the clips of all manifests, one behind the other."""

    name: str
    """Of the fold that is tested, or `test`."""
    train: Int[Tensor, "n"]
    test: Int[Tensor, "m"]
    is_inner: Bool[Tensor, "n"] | None
    """The training clips on which settings are chosen; None: too few clips to take some aside."""


def read_sets(manifest: str, test: str | None, folds: int | None) -> list[Manifest]:
    """The manifest, with `folds` folds made of it if so asked: by group where every clip has one, else by label; and
    the test manifest.

    Raises: DataError - as `read_manifest`; both folds and a test manifest.
    """
    if test is not None and folds is not None:
        raise DataError(f"{test}: found a test manifest beside folds {folds} - expected one of the two - leave one out")
    clips = read_manifest(SourceConfig(path=manifest), labelled=None if folds is not None else True)
    if folds is not None:
        by = _by(clips.clips)
        clips = read_manifest(SourceConfig(path=manifest, folds=FoldsConfig(num=folds, by=by)), labelled=True)
    return [clips] if test is None else [clips, read_manifest(SourceConfig(path=test), labelled=True)]


def make_splits(sets: Sequence[Manifest], fold: Sequence[str] | None, usable: Bool[Tensor, "n"]) -> list[Split]:
    """One split for each fold that is tested, all or those of `fold`; one in all where there is a test manifest.

    Settings are chosen on the fold that follows the tested one, where at least two are left to learn from; else on a
    quarter of the training clips (one group, where there are fewer than four), whole groups where every clip has one.

    Args: `usable` says which rows can be used at all.

    Raises: DataError - no folds and no test manifest, a fold that is none, or a side without a usable clip.
    """
    clips = sets[0].clips
    if len(sets) == 2:
        is_train = torch.arange(len(usable)) < len(clips)
        train, test = (is_train & usable).nonzero()[:, 0], (~is_train & usable).nonzero()[:, 0]
        return [_checked(Split("test", train, test, _inner_quarter([clips[row] for row in train.tolist()])))]
    names = sorted({clip.fold for clip in clips if clip.fold is not None}, key=_natural)
    if len(names) < 2:
        raise DataError(
            f"{sets[0].source}: found {len(names)} folds - expected at least two, or clips to test on - give "
            "--folds 5, or --test MANIFEST"
        )
    asked = names if fold is None else [fold_name(one) for one in fold]
    unknown = [one for one in asked if one not in names]
    if unknown:
        raise DataError(f"{sets[0].source}: no clip of fold {', '.join(unknown)} - the folds are {listed(names)}")
    place = {name: number for number, name in enumerate(names)}
    of_clip = torch.tensor([-1 if clip.fold is None else place[clip.fold] for clip in clips])
    return [_fold_split(clips, of_clip, place[name], len(names), name, usable) for name in asked]


def shared_files(sets: Sequence[Manifest]) -> Iterator[str]:
    """A line where clips to test on are also learned from, or where a group is in several folds."""
    clips = sets[0].clips
    if len(sets) == 2:
        learned = {(str(clip.path), clip.start) for clip in clips}
        shared = [clip for clip in sets[1].clips if (str(clip.path), clip.start) in learned]
        if shared:
            yield f"{len(shared):,} of the clips to test on are also learned from, such as {shared[0].path}"
        return
    folds: dict[str, set[str | None]] = defaultdict(set)
    for clip in clips:
        if clip.group is not None:
            folds[clip.group].add(clip.fold)
    torn = [group for group, of_group in folds.items() if len(of_group) > 1]
    if torn:
        yield f"{len(torn):,} groups are in several folds, such as {torn[0]}: what is tested was heard in training"


def _fold_split(clips: Sequence[Clip], of_clip: Tensor, tested: int, count: int, name: str, usable: Tensor) -> Split:
    train = ((of_clip != tested) & (of_clip >= 0) & usable).nonzero()[:, 0]
    test = ((of_clip == tested) & usable).nonzero()[:, 0]
    if count > 2:
        is_inner = of_clip[train] == (tested + 1) % count
        inner = is_inner if bool(is_inner.any() and (~is_inner).any()) else None
    else:
        inner = _inner_quarter([clips[row] for row in train.tolist()])
    return _checked(Split(name, train, test, inner))


def _checked(split: Split) -> Split:
    for what, rows in (("to learn from", split.train), ("to test on", split.test)):
        if not len(rows):
            raise DataError(f"probe: found no usable clip {what} ({split.name}) - expected some - check the audio")
    return split


def _inner_quarter(clips: Sequence[Clip]) -> Bool[Tensor, "n"] | None:
    by = _by(clips)
    units = {clip.group if by == "group" else clip.id for clip in clips}
    num_folds = min(_INNER_FOLDS, len(units))
    if num_folds < 2:
        return None
    with_ids = [replace(clip, id=f"{number} {clip.id}") for number, clip in enumerate(clips)]
    return torch.tensor(assign_folds(with_ids, num_folds, by)) == 1


def _by(clips: Sequence[Clip]) -> By:
    return "group" if all(clip.group is not None for clip in clips) else "label"


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (1 << 62, name)
