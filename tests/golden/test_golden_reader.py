"""The goldens cannot pass by being absent, unknown or only partly compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Golden, golden_paths, normals, parse_index, waveform

PATHS = golden_paths()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_inputs_and_outputs_have_the_shapes_that_it_tells(path: Path) -> None:
    """(That its weights come back is seen where they are used, test_goldens.py.)"""
    golden = Golden(path)
    inputs = golden.inputs()
    for spec in golden.meta["inputs"]:
        assert list(inputs[spec["arg"]].shape) == spec["shape"]
    for output in golden.meta["outputs"]:
        assert list(golden.arrays[output["name"]].shape) == output["shape"]


def _write(folder: Path, **changes: Any) -> Path:
    """A golden of one state, one input and two outputs, one of them stored in part."""
    full = np.arange(40, dtype=np.float32).reshape(2, 20)
    sums = np.array([full.sum(), np.abs(full).sum(), np.square(full).sum()])
    tolerance = {"atol": 0.01, "rtol": 0.0, "mean_abs": 0.001}
    meta: dict[str, Any] = {
        "kind": "ast_eval",
        "fill": {"rule": "v1", "std": 0.5, "constants": {"v.size": 7}},
        "state_dicts": {"main": [["v.norm.weight", [3], "float32"], ["v.size", [], "int64"]]},
        "state_sha256": {"main": "0" * 64},
        "inputs": [{"arg": "x", "rule": "normal", "name": "x", "shape": [2, 3], "scale": 2.0, "sha256": "0" * 64}],
        "outputs": [
            {
                "name": "part",
                "shape": [2, 3],
                "full_shape": [2, 20],
                "subsample": "full[:, [0, 1] + list(range(2, 20, 30))]",
                "sums": "part__sums",
                "tolerance": tolerance,
            },
            {"name": "whole", "shape": [2, 20], "tolerance": {"exact": True}},
        ],
    }
    path = folder / "small.json"
    path.write_text(json.dumps(meta | changes))
    np.savez(folder / "small.npz", part=full[:, :3], part__sums=sums, whole=full)
    return path


@pytest.fixture
def full() -> np.ndarray:
    return np.arange(40, dtype=np.float32).reshape(2, 20)


def test_equal_outputs_pass(tmp_path: Path, full: np.ndarray) -> None:
    Golden(_write(tmp_path)).compare({"part": full, "whole": full})


def test_an_output_that_is_not_compared_fails(tmp_path: Path, full: np.ndarray) -> None:
    with pytest.raises(AssertionError, match="whole: not compared"):
        Golden(_write(tmp_path)).compare({"part": full, "whale": full})
    with pytest.raises(AssertionError, match="without outputs"):
        Golden(_write(tmp_path, outputs=[])).compare({})


@pytest.mark.parametrize(
    ("index", "change", "text"),
    [
        ((0, 1), 0.02, "part: differs by 0.02, more than 0.01"),
        ((0, 1), 0.009, "part: differs by 0.0015 on average"),
        ((0, 1), np.nan, "part: differs by nan"),
        ((1, 15), 0.1, "part: its sums differ"),  # this one is not stored
        ((1, 15), np.nan, "part: its sums differ"),
    ],
)
def test_a_wrong_number_fails(
    tmp_path: Path, full: np.ndarray, index: tuple[int, int], change: float, text: str
) -> None:
    wrong = full.copy()
    wrong[index] += change
    with pytest.raises(AssertionError, match=text):
        Golden(_write(tmp_path)).compare({"part": wrong, "whole": full})


def test_a_wrong_shape_or_an_inexact_number_fails(tmp_path: Path, full: np.ndarray) -> None:
    with pytest.raises(AssertionError, match=r"part: shape \(2, 3\), expected \[2, 20\]"):
        Golden(_write(tmp_path)).compare({"part": full[:, :3], "whole": full})
    with pytest.raises(AssertionError, match="whole: not equal"):
        Golden(_write(tmp_path)).compare({"part": full, "whole": full + 1e-3})


def test_a_verdict_is_a_share_of_the_tolerance(tmp_path: Path, full: np.ndarray) -> None:
    close = full.copy()
    close[0, 1] += 0.002
    part, whole = Golden(_write(tmp_path)).verdicts({"part": close, "whole": full})
    assert part.share == pytest.approx(0.002 / 6 / 0.001, rel=1e-2)  # of the mean, which is the tighter here
    assert (whole.share, whole.problems) == (0.0, ())
    missing, inexact = Golden(_write(tmp_path)).verdicts({"whole": full + 1})
    assert missing.share == inexact.share == np.inf
    broken, _ = Golden(_write(tmp_path)).verdicts({"part": np.full_like(full, np.nan), "whole": full})
    assert broken.share == np.inf
    assert broken.problems


def test_every_number_of_a_statistic_has_its_own_tolerance(tmp_path: Path) -> None:
    outputs = [{"name": "share", "shape": [3], "tolerance": {"atol_array": "share__atol"}}]
    path = _write(tmp_path, outputs=outputs)
    np.savez(path.with_suffix(".npz"), share=np.zeros(3), share__atol=np.array([0.1, 0.2, 0.0]))
    assert Golden(path).verdicts({"share": np.array([0.05, -0.1, 0.0])})[0].share == pytest.approx(0.5)
    with pytest.raises(AssertionError, match="share: 1 out of range"):
        Golden(path).compare({"share": np.array([0.15, 0.15, 0.0])})
    with pytest.raises(AssertionError, match="share: 1 out of range"):
        Golden(path).compare({"share": np.array([0.0, 0.0, 1e-9])})
    with pytest.raises(AssertionError, match="share: 3 out of range"):
        Golden(path).compare({"share": np.full(3, np.nan)})


def test_other_random_numbers_fail(tmp_path: Path) -> None:
    golden = Golden(_write(tmp_path))
    with pytest.raises(AssertionError, match="numpy draws other weights"):
        golden.state()
    with pytest.raises(AssertionError, match="numpy draws another input x"):
        golden.inputs()


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("full[::2]", slice(None, None, 2)),
        ("full[:, ::8, 1:-1]", (slice(None), slice(None, None, 8), slice(1, -1))),
        ("full[:, [0, 1] + list(range(2, 9, 3))]", (slice(None), [0, 1, 2, 5, 8])),
        ("full[3]", 3),
    ],
)
def test_an_index_is_read(text: str, index: object) -> None:
    assert parse_index(text) == index


@pytest.mark.parametrize(
    "text",
    ["full", "other[0]", "full[__import__('os')]", "full[open('x')]", "full[:, x]", "full[[0] + 1]", "full[1.0]"],
)
def test_anything_else_is_no_index(text: str) -> None:
    with pytest.raises(ValueError, match="not an index of `full`"):
        parse_index(text)


def test_numbers_of_a_name_are_pinned() -> None:
    known = [[0.2895660996437073, 0.26934561133384705], [0.5267295241355896, -1.0070525407791138]]
    np.testing.assert_array_equal(normals("a name", (2, 2)), np.array(known, dtype=np.float32))


@pytest.mark.parametrize("kind", ["zeros", "noise", "silence", "quiet", "chirp", "tones", "clicks", "sweep"])
def test_waveforms_stay_in_range(kind: str) -> None:
    wave = waveform(kind, kind, 8_000, 4_000)
    assert wave.dtype == np.float32
    assert wave.shape == (4_000,)
    assert np.abs(wave).max() <= 1.0
