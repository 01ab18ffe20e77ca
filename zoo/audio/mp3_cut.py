"""A stretch of a long mp3 as a small mp3 of its own.

Only reading the header of every frame on the way tells where in an mp3 a sample lies. libsndfile's decoder does that
anew for every file it opens, with two calls of the system a frame: 0.4 s for the end of three hours. Here the headers
are walked once a process and file, in a map of the file, and the frames of the stretch are then decoded alone. That
ends on the samples of the whole clip, which tests/unit/test_mp3_cut.py shows.

Taken apart are plain files alone: layer III, a Xing tag of LAME's kind (which tells how many samples to drop at either
end), and so many frames as it says, one right behind the other. All others are left to libsndfile.
"""

import mmap
import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.audio.byte_range import ByteRange

_BITRATES = {  # kbit/s by index; 0 and 15 are none
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_RATES = (44_100, 48_000, 32_000, 0)  # of MPEG 1; half of it and a quarter in the others
_EVERY = 16  # frames: whose places are kept
_KEPT_FILES = 1_024  # of an hour some 60 kB each
_BEFORE = 19  # frames decoded before the stretch: as many may hold bits of its first one, and then some
_DECODER_DELAY = 529  # samples that the decoder drops at the beginning, beside what the tag says

Content = memoryview | bytes
"""Of an mp3."""


@dataclass(frozen=True)
class Mp3Map:
    """Where the frames of a plain mp3 lie."""

    places: Sequence[int]
    """The first byte of every 16th frame; the first is the one with the tag, which holds no sound."""
    sizes: Sequence[int]
    """Bytes of a frame by the third byte of its header; 0 for one that does not belong to this file."""
    num_frames: int
    """With sound."""
    frame_length: int
    """Samples in a frame."""
    delay: int
    """Samples that the encoder put before the sound."""
    num_samples: int
    """Of the sound."""
    tag: int
    """From the first byte of the first frame to its tag."""

    def cut(self, content: Content, begin: int, end: int) -> tuple[bytes, int] | None:
        """An mp3 in which samples `begin` to `end` lie, and the place of the first; None where it would lack some."""
        first = (begin + self.delay + _DECODER_DELAY) // self.frame_length - _BEFORE
        last = min(self.num_frames, (end + self.delay + _DECODER_DELAY) // self.frame_length + 2)
        if first < 0 or end + self.delay + _DECODER_DELAY > last * self.frame_length:
            return None
        size = self.sizes[content[self.places[0] + 2]]
        head = bytearray(content[self.places[0] : self.places[0] + size])
        head[self.tag :] = bytes(size - self.tag)
        head[self.tag : self.tag + 12] = struct.pack(">4sII", b"Info", 1, last - first)
        frames = content[self._place(content, first + 1) : self._place(content, last + 1)]
        return bytes(head) + bytes(frames), begin + self.delay - first * self.frame_length

    def _place(self, content: Content, frame: int) -> int:
        """The first byte of a frame, the one with the tag counted as 0."""
        place = self.places[frame // _EVERY]
        for _ in range(frame % _EVERY):
            place += self.sizes[content[place + 2]]
        return place


_known: OrderedDict[tuple[int, ...], Mp3Map | None] = OrderedDict()


def cut_mp3(path: str | Path | ByteRange, begin: int, end: int, num_samples: int) -> tuple[bytes, int] | None:
    """Samples `begin` to `end` of a file, or of a member of a shard, as an mp3 of their own, and where they begin.

    num_samples: of the whole file, as libsndfile has it.

    None: it is no plain mp3, or disagrees, or the stretch lies at a very end; it must be read from its beginning.
    """
    place = path.path if isinstance(path, ByteRange) else path
    with open(place, "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        first, size = (path.offset, path.size) if isinstance(path, ByteRange) else (0, found.st_size)
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, first, size)
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as whole,
            whole[first : first + size] as content,
        ):
            if key not in _known:
                _known[key] = map_mp3(content)
                while len(_known) > _KEPT_FILES:
                    _known.popitem(last=False)
            _known.move_to_end(key)
            frames = _known[key]
            if frames is None or frames.num_samples != num_samples:
                return None
            return frames.cut(content, begin, end)


def map_mp3(content: Content) -> Mp3Map | None:
    """Walks over the headers of all frames. None for what is no plain mp3."""
    try:
        return _walk(content, _behind_id3(content))
    except IndexError:  # it ends within a frame
        return None


def _behind_id3(content: Content) -> int:
    if bytes(content[:3]) != b"ID3":
        return 0
    size = content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9]
    return 10 + size + (10 if content[5] & 0x10 else 0)


def _walk(content: Content, start: int) -> Mp3Map | None:
    sync, kind, what, mode = bytes(content[start : start + 4]).ljust(4, b"\0")
    version, rate = kind >> 3 & 3, _RATES[what >> 2 & 3]  # version: 3 is MPEG 1, 2 is 2, 0 is 2.5
    if sync != 0xFF or kind >> 5 != 7 or kind >> 1 & 3 != 1 or version == 1 or not rate:
        return None
    frame_length = 1_152 if version == 3 else 576
    sizes = _sizes(version, what >> 2 & 3)
    is_mono = mode >> 6 == 3
    side = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    tag = 4 + side + (0 if kind & 1 else 2)
    told = _read_tag(bytes(content[start + tag : start + sizes[what]]))
    if told is None:
        return None
    num_frames, delay, padding = told
    places, place, wanted = [], start, kind | 1
    for number in range(num_frames + 1):
        size = sizes[content[place + 2]]
        if content[place] != 0xFF or content[place + 1] | 1 != wanted or not size:
            return None
        if number % _EVERY == 0:
            places.append(place)
        place += size
    if place > len(content):
        return None
    places.append(place)  # where the last frame is the last of sixteen, the end is looked for here
    num_samples = num_frames * frame_length - delay - padding
    return Mp3Map(tuple(places), sizes, num_frames, frame_length, delay, num_samples, tag)


def _sizes(version: int, rate_index: int) -> tuple[int, ...]:
    """Bytes of a frame by the third byte of its header."""
    rate = _RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    slots = 144_000 if version == 3 else 72_000
    bitrates = _BITRATES[version == 3]
    return tuple(
        bitrates[byte >> 4] * slots // rate + (byte >> 1 & 1)
        if byte >> 2 & 3 == rate_index and bitrates[byte >> 4]
        else 0
        for byte in range(256)
    )


def _read_tag(tag: bytes) -> tuple[int, int, int] | None:
    """Frames, delay and padding in samples, of a Xing tag that has all its fields and LAME's behind them."""
    if len(tag) < 144 or tag[:4] not in (b"Xing", b"Info") or tag[7] & 0xF != 0xF or not tag[120:124].isalnum():
        return None
    delay, padding = tag[141] << 4 | tag[142] >> 4, (tag[142] & 0xF) << 8 | tag[143]
    return int.from_bytes(tag[8:12], "big"), delay, padding
