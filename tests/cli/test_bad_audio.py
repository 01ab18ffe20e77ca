"""A folder of audio as it comes: what cannot be used is listed with its reason, what is odd is used."""

import json
import os
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


def test_everything_that_a_folder_may_hold(zoo: Zoo, tmp_path: Path) -> None:
    """Each unusable file is one line in the log and one in the summary; each odd one is used and counted."""
    rng = np.random.default_rng(0)
    noise = (0.1 * rng.standard_normal(32_000)).astype(np.float32)
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "zero.wav").touch()
    (folder / "text.wav").write_text("this is not audio\n" * 50)
    (folder / "directory.wav").mkdir()
    (folder / "dangling.wav").symlink_to(folder / "nowhere.wav")
    soundfile.write(folder / "empty.wav", np.zeros(0, dtype=np.float32), 16_000)
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        soundfile.write(
            folder / f"{name}.wav", np.where(np.arange(32_000) % 1000 == 0, value, noise), 16_000, subtype="FLOAT"
        )
    soundfile.write(folder / "broken.flac", noise, 16_000)
    data = bytearray((folder / "broken.flac").read_bytes())
    data[100:] = rng.integers(0, 256, len(data) - 100, dtype=np.uint8).tobytes()
    (folder / "broken.flac").write_bytes(data)
    unusable = sorted([*(entry.name for entry in folder.iterdir()), "vanished.wav"])

    soundfile.write(folder / "silent.wav", np.zeros(32_000, dtype=np.float32), 16_000)
    soundfile.write(folder / "one.wav", np.array([0.5], dtype=np.float32), 16_000)
    for kind in ("flac", "mp3", "ogg"):
        soundfile.write(folder / f"cut.{kind}", noise, 16_000)
        whole = (folder / f"cut.{kind}").read_bytes()
        (folder / f"cut.{kind}").write_bytes(whole[: 2 * len(whole) // 3])
    soundfile.write(folder / "wide.wav", rng.standard_normal((8000, 8)).astype(np.float32) * 0.1, 8000)
    soundfile.write(folder / "high.wav", noise, 192_000, subtype="PCM_24")
    soundfile.write(folder / "rate.wav", noise, 12_345, subtype="DOUBLE")
    soundfile.write(folder / "name.wav", noise, 16_000)
    (folder / "name.wav").rename(folder / ("ü" * 120 + ".wav"))
    soundfile.write(folder / "name.wav", noise, 16_000)
    os.rename(os.fsencode(folder / "name.wav"), os.fsencode(folder) + b"/\xe9\xff.wav")
    # Five hours that lie nowhere on the disk: a header, and a hole behind it. Reading it whole would take minutes.
    soundfile.write(folder / "hours.wav", np.zeros(1, dtype=np.int16), 16_000)
    size = 5 * 3600 * 16_000 * 2
    header = bytearray((folder / "hours.wav").read_bytes()[:44])
    header[4:8], header[40:44] = (size + 36).to_bytes(4, "little"), size.to_bytes(4, "little")
    (folder / "hours.wav").write_bytes(header)
    os.truncate(folder / "hours.wav", size + 44)
    odd = sorted(os.fsdecode(name) for name in os.listdir(os.fsencode(folder)) if os.fsdecode(name) not in unusable)
    rows = [json.dumps({"path": name}) for name in (*unusable, *odd)]
    (folder / "all.jsonl").write_text("\n".join(rows))
    zoo("pretrain", "quickstart/pretrain", f"data.train={folder / 'all.jsonl'}", *TINY_TRANSFORMER, "train.clips=88",
        "--out", "run")  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "run/bad_audio.jsonl").read_text().splitlines()]
    assert sorted(line["name"] for line in lines if not line["used"]) == unusable
    assert {line["name"] for line in lines if line["used"]} == set(odd)
    found = json.loads((tmp_path / "run/summary.json").read_text())
    assert (found["bad_clips"], found["odd_clips"]) == (len(unusable), len(odd))
    told = found["bad_audio"]["train"]
    assert len(told["unusable_clips"]) == sum(told["unusable"].values()) == len(unusable)
    assert len(told["odd_files"]) == len(odd)
    reasons = {"zero bytes", "a directory", "missing", "no samples", "NaN or Inf among the samples"}
    assert reasons < set(told["unusable"])
    sound = {"silent", "one sample", "truncated", "8 channels", "hours long", "odd rate 192000 Hz", "odd rate 12345 Hz"}
    assert set(told["odd"]) == sound | {"name that is no UTF-8", "very long name"}


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
