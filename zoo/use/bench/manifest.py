"""`zoo bench manifest`: time and memory over a manifest of millions of rows, in the main process and its workers."""

import csv
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from zoo import provenance
from zoo.audio.front_ends import FAMILIES
from zoo.run.data import find_data, make_loader
from zoo.use.bench.loaders import small_recipe
from zoo.use.bench.sounds import CODECS, sounds, write_sound
from zoo.use.bench.usage import memory_of, peak_memory_mib, resident_mib, worker_pids

_FILES = 64  # tiny ones, named over and over
_SECONDS = 0.2
_N_FRAMES = 16
_POINTS = 5


def bench_manifest(
    rows: int, workers: int, clips: int, batch: int, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Reads a manifest of so many rows in a fresh process, starts workers, and takes `clips` clips of it."""
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        manifest = write_manifest(Path(folder), rows)
        num_bytes = manifest.stat().st_size
        on_progress(1, 2)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(measure_manifest, str(manifest), workers, min(clips, rows), batch).result()
        on_progress(2, 2)
    return {
        "what": "manifest",
        "rows": rows,
        "megabytes": num_bytes / 1e6,
        "workers": workers,
        "device": provenance.device_name(torch.device("cpu")),
        "versions": provenance.versions(),
        **found,
    }


def write_manifest(folder: Path, rows: int) -> Path:
    """A CSV with an id for every row, over a few tiny wav files."""
    audio = folder / "audio"
    audio.mkdir()
    names = [f"audio/recording_{number:04d}.wav" for number in range(_FILES)]
    for name, clip in zip(names, sounds(None, 16_000, _SECONDS, _FILES), strict=True):
        write_sound(folder / name, [clip], 16_000, **CODECS["wav"])
    path = folder / "manifest.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "id", "labels", "fold"])
        writer.writerows(
            [names[row % _FILES], f"clip_{row:09d}", f"class {row % 527};class {row % 31}", row % 10]
            for row in range(rows)
        )
    return path


def measure_manifest(manifest: str, workers: int, clips: int, batch: int) -> dict[str, Any]:
    """Of this process, which should be fresh. Memory in MiB; None where the system does not tell."""
    torch.set_num_threads(1)
    before, others = resident_mib(), set(worker_pids())
    recipe = small_recipe(manifest, "ast", _N_FRAMES, batch, workers)
    since = time.perf_counter()
    found = find_data(recipe)
    read_seconds, after_reading = time.perf_counter() - since, resident_mib()
    assert found.train is not None
    since = time.perf_counter()
    loader = make_loader(recipe, found, FAMILIES["ast"].build(), found.train, torch.device("cpu"), training=True)
    report: dict[str, Any] = {
        "memory_before_mib": before,
        "read_seconds": read_seconds,
        "memory_read_mib": after_reading,
        "make_loader_seconds": time.perf_counter() - since,
        "memory_loader_mib": resident_mib(),
    }
    since = time.perf_counter()
    batches = loader.epoch(0)
    next(batches)
    report["first_batch_seconds"] = time.perf_counter() - since
    taken, points = batch, [_point(batch, others)]
    since = time.perf_counter()
    for one in batches:
        taken += len(one)
        if taken >= clips * len(points) / (_POINTS - 1):
            points.append(_point(taken, others))
        if taken >= clips:
            break
    report["clips_per_second"] = (taken - batch) / max(time.perf_counter() - since, 1e-9)
    report["points"] = points
    report["peak_memory_mib"] = peak_memory_mib(0)
    loader.close()
    return report


def _point(clips: int, others: set[int]) -> dict[str, Any]:
    """Memory after so many clips; of workers, what each alone has (`own`), and with its part of what they share.

    others: processes that were there before.
    """
    memories = [memory for pid in worker_pids() if pid not in others and (memory := memory_of(pid))]
    return {
        "clips": clips,
        "main_mib": resident_mib(),
        "workers_own_mib": [round(memory.own, 1) for memory in memories],
        "workers_share_mib": [round(memory.share, 1) for memory in memories],
    }
