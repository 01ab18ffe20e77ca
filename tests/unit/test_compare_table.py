"""The table of a comparison: means, spread, and what it refuses or remarks on."""

import statistics
from typing import Any

import pytest

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
    assert table.cells()[1][1] == "0.700 ± 0.200"
    assert table.cells()[-1][:2] == ["chance", "0.500"]
    assert "| b | 0.950 ± 0.000 |" in table.as_markdown()


def test_a_single_run_has_no_deviation_and_says_so() -> None:
    table = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6)]})
    assert table.rows[0].deviation is None
    assert any("noise" in remark for remark in table.remarks)
    assert not any("noise" in r for r in compare_summaries({"a": [summary(0.5), summary(0.6)]}).remarks)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("eval_manifest", "other", "manifest hash"),
        ("num_eval_clips", 11, "number of evaluated clips"),
        ("task", "multi-label", "task"),
        ("labels", ["x", "z"], "label table"),
        ("evaluation", "best on the test clips", "evaluation rule"),
    ],
)
def test_numbers_that_do_not_compare_are_refused(key: str, value: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        compare_summaries({"a": [summary(0.5)], "b": [summary(0.6, **{key: value})]})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("clips", 200, "clips seen in training"),
        ("front_end", {"kind": "other"}, "front end"),
        ("train_manifest", "other", "training clips"),
        ("device", "gpu", "device"),
    ],
)
def test_unequal_conditions_are_remarked_on(key: str, value: Any, words: str) -> None:
    table = compare_summaries({"a": [summary(0.5)], "b": [summary(0.6, **{key: value})]})
    assert any(words in remark for remark in table.remarks)
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


def test_a_narrow_terminal_gets_fewer_columns_of_the_same_rows() -> None:
    table = compare_summaries({"a": [summary(0.5)]})
    header, rows = table.shortened()
    assert header == ["model", "accuracy", "parameters", "clips seen", "clips/s", "seconds"]
    assert [cells[:2] for cells in rows] == [cells[:2] for cells in table.cells()]


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
