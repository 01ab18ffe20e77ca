"""`zoo bench`: both ways measured in one run, and a report whose numbers fit together."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Zoo = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ["--rounds", "1", "--device", "cpu", "--json"]


def _check_sums(row: dict[str, Any]) -> None:
    for key, name in (("ratio", "clips_per_second"), ("ratio_per_core", "clips_per_core_second")):
        assert row[key] == pytest.approx(row["ours"][name] / row["peer"][name])
        for way in ("ours", "peer"):
            low, high = row[way][f"{name}_spread"]
            assert low <= row[way][name] <= high
    for way in ("ours", "peer"):
        assert row[way]["cpu_ms_per_clip"] == pytest.approx(1e3 / row[way]["clips_per_core_second"])
        assert row[way]["peak_memory_mib"] > 100  # torch alone is more


def test_front_end(zoo: Zoo) -> None:
    report = json.loads(zoo("bench", "frontend", "--seconds", "0.5", "--batch", "4", *SMALL).stdout)
    (row,) = report["rows"]
    _check_sums(row)
    assert row["ours"]["clips_per_round"] == row["peer"]["clips_per_round"] == 256
    assert report["difference"] < 4e-6
    assert report["remark"] == ""
    assert report["threads"] == 1


def test_loader(zoo: Zoo, tmp_path: Path, tone_folder: Callable[..., Path]) -> None:
    sizes = ["--seconds", "0.3", "--clips", "5", "--batch", "4", "--formats", "flac", "--workers", "1"]
    done = zoo("bench", "loader", tone_folder(), *sizes, *SMALL, "--out", "bench/loader.json")
    report = json.loads(done.stdout)
    assert json.loads((tmp_path / "bench" / "loader.json").read_text()) == report
    assert report["clips"] == 8  # whole batches
    (row,) = report["rows"]
    assert (row["format"], row["workers"]) == ("flac", 1)
    _check_sums(row)
    for way in ("ours", "peer"):
        assert row[way]["clips_per_round"] == 8
        stages = row[way]["stages_ms"]
        assert set(stages) == {"decode", "resample", "front end", "rest"}
        assert min(stages.values()) >= 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["loader", "--workers", "some"], "--workers: 'some' - expected numbers of processes such as 0,2"),
        (["loader", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_wrong_words(zoo: Zoo, arguments: list[str], text: str) -> None:
    done = zoo("bench", *arguments, code=2)
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_train(zoo: Zoo, tmp_path: Path) -> None:
    sizes = ["--size", "tiny", "--seconds", "0.5", "--batch", "2", "--steps", "1", "--from", "log-mel"]
    done = zoo("bench", "train", "ssast", *sizes, *SMALL, "--out", "bench/train.json")
    report = json.loads(done.stdout)
    assert json.loads((tmp_path / "bench" / "train.json").read_text()) == report
    (row,) = report["rows"]
    assert (row["family"], row["from"], row["n_frames"]) == ("ssast", "log-mel", 64)
    assert list(row["ways"]) == ["ours", "two-pass", "peer"]
    for way in row["ways"].values():
        assert way["clips_per_round"] == 2
        assert way["tflops"] == pytest.approx(way["clips_per_second"] * way["flops_per_clip"] / 1e12)
        assert 0 < way["step_mib"] < way["peak_memory_mib"]
    assert row["ratios"]["ours"] == pytest.approx(
        row["ways"]["ours"]["clips_per_second"] / row["ways"]["peer"]["clips_per_second"]
    )
    assert report["remarks"] == {}


def test_train_of_an_unknown_family(zoo: Zoo) -> None:
    done = zoo("bench", "train", "vit", "--device", "cpu", code=2)
    assert "FAMILY: 'vit' - expected some of ast, ssast, passt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_pretext(zoo: Zoo, tmp_path: Path) -> None:
    sizes = ["--size", "tiny", "--frames", "64", "--batch", "2", "--steps", "1", "--masks", "1"]
    done = zoo("bench", "pretext", "frame", *sizes, *SMALL, "--out", "bench/pretext.json")
    report = json.loads(done.stdout)
    assert json.loads((tmp_path / "bench" / "pretext.json").read_text()) == report
    (row,) = report["rows"]
    assert list(row["ways"]) == ["released", "two-pass", "one-pass", "visible"]
    assert row["ratios"]["visible"] == pytest.approx(
        row["ways"]["visible"]["clips_per_second"] / row["ways"]["released"]["clips_per_second"]
    )
    for way in row["ways"].values():
        assert way["clips_per_round"] == 2
        assert 0 < way["step_mib"] < way["peak_memory_mib"]
