"""Tables of a proof from what runs and probes came to: rows are compared over the runs that both have."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from zoo.compare.runs import Outcome
from zoo.compare.statistics import over_folds
from zoo.compare.workers import Work, Workers
from zoo.evaluate.predictions import PREDICTIONS, Predictions
from zoo.proof.audio import find_audio
from zoo.proof.config import read_proof
from zoo.proof.parts import Parts
from zoo.proof.planned import Planner
from zoo.proof.probing import FAILED, ProbeRun, in_words, probes_or_why_not
from zoo.proof.results import Difference, ResultTable
from zoo.proof.stages import Stages
from zoo.proof.tables import Found, result_table
from zoo.use.console import Console

PLAN = """
name: tiny
scale: tiny
set: {model.n_frames: 48, train.batch_size: 4}
pretrainings:
  - {name: patch, title: Patches, form: patch, recipe: proof/cpu/pretrain-patch, set: {train.clips: 80}}
tasks:
  - {name: notes, domain: sound, clips: 40, seeds: 3}
tables:
  - kind: ssast
    title: Pretrained against from scratch
    reference: scratch
    rows:
      - {name: scratch, role: scratch, form: patch, recipe: proof/cpu/finetune-patch}
      - {name: pretrained, role: pretrained, form: patch, recipe: proof/cpu/finetune-patch, start: patch, against: cnn}
      - {name: frame, role: pretrained, form: frame, recipe: proof/cpu/finetune-frame, start: patch, seeds: 1}
      - {name: other seed, recipe: proof/cpu/finetune-patch, seeds: [7]}
      - {name: probe, role: probe-pretrained, form: patch, probe: linear, start: patch}
      - {name: cnn, role: cnn, recipe: proof/cpu/cnn, seeds: 1}
"""
CLIPS = 8
FIT = {
    **{("scratch", seed, fold): 2 + seed + fold // 3 for seed in range(3) for fold in (1, 2, 3)},
    **{("pretrained", seed, fold): 4 + seed for seed in range(3) for fold in (1, 2, 3)},
    **{("frame", 0, fold): 4 + fold for fold in (1, 2, 3)},
    **{("other seed", 7, fold): 3 + fold for fold in (1, 2, 3)},
    **{("cnn", 0, fold): 1 + 2 * fold for fold in (1, 2, 3)},
}
"""(row, seed, fold) -> how many of eight clips are right."""


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    """A task of 24 clips in three folds."""
    (tmp_path / "data" / "pretrain").mkdir(parents=True)
    for number in range(10):
        soundfile.write(tmp_path / "data" / "pretrain" / f"{number}.wav", np.zeros(1600, dtype=np.float32), 16_000)
    task = tmp_path / "data" / "tasks" / "notes"
    task.mkdir(parents=True)
    rows = [f"{i}.wav,{'ab'[i % 2]},{1 + i // CLIPS}" for i in range(3 * CLIPS)]
    (task / "meta.csv").write_text("filename,label,fold\n" + "\n".join(rows) + "\n")
    (tmp_path / "x.proof.yaml").write_text(PLAN)
    return Planner(read_proof(tmp_path / "x.proof.yaml"), find_audio(tmp_path / "data", ["notes"]), tmp_path / "out")


def _made(planner: Planner, without: Collection[tuple[str, int, int]] = (), **probe: Any) -> ResultTable:
    """The table of runs that got `FIT` right; those `without` have failed."""
    (table,) = planner.tables({})
    runs = {}
    for row in table.rows:
        for run in row.runs:
            assert run.fold is not None
            key = run.contender, run.seed, int(run.fold)
            right = FIT[key]
            summary = {"metric": "accuracy", "metrics": {"accuracy": right / CLIPS}, "seed": run.seed, "clips": 40}
            summary |= {"seconds": 3.0, "parameters": 9, "num_eval_clips": CLIPS, "num_train_clips": 2 * CLIPS}
            summary |= {"folder": str(run.folder), "chance": {"accuracy": 0.5}}
            runs[run.folder] = Outcome(None, "not finite") if key in without else Outcome(summary)
            run.folder.mkdir(parents=True, exist_ok=True)
            targets = torch.eye(2)[torch.arange(CLIPS) % 2]
            wrong = (torch.arange(CLIPS) >= right)[:, None]
            names = tuple(f"{i}.wav" for i in range(CLIPS * (int(run.fold) - 1), CLIPS * int(run.fold)))
            scores = torch.where(wrong, 1 - targets, targets)
            Predictions(names, scores, targets, ("a", "b"), "single-label").write(run.folder / PREDICTIONS)
    report = {"metric": "accuracy", "seconds": 5.0, "parameters": 9, "num_clips": 24, "flops_per_clip": 7}
    folds = {str(fold): {"accuracy": (2 + fold) / CLIPS} for fold in (1, 2, 3)}
    report |= {"rows": [{"features": "trained", "kind": "linear", "folds": folds}]}
    made = result_table(table, Found(runs, {("notes", "patch"): probe or report}, {}), planner)
    assert made is not None
    return made


def _difference(table: ResultTable, name: str, reference: str) -> Difference:
    row = next(row for row in table.rows if row.name == name)
    return next(one for one in (row.difference, *row.also) if one is not None and one.reference == reference)


def test_a_row_of_one_seed_is_held_against_that_seed(planner: Planner) -> None:
    table = _made(planner)
    found = _difference(table, "frame", "scratch")
    values = np.array([(FIT["frame", 0, fold] - FIT["scratch", 0, fold]) / CLIPS for fold in (1, 2, 3)])
    expected = over_folds(values, 0.5)
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(expected.interval)
    frame, scratch = (next(row for row in table.rows if row.name == name) for name in ("frame", "scratch"))
    assert frame.mean is not None
    assert scratch.mean is not None
    assert found.mean != pytest.approx(frame.mean - scratch.mean), "means are of all seeds"
    assert found.paired_low is not None
    assert found.paired_high is not None
    assert found.paired_low < found.mean < found.paired_high


def test_failed_runs_are_in_neither_side(planner: Planner) -> None:
    found = _difference(_made(planner, {("scratch", 0, 2), ("frame", 0, 3)}), "frame", "scratch")
    assert found.mean == pytest.approx((FIT["frame", 0, 1] - FIT["scratch", 0, 1]) / CLIPS), "one fold is left"


def test_rows_of_other_seeds_are_compared_as_they_are(planner: Planner) -> None:
    table = _made(planner)
    found = _difference(table, "other seed", "scratch")
    rows = {row.name: row.mean for row in table.rows}
    assert found.mean == pytest.approx(rows["other seed"] - rows["scratch"])  # type: ignore[operator]


def test_frames_are_held_against_patches_and_pretrained_against_scratch(planner: Planner) -> None:
    table = _made(planner)
    rows = {row.name: row for row in table.rows}
    assert [one.reference for one in rows["pretrained"].also] == ["scratch"]
    assert [one.reference for one in rows["frame"].also] == ["pretrained"]
    assert not rows["scratch"].also
    found = _difference(table, "frame", "pretrained")
    assert found.mean == pytest.approx(2 / CLIPS)
    assert found.paired_low is not None
    three = _difference(table, "pretrained", "scratch")
    assert three.mean == pytest.approx((4 + 1 - (2 + 1 + 1 / 3)) / CLIPS), "all three seeds"


def test_a_probe_has_no_cost_and_is_compared_on_its_seed(planner: Planner) -> None:
    table = _made(planner)
    probe = next(row for row in table.rows if row.name == "probe")
    assert (probe.clips, probe.flops, probe.total_flops, probe.seconds) == (None, None, None, None)
    found = _difference(table, "probe", "scratch")
    assert found.mean == pytest.approx(np.mean([2 + fold - FIT["scratch", 0, fold] for fold in (1, 2, 3)]) / CLIPS)
    assert found.paired_low is None


def test_a_probe_that_cannot_be_made_fails_its_row_alone(planner: Planner, tmp_path: Path) -> None:
    run = ProbeRun("notes", "patch", tmp_path / "nowhere", "x", None, ("linear",), False, tmp_path / "p.json")
    told = probes_or_why_not(run, lambda share: None)
    assert "nowhere" in told[FAILED]
    assert "\n" not in told[FAILED]
    assert in_words(told).startswith("failed: notes, probes of patch: ")
    assert not run.out.exists(), "it is tried again"
    assert run.work.function is probes_or_why_not
    table = _made(planner, **told)
    rows = {row.name: row for row in table.rows}
    assert rows["probe"].failed == (told[FAILED],)
    assert rows["probe"].mean is None
    assert rows["frame"].mean is not None


def test_rows_and_probes_go_on_beside_one_that_failed(planner: Planner) -> None:
    """What a proof does with the results of its work."""

    class Done(Workers):
        def results(self, works: Sequence[Work], *_: Any, told: Callable[[Any], str], **__: Any) -> list[Any]:
            found = [{FAILED: "no such features"} if one.function is probes_or_why_not else None for one in works]
            assert [told(one) for one in found if one is not None] == ["failed: no such features"]
            return found

    stages = Stages(planner, Parts.asked((), planner.config), planner.out)
    stages.runs[planner.pretraining_folder("patch")] = Outcome({"metric": "loss"})
    stages.run_rows(planner.tables({}), Done(1, 1), Console(quiet=True))
    assert stages.found().probes == {("notes", "patch"): {FAILED: "no such features"}}
