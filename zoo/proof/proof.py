"""`zoo proof`: does pretraining help, on this audio? From a plan and a folder to results that can be published."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch

from zoo import disk, provenance
from zoo.compare.matrix import alone_in
from zoo.compare.workers import Display, Workers, cores
from zoo.data.labels import build_label_table, multi_hot
from zoo.evaluate.chance import chance_levels
from zoo.proof.audio import Audio, find_audio, hours, packed
from zoo.proof.config import ProofConfig
from zoo.proof.parts import Parts
from zoo.proof.planned import Planner
from zoo.proof.pretrained import known_rates, result_of
from zoo.proof.results import Corpus, ProofData, ProofResults, TaskData
from zoo.proof.stages import Stages
from zoo.proof.tables import METRIC, result_table

RESULTS, CLOCK, PACKS = "results.json", "clock.json", "packs"
_JOBS_ON_A_GPU = 6


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the plan."""

    data: Path
    out: Path
    overrides: tuple[str, ...] = ()
    """KEY=VALUE of every recipe."""
    only: tuple[str, ...] = ()
    jobs: int | None = None
    pack: bool = True
    command: str = "zoo proof"


def prepare(config: ProofConfig, asked: Asked) -> tuple[Planner, Parts]:
    """The planner on the audio as it lies there, and the parts. Raises ZooError: whatever can be found wrong now."""
    out = asked.out.absolute()
    audio = find_audio(asked.data, [task.name for task in config.tasks])
    planner = Planner(config, audio, out, asked.overrides)
    planner.equal_time = {name: one["clips"] for name, one in known_rates(out).items()}
    parts = Parts.asked(asked.only, config)
    planner.check()
    return planner, parts


def proof(config: ProofConfig, asked: Asked, console: Display) -> ProofResults:
    """Runs what is missing under `asked.out`, and writes `results.json` there.

    Killed and started again, it goes on where it was.

    Raises:
        ZooError: what the user can put right. Interrupted: SIGINT or SIGTERM, after checkpoints were written.
    """
    planner, parts = prepare(config, asked)
    out = planner.out
    originals = planner.audio
    with alone_in(out, "zoo proof"):
        clock = _Clock(out / CLOCK)
        jobs, threads = side_by_side(config, asked.jobs)
        if asked.pack:
            rate = planner.sample_rate()
            planner.audio = packed(originals, out / PACKS, rate, cores() if cores() > 1 else 0, console)
        stages = Stages(planner, parts, out)
        with Workers(jobs, threads) as workers:
            stages.measure_rates(workers, console)
            clock.keep()
            stages.pretrain_and_choose(workers, console)
            clock.keep()
            tables = planner.tables(stages.settings)
            stages.run_rows(tables, workers, console)
        found = stages.found()
        results = ProofResults(
            scale=config.scale,
            command=asked.command,
            date=datetime.now().astimezone().strftime("%Y-%m-%d"),
            device=_device(stages, jobs),
            cores=cores(),
            versions=provenance.versions(),
            seconds=clock.keep(),
            data=_data(originals, config),
            pretraining=tuple(
                result_of(one, stages.runs[folder], planner)
                for one in config.pretrainings
                if (folder := planner.pretraining_folder(one.name)) in stages.runs
            ),
            choices=tuple(stages.choices),
            tables=tuple(table for one in tables if (table := result_table(one, found, planner)) is not None),
            code=provenance.git_state(),
            notes=tuple(stages.notes),
        )
        results.write(out / RESULTS)
    return results


def side_by_side(config: ProofConfig, jobs: int | None) -> tuple[int, int]:
    """(runs side by side, threads of each)."""
    on_gpu = torch.cuda.is_available()
    several = jobs or config.jobs or (_JOBS_ON_A_GPU if on_gpu else max(1, cores() // (config.threads or 1)))
    share = max(1, cores() // several)
    return several, share if on_gpu or config.threads is None else config.threads


class _Clock:
    """Seconds that a proof took, over all its sessions."""

    def __init__(self, path: Path) -> None:
        self._path, self._began = path, time.monotonic()
        self._before = json.loads(path.read_text(encoding="utf-8"))["seconds"] if path.is_file() else 0.0

    def keep(self) -> float:
        """Writes down how many there are up to now, and returns it."""
        seconds = round(self._before + time.monotonic() - self._began, 1)
        with disk.written_whole(self._path) as beside:
            disk.write_json(beside, {"seconds": seconds})
        return float(seconds)


def _device(stages: Stages, jobs: int) -> str:
    names = [str(one.summary["device"]) for one in stages.runs.values() if one.summary is not None]
    name = names[0] if names else provenance.device_name(provenance.pick_device())
    return name if jobs == 1 else f"{name}, {jobs} runs side by side"


def _data(audio: Audio, config: ProofConfig) -> ProofData:
    """Counts and hashes of the manifests as they lie in the folder, whether or not they were packed."""
    corpus = audio.manifest("pretrain")
    tasks = {}
    for task in config.tasks:
        clips = audio.manifest(task.name)
        table = build_label_table(None, "single-label", clips)
        targets = torch.stack([multi_hot(places, len(table)) for places in table.all_places(clips)])
        tasks[task.name] = TaskData(
            clips=len(clips),
            classes=len(table),
            folds=len({clip.fold for clip in clips.clips}),
            hash=clips.hash,
            chance=chance_levels(targets, "single-label")[METRIC],
            domain=task.domain,
        )
    return ProofData(Corpus(len(corpus), round(hours(corpus), 3), corpus.hash), tasks)
