"""Which clips may be the same sound: those with many hashes in common at one distance in time.

All hashes of all clips lie in one sorted array of 64-bit numbers. Equal hashes are neighbours there; every two of them
vote for their clips and for a shift between them. Chance gives a pair one or two votes for a shift; one sound gives ten
to a thousand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.data.audit.fingerprint import TIME_BITS, Prints
from zoo.errors import DataError

MIN_VOTES = 4
"""For a pair to be correlated at all."""
PAIRS_A_CLIP = 16
"""Of the pairs of a clip, so many with the most votes are correlated (and more, where the other clip asks for it)."""
PAIRS_IN_ALL = 400_000
"""Beyond 25,000 clips a clip has fewer, but three: chance pairs grow with the square of the clips, true ones do not."""
NEIGHBOURS = 16
"""Clips with the same hash that a clip is compared with. A hash of many clips would otherwise cost its square."""

_FEWEST_PAIRS = 3
_HASH_BITS = 48
_SHIFT_BITS = TIME_BITS + 1
_MAX_CLIPS = 1 << 23
_VOTES_AT_ONCE = 20_000_000  # 160 MB, and as much again while they are sorted
_SLICE = 1 << 22


@dataclass(frozen=True)
class Candidates:
    """Pairs of clips that may be the same sound, in order; `shift` is how many frames the second lies behind."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shift: NDArray[np.int64]
    votes: NDArray[np.int64]
    crowded: int
    """How many hashes have more clips than every clip was compared with."""

    def __len__(self) -> int:
        return len(self.first)


def find_candidates(prints: Sequence[Prints], votes_at_once: int = _VOTES_AT_ONCE) -> Candidates:
    """The pairs with at least `MIN_VOTES`, at most `PAIRS_A_CLIP` for each clip.

    Memory: 8 bytes a hash, and 16 for each of `votes_at_once`; the result does not depend on it.
    Raises: DataError - more than 8 million clips.
    """
    if len(prints) > _MAX_CLIPS:
        raise DataError(f"audit: {len(prints):,} clips - expected at most {_MAX_CLIPS:,} - audit the set in parts")
    clip_bits = max(1, (len(prints) - 1).bit_length())
    entries = _sorted_entries(prints, clip_bits)
    num_votes = sum(len(first) for first, _, _ in _meetings(entries, clip_bits))
    parts = max(1, -(-num_votes // votes_at_once))
    rows = [_best_of(entries, clip_bits, part, parts) for part in range(parts)]
    first, second, shift, votes = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    a_clip = min(PAIRS_A_CLIP, max(_FEWEST_PAIRS, PAIRS_IN_ALL // max(1, len(prints))))
    kept = _best_for_each(first, second, votes, len(prints), a_clip)
    order = kept[np.lexsort((second[kept], first[kept]))]
    crowded = _crowded(entries, clip_bits)
    return Candidates(first[order], second[order], shift[order], votes[order], crowded)


def _sorted_entries(prints: Sequence[Prints], clip_bits: int) -> Prints:
    """hash, clip and frame of every hash in one number. The hash loses bits where there are many clips."""
    hash_bits = min(_HASH_BITS, 64 - TIME_BITS - clip_bits)
    mask = np.uint64((1 << hash_bits) - 1)
    frame_mask = np.uint64((1 << TIME_BITS) - 1)
    entries = np.empty(sum(map(len, prints)), np.uint64)
    end = 0
    for clip, own in enumerate(prints):
        begin, end = end, end + len(own)
        hashes = (own >> np.uint64(TIME_BITS)) & mask  # the low bits, for of the high ones small values were chosen
        entries[begin:end] = (hashes << np.uint64(TIME_BITS + clip_bits)) | np.uint64(clip << TIME_BITS)
        entries[begin:end] |= own & frame_mask
    entries.sort()
    return entries


def _meetings(
    entries: Prints, clip_bits: int, part: int = 0, parts: int = 1
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """(first clip, second clip, shift) of every two entries of one hash; of a part of the first clips."""
    above = np.uint64(TIME_BITS + clip_bits)
    for begin in range(0, len(entries), _SLICE):
        some = entries[begin : begin + _SLICE + NEIGHBOURS]
        hashes = some >> above
        clips = ((some >> np.uint64(TIME_BITS)) & np.uint64((1 << clip_bits) - 1)).astype(np.int64)
        frames = (some & np.uint64((1 << TIME_BITS) - 1)).astype(np.int64)
        for distance in range(1, NEIGHBOURS + 1):
            size = min(_SLICE, len(some) - distance)
            if size <= 0:
                break
            meets = hashes[distance : distance + size] == hashes[:size]
            if not meets.any():
                break
            if parts > 1:
                meets &= clips[:size] % parts == part
            one = np.nonzero(meets)[0]
            yield clips[one], clips[one + distance], frames[one + distance] - frames[one]


def _best_of(entries: Prints, clip_bits: int, part: int, parts: int) -> tuple[NDArray[np.int64], ...]:
    """first, second, shift, votes: the shift with the most votes of every pair, where they are enough."""
    keys = [np.zeros(0, np.int64)]
    for first, second, shift in _meetings(entries, clip_bits, part, parts):
        different = first != second
        key = (first << clip_bits | second) << _SHIFT_BITS | (shift + (1 << TIME_BITS))
        keys.append(key[different])
    votes_cast = np.concatenate(keys)
    votes_cast.sort()
    key, votes = np.unique(votes_cast, return_counts=True)
    # One shift between clips falls on two of frames: neighbours vote together.
    together = votes.copy()
    beside = np.nonzero(key[1:] == key[:-1] + 1)[0]
    together[beside] += votes[beside + 1]
    enough = together >= MIN_VOTES
    key, together = key[enough], together[enough]
    pair = key >> _SHIFT_BITS
    order = np.lexsort((key, -together, pair))
    best = order[np.unique(pair[order], return_index=True)[1]]
    shift = (key[best] & ((1 << _SHIFT_BITS) - 1)) - (1 << TIME_BITS)
    return pair[best] >> clip_bits, pair[best] & ((1 << clip_bits) - 1), shift, together[best]


def _best_for_each(
    first: NDArray[np.int64], second: NDArray[np.int64], votes: NDArray[np.int64], num_clips: int, a_clip: int
) -> NDArray[np.int64]:
    """Which pairs are among the `a_clip` with the most votes of one of their clips."""
    clip = np.concatenate((first, second))
    pair = np.tile(np.arange(len(first)), 2)
    order = np.lexsort((pair, -np.tile(votes, 2), clip))
    starts = np.searchsorted(clip[order], np.arange(num_clips))
    rank = np.arange(len(order)) - starts[clip[order]]
    return np.unique(pair[order][rank < a_clip])


def _crowded(entries: Prints, clip_bits: int) -> int:
    if len(entries) <= NEIGHBOURS:
        return 0
    hashes = entries >> np.uint64(TIME_BITS + clip_bits)
    return len(np.unique(hashes[NEIGHBOURS:][hashes[NEIGHBOURS:] == hashes[:-NEIGHBOURS]]))
