"""`zoo predict`, `zoo embed` and `zoo probe` as a user runs them, and every way to be wrong."""

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from tests.unit.small_models import noise, save_small

Zoo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_small(tmp_path / "run")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    for number, label in enumerate(("cat", "cat", "cat", "dog", "dog", "dog")):
        noise(tmp_path / f"sounds/{label}/[{number}].wav", 0.3 + 0.4 * (number == 5), 8_000 + 8_000 * (number % 2))
    return tmp_path / "sounds"


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command in this process, which takes no seconds to start: (exit code, stdout, stderr)."""
    from zoo.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(one) for one in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_the_three_of_them(
    here: Callable[..., Any], run: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")

    def shown_by(*arguments: object) -> str:
        code, out, _ = here(*arguments)
        assert code == 0
        return out

    (audio / "broken.wav").write_bytes(b"RIFF")
    done = shown_by("predict", run, audio, "--top-k", 2, "--json")
    report = json.loads(done)
    assert len(report["predictions"]) == 6
    assert all(len(one["labels"]) == 2 for one in report["predictions"])
    assert [Path(one["path"]).name for one in report["bad_audio"]] == ["broken.wav"]
    shown = shown_by("predict", run, audio, "--windows", 0.25, "--out", "events.csv")
    assert "[0].wav" in shown
    assert "0.00–0.25" in shown
    assert "left out: " in shown
    rows = list(csv.DictReader((tmp_path / "events.csv").read_text().splitlines()))
    assert {"path", "start", "stop", "rank", "label", "probability"} == set(rows[0])
    assert len(rows) == 3 * (5 * 2 + 3)
    done = shown_by("embed", run, audio, "--level", "frame", "--layers", "0,2", "--out", "e.parquet", "--json")
    assert json.loads(done)["clips"] == 6
    table = pyarrow.parquet.read_table(tmp_path / "e.parquet")
    assert table.column_names == ["path", "time", "layer", "embedding"]
    shown = shown_by("embed", run, audio, "--out", "e.npz")
    assert "6 vectors of 24 numbers (float32): level clip, layer 2" in shown
    (audio / "broken.wav").unlink()
    arguments = ["probe", run, audio, "--folds", 3, "--kind", "knn", "--kind", "linear", "--cache", "kept"]
    first = shown_by(*arguments, "--out", "probe.json")
    assert "trained, layer 2" in first
    assert "untrained, layer 2" in first
    assert "chance" in first
    assert "kept in kept" in first
    again = json.loads(shown_by(*arguments, "--json"))
    assert again["cache"]["trained"][0]["was_there"]
    assert again["rows"] == json.loads((tmp_path / "probe.json").read_text())["rows"]
    assert {row["kind"] for row in again["rows"]} == {"linear", "knn"}
    assert all(len(row["folds"]) == 3 for row in again["rows"])


def test_a_file_that_is_none_does_not_stop_the_rest(zoo: Zoo, run: Path, audio: Path) -> None:
    done = zoo("predict", run, "gone.wav", audio / "cat")
    assert "left out: gone.wav: missing" in done.stdout
    done = zoo("predict", run, "gone.wav", code=2)
    assert done.stderr.splitlines()[-1] == "gone.wav: missing"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "run", "gone.wav"], "gone.wav: missing"),
        (["predict", "run", "empty"], "empty: a folder with no audio file below it"),
        (["predict", "run", "gone.csv"], "gone.csv: no such file or folder"),
        (["predict", "nothing-here", "sounds"], "nothing-here: found no such folder or file"),
        (["predict", "headless", "sounds"], "a checkpoint without a classifier"),
        (["predict", "run", "sounds", "--out", "x.txt"], "expected .csv, .json or .jsonl"),
        (["predict", "run", "sounds", "--out", "taken/x.csv"], "found no way to write it"),
        (["predict", "run", "sounds", "--windows", "9"], "windows: found 9 s"),
        (["predict", "run", "sounds", "--windows", ".5", "--hop", "1"], "hop: found 1 s"),
        (["predict", "run", "sounds", "--labels", "gone.txt"], "gone.txt"),
        (["predict", "run", "sounds", "--device", "tpu"], "device: found 'tpu'"),
        (["predict", "run"], "Missing argument"),
        (["predict", "run", "sounds", "--threshold", "2"], "less than or equal to 1"),
        (["embed", "run", "sounds"], "Missing option '--out'"),
        (["embed", "run", "sounds", "--out", "x.npz", "--layers", "9"], "from 0 to 2"),
        (["embed", "run", "sounds", "--out", "x.npy"], "expected .npz or .parquet"),
        (["embed", "run", "sounds", "--out", "taken/x.npz"], "found no way to write it"),
        (["embed", "run", "empty", "--out", "x.npz"], "no audio file below it"),
        (["probe", "run", "sounds"], "--folds 5, or --test"),
        (["probe", "run", "gone.csv"], "gone.csv: no such file or folder"),
        (["probe", "run", "sounds", "--folds", "99"], "6 clips for 99 folds"),
        (["probe", "run", "sounds", "--folds", "3", "--kind", "svm"], "kind: found 'svm'"),
        (["probe", "run", "sounds", "--folds", "3", "--layers", "-1"], "from 0 to 2"),
        (["probe", "run", "sounds", "--folds", "3", "--cache", "taken"], "found no way to write it"),
        (["probe", "run", "sounds", "--folds", "3", "--out", "taken/x"], "found no way to write it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_mistake_is_one_line(
    arguments: list[str],
    words: str,
    here: Callable[..., Any],
    run: Path,
    audio: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_small(tmp_path / "headless", num_classes=0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "taken").write_text("a file")
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = here(*arguments)
    assert code == 2
    assert words in " ".join(err.split())
    assert "Traceback" not in err
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_json_is_alone_on_stdout(here: Callable[..., Any], run: Path, audio: Path, tmp_path: Path) -> None:
    for arguments in (
        ["predict", run, audio, "--windows", "0.2", "--hop", "0.1"],
        ["embed", run, audio, "--out", tmp_path / "e.npz", "--dtype", "float16"],
        ["probe", run, audio, "--folds", 2, "--no-random", "--cache", tmp_path / "cache", "--c", 1],
    ):
        code, out, _ = here(*arguments, "--json")
        assert code == 0
        assert json.loads(out)
    with np.load(tmp_path / "e.npz") as file:
        assert file["embeddings"].dtype == np.float16
