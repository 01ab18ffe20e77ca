"""The table of a comparison: means, spread, and what it refuses or remarks on."""

import statistics
from typing import Any

import pytest

from zoo.compare.cells import as_markdown, costs, fitting, results, whole
from zoo.compare.costs import Costs
from zoo.compare.row import Comparison
from zoo.compare.table import compare_summaries
from zoo.errors import DataError


def summary(value: float, **changes: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "kind": "ast",
        "task": "single-label",
        "labels": ["x", "y"],
        "metric": "accuracy",
        "metrics": {"accuracy": value, "auc": 0.5},
        "chance": {"accuracy": 0.5},
        "num_eval_clips": 10,
        "eval_manifest": "e",
        "train_manifest": "t",
        "front_end": {"kind": "ast"},
        "evaluation": "last weights",
        "device": "cpu",
        "parameters": 1_000_000,
        "flops_per_clip": 10**9,
        "clips": 100,
        "seconds": 10.0,
        "clips_per_second": 10.0,
        "init": None,
        **changes,
    }


def test_rows_are_means_over_seeds_best_first() -> None:
    values = [0.5, 0.7, 0.9]
    table = compare_summaries({"a": [summary(v) for v in values], "b": [summary(0.95)] * 3})
    assert [row.name for row in table.rows] == ["b", "a"]
    assert table.rows[1].mean == pytest.approx(0.7)
    assert table.rows[1].deviation == pytest.approx(statistics.stdev(values))
    assert table.chance == 0.5
    assert whole(table)[1][1][1] == "0.700 ± 0.200"
    assert whole(table)[1][-1][:2] == ["chance", "0.500"]
    assert "| b | 0.950 ± 0.000 |" in as_markdown(table)


def test_a_single_run_has_no_deviation_and_says_so() -> None:
    table = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6)]})
    assert table.rows[0].deviation is None
    assert any("noise" in remark for remark in table.remarks)
    assert not any("noise" in r for r in compare_summaries({"a": [summary(0.5), summary(0.6)]}).remarks)


def test_a_run_that_is_given_twice_is_refused() -> None:
    once, twice = (summary(0.5, seed=0, fold="1", folder=folder) for folder in ("x", "y"))
    with pytest.raises(DataError, match=r"two runs of 'a' with fold 1, seed 0 \(x, y\)"):
        compare_summaries({"a": [once, twice]})
    assert len(compare_summaries({"a": [once, {**twice, "fold": "2"}]}).rows[0].values) == 2


def test_other_folds_are_other_clips() -> None:
    groups = {"a": [summary(0.5, fold="1", seed=0)], "b": [summary(0.6, fold="2", seed=0, judged_manifest="other")]}
    with pytest.raises(DataError, match="judged on other folds - a: 1; b: 2"):
        compare_summaries(groups)
    assert len(compare_summaries(groups, allow_unfair=True).rows) == 2
    # Of a contender whose run failed, what is left is shown.
    second = summary(0.5, fold="2", seed=0, judged_manifest="other")
    both = {"a": [*groups["a"], second], "b": groups["b"]}
    assert len(compare_summaries(both, failed={"b": ["fold 1: diverged"]}).rows) == 2


def test_clips_that_could_not_be_used_are_told() -> None:
    bad = {"train": {"unusable_clips": ["x.wav: empty"]}, "eval": {"unusable_clips": ["x.wav: empty", "y.wav: text"]}}
    (remark,) = (one for one in compare_summaries({"a": [summary(0.5, bad_audio=bad)]}).remarks if "used" in one)
    assert "x.wav: empty, y.wav: text" in remark


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("eval_manifest", "other", "manifest hash"),
        ("num_eval_clips", 11, "number of evaluated clips"),
        ("task", "multi-label", "task"),
        ("labels", ["x", "z"], "label table"),
        ("evaluation", "best on the test clips", "evaluation rule"),
        ("judged_manifest", "other", "manifest hash"),
        ("judged_on", "test", "judged on"),
        ("select", "best", "selected"),
    ],
)
def test_numbers_that_do_not_compare_are_refused(key: str, value: Any, words: str) -> None:
    groups = {"a": [summary(0.5)], "b": [summary(0.6, **{key: value})]}
    with pytest.raises(DataError, match=words) as refusal:
        compare_summaries(groups)
    assert "\n" not in str(refusal.value)
    if key in ("task", "labels"):  # they would not even be the same question
        with pytest.raises(DataError, match=words):
            compare_summaries(groups, allow_unfair=True)
    else:
        (row,) = (row for row in compare_summaries(groups, allow_unfair=True).rows if row.name == "b")
        assert any(words in flag for flag in row.flags)


def test_what_a_rule_came_to_in_one_run_is_no_other_rule() -> None:
    best = "best weights on the watched clips (accuracy after {} clips); in windows"
    runs = {name: [summary(0.5, select="best", evaluation=best.format(n))] for name, n in (("a", "80"), ("b", "1,600"))}
    assert not any(row.flags for row in compare_summaries(runs).rows)


def test_averaging_selects_nothing_and_is_flagged() -> None:
    table = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6, evaluation="average of the weights")]})
    assert [row.flags for row in table.rows if row.name == "b"] == [("whether the weights are averaged",)]


def test_folds_are_held_against_the_same_folds() -> None:
    def folds(*manifests: str) -> list[dict[str, Any]]:
        return [summary(0.5, fold=str(i), judged_manifest=one, train_manifest=one) for i, one in enumerate(manifests)]

    table = compare_summaries({"a": folds("x", "y"), "b": folds("x", "y")})
    assert not any(row.flags for row in table.rows)
    assert table.num_eval_clips == 20
    assert table.rows[0].folds == ("0", "1")
    with pytest.raises(DataError, match="manifest hash"):
        compare_summaries({"a": folds("x", "y"), "b": folds("y", "x")})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("clips", 200, "clips seen in training"),
        ("front_end", {"kind": "other"}, "front end"),
        ("train_manifest", "other", "training clips"),
        ("device", "gpu", "device"),
        ("precision", "bf16", "precision"),
        ("validation", {"share": 0.2}, "data.validation"),
        ("seed", 7, "seeds of training"),
    ],
)
def test_unequal_conditions_are_remarked_on(key: str, value: Any, words: str) -> None:
    table = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6, **{key: value})]})
    assert any(words in remark for remark in table.remarks)
    assert {row.name: [words in flag for flag in row.flags] for row in table.rows} == {"a": [], "b": [True]}
    assert [cells[0] for cells in results(table)[1]][:2] == ["b ¹", "a"]
    equal = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6)]})
    assert not any(words in remark for remark in equal.remarks)


def test_the_cost_of_pretraining_stands_in_the_row() -> None:
    init = {"from": "runs/p", "clips": 9600, "seconds": 88.0}
    (row,) = compare_summaries({"a": [summary(0.5, init=init)]}).rows
    assert (row.pretraining_clips, row.pretraining_seconds) == (9600, 88.0)


def test_a_missing_metric_names_those_there_are() -> None:
    with pytest.raises(DataError, match="it has accuracy, auc"):
        compare_summaries({"a": [summary(0.5)]}, metric="mAP")
    with pytest.raises(DataError, match="no finite 'accuracy'"):
        compare_summaries({"a": [summary(float("nan"))]})
    with pytest.raises(DataError, match="no runs"):
        compare_summaries({})


def _width(table: tuple[list[str], list[list[str]]]) -> int:
    header, rows = table
    return sum(max(map(len, column)) + 3 for column in zip(header, *rows, strict=True)) + 1


def test_every_terminal_gets_the_results_and_what_there_is_room_for_of_the_costs() -> None:
    known = Costs(training_flops_per_clip=3 * 10**9, inference_clips_per_second=40.0, peak_memory_gib=1.5)
    report = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6)]}, costs={"a": known, "b": known})
    wide = whole(report)
    assert fitting(report, 400) == [wide]
    for width in (80, 100, 120, _width(wide) - 1):
        tables = fitting(report, width)
        assert len(tables) == 2
        assert all(_width(table) <= width for table in tables)
        assert [cells[:2] for cells in tables[0][1]] == [cells[:2] for cells in wide[1]]
        assert {"model", "parameters", "clips/s", "seconds"} <= set(tables[1][0])
    header, rows = costs(report)
    row = dict(zip(header, rows[0], strict=True))
    assert (row["train GFLOP/clip"], row["inference"], row["memory"]) == ("3.00", "40/s", "1.50 GiB")


def test_an_estimate_and_an_unknown_cost_say_that_they_are() -> None:
    known = Costs(peak_memory_gib=1.5, memory_is_estimated=True, starts_from="ast-base")
    runs = {"a": [summary(0.5, init={"from": "ast-base", "clips": 0})]}
    header, rows = costs(compare_summaries(runs, costs={"a": known}))
    row = dict(zip(header, rows[0], strict=True))
    assert (row["memory"], row["pretraining"]) == ("≈ 1.50 GiB", "unknown")


def test_failed_runs_stand_in_the_table() -> None:
    failed = {"a": ["a, seed 1: diverged"], "c": ["c, seed 0: diverged"]}
    report = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6)], "c": []}, failed=failed)
    rows = {cells[0]: cells for cells in results(report)[1]}
    assert rows["a"][-1] == "1, 1 failed"
    assert rows["c"][1] == "failed"
    assert report.rows[-1].as_json()["mean"] is None
    assert report.failures == ("a, seed 1: diverged", "c, seed 0: diverged")
    assert sum("diverged" in remark for remark in report.remarks) == 2
    without = compare_summaries({"a": [], "b": [summary(0.6)]}, failed=failed)
    assert without.reference == "a"
    assert as_markdown(without)


def test_the_reference_is_the_first_or_the_named_one() -> None:
    groups = {"a": [summary(0.5)], "b": [summary(0.6)]}
    assert compare_summaries(groups).reference == "a"
    assert compare_summaries(groups, reference="b").reference == "b"
    with pytest.raises(DataError, match="expected one of a, b"):
        compare_summaries(groups, reference="c")


def test_clips_may_differ_by_intent() -> None:
    def flagged(may: bool) -> bool:
        groups = {"a": [summary(0.5)], "b": [summary(0.6, clips=200)]}
        report: Comparison = compare_summaries(groups, clips_may_differ=may)
        return any(row.flags for row in report.rows)

    assert flagged(False)
    assert not flagged(True)


def test_a_loss_is_better_when_lower() -> None:
    runs = {name: [summary(0.5, metric="loss", metrics={"loss": value})] for name, value in (("a", 13.4), ("b", 12.8))}
    assert [row.name for row in compare_summaries(runs).rows] == ["b", "a"]


def test_runs_judged_by_different_metrics_are_refused() -> None:
    with pytest.raises(DataError, match="accuracy, auc"):
        compare_summaries({"a": [summary(0.5)], "b": [summary(0.5, metric="auc")]})


def test_evaluated_clips_that_were_trained_on_are_remarked_on() -> None:
    table = compare_summaries({"a": [summary(0.5, overlap_clips=7)]})
    assert any("7 of the evaluated clips" in remark for remark in table.remarks)
    assert not any("trained on" in remark for remark in compare_summaries({"a": [summary(0.5)]}).remarks)
