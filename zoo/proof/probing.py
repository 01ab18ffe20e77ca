"""Probes on frozen features of a pretraining and of the same model with fresh weights, fold by fold, as work that is
done once."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import disk
from zoo.compare.workers import Tell, Work
from zoo.data.windows import WindowConfig
from zoo.errors import ZooError
from zoo.models.cost import flops_per_clip, num_parameters
from zoo.use.probe import probe
from zoo.weights.load import load
from zoo.weights.source import read

FAILED = "failed"


@dataclass(frozen=True)
class ProbeRun:
    """All probes of one pretraining on one task."""

    task: str
    pretraining: str
    source: Path
    """The run folder."""
    manifest: str
    folds: tuple[str, ...] | None
    kinds: tuple[str, ...]
    untrained: bool
    """Whether the same model with fresh weights is probed too."""
    out: Path
    """The file of the results."""

    @property
    def work(self) -> Work:
        """For another process."""
        return Work(f"{self.task}: probes of {self.pretraining}", probes_or_why_not, (self,), 2_000)

    def results(self) -> dict[str, Any] | None:
        """What is in the file, if that has all that is asked for."""
        if not self.out.is_file():
            return None
        found: dict[str, Any] = json.loads(self.out.read_text(encoding="utf-8"))
        there = {(row["features"], row["kind"]) for row in found["rows"]}
        features = ("trained", "untrained") if self.untrained else ("trained",)
        is_all = all((one, kind) in there for one in features for kind in self.kinds)
        return found if is_all else None


def run_probes(run: ProbeRun, tell: Tell) -> dict[str, Any]:
    """The report of `zoo.probe`, with `parameters`, `seconds` (of all kinds and features together) and `flops_per_clip`
    (forward, of one window); from the file where it is there. Long clips are looked at in windows, as fine-tuned models
    look at them."""
    known = run.results()
    if known is not None:
        return known
    began = time.perf_counter()
    source = read(run.source)
    model: Any = load(source, pretraining=False)
    model.carried = {**model.carried, "windows": WindowConfig(long_clips="windows").model_dump(mode="json")}
    report = probe(
        model,
        run.manifest,
        kinds=run.kinds,
        fold=run.folds,
        untrained=run.untrained,
        cache=run.out.parent / "features",
        workers=0,
        counting=_counting(tell),
    ).as_json()
    report |= {
        "seconds": round(time.perf_counter() - began, 2),
        "parameters": num_parameters(model),
        "flops_per_clip": flops_per_clip(model.config),
    }
    run.out.parent.mkdir(parents=True, exist_ok=True)
    with disk.written_whole(run.out) as beside:
        disk.write_json(beside, report)
    return report


def probes_or_why_not(run: ProbeRun, tell: Tell) -> dict[str, Any]:
    """As `run_probes`; of probes that cannot be made, why, as `failed`: they are tried again next time."""
    try:
        return run_probes(run, tell)
    except ZooError as error:
        return {FAILED: f"{run.task}, probes of {run.pretraining}: {' '.join(str(error).split())}"}


def in_words(report: dict[str, Any]) -> str:
    """`linear accuracy 0.61 (untrained 0.52), 12 s`, or why there is none."""
    if FAILED in report:
        return f"failed: {report[FAILED]}"
    values = {(row["kind"], row["features"]): row["metrics"][report["metric"]] for row in report["rows"]}
    kinds: Sequence[str] = list(dict.fromkeys(kind for kind, _ in values))
    parts = []
    for kind in kinds:
        beside = f" (untrained {values[kind, 'untrained']:.3f})" if (kind, "untrained") in values else ""
        parts.append(f"{kind} {report['metric']} {values[kind, 'trained']:.3f}{beside}")
    return f"{', '.join(parts)}, {report['seconds']:.0f} s"


def _counting(tell: Tell) -> Callable[..., Any]:
    @contextmanager
    def counting(title: str, unit: str = "clips") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: tell(0.5 * done / max(total, 1))

    return counting
