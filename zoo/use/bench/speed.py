"""`zoo bench frontend` and `zoo bench loader`: how many clips a second, beside the straightforward way."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import soundfile
import torch

from zoo import provenance
from zoo.audio.front_ends import FAMILIES
from zoo.use.bench.contender import Contender, race, ratio
from zoo.use.bench.loaders import OurLoader, PlainLoader
from zoo.use.bench.log_mels import PEER_NAMES, OurLogMels, PlainLogMels, why_no_peer
from zoo.use.bench.packs import stores
from zoo.use.bench.sounds import MADE_UP, Stored, check_forms, sounds

Progress = Callable[[int, int], None]

_CLIPS_A_ROUND = 256  # of the front end: a second or so


def bench_front_end(
    kind: str, seconds: float, batch: int, device: str, threads: int, rounds: int, on_progress: Progress
) -> dict[str, Any]:
    """The front end of a family on clips of so many seconds. `difference` is the largest between the two log-mels."""
    target = provenance.pick_device(device).type
    options = {"kind": kind, "seconds": seconds, "batch": batch, "repeats": max(1, _CLIPS_A_ROUND // batch)}
    remark = why_no_peer()
    builds: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {"ours": (OurLogMels, options | {"device": target})}
    if not remark:
        builds["peer"] = (PlainLogMels, options)
    done = Done(rounds * len(builds), on_progress)
    with ExitStack() as stack:
        found = race(_start(stack, builds, threads), rounds, done.count)
    report = {
        "what": "frontend",
        "front_end": kind,
        "seconds": seconds,
        "sample_rate": FAMILIES[kind].sample_rate,
        "batch": batch,
        "peer": PEER_NAMES[kind],
        **conditions(target, threads, rounds),
        "rows": [_row({}, found)],
        "difference": None,
        "remark": remark,
    }
    if not remark:
        report["difference"] = _difference(kind, seconds, target)
    return report


def bench_loader(
    source: str | None,
    formats: Sequence[str],
    workers: Sequence[int],
    *,
    kind: str,
    sample_rate: int,
    seconds: float,
    clips: int,
    batch: int,
    device: str,
    threads: int,
    rounds: int,
    on_progress: Progress,
) -> dict[str, Any]:
    """From files to batches of log-mels, for every format and number of workers.

    The clips of each format are made in a temporary folder, from `source` or of made-up notes.
    """
    known = stores(kind)
    check_forms(list(formats), list(known))
    target = provenance.pick_device(device).type
    clips = -(-clips // batch) * batch
    remark = why_no_peer()
    rows = []
    done = Done(len(formats) * len(workers) * rounds * (1 if remark else 2), on_progress)
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        for form in formats:
            stored = known[form](sounds(source, sample_rate, seconds, clips), sample_rate, Path(folder) / form)
            for number in workers:
                options = {"kind": kind, "seconds": seconds, "batch": batch, "workers": number, "device": target}
                found = _race_loaders(stored, options, threads, rounds, not remark, number == workers[0], done)
                rows.append(_row({"format": form, "workers": number, "bytes": stored.num_bytes / clips}, found))
    return {
        "what": "loader",
        "front_end": kind,
        "audio": source or MADE_UP,
        "sample_rate": sample_rate,
        "seconds": seconds,
        "clips": clips,
        "batch": batch,
        "peer": f"soundfile.read, torchaudio's Resample, {PEER_NAMES[kind]}, in torch's DataLoader",
        **conditions(target, threads, rounds),
        "rows": rows,
        "remark": remark,
    }


def _race_loaders(
    stored: Stored,
    options: Mapping[str, Any],
    threads: int,
    rounds: int,
    with_peer: bool,
    with_stages: bool,
    done: "Done",
) -> dict[str, dict[str, Any]]:
    builds: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "ours": (OurLoader, {**options, "source": stored.source})
    }
    if with_peer:
        builds["peer"] = (PlainLoader, {**options, "files": stored.files})
    with ExitStack() as stack:
        contenders = _start(stack, builds, threads)
        found = race(contenders, rounds, done.count)
        for name, contender in contenders.items():
            found[name]["start_seconds"] = contender.start_seconds
            found[name]["stages_ms"] = None
            if with_stages:
                stages = contender.stages()
                total = found[name]["cpu_ms_per_clip"]
                if total is not None:
                    stages["rest"] = max(0.0, total - sum(stages.values()))
                found[name]["stages_ms"] = stages
    return found


def _start(
    stack: ExitStack, builds: Mapping[str, tuple[Callable[..., Any], dict[str, Any]]], threads: int
) -> dict[str, Contender]:
    contenders = {}
    for name, (build, options) in builds.items():
        contenders[name] = Contender(build, options, threads)
        stack.callback(contenders[name].close)
    return contenders


def _row(what: Mapping[str, Any], found: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    ours, peer = found["ours"], found.get("peer")
    return {
        **what,
        "ours": ours,
        "peer": peer,
        "ratio_per_core": ratio(ours, peer, "clips_per_core_second"),
        "ratio": ratio(ours, peer, "clips_per_second"),
    }


def _difference(kind: str, seconds: float, device: str) -> float:
    """Between the log-mels of the same clips."""
    batch = 4
    ours = OurLogMels(kind, seconds, batch, device, 1).log_mels().cpu()
    plain = PlainLogMels(kind, seconds, batch, 1).log_mels()
    return float((ours[:, :, : plain.shape[2]] - plain).abs().max())


def conditions(device: str, threads: int, rounds: int) -> dict[str, Any]:
    """On what and with what a report was measured."""
    return {
        "device": provenance.device_name(torch.device(device)),
        "threads": threads,
        "rounds": rounds,
        "versions": provenance.versions() | {"libsndfile": soundfile.__libsndfile_version__},
        "code": provenance.git_state(),
    }


class Done:
    """Counts rounds for a progress bar."""

    def __init__(self, total: int, tell: Progress) -> None:
        self._count = 0
        self._total = total
        self._tell = tell

    def count(self) -> None:
        """One more."""
        self._count += 1
        self._tell(self._count, self._total)
