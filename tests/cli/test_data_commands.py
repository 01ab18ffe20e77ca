"""`zoo audit` and `zoo stats` as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

from tests.unit.audit_sounds import RATE, as_mp3, music, noise, write

Zoo = Callable[..., CompletedProcess[str]]


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """Six clips in two folds; one of fold 2 is one of fold 1 as an mp3, quieter and half a second later."""
    for i in range(3):
        write(tmp_path / f"m{i}.wav", music(i, 2.0))
        write(tmp_path / f"n{i}.wav", noise(i, 2.0))
    late = np.concatenate([np.zeros(RATE // 2, np.float32), music(0, 2.0)])
    as_mp3(tmp_path / "copy.mp3", 0.5 * late[: 2 * RATE])
    rows = [("m0.wav", 1, "music"), ("n0.wav", 1, "rain"), ("m1.wav", 1, "music")]
    rows += [("n1.wav", 2, "rain"), ("copy.mp3", 2, "music"), ("m2.wav", 2, "music"), ("n2.wav", 2, "rain")]
    text = "".join(f"{path},{fold},{label}\n" for path, fold, label in rows)
    (tmp_path / "meta.csv").write_text("path,fold,label\n" + text)
    (tmp_path / "clean.csv").write_text("path,fold,label\n" + text.replace("copy.mp3,2", "copy.mp3,1"))
    return tmp_path


def test_audit_tells_of_a_leak(zoo: Zoo, leaking: Path) -> None:
    text = zoo("audit", "meta.csv").stdout
    assert "near-leak" in text
    assert "fold 1 and 2" in text
    assert "1 error, 0 warnings, 0 notes" in text
    zoo("audit", "meta.csv", "--strict", code=2)
    clean = zoo("audit", "clean.csv", "--strict").stdout
    assert "near-duplicate" in clean
    assert "0 errors, 1 warning, 0 notes" in clean
    assert "nothing was found" in zoo("audit", "clean.csv", "--no-near-duplicates").stdout


def test_audit_in_json_and_a_file(zoo: Zoo, leaking: Path) -> None:
    done = zoo("audit", "meta.csv", "--json", "--out", "findings.jsonl", "--strict", code=2)
    report = json.loads(done.stdout)
    (finding,) = report["findings"]
    assert (finding["clip"], finding["other_clip"], finding["where"]) == ("m0.wav", "copy.mp3", "meta.csv:2")
    assert [json.loads(line) for line in (leaking / "findings.jsonl").read_text().splitlines()] == [finding]
    assert report["totals"]["clips"] == 7
    assert {row["label"]: row["clips"] for row in report["balance"]["classes"]} == {"music": 4, "rain": 3}


def test_audit_of_what_cannot_be_audited(zoo: Zoo, leaking: Path) -> None:
    assert "no such file" in zoo("audit", "nothing.csv", code=2).stderr
    assert "expected OURS=THEIRS" in zoo("audit", "meta.csv", "--column", "label", code=2).stderr
    assert "given twice" in zoo("audit", "meta.csv", "meta.csv", code=2).stderr
    (leaking / "twice.csv").write_text("path\nm0.wav\nm0.wav\n")
    assert "stands at twice.csv:2 already" in zoo("audit", "twice.csv", code=2).stderr


def test_stats(zoo: Zoo, leaking: Path) -> None:
    report = json.loads(zoo("stats", "meta.csv", "n_mels=32", "--fold", "1", "--json").stdout)
    assert (report["clips"], report["front_end"]["n_mels"], len(report["bands"]["mean"])) == (3, 32, 32)
    text = zoo("stats", "meta.csv", "n_mels=32", "--fold", "1").stdout
    assert "  ".join(report["recipe"]) in text
    assert "get_norm_stats.py" in text
    assert "did you mean" in zoo("stats", "meta.csv", "n_mel=32", code=2).stderr
