"""The set in the repository: small, of every kind, and numbers only."""

import json

import numpy as np
import pytest
from golden import DATA, golden_paths
from kinds import KINDS
from thin import CHOSEN, thin

PATHS = golden_paths(DATA)


def test_it_has_every_kind() -> None:
    assert {json.loads(path.read_text())["kind"] for path in PATHS} == KINDS.keys()


def test_it_stays_below_a_megabyte() -> None:
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) <= 1_000_000


def test_it_is_what_was_chosen_and_nothing_else() -> None:
    expected = {f"{name}.{ending}" for name in CHOSEN for ending in ("json", "npz")} | {"README.md"}
    assert {str(file.relative_to(DATA)) for file in DATA.rglob("*") if file.is_file()} == expected


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_golden_names_its_source(path) -> None:
    meta = json.loads(path.read_text())
    library = meta["library"]
    assert library["name"]
    assert library.keys() & {"commit", "version"}
    assert meta["environment"]["torch"]
    thinned = [output for output in meta["outputs"] if output["name"] in CHOSEN[path.stem]]
    assert bool(thinned) is ("thinned_from" in meta)
    assert all("sums" in output for output in thinned)


def test_thinning_keeps_numbers_as_they_are() -> None:
    full = np.arange(2 * 20, dtype=np.float32).reshape(2, 20) ** 0.5
    before = full[:, ::2]
    meta = {
        "name": "small",
        "outputs": [
            {"name": "part", "shape": [2, 10], "full_shape": [2, 20], "subsample": "full[:, ::2]", "sums": "s"},
            {"name": "whole", "shape": [2, 20]},
        ],
    }
    arrays = {"part": before, "whole": full, "s": np.zeros(3)}
    thin(meta, arrays, {"part": "full[:, [0, 2] + list(range(6, 20, 4))]", "whole": "full[1:]"})
    np.testing.assert_array_equal(arrays["part"], full[:, [0, 2, 6, 10, 14, 18]])
    np.testing.assert_array_equal(arrays["whole"], full[1:])
    assert [output["shape"] for output in meta["outputs"]] == [[2, 6], [1, 20]]
    whole = full.astype(np.float64)
    np.testing.assert_allclose(arrays["whole__sums"], [whole.sum(), whole.sum(), (whole**2).sum()])
    with pytest.raises(AssertionError, match="not in what is stored"):
        thin(meta, arrays, {"part": "full[:, ::3]"})
    with pytest.raises(AssertionError, match="no outputs"):
        thin(meta, arrays, {"other": "full[:]"})
