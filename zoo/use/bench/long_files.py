"""`zoo bench crop`: what ten seconds of an hour-long file cost, beside ten seconds of a ten-second file."""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch

from zoo import provenance
from zoo.audio.decode import open_audio
from zoo.use.bench.sounds import CODECS, MADE_UP, check_forms, sounds, write_sound

_DISTINCT_SECONDS = 60.0  # of sound, over and over


def bench_crop(
    source: str | None,
    formats: Sequence[str],
    *,
    hours: float,
    seconds: float,
    sample_rate: int,
    crops: int,
    on_progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Processor milliseconds to open a file, ask its length and decode `seconds` at a random place."""
    check_forms(list(formats), list(CODECS))
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        for number, name in enumerate(formats):
            (sound,) = sounds(source, sample_rate, max(_DISTINCT_SECONDS, seconds), 1)
            repeats = max(1, round(hours * 3600 * sample_rate / len(sound)))
            long, short = Path(folder) / f"long.{name}", Path(folder) / f"short.{name}"
            write_sound(long, [sound] * repeats, sample_rate, **CODECS[name])
            write_sound(short, [sound[: round(seconds * sample_rate)]], sample_rate, **CODECS[name])
            rows.append(
                {
                    "format": name,
                    "hours": repeats * len(sound) / sample_rate / 3600,
                    "megabytes": long.stat().st_size / 1e6,
                    "long": _measure(long, sample_rate, seconds, crops),
                    "short": _measure(short, sample_rate, seconds, crops),
                }
            )
            long.unlink()
            on_progress(number + 1, len(formats))
    return {
        "what": "crop",
        "audio": source or MADE_UP,
        "sample_rate": sample_rate,
        "seconds": seconds,
        "crops": crops,
        "device": provenance.device_name(torch.device("cpu")),
        "versions": provenance.versions() | {"libsndfile": soundfile.__libsndfile_version__},
        "rows": rows,
    }


def _measure(path: Path, sample_rate: int, seconds: float, crops: int) -> dict[str, Any]:
    """Milliseconds of a crop: the median, the worst, and how many bytes were read for the median one."""
    draw = random.Random(0)
    taken, read = [], []
    for _ in range(crops):
        before, since = _bytes_read(), time.process_time()
        with open_audio(path) as audio:
            start = draw.random() * max(0.0, audio.duration - seconds)
            audio.decode(sample_rate, start, start + seconds)
        taken.append(1e3 * (time.process_time() - since))
        read.append(_bytes_read() - before)
    return {"ms": statistics.median(taken), "ms_worst": max(taken), "bytes_read": statistics.median(read) or None}


def _bytes_read() -> int:
    """By this process so far; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except OSError:
        return 0
