"""A folder of audio as it comes: what cannot be used is listed with its reason, what is odd is used."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import TINY, TINY_TRANSFORMER

Zoo = Callable[..., object]


@pytest.fixture
def odd_folder(tone_folder: Callable[..., Path]) -> Path:
    folder = tone_folder("odd", classes=("a", "b"), clips=6)
    rng = np.random.default_rng(1)
    (folder / "a/empty.wav").write_bytes(b"")
    (folder / "a/text.wav").write_text("this is not audio\n" * 50)
    soundfile.write(folder / "a/nan.wav", np.full(8000, np.nan, dtype=np.float32), 16_000, subtype="FLOAT")
    soundfile.write(folder / "b/one.wav", np.array([0.5], dtype=np.float32), 16_000)
    soundfile.write(folder / "b/silent.wav", np.zeros(8000, dtype=np.float32), 16_000)
    soundfile.write(folder / "b/wide.wav", 0.1 * rng.standard_normal((48_000, 8)).astype(np.float32), 96_000)
    whole = folder / "b/half.mp3"
    soundfile.write(whole, 0.1 * rng.standard_normal(12_000).astype(np.float32), 16_000, format="MP3")
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return folder


@pytest.mark.parametrize(
    ("command", "recipe", "size"),
    [
        ("pretrain", "quickstart/pretrain", [*TINY_TRANSFORMER, "train.clips=57"]),
        ("finetune", "quickstart/cnn", [*TINY, "train.clips=57"]),
    ],
)
def test_training_runs_through(
    zoo: Zoo, odd_folder: Path, tmp_path: Path, command: str, recipe: str, size: list[str]
) -> None:
    zoo(
        command,
        recipe,
        f"data.train={odd_folder}",
        f"data.eval={odd_folder}",
        *size,
        "--out",
        "run",
    )
    lines = [json.loads(line) for line in (tmp_path / "run/bad_audio.jsonl").read_text().splitlines()]
    skipped = {Path(line["path"]).name: line["reason"] for line in lines if not line["used"]}
    used = {Path(line["path"]).name: line["reason"] for line in lines if line["used"]}
    assert set(skipped) == {"empty.wav", "text.wav", "nan.wav"}
    assert all(skipped.values())
    assert {"one.wav", "silent.wav", "wide.wav", "half.mp3"} <= set(used)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["bad_clips"] == 3
    assert summary["clips"] == 60  # whole batches of 4


def test_too_many_bad_files_stop_the_run(zoo: Zoo, tone_folder: Callable[..., Path]) -> None:
    folder = tone_folder(classes=("a",), clips=6)
    for i in range(20):
        (folder / f"a/bad_{i}.wav").write_bytes(b"")
    done = zoo(
        "pretrain",
        "quickstart/pretrain",
        f"data.train={folder}",
        *TINY_TRANSFORMER,
        "train.clips=200",
        "--out",
        "r",
        code=2,
    )
    assert "max_bad_share" in done.stderr
    assert "Traceback" not in done.stderr
    assert "bad_0.wav" in done.stderr or "bad_1" in done.stderr
