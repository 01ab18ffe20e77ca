"""What is wrong or odd with single clips, from what was heard of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from zoo.data.audit.finding import Finding
from zoo.data.audit.fingerprint import MAX_SECONDS
from zoo.data.audit.listen import QUIET, Heard
from zoo.data.clip import Clip
from zoo.data.problems import printable

MIN_CLIPPED = 1e-3
"""Share of the samples that stand at full scale, three or more in a row."""
MIN_OFFSET = 0.01
"""Mean of the samples, of full scale (-40 dB); of short or loud clips a tenth of the deviation too."""
PATCH_FRAMES = 16

_MIN_OFFSET_OF_RMS = 0.1
_SHORT_BY = 0.05  # seconds: a stop that was rounded up is none that is wrong
_ODDITIES = {"odd rate": "odd-rate", "truncated": "truncated", "beyond": "beyond-full-scale"}


@dataclass(frozen=True)
class Needs:
    """What a front end asks of a clip."""

    sample_rate: int
    frame_samples: int
    """Of the shortest clip that has a frame, at `sample_rate`."""
    patch_samples: int
    """Of the shortest clip that has a patch of 16 frames."""


def check_clip(clip: Clip, heard: Heard, needs: Needs) -> Iterator[Finding]:
    """The findings about one clip alone."""
    for kind, text, data in _found(clip, heard, needs):
        yield Finding(kind, clip.where, f"{printable(clip.id)}: {text}", clip.id, data=data)


def _found(clip: Clip, heard: Heard, needs: Needs) -> Iterator[tuple[str, str, dict[str, float]]]:
    if heard.reason is not None:
        yield "unreadable", heard.reason, {}
        return
    for oddity in heard.oddities:
        kind = next((kind for begin, kind in _ODDITIES.items() if oddity.startswith(begin)), None)
        if kind is not None:
            yield kind, oddity, {"seconds": heard.seconds}
    if heard.channels > 2:
        yield "many-channels", f"{heard.channels} channels", {"channels": heard.channels}
    yield from _length(clip, heard, needs)
    if heard.is_silent:
        yield "silent", f"silence, {heard.seconds:.2f} s", {"seconds": heard.seconds}
    elif heard.peak < QUIET:
        yield "quiet", f"the peak is {_decibels(heard.peak)}", {"peak": heard.peak}
    else:
        quiet = heard.seconds - (heard.sound_ends - heard.sound_begins)
        if quiet > heard.seconds / 2:
            yield "mostly-silent", f"{quiet:.2f} of {heard.seconds:.2f} s are silence", {"seconds": quiet}
    if heard.clipped >= MIN_CLIPPED:
        yield "clipped", f"{heard.clipped:.2%} of the samples stand at full scale", {"share": heard.clipped}
    if abs(heard.mean) >= MIN_OFFSET and abs(heard.mean) >= _MIN_OFFSET_OF_RMS * heard.rms:
        yield "dc-offset", f"the mean is {heard.mean:+.3f} of full scale", {"mean": heard.mean}


def _length(clip: Clip, heard: Heard, needs: Needs) -> Iterator[tuple[str, str, dict[str, float]]]:
    seconds = {"seconds": heard.seconds}
    at_rate = heard.seconds * needs.sample_rate
    if at_rate < needs.frame_samples:
        yield "no-frame", f"{heard.seconds:.3f} s, where a frame needs {_ms(needs.frame_samples, needs)}", seconds
    elif at_rate < needs.patch_samples:
        yield "no-patch", f"{heard.seconds:.3f} s, where a patch needs {_ms(needs.patch_samples, needs)}", seconds
    if clip.stop is not None and "truncated" not in heard.oddities:
        asked = clip.stop - (clip.start or 0.0)
        if heard.seconds < asked - _SHORT_BY:
            yield "short-stretch", f"{heard.seconds:.2f} s, where {asked:.2f} s are asked for", seconds
    if heard.sample_rate < needs.sample_rate:
        text = f"{heard.sample_rate} Hz, where the front end has {needs.sample_rate} Hz"
        yield "narrow", text, {"sample_rate": heard.sample_rate}
    if heard.seconds > MAX_SECONDS:
        yield "very-long", f"{heard.seconds / 60:.0f} minutes, of which {MAX_SECONDS / 60:.0f} are compared", seconds


def _ms(samples: int, needs: Needs) -> str:
    return f"{1000 * samples / needs.sample_rate:.0f} ms"


def _decibels(peak: float) -> str:
    return f"{20 * math.log10(max(peak, 1e-10)):.0f} dB of full scale"
