"""The runs of a comparison: which they are, what they get, and what becomes of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.compare import budget as budget_module
from zoo.compare import matrix
from zoo.compare import runs as runs_module
from zoo.compare.budget import BUDGET, Budget, measured_rate
from zoo.compare.config import BudgetConfig, ComparisonConfig, ContenderConfig
from zoo.compare.costs import trained_on_meta
from zoo.compare.matrix import compare
from zoo.compare.planned import PlannedRun, plan
from zoo.compare.row import Comparison
from zoo.compare.workers import cores
from zoo.errors import CheckpointError, DataError, RecipeError
from zoo.evaluate.predictions import Predictions
from zoo.models.cost import training_flops_per_clip
from zoo.run import find_data

TINY = ["model.n_frames=48", "train.batch_size=4", "log.every_clips=8", "log.images=0", "data.num_workers=0"]
AST = {"model.embed_dim": 16, "model.depth": 1, "model.num_heads": 2}


class Silent:
    """A console that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextmanager
    def counting(self, title: str, unit: str = "clips") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: None

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def training(self, title: str) -> Iterator[Callable[..., None]]:
        self.said.append(title)
        yield lambda report: None


def _silent(text: str) -> None:
    pass


@pytest.fixture
def data(tone_folder: Callable[..., Path], tmp_path: Path) -> list[str]:
    """Overrides that name manifests of tones, with folds, and settings that make runs short."""
    clips = sorted(tone_folder(clips=9).rglob("*.wav"))
    rows = [f"{clip},{clip.parent.name},{i % 3}\n" for i, clip in enumerate(clips)]
    for name, part in (("all", rows), ("test", rows[::3]), ("train", [row for i, row in enumerate(rows) if i % 3])):
        (tmp_path / f"{name}.csv").write_text("path,label,fold\n" + "".join(part))
    return [*TINY, f"data.train={tmp_path / 'train.csv'}", f"data.test={tmp_path / 'test.csv'}"]


def _config(**changes: Any) -> ComparisonConfig:
    contenders = (
        ContenderConfig(recipe="quickstart/cnn", name="CNN"),
        ContenderConfig(recipe="quickstart/ast", name="AST", set=AST),
    )
    return ComparisonConfig(**{"contenders": contenders, "budget": BudgetConfig(clips=8), **changes})


def _planned(config: ComparisonConfig, data: list[str], out: Path, **options: Any) -> tuple[PlannedRun, ...]:
    return plan(config, data, out, _silent, **options).runs


def test_runs_are_contenders_by_seeds_by_folds(data: list[str], tmp_path: Path) -> None:
    runs = _planned(_config(seeds=(3, 5)), data, tmp_path)
    assert [(run.contender, run.seed, run.fold) for run in runs] == [
        *(("CNN", 3, None), ("AST", 3, None), ("CNN", 5, None), ("AST", 5, None))
    ]
    assert [run.recipe.seed for run in runs] == [3, 3, 5, 5]
    assert runs[3].folder == tmp_path / "AST" / "seed-5"
    assert all(run.recipe.train.clips == 8 for run in runs)
    folded = [*data, f"data.train={tmp_path / 'all.csv'}", "data.test=null"]
    folded = [one for one in folded if one not in data[-2:]]
    runs = _planned(_config(folds="all", rule="last"), folded, tmp_path)
    assert [(run.contender, run.fold) for run in runs] == [(n, f) for n in ("CNN", "AST") for f in ("0", "1", "2")]
    assert runs[-1].folder == tmp_path / "AST" / "fold-2" / "seed-0"
    assert all(run.recipe.evaluate.select == "last" for run in runs)
    assert len({find_data(run.recipe).judged.hash for run in runs}) == 3  # type: ignore[union-attr]
    assert len(_planned(_config(folds=("1",)), folded, tmp_path)) == 2


def test_one_front_end_for_all_is_the_references(data: list[str], tmp_path: Path) -> None:
    other = ContenderConfig(recipe="quickstart/ast", name="other", set={**AST, "front_end.hop_length": 200})
    config = _config(contenders=(*_config().contenders, other))
    planned = plan(config, data, tmp_path, _silent)
    assert len({run.recipe.front_end for run in planned.runs}) == 1
    assert any("One front end for all, that of CNN: other" in remark for remark in planned.remarks)
    by_other = plan(config.model_copy(update={"reference": "other"}), data, tmp_path, _silent)
    assert {run.recipe.front_end.hop_length for run in by_other.runs} == {200}
    own = plan(config.model_copy(update={"front_end": "own"}), data, tmp_path, _silent)
    assert [run.recipe.front_end.hop_length for run in own.runs] == [160, 160, 200]
    assert not own.remarks[:-1]
    stated = planned.runs[0].recipe.front_end.model_copy(update={"hop_length": 320})
    runs = _planned(config.model_copy(update={"front_end": stated}), data, tmp_path)
    assert {run.recipe.front_end.hop_length for run in runs} == {320}


def test_equal_operations_buy_fewer_clips_of_a_larger_model(data: list[str], tmp_path: Path) -> None:
    spent = {}
    for run in _planned(_config(budget=BudgetConfig(flops=2e9)), data, tmp_path):
        config = find_data(run.recipe).model_config
        per_clip = training_flops_per_clip(trained_on_meta(run.recipe, config))
        assert run.recipe.train.clips is not None
        spent[run.contender] = run.recipe.train.clips * per_clip, per_clip
    for total, per_clip in spent.values():
        assert 2e9 - per_clip < total <= 2e9
    with pytest.raises(RecipeError, match="expected one step of 4"):
        _planned(_config(budget=BudgetConfig(flops=1e6)), data, tmp_path / "other")


def test_measured_rates_are_written_down_once(data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def rate(recipe: Any, seconds: float) -> float:
        measured.append(recipe.name)
        return 10.0 if recipe.name == "AST" else 40.0

    monkeypatch.setattr(budget_module, "measured_rate", rate)
    config = _config(budget=BudgetConfig(seconds=2))
    for _ in range(2):
        runs = _planned(config, data, tmp_path)
        assert {run.contender: run.recipe.train.clips for run in runs} == {"CNN": 80, "AST": 20}
    assert measured == ["CNN", "AST"]
    assert json.loads((tmp_path / BUDGET).read_text())["contenders"]["AST"]["clips_per_unit"] == 10.0
    with pytest.raises(RecipeError, match="another budget"):
        _planned(_config(budget=BudgetConfig(seconds=3)), data, tmp_path)
    (tmp_path / BUDGET).write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        Budget(BudgetConfig(seconds=2), tmp_path, _silent)


def test_a_rate_is_measured_by_training_for_a_moment(data: list[str], tmp_path: Path) -> None:
    (run, *_) = _planned(_config(), data, tmp_path)
    assert 1 < measured_rate(run.recipe, 0.05) < 1e6
    assert not run.folder.exists()


@pytest.mark.parametrize(
    ("changes", "overrides", "words"),
    [
        ({"reference": "XYZ"}, [], "expected one of CNN, AST"),
        ({}, ["data.test=null"], "no clips to judge it by"),
        ({"folds": "all"}, [], "expected none"),
        ({"contenders": (ContenderConfig(recipe="quickstart/cnn"),) * 2}, [], "a second contender"),
    ],
)
def test_what_would_stop_a_run_is_found_before_any(
    changes: dict[str, Any], overrides: list[str], words: str, data: list[str], tmp_path: Path
) -> None:
    given = [one for one in data if not any(one.split("=")[0] == other.split("=")[0] for other in overrides)]
    with pytest.raises((RecipeError, DataError), match=words):
        compare(_config(**changes), [*given, *overrides], out=tmp_path / "out", console=Silent())
    assert not list((tmp_path / "out").rglob("recipe.yaml"))


def test_unfair_contenders_are_refused_before_any_run(data: list[str], tmp_path: Path) -> None:
    picky = ContenderConfig(
        recipe="quickstart/ast", name="picky", set={**AST, "evaluate.select": "best", "data.eval": data[-1][10:]}
    )
    config = _config(contenders=(*_config().contenders, picky))
    with pytest.raises(DataError, match="how the judged weights are selected"):
        _planned(config, data, tmp_path)
    assert len(_planned(config, data, tmp_path, allow_unfair=True)) == 3


def _compared(config: ComparisonConfig, data: list[str], out: Path) -> tuple[Comparison, list[str]]:
    console = Silent()
    return compare(config, data, out=out, console=console), console.said


def test_what_is_done_is_never_repeated(data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, said = _compared(_config(seeds=2), data, tmp_path / "out")
    assert [line.split(":")[0] for line in said] == [f"run {i} of 4" for i in (1, 2, 3, 4)]
    assert report.reference == "CNN"
    assert {row.name: row.seeds for row in report.rows} == {"CNN": (0, 1), "AST": (0, 1)}
    by_name = {row.name: row for row in report.rows}
    assert by_name["CNN"].versus is None
    assert by_name["AST"].versus is not None
    assert by_name["AST"].costs.inference_clips_per_second is not None
    assert by_name["AST"].costs.memory_is_estimated
    assert "AST" in (tmp_path / "out" / "report.html").read_text()

    def no_training(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "train", no_training)
        again, said = _compared(_config(seeds=2), data, tmp_path / "out")
    assert not said
    assert again.as_json()["rows"] == report.as_json()["rows"]
    more, said = _compared(_config(seeds=3), data, tmp_path / "out")
    assert len(said) == 2
    assert {row.seeds for row in more.rows} == {(0, 1, 2)}


def test_runs_side_by_side_end_as_those_one_by_one(
    data: list[str], tmp_path: Path, plant: Callable[[Path], Path]
) -> None:
    """Failed ones too; with one thread each, bit for bit."""
    with (tmp_path / "train.csv").open("a") as file:
        file.write(f"{plant(tmp_path / 'planted.wav')},low,0\n")
    loud = ContenderConfig(recipe="quickstart/ast", name="loud", set={**AST, "augment.gain_db": [80, 80]})
    config = _config(contenders=(*_config().contenders, loud), budget=BudgetConfig(clips=24))
    one_by_one, _ = _compared(config, data, tmp_path / "out")
    console, jobs = Silent(), max(2, cores())
    beside = compare(config, data, out=tmp_path / "beside", console=console, jobs=jobs)
    for ours, theirs in zip(beside.rows, one_by_one.rows, strict=True):
        assert (ours.name, ours.values, ours.clips) == (theirs.name, theirs.values, theirs.clips)
    assert len(beside.failures) == len(one_by_one.failures) == 1
    assert sum("failed: loud" in line for line in console.said) == 1
    assert sum("accuracy" in line for line in console.said) == 2
    predictions = [tmp_path / out / "AST" / "seed-0" / "predictions.npz" for out in ("out", "beside")]
    ours, theirs = (Predictions.read(path) for path in predictions)
    assert torch.equal(ours.scores, theirs.scores)


def test_a_run_that_diverges_is_told_and_not_tried_again(
    data: list[str], tmp_path: Path, plant: Callable[[Path], Path]
) -> None:
    with (tmp_path / "train.csv").open("a") as file:
        file.write(f"{plant(tmp_path / 'planted.wav')},low,0\n" * 1)
    loud = ContenderConfig(recipe="quickstart/ast", name="loud", set={**AST, "augment.gain_db": [80, 80]})
    config = _config(contenders=(loud, *_config().contenders), budget=BudgetConfig(clips=24))
    report, said = _compared(config, data, tmp_path / "out")
    assert len(report.failures) == 1
    assert "not finite" in report.failures[0] or "nan" in report.failures[0]
    assert [row.name for row in report.rows][-1] == "loud"
    assert not report.rows[-1].values
    assert any("run 1 of 3 failed" in line for line in said)
    assert (tmp_path / "out" / "comparison.md").is_file()
    again, said = _compared(config, data, tmp_path / "out")
    assert again.failures == report.failures
    assert not said


def test_folds_are_judged_by_their_rule(data: list[str], tmp_path: Path) -> None:
    folded = [*data[:-2], f"data.train={tmp_path / 'all.csv'}"]
    report, _ = _compared(_config(folds="all", rule="official"), folded, tmp_path / "out")
    assert report.num_eval_clips == 18
    assert all(row.folds == ("0", "1", "2") for row in report.rows)
    assert any("optimistic" in remark for remark in report.remarks)
    assert all("corrected resampled t-test" in row.versus.method for row in report.rows if row.versus)


def test_one_comparison_at_a_time_in_a_folder(data: list[str], tmp_path: Path) -> None:
    with (
        matrix.alone_in(tmp_path / "out", "zoo compare"),
        pytest.raises(DataError, match="another zoo compare is at work"),
    ):
        compare(_config(), data, out=tmp_path / "out", console=Silent())


def test_a_kill_before_the_recipe_was_written_leaves_nothing_in_the_way(data: list[str], tmp_path: Path) -> None:
    half = tmp_path / "out" / "CNN" / "seed-0" / ".recipe.yaml.writing"
    half.parent.mkdir(parents=True)
    half.write_text("name: CN")
    report, _ = _compared(_config(contenders=_config().contenders[:1]), data, tmp_path / "out")
    assert report.rows[0].values
    (tmp_path / "other" / "CNN" / "seed-0").mkdir(parents=True)
    (tmp_path / "other" / "CNN" / "seed-0" / "mine.txt").write_text("keep")
    with pytest.raises((RecipeError, CheckpointError), match="holds no run"):
        compare(_config(), data, out=tmp_path / "other", console=Silent())
