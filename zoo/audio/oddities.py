"""What is odd about a file whose sound can be used. The texts are stable: logs are counted by them."""

import os
import re
from pathlib import Path

import soundfile

from zoo.audio.byte_range import ByteRange

UNKNOWN_LENGTH = 1 << 62
"""Soundfile's count of frames where the header has none (2**63 - 1)."""
_COMMON_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_SILENT = 2.0**-16
_FULL_SCALE = 2.0
_LONG_NAME = 200  # bytes; most file systems end at 255
_CUT_OGG = "Last page lacks an end-of-stream bit"
_WAV_SIZE = re.compile(r"^\s*data\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0x7FFF_F000  # sizes from here on are what programs write into a header before they know the size


def oddities_of(file: soundfile.SoundFile, size: int, low: float, high: float, is_cut: bool) -> tuple[str, ...]:
    """What the owner of a usable file may want to know. The texts are stable: logs are counted by them."""
    checks = {
        f"odd rate {file.samplerate} Hz": file.samplerate not in _COMMON_RATES,
        f"{file.channels} channels": file.channels > 2,
        "hours long": UNKNOWN_LENGTH > file.frames > 3600 * file.samplerate,
        "truncated": is_cut or _header_promises_more(file.extra_info),
        "one sample": size == 1,
        "silent": size > 1 and high - low < _SILENT,
        "beyond full scale": max(-low, high) > _FULL_SCALE,
    }
    return tuple(text for text, applies in checks.items() if applies)


def odd_name(path: str | Path | ByteRange) -> tuple[str, ...]:
    """Names that other programs stumble over; a member of a shard has none."""
    if isinstance(path, ByteRange):
        return ()
    name = os.path.basename(path)
    checks = {"name that is no UTF-8": not _is_utf8(name), "very long name": len(os.fsencode(name)) > _LONG_NAME}
    return tuple(text for text, applies in checks.items() if applies)


def _is_utf8(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _header_promises_more(info: str) -> bool:
    """libsndfile quietly corrects a count of frames that the file cannot hold; its notes tell."""
    sizes = _WAV_SIZE.search(info)
    return _CUT_OGG in info or (sizes is not None and int(sizes[2]) < int(sizes[1]) < _STREAMED)
