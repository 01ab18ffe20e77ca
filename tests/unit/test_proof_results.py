"""The file of a proof's results: what is written is what is read, and nothing else is either."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.made_up_proof import results
from zoo.errors import DataError
from zoo.proof.results import parsed, read

PLAIN = json.loads(json.dumps(results().as_json()))
finite = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | finite
words = st.text(max_size=8)
number = st.integers(0, 10**15)
intervals = {"low": maybe, "high": maybe, "paired_low": maybe, "paired_high": maybe}
differences = st.fixed_dictionaries({"reference": words, "mean": finite, **intervals})
values = st.fixed_dictionaries({"seed": number, "fold": st.none() | words, "value": finite})
changes = st.fixed_dictionaries(
    {},
    optional={
        "name": words,
        "values": st.lists(values, max_size=3),
        "mean": maybe,
        "deviation": maybe,
        "difference": st.none() | differences,
        "also": st.lists(differences, max_size=2),
        "clips": number,
        "flops": finite,
        "pretraining": st.none() | words,
        "failed": st.lists(words, max_size=2),
        "form": st.sampled_from([None, "patch", "frame"]),
    },
)
points = st.lists(st.dictionaries(words, finite, max_size=3), max_size=3)


@settings(max_examples=50)
@given(st.lists(changes, max_size=3), points)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, Any]], curve: list[dict[str, float]]
) -> None:
    """Dictionaries are drawn, and not the classes: checks of their types at run time draw numbers of their own."""
    raw = PLAIN | {"pretraining": [PLAIN["pretraining"][0] | {"curve": curve}]}
    table = PLAIN["tables"][0]
    raw["tables"] = [table | {"rows": [table["rows"][0] | change for change in drawn]}]
    made = parsed(json.dumps(raw), "here")
    assert json.loads(json.dumps(made.as_json())) == raw
    path = tmp_path_factory.getbasetemp() / "results.json"
    made.write(path)
    assert read(path) == made


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seconds": math.nan}, "seconds: Input should be a finite number"),
        ({"seconds": math.inf}, "seconds: Input should be a finite number"),
        ({"scale": "../cpu"}, "scale: String should match"),
    ],
)
def test_no_file_with_a_wrong_value(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        replace(results(), **change).write(tmp_path / "results.json")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"role": "pretrained"', '"role": "trained"', "role"),
        ('"mean": 0.6', '"mean": "0.6"', "mean"),
        ('"mean": 0.6', '"mean": NaN', "mean"),
        ('"cores": 2', '"cores": "two"', "cores: Input should be a valid integer"),
        ('"cores": 2', '"cores": 2, "colour": 1', "colour"),
        ('"cores": 2,', "", "cores"),
        ("{", "[", "JSON"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "results.json"
    results().write(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=told) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_no_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found no results to read"):
        read(tmp_path / "results.json")
