"""On which side of which split a clip lies, and what lies on two sides: one recording there is a leak."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.data.audit.finding import Finding
from zoo.data.clip import Clip
from zoo.data.problems import listed

_LOOKED_BACK = 64  # clips of one file, of which each is held against so many before it


@dataclass(frozen=True)
class Placed:
    """A clip and the manifest that lists it; `manifest` is None where there is only one."""

    clip: Clip
    manifest: str | None = None

    def sides(self) -> dict[str, str]:
        """Split to side: {"manifest": "train.csv", "split": "train", "fold": "1"}, as far as the clip states them."""
        stated = {"manifest": self.manifest, "split": self.clip.split, "fold": self.clip.fold}
        return {name: side for name, side in stated.items() if side is not None}


def crossing(one: Placed, other: Placed) -> str | None:
    """As "fold 1 and 3", where two clips lie on two sides; None where they lie on one, or no split is stated."""
    ours, theirs = one.sides(), other.sides()
    apart = [f"{name} {ours[name]} and {theirs[name]}" for name in ours if theirs.get(name, ours[name]) != ours[name]]
    return ", ".join(apart) or None


def shared_groups(placed: Sequence[Placed]) -> Iterator[Finding]:
    """Groups of which clips lie on two sides."""
    first: dict[str, Placed] = {}
    seen: dict[str, list[Placed]] = {}
    for one in placed:
        group = one.clip.group
        if group is None:
            continue
        other = first.setdefault(group, one)
        if crossing(other, one) and len(seen.setdefault(group, [other])) < 1_000:
            seen[group].append(one)
    for group, members in seen.items():
        names = members[0].sides()
        spread = {name: list(dict.fromkeys(side for m in members if (side := m.sides().get(name)))) for name in names}
        text = ", ".join(f"{name} {listed(sides, 5)}" for name, sides in spread.items() if len(sides) > 1)
        first_clip, second_clip = members[0].clip, members[1].clip
        told = f"group {group!r} is in {text}"
        yield Finding("shared-group", first_clip.where, told, first_clip.id, second_clip.where, second_clip.id)


def shared_files(placed: Sequence[Placed]) -> Iterator[Finding]:
    """Clips that are stretches of one file: those that overlap, and those that lie on two sides."""
    by_file: dict[str, list[Placed]] = {}
    for one in placed:
        by_file.setdefault(str(one.clip.path), []).append(one)
    for members in by_file.values():
        if len(members) > 1:
            yield from _in_one_file(sorted(members, key=lambda one: one.clip.start or 0.0))


def _in_one_file(members: list[Placed]) -> Iterator[Finding]:
    told_shared = False
    for place, one in enumerate(members):
        before = members[max(0, place - _LOOKED_BACK) : place]
        overlapping = [other for other in before if overlap(one.clip, other.clip)]
        across = [other for other in overlapping if crossing(one, other)]
        if across:
            yield _pair("stretch-leak", one, across[0])
        elif overlapping:
            yield _pair("same-stretch", one, overlapping[0])
        elif not told_shared and (apart := [other for other in before if crossing(one, other)]):
            told_shared = True  # once a file
            yield _pair("shared-file", one, apart[0])


def _pair(kind: str, one: Placed, other: Placed) -> Finding:
    across = crossing(one, other)
    text = f"the same file as {other.clip.where}{f', in {across}' if across else ''}"
    return Finding(kind, one.clip.where, text, one.clip.id, other.clip.where, other.clip.id)


def overlap(one: Clip, other: Clip) -> bool:
    """Whether two clips are of one file and have time in common."""
    if one.path != other.path:
        return False
    infinity = float("inf")
    first_stop = infinity if one.stop is None else one.stop
    second_stop = infinity if other.stop is None else other.stop
    return (one.start or 0.0) < second_stop and (other.start or 0.0) < first_stop
