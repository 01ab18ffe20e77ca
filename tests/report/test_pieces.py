"""The pieces of a report: bands, markup, drawings, costs, differences of recipes, and what a folder holds."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zoo.compare.report.bands import band_of
from zoo.compare.report.collect import collect, read_run
from zoo.compare.report.compute import cost_of
from zoo.compare.report.drawing import INK, colour, drawing, short_number
from zoo.compare.report.groups import find_groups
from zoo.compare.report.markup import Html, join, table, tag
from zoo.compare.report.recipes import differing
from zoo.errors import DataError
from zoo.use.report import make_report

FakeRun = Callable[..., Path]


def test_a_band_is_over_the_runs_that_got_there() -> None:
    first = (np.array([0.0, 10.0, 20.0]), np.array([1.0, 3.0, 5.0]))
    second = (np.array([0.0, 5.0]), np.array([3.0, 4.0]))
    band = band_of([first, second, (np.array([]), np.array([]))])
    assert band.places.tolist() == [0, 5, 10, 20]
    assert band.mean.tolist() == [2.0, 3.0, 3.0, 5.0]
    assert band.low.tolist() == [1.0, 2.0, 3.0, 5.0]
    assert band.high.tolist() == [3.0, 4.0, 3.0, 5.0]
    assert band.num_runs.tolist() == [2, 2, 1, 1]
    assert band_of([]) is None


def test_a_long_series_is_thinned_to_means() -> None:
    x = np.arange(1000.0)
    band = band_of([(x, 2 * x)], most=100)
    assert len(band.places) == 100
    assert band.places[0] == pytest.approx(4.5)
    assert np.allclose(band.mean, 2 * band.places)


def test_markup_escapes_all_but_markup() -> None:
    assert (
        tag("p", "<b>", tag("i", "x"), class_="a&b", hidden=True, id=None)
        == '<p class="a&amp;b" hidden>&lt;b&gt;<i>x</i></p>'
    )
    assert tag("img", alt='"', src="x") == '<img alt="&quot;" src="x">'
    assert join(["<", Html("<br>")]) == "&lt;<br>"
    assert '<th scope="row">a</th><td>&lt;</td>' in table(["x", "y"], [["a", "<"]])


def test_a_drawing_takes_the_colours_and_letters_of_the_page() -> None:
    with drawing(2.0, 1.0, 'a "plot" & <more>') as made:
        axes = made.axes()
        axes.plot([0, 1], [0, 1], color=colour(9))
        axes.set_title("$x_1$ 日本", color=INK)
    assert made.svg.startswith("<svg viewBox=")
    assert 'aria-label="a &quot;plot&quot; &amp; &lt;more&gt;"' in made.svg
    assert "$x_1$ 日本</text>" in made.svg
    assert "stroke: var(--c1)" in made.svg
    assert "fill: var(--ink)" in made.svg
    assert "#01f0" not in made.svg
    assert "<style" not in made.svg


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (1200, "1.2k"), (3e6, "3M"), (2.5e13, "25T"), (-1500, "-1.5k"), (0, "0")]
)
def test_numbers_on_an_axis_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


def test_operations_of_training_follow_from_the_log_else_from_the_forward_pass(fake_run: FakeRun) -> None:
    run = read_run(fake_run("a"))
    assert cost_of(run).flops == pytest.approx(800 * 3e9)  # perf/tflops over perf/clips_per_second
    assert cost_of(run, {"training_flops_per_clip": 5}).flops == 4000
    (run.folder / "metrics.jsonl").write_text("")
    assert cost_of(read_run(run.folder)).flops == 800 * 3 * 10**9
    assert cost_of(run).seconds == 16.0


def test_pretraining_is_counted_through_the_whole_chain(fake_run: FakeRun) -> None:
    first = fake_run("first")
    second = fake_run("second", init={"from": str(first), "clips": 800, "seconds": 16.0})
    third = fake_run("third", init={"from": str(second), "clips": 1600, "seconds": 32.0})
    cost = cost_of(read_run(third))
    assert cost.pretraining_flops == pytest.approx(2 * 800 * 3e9)
    assert cost.pretraining_seconds == 32.0
    (first / "summary.json").unlink()
    assert cost_of(read_run(third)).pretraining_flops is None
    assert cost_of(read_run(third), {"pretraining_flops": 7}).pretraining_flops == 7.0


def test_recipes_differ_in_what_is_not_the_same_in_all(fake_run: FakeRun) -> None:
    folders = [fake_run("a"), fake_run("b", 3), fake_run("c", overrides=("optim.lr=0.5", "train.batch_size=2"))]
    keys = differing([read_run(folder).recipe for folder in folders])
    assert keys["optim.lr"] == [0.001, 0.001, 0.5]
    assert set(keys) == {"optim.lr", "train.batch_size"}
    assert differing([]) == {}


def test_without_a_comparison_the_best_is_first(two_models: dict[str, list[Path]]) -> None:
    assert [(one.name, one.place) for one in collect(two_models)] == [("clever", 0), ("plain", 1)]
    assert [one.name for one in collect(two_models, ["plain"])] == ["plain", "clever"]


def test_runs_of_one_recipe_are_one_model(fake_run: FakeRun, tmp_path: Path) -> None:
    runs = [fake_run("a", 0), fake_run("a", 1), fake_run("b", 0)]
    assert find_groups([tmp_path / "runs"]).groups == {"a": runs[:2], "b": runs[2:]}
    assert find_groups([runs[0]]).groups == {"a": [runs[0]]}
    other = fake_run("c", overrides=("name=a", "optim.lr=0.7"))
    assert find_groups([*runs, other]).groups == {"a": runs[:2], "b": runs[2:], "a (seed-0)": [other]}


def test_folds_of_one_recipe_are_one_model(fake_run: FakeRun, tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("path,label,fold\n")
    folds = [
        fake_run(
            "f",
            fold,
            overrides=(
                "seed=0",
                f"data.train={{path: {path}, not_fold: {fold}}}",
                f"data.eval={{path: {path}, fold: {fold}}}",
            ),
        )
        for fold in (1, 2)
    ]
    elsewhere = fake_run("g", overrides=("name=f", "data.train=other.csv"))
    assert find_groups([*folds, elsewhere]).groups == {"f": folds, "f (seed-0)": [elsewhere]}


def test_a_comparison_names_its_runs_also_after_it_was_moved(fake_run: FakeRun, tmp_path: Path) -> None:
    runs = [str(fake_run("a", 0)), str(fake_run("a", 1))]
    cut = fake_run("a", 2, is_finished=False)
    fake_run("a stranger")
    root = tmp_path / "runs"
    comparison = {"metric": "accuracy", "rows": [{"name": "A!", "runs": runs}]}
    (root / "comparison.json").write_text(json.dumps(comparison))
    moved = root.rename(tmp_path / "moved")
    found = find_groups([moved])
    assert found.groups == {"A!": [moved / "a" / f"seed-{seed}" for seed in (0, 1, 2)]}
    assert found.groups["A!"][-1].name == cut.name
    assert found.comparison == comparison


def test_a_cross_validation_is_a_comparison_of_one(fake_run: FakeRun, tmp_path: Path) -> None:
    runs = {str(fold): str(fake_run("a", fold)) for fold in (0, 1)}
    crossval = {
        "name": "a",
        "rule_in_words": "each fold judged once",
        "metric": "accuracy",
        "metrics": {"accuracy": {"mean": 0.5, "deviation": 0.1, "values": {"0": 0.4, "1": 0.6}}},
        "chance": {"accuracy": 0.25},
        "runs": {"0": runs},
        "remarks": ["short"],
    }
    (tmp_path / "runs" / "crossval.json").write_text(json.dumps(crossval))
    found = find_groups([tmp_path / "runs"])
    assert found.groups == {"a": [Path(run) for run in runs.values()]}
    assert found.comparison["rows"][0]["values"] == [0.4, 0.6]
    assert found.comparison["chance"] == 0.25
    assert found.comparison["remarks"] == ["Rule: each fold judged once.", "short"]
    report = make_report([tmp_path / "runs"])
    assert report["report"] == str(tmp_path / "runs" / "report.html")
    assert "0.500 ± 0.100" in Path(report["report"]).read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "found no folder"), ("", "found no run in it"), ("{", "not readable as JSON"), ('{"rows": 1}', "no rows")],
)
def test_what_is_no_run_is_told(tmp_path: Path, content: str | None, words: str) -> None:
    folder = tmp_path / "x"
    if content is not None:
        folder.mkdir()
    if content:
        (folder / "comparison.json").write_text(content)
    with pytest.raises(DataError, match=words):
        find_groups([folder])


def test_the_page_is_called_html(fake_run: FakeRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \.html"):
        make_report([fake_run("a")], tmp_path / "report.pdf")
