"""`zoo bench train`: training steps of each family beside those of other code, at the same work on the same device."""

import csv
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo import provenance
from zoo.errors import DataError
from zoo.use.bench.contender import Contender, race, ratio
from zoo.use.bench.flops import step_flops_per_clip
from zoo.use.bench.from_waveform import OurTraining, PeerTraining, write_clips
from zoo.use.bench.precision import pick_precision
from zoo.use.bench.sounds import MADE_UP
from zoo.use.bench.speed import Done, Progress, conditions
from zoo.use.bench.steps import ModelStep
from zoo.use.bench.ways import (
    OURS,
    PEER,
    PEER_FRONT_ENDS,
    WAYS,
    config_of,
    n_frames_of,
    why_no_peer,
    why_no_peer_from_waveform,
)

Builds = dict[str, tuple[Callable[..., Any], dict[str, Any]]]
"""By way: what is built in its process, and its arguments."""

LOG_MEL, WAVEFORM = "log-mel", "waveform"
_STEPS = {"cpu": 2, "cuda": 20}
_PEERS = ("transformers", "hear21passt", "timm")


def bench_train(
    families: Sequence[str],
    origins: Sequence[str],
    *,
    size: str,
    seconds: float,
    batch: int,
    steps: int | None,
    precision: str,
    compiled: bool,
    source: str | None,
    workers: int,
    with_peer: bool,
    device: str,
    threads: int,
    rounds: int,
    on_progress: Progress,
) -> dict[str, Any]:
    """A row for each family and origin, `log-mel` (the model step alone) or `waveform` (from audio files).

    A row's `ways` have the numbers of each way, of which `tflops` is clips a second times the operations of a clip, and
    `utilisation` is its share of the fastest matrix product that any process of the run measured before its rounds;
    `ratios` say how many times as many clips each way of ours does as the peer; `ratios_per_core` the same by processor
    time, which is what to trust on a CPU that does other work too.

    Args: steps: of a round; None: 2 on a CPU, 20 on a GPU. workers: processes that decode, of each contender.

    Raises: DataError for an unknown family or origin; RecipeError for a precision, length or size that cannot be.
    """
    _check("FAMILY", families, list(WAYS))
    _check("--from", origins, [LOG_MEL, WAVEFORM])
    target = provenance.pick_device(device)
    options: dict[str, Any] = {
        "size": size,
        "seconds": seconds,
        "batch": batch,
        "steps": steps or _STEPS[target.type],
        "precision": pick_precision(precision, target),
        "device": target.type,
        "compiled": compiled,
    }
    races = [(family, origin, _ways(family, origin, with_peer)) for family in families for origin in origins]
    done = Done(rounds * sum(len(ways) for _, _, ways in races), on_progress)
    rows = []
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        for family, origin, ways in races:
            builds: Builds = {way: (ModelStep, {}) for way in ways}
            if origin == WAVEFORM:
                clips = write_clips(source, family, seconds, batch * options["steps"], Path(folder))
                builds = _from_waveform(clips, ways, workers)
            for way, (_, own) in builds.items():
                own |= {**options, "family": family, "way": way}
            rows.append(_row(family, origin, _race(builds, threads, rounds, done), options))
    yardstick = max(way["matmul_tflops"] for row in rows for way in row["ways"].values())
    for row in rows:
        for way in row["ways"].values():
            way["utilisation"] = way["tflops"] / yardstick
    remarks = {family: _remark(family, origins, with_peer) for family in families}
    return {
        "what": "train",
        **{key: options[key] for key in ("size", "seconds", "batch", "steps", "precision", "compiled")},
        "workers": workers,
        "audio": (source or MADE_UP) if WAVEFORM in origins else None,
        "matmul_tflops": yardstick,
        **conditions(target.type, threads, rounds),
        "peer_versions": {name: version for name in _PEERS if (version := _version(name))},
        "rows": rows,
        "remarks": {family: remark for family, remark in remarks.items() if remark},
    }


def _check(where: str, found: Sequence[str], known: Sequence[str]) -> None:
    for one in found:
        if one not in known:
            raise DataError(f"{where}: {one!r} - expected some of {', '.join(known)} - choose among them")
    if not found or len(set(found)) < len(found):
        raise DataError(f"{where}: {', '.join(found) or 'none'} - expected some of {', '.join(known)}, each once")


def _ways(family: str, origin: str, with_peer: bool) -> list[str]:
    """Every way for the model step; from audio ours and the peer's."""
    ways = list(WAYS[family]) if origin == LOG_MEL else [OURS, PEER]
    why_not = why_no_peer(family) if origin == LOG_MEL else why_no_peer_from_waveform(family)
    return [way for way in ways if way != PEER or (with_peer and not why_not)]


def _remark(family: str, origins: Sequence[str], with_peer: bool) -> str:
    if not with_peer:
        return "not asked for"
    return why_no_peer_from_waveform(family) if WAVEFORM in origins else why_no_peer(family)


def _from_waveform(manifest: Path, ways: Sequence[str], workers: int) -> Builds:
    with manifest.open(newline="") as stream:
        files = [row["path"] for row in csv.DictReader(stream)]
    every: Builds = {
        OURS: (OurTraining, {"manifest": str(manifest), "workers": workers}),
        PEER: (PeerTraining, {"files": files, "workers": workers}),
    }
    return {way: every[way] for way in ways}


def _race(builds: Builds, threads: int, rounds: int, done: Done) -> dict[str, dict[str, Any]]:
    with ExitStack() as stack:
        contenders = {}
        for way, (build, own) in builds.items():
            contenders[way] = Contender(build, own, threads)
            stack.callback(contenders[way].close)
        found = race(contenders, rounds, done.count)
        return {
            way: {**found[way], "start_seconds": contenders[way].start_seconds, **contenders[way].facts()}
            for way in builds
        }


def _row(family: str, origin: str, found: Mapping[str, dict[str, Any]], options: Mapping[str, Any]) -> dict[str, Any]:
    size, seconds = options["size"], options["seconds"]
    ways = {}
    for way, numbers in found.items():
        flops = step_flops_per_clip(family, size, seconds, way)
        ways[way] = {**numbers, "flops_per_clip": flops, "tflops": flops * numbers["clips_per_second"] / 1e12}
    config: Any = config_of(family, size, seconds, OURS)
    described = {way: text for way, text in WAYS[family].items() if way in ways and text}
    if origin == WAVEFORM and PEER in ways:
        described[PEER] += f"; {PEER_FRONT_ENDS[family]}"
    return {
        "family": family,
        "from": origin,
        "n_frames": n_frames_of(family, seconds),
        "patches": config.grid.num_patches,
        "ways": ways,
        "described": described,
        "ratios": {way: ratio(ways[way], ways.get(PEER), "clips_per_second") for way in ways if way != PEER},
        "ratios_per_core": {
            way: ratio(ways[way], ways.get(PEER), "clips_per_core_second") for way in ways if way != PEER
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
