"""The `data` section of a recipe: the forms it takes and what it refuses."""

import json
import os

import pytest
from pydantic import ValidationError

from zoo.data.config import DataConfig
from zoo.data.manifest import SourceConfig


def test_the_forms_of_a_source() -> None:
    one = SourceConfig(path="a.csv")
    folds = SourceConfig(path="b.csv", fold=(1, "2"))
    assert DataConfig.model_validate({"train": "a.csv"}).train == (one,)
    assert DataConfig.model_validate({"train": {"path": "a.csv"}}).train == (one,)
    mixed = DataConfig.model_validate({"train": ["a.csv", {"path": "b.csv", "fold": [1, "2"]}], "eval": None})
    assert (mixed.train, mixed.eval) == ((one, folds), None)
    assert DataConfig.model_validate({"train": one}).train == (one,)
    assert SourceConfig.model_validate({"path": "b.csv", "fold": 3}).fold == (3,)


def test_what_is_written_reads_the_same() -> None:
    config = DataConfig.model_validate(
        {
            "train": {"path": "a.csv", "fold": [1]},
            "labels": ["x", "y"],
            "columns": {"label": "c"},
            "task": "multi-label",
        }
    )
    assert DataConfig.model_validate(json.loads(config.model_dump_json())) == config
    assert DataConfig.model_validate({"labels": "classes.csv"}).labels == "classes.csv"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"train": {"pth": "a.csv"}}, "pth"),
        ({"train": []}, "at least 1 item"),
        ({"train": 3}, "tuple"),
        ({"train": ""}, "at least 1 character"),
        ({"train": {"path": "a", "fold": True}}, "fold"),
        ({"train": {"path": "a", "fold": [1.5]}}, "fold"),
        ({"task": "single"}, "single-label"),
        ({"columns": {"lable": "x"}}, "did you mean 'label'"),
        ({"max_bad_share": 1.5}, "less than or equal to 1"),
        ({"num_workers": -1}, "greater than or equal to 0"),
        ({"num_workers": True}, "valid integer"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_refused(section: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        DataConfig.model_validate(section)


def test_workers() -> None:
    assert DataConfig().workers("cpu") == 0
    assert 1 <= DataConfig().workers("cuda") <= min(8, os.cpu_count() or 1)
    assert DataConfig(num_workers=3).workers("cpu") == 3


def test_schema_for_editors() -> None:
    schema = DataConfig.model_json_schema()
    assert {"type": "string"} in schema["properties"]["train"]["anyOf"]
    assert "manifest" in schema["properties"]["train"]["description"]
