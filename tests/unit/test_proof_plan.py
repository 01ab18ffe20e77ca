"""The plan of a proof: what a file may say, and what the runs of it are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from zoo.compare.runs import Outcome
from zoo.errors import DataError, RecipeError
from zoo.proof.asked import asked_for
from zoo.proof.audio import find_audio
from zoo.proof.chosen import resolved_choice
from zoo.proof.config import ProofConfig, find_proof, read_proof
from zoo.proof.equal import equal_compute, equal_operations, equal_time
from zoo.proof.estimate import estimate
from zoo.proof.parts import Parts
from zoo.proof.planned import Planner
from zoo.proof.rows import PlannedRow, PlannedTable
from zoo.proof.stages import Stages
from zoo.run import find_data

PLAN = """
name: tiny
scale: tiny
set: {model.n_frames: 48, train.batch_size: 4}
pretrainings:
  - {name: patch, title: Patches, form: patch, recipe: proof/cpu/pretrain-patch,
     set: {train.clips: 1000, data.validation.share: 0.5}}
  - {name: light, title: Light, form: patch, recipe: proof/cpu/pretrain-patch,
     set: {model.depth: 1, data.validation.share: 0.5}, equal_time_to: patch}
watch: {task: notes, fold: 2}
tasks:
  - {name: notes, domain: sound, clips: 400, seeds: 2, set: {evaluate.overlap: 0.25}}
choices:
  - {recipe: proof/cpu/finetune-patch, settings: [{optim.lr: 1e-3}, {optim.lr: 1e-2}], folds: [1, 3], share: 0.25}
tables:
  - kind: ssast
    title: Pretrained against from scratch
    reference: scratch
    rows:
      - {name: scratch, recipe: proof/cpu/finetune-patch}
      - {name: pretrained, recipe: proof/cpu/finetune-patch, start: patch}
      - {name: longer, recipe: proof/cpu/finetune-patch, length: total-compute, of: patch, seeds: [4]}
      - {name: converged, recipe: proof/cpu/finetune-patch, length: converged, clips: 900, seeds: 1,
         set: {evaluate.every_clips: 40, evaluate.patience: 3}}
      - {name: probe, probe: linear, start: patch}
  - kind: labels
    title: Few
    share: 0.5
    clips: 0.5
    reference: scratch
    rows: [{name: scratch, recipe: proof/cpu/finetune-patch, seeds: 1}]
  - kind: comparison
    title: Equal operations
    flops_like: scratch
    most_clips: 3
    reference: cnn
    rows:
      - {name: scratch, recipe: proof/cpu/finetune-patch}
      - {name: ast, recipe: proof/cpu/ast}
      - {name: cnn, recipe: proof/cpu/cnn, set: {model.channels: [2, 2]}}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One file to pretrain on, and a task of 24 clips in three folds."""
    (tmp_path / "data" / "pretrain").mkdir(parents=True)
    soundfile.write(tmp_path / "data" / "pretrain" / "a.wav", np.zeros(1600, dtype=np.float32), 16_000)
    soundfile.write(tmp_path / "data" / "pretrain" / "b.wav", np.zeros(1600, dtype=np.float32), 16_000)
    task = tmp_path / "data" / "tasks" / "notes"
    task.mkdir(parents=True)
    rows = [f"{i}.wav,{'ab'[i % 2]},{1 + i // 2 % 3},g{i // 2}" for i in range(24)]
    (task / "meta.csv").write_text("filename,label,fold,group\n" + "\n".join(rows) + "\n")
    return tmp_path / "data"


def _config(tmp_path: Path, text: str = PLAN) -> ProofConfig:
    (tmp_path / "x.proof.yaml").write_text(text)
    return read_proof(tmp_path / "x.proof.yaml")


@pytest.fixture
def planner(data: Path, tmp_path: Path) -> Planner:
    return Planner(_config(tmp_path), find_audio(data, ["notes"]), tmp_path / "out")


def _row(tables: list[PlannedTable], table: int, name: str) -> PlannedRow:
    return next(row for row in tables[table].rows if row.row.name == name)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: tiny", "nam: tiny", "x.proof.yaml:2: nam: unknown key; did you mean 'name'?"),
        ("start: patch}", "start: pitch}", "found 'pitch' - expected one of patch, light"),
        ("reference: cnn", "reference: ccc", "found 'ccc' - expected one of scratch, ast, cnn"),
        ("clips: 400,", "clips: 0,", "x.proof.yaml:12: tasks[0].clips: "),
        ("probe: linear,", "probe: linear, recipe: proof/cpu/cnn,", "expected exactly one of the two"),
        ("equal_time_to: patch", "equal_time_to: light", "found one that is of equal time itself"),
        ("{model.depth: 1,", "{data.train: x,", "found data.train - expected none, for a proof sets it"),
        ("of: patch, ", "", "of: expected the pretraining whose operations count"),
        ("task: notes", "task: nodes", "watch: task: found 'nodes' - expected one of notes"),
    ],
)
def test_mistakes_are_told_with_their_line(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert PLAN.count(old) >= 1
    with pytest.raises(RecipeError) as error:
        _config(tmp_path, PLAN.replace(old, new, 1))
    assert told in str(error.value)
    assert "x.proof.yaml" in str(error.value)


def test_equal_is_equal() -> None:
    assert equal_compute(100, 2, 600.0) == 400
    assert equal_operations(100, 3, 2) == 150
    assert equal_operations(100, 2, 3) == 66
    assert equal_time(1000, rate=50.0, own_rate=150.0) == 3000


def test_rows_get_the_budget_of_their_table(planner: Planner) -> None:
    tables = planner.tables({})
    scratch, pretrained = (_row(tables, 0, name) for name in ("scratch", "pretrained"))
    assert len(scratch.runs) == len(pretrained.runs) == 6
    assert {run.recipe.train.clips for run in (*scratch.runs, *pretrained.runs)} == {400}
    assert {run.recipe.evaluate.overlap for run in scratch.runs} == {0.25}
    starts = {run.recipe.init.path for run in pretrained.runs}
    assert starts == {str(planner.out / "pretrain" / "patch")}
    for one, other in zip(scratch.runs, pretrained.runs, strict=True):
        same = {"name": "", "init": one.recipe.init}
        assert one.recipe.model_copy(update=same) == other.recipe.model_copy(update=same), "only the start differs"

    longer = _row(tables, 0, "longer")
    spent = planner.flops_of_pretraining("patch") + 400 * scratch.flops_per_clip
    assert abs(longer.clips * longer.flops_per_clip - spent) <= longer.flops_per_clip
    assert {run.seed for run in longer.runs} == {4}

    converged = _row(tables, 0, "converged").runs[0].recipe
    assert (converged.train.clips, converged.evaluate.select, converged.evaluate.patience) == (900, "best", 3)
    assert converged.data.validation is not None

    few = _row(tables, 1, "scratch").runs[0].recipe
    assert (few.data.train_share, few.train.clips) == (0.5, 200)
    assert find_data(few).num_train == 8
    assert _row(tables, 1, "scratch").runs[0].folder != scratch.runs[0].folder


def test_equal_operations_buy_fewer_clips_of_a_dearer_model_and_are_bounded(planner: Planner) -> None:
    tables = planner.tables({})
    scratch, ast, cnn = (_row(tables, 2, name) for name in ("scratch", "ast", "cnn"))
    assert scratch.runs == _row(tables, 0, "scratch").runs, "the same runs are not trained twice"
    budget = 400 * scratch.flops_per_clip
    assert ast.clips < 400
    assert budget - ast.flops_per_clip < ast.clips * ast.flops_per_clip <= budget
    assert cnn.clips == 1200
    assert "stopped at 1,200 clips" in cnn.note


def test_equal_time_follows_measured_rates(planner: Planner) -> None:
    assert planner.clips_of_pretraining("light") > 1000, "until then, by operations"
    planner.equal_time = {"light": 2345}
    assert planner.pretrainings()[1].recipe.train.clips == 2345
    probe: Any = planner.pretrainings()[1].recipe.evaluate.probe
    assert (probe.train[0].not_fold, probe.test[0].fold) == ((2,), (2,))


def test_settings_are_chosen_by_clips_of_the_training_folds_on_scratch(planner: Planner) -> None:
    (choice,) = planner.choices()
    assert [len(some) for some in choice.runs] == [2, 2]
    for some in choice.runs:
        for run in some:
            recipe, found = run.recipe, find_data(run.recipe)
            assert recipe.init.path is None
            assert found.test is None
            assert found.judged is found.eval
            assert found.judged is not None
            assert found.train is not None
            assert run.fold not in {clip.fold for clip in (*found.judged.clips, *found.train.clips)}
            assert not {clip.group for clip in found.judged.clips} & {clip.group for clip in found.train.clips}
            assert (recipe.train.clips, recipe.evaluate.select) == (400, "last")
    assert [some[0].recipe.optim.lr for some in choice.runs] == [1e-3, 1e-2]

    def outcome(value: float | None) -> Outcome:
        if value is None:
            return Outcome(None, "not finite")
        return Outcome({"metric": "accuracy", "metrics": {"accuracy": value}, "num_eval_clips": 4})

    def resolved(*values: float | None) -> Any:
        runs = [run for some in choice.runs for run in some]
        return resolved_choice(choice, {run.folder: outcome(v) for run, v in zip(runs, values, strict=True)})

    assert resolved(0.5, 0.7, 0.7, 0.7)[1] == {"optim.lr": 1e-2}
    tried = resolved(0.5, 0.7, 0.7, 0.7)[0].tried[0]
    assert (tried.folds, tried.seeds, tried.clips) == (2, 1, 4)
    assert resolved(0.7, 0.7, 0.7, 0.7)[1] == {"optim.lr": 1e-3}, "of equally good ones the first"
    assert resolved(0.5, 0.5, 0.9, None)[1] == {"optim.lr": 1e-3}, "a setting that failed is none"
    assert resolved(None, None, None, None) is None
    assert resolved_choice(choice, {}) is None
    tables = planner.tables({("notes", "proof/cpu/finetune-patch"): {"optim.lr": 1e-2}})
    rows = [_row(tables, 0, name) for name in ("scratch", "pretrained", "longer")]
    assert {run.recipe.optim.lr for row in rows for run in row.runs} == {1e-2}
    assert {run.recipe.optim.lr for run in _row(tables, 2, "ast").runs} == {1e-3}, "not of the other families"


def test_parts(planner: Planner) -> None:
    def left(*names: str) -> tuple[set[str], set[str]]:
        stages = Stages(planner, Parts.asked(names, planner.config), planner.out)
        rows = stages.rows_to_run(planner.tables({}))
        return {run.contender for run in stages.pretrainings()}, {row.row.name for _, row in rows}

    assert left() == ({"patch", "light"}, {"scratch", "longer", "converged", "ast", "cnn"})
    assert left("pretrain:light") == ({"light"}, set())
    assert left("notes:comparison") == (set(), {"scratch", "ast", "cnn"})
    assert left("pretrain", "notes:longer") == ({"patch", "light"}, {"longer"})
    with pytest.raises(RecipeError, match="did you mean 'notes:longer'"):
        left("notes:long")


def test_an_estimate_is_clips_times_rates(planner: Planner, data: Path, tmp_path: Path) -> None:
    class Quiet:
        def say(self, text: str) -> None:
            pass

    asked = asked_for([f"DATA={data}"], "cpu", planner.config, out=tmp_path / "o", jobs=2, only=["pretrain"], pack=True)
    report = estimate(planner.config, asked, Quiet(), measure=lambda recipe, seconds: 50.0)
    patch = report["rows"][0]
    assert (patch["name"], patch["runs"], patch["clips"]) == ("patch", 1, 1000)
    assert 20 < patch["seconds"] < 23
    assert report["seconds"] == pytest.approx(report["core_seconds"] / 2, abs=0.1)
    json.dumps(report)
    assert not (tmp_path / "o").exists()


def test_what_is_asked_for_wrongly_is_told(data: Path, tmp_path: Path) -> None:
    config = _config(tmp_path)
    options: Any = {"out": None, "jobs": None, "only": ["notes"], "pack": False}
    asked = asked_for([f"DATA={data}", "optim.lr=1"], "cpu", config, **options)
    assert asked.command == "zoo proof DATA=FOLDER optim.lr=1 --scale cpu --only notes --no-pack"
    assert asked.out == Path("runs/tiny")
    for entries in ([], ["DATA="], ["DATA=a", "DATA=b"], [f"DATA={data}", "lr"]):
        with pytest.raises(RecipeError, match="expected"):
            asked_for(entries, "cpu", config, **options)
    for override in ("train.clips=8", "data.train=x", "seed=1"):
        with pytest.raises(RecipeError, match="for a proof sets it for every run"):
            Planner(config, find_audio(data, ["notes"]), tmp_path, [override])
    with pytest.raises(RecipeError, match="expected cpu or full or minutes, or the file of a plan"):
        find_proof("medium")
    with pytest.raises(DataError, match=r"no tasks/words \(there: notes\)"):
        find_audio(data, ["notes", "words"])
    (data / "pretrain2").mkdir()
    with pytest.raises(DataError, match="found pretrain, pretrain2 - expected one folder"):
        find_audio(data, ["notes"])


def test_rows_of_one_name_that_are_not_one_are_refused(data: Path, tmp_path: Path) -> None:
    text = PLAN.replace("- {name: ast, recipe: proof/cpu/ast}", "- {name: pretrained, recipe: proof/cpu/ast}")
    text = text.replace("    flops_like: scratch\n", "")
    text = text.replace("    most_clips: 3\n", "")
    planner = Planner(_config(tmp_path, text), find_audio(data, ["notes"]), tmp_path / "out")
    with pytest.raises(RecipeError, match="two rows 'pretrained' on notes are not the same"):
        planner.tables({})
