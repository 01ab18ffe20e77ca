"""Clips that are the same sound: the same samples, or the same recording after codecs, gain, shifts and cuts.

Same samples are found by a digest, so a wav and its flac match. Of each such group one clip stands for all in the
search for near-duplicates: fingerprints propose pairs, and the correlation of the waveforms decides on every one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from zoo.audio.decode import UnusableAudio
from zoo.data.audit.candidates import Candidates, find_candidates
from zoo.data.audit.correlate import Match, match
from zoo.data.audit.finding import Finding
from zoo.data.audit.fingerprint import HOP_LENGTH, Prints
from zoo.data.audit.listen import Heard, Stretch, low_waveform
from zoo.data.audit.sides import Placed, crossing, overlap
from zoo.data.in_order import in_order, worth_it
from zoo.data.problems import listed, printable

_MEMBERS_ASKED = 50  # of two groups of the same samples, so many are asked for two on different sides
_KEPT = 4  # waveforms in a worker: pairs come in the order of their first clip

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Duplicates:
    """What was found, and how much was looked at."""

    findings: list[Finding]
    candidates: int = 0
    """Pairs whose waveforms were correlated."""
    crowded: int = 0
    """Hashes of more clips than each was compared with."""
    correlations: list[float] = field(default_factory=list)
    """Of the pairs that are reported as near-duplicates."""


def find_duplicates(
    placed: Sequence[Placed], heard: Sequence[Heard], workers: int = 1, advance: Advance | None = None
) -> Duplicates:
    """All pairs of clips that are one sound. Silent clips are equal to each other and are left out.

    Args: `advance` is told (pairs done, pairs in all).
    """
    groups = _same_samples(heard)
    findings = [one for members in groups for one in _told_same(members, placed, heard)]
    empty: Prints = np.zeros(0, np.uint64)
    prints = [empty if (own := heard[members[0]].prints) is None else own for members in groups]
    candidates = find_candidates(prints)
    pairs = [pair for pair in _pairs(candidates) if not _is_one_stretch(groups, pair, placed)]
    work = [(_stretch(placed, groups, one), _stretch(placed, groups, two), shift) for one, two, shift in pairs]
    correlations = []
    for done, (found, (one, two, _)) in enumerate(
        zip(in_order(_matched, work, worth_it(workers, len(work))), pairs, strict=True), start=1
    ):
        if advance is not None:
            advance(done, len(pairs))
        if found is not None:
            first, second = _worst(groups[one], groups[two], placed)
            findings.append(_told_near(first, second, placed, heard, found))
            correlations.append(found.correlation)
            if not found.is_steady:
                findings += _conflict(placed[first], placed[second], "near-duplicates")
    return Duplicates(findings, len(pairs), candidates.crowded, correlations)


def _same_samples(heard: Sequence[Heard]) -> list[list[int]]:
    """Groups of clips with the same samples, in the order of their first clips; most are of one clip."""
    groups: dict[tuple[bytes, int], list[int]] = {}
    for index, one in enumerate(heard):
        if one.reason is None and not one.is_silent:
            groups.setdefault((one.digest, one.num_samples), []).append(index)
    return list(groups.values())


def _told_same(members: list[int], placed: Sequence[Placed], heard: Sequence[Heard]) -> Iterator[Finding]:
    """Every clip of a group but the first, with an earlier one; with one from another side where there is one."""
    conflict_told = False
    for place in range(1, len(members)):
        one, first = placed[members[place]], members[0]
        before = [placed[index] for index in (first, *members[max(1, place - _MEMBERS_ASKED) : place])]
        others = [other for other in before if not overlap(one.clip, other.clip)]
        if not others:
            continue  # the same stretch of the same file, which has a finding of its own
        other = next((other for other in others if crossing(one, other)), others[0])
        across = crossing(one, other)
        text = f"{printable(one.clip.id)}: the same samples as {printable(other.clip.id)}"
        yield _finding("leak" if across else "duplicate", one, other, text, across, {})
        rate, other_rate = heard[members[place]].sample_rate, heard[first].sample_rate
        if rate != other_rate:
            yield _finding("other-rate", one, placed[first], f"{text}, at {rate} and {other_rate} Hz", None, {})
        if not conflict_told and (conflict := _conflict(one, other, "the same samples")):
            conflict_told = True
            yield from conflict


def _pairs(candidates: Candidates) -> Iterator[tuple[int, int, int]]:
    columns = (candidates.first.tolist(), candidates.second.tolist(), candidates.shift.tolist())
    yield from zip(*columns, strict=True)


def _is_one_stretch(groups: list[list[int]], pair: tuple[int, int, int], placed: Sequence[Placed]) -> bool:
    return overlap(placed[groups[pair[0]][0]].clip, placed[groups[pair[1]][0]].clip)


def _stretch(placed: Sequence[Placed], groups: list[list[int]], group: int) -> Stretch:
    return stretch_of(placed[groups[group][0]])


def stretch_of(placed: Placed) -> Stretch:
    """The audio of a clip."""
    return Stretch(placed.clip.path, placed.clip.start, placed.clip.stop)


_waveform = lru_cache(maxsize=_KEPT)(low_waveform)


def _matched(work: tuple[Stretch, Stretch, int]) -> Match | None:
    """In a worker. A file that has become unusable since it was heard matches nothing."""
    one, two, shift = work
    try:
        return match(_waveform(one), _waveform(two), shift * HOP_LENGTH)
    except UnusableAudio:
        return None


def _worst(one: list[int], two: list[int], placed: Sequence[Placed]) -> tuple[int, int]:
    """A clip of each group, on two sides where there are such."""
    for first in one[:_MEMBERS_ASKED]:
        for second in two[:_MEMBERS_ASKED]:
            if crossing(placed[first], placed[second]):
                return first, second
    return one[0], two[0]


def _told_near(first: int, second: int, placed: Sequence[Placed], heard: Sequence[Heard], found: Match) -> Finding:
    one, other = placed[first], placed[second]
    across = crossing(one, other)
    shorter = min(heard[first].seconds, heard[second].seconds)
    text = (
        f"{printable(one.clip.id)}: the sound of {printable(other.clip.id)}, {found.offset:+.3f} s shifted, "
        f"correlation {found.correlation:.3f} over {found.shared:.2f} s"
    )
    kind = "steady-tone" if found.is_steady else "near-leak" if across else "near-duplicate"
    data = {
        "offset": round(found.offset, 5),
        "correlation": round(found.correlation, 4),
        "shared_seconds": round(found.shared, 3),
        "share_of_shorter": round(min(1.0, found.shared / shorter), 3),
    }
    return _finding(kind, one, other, text, across, data)


def _finding(kind: str, one: Placed, other: Placed, text: str, across: str | None, data: dict[str, float]) -> Finding:
    numbers = {**data, "across": across} if across else data
    text += f" - in {across}" if across else ""
    return Finding(kind, one.clip.where, text, one.clip.id, other.clip.where, other.clip.id, numbers)


def _conflict(one: Placed, other: Placed, what: str) -> list[Finding]:
    if set(one.clip.labels) == set(other.clip.labels):
        return []
    ours, theirs = (listed(list(placed.clip.labels)) or "no label" for placed in (one, other))
    text = f"{printable(one.clip.id)} is {ours}, and {printable(other.clip.id)} is {theirs}: {what}"
    return [_finding("conflicting-labels", one, other, text, None, {})]
