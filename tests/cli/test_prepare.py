"""`zoo prepare` as a user runs it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Zoo = Callable[..., subprocess.CompletedProcess[str]]
Tree = Callable[..., Path]


@pytest.fixture
def notes(tmp_path: Path, file_tree: Tree) -> Path:
    """An imitation of NSynth with one unreadable, one missing and one extra note."""
    parts = {"train": range(40, 44), "valid": range(44, 46), "test": range(46, 48)}
    files: dict[str, float | str | bytes] = {}
    for number, (split, pitches) in enumerate(parts.items()):
        name = f"bass_acoustic_00{number}"
        fields = {"instrument_str": name, "instrument_family_str": "bass", "instrument_source_str": "acoustic"}
        examples = {f"{name}-0{pitch}-100": {**fields, "pitch": pitch} for pitch in pitches}
        files[f"nsynth-{split}/examples.json"] = json.dumps(examples)
        files |= {f"nsynth-{split}/audio/{note}.wav": 0.3 for note in examples}
    del files["nsynth-test/audio/bass_acoustic_002-047-100.wav"]
    files["nsynth-test/audio/bass_acoustic_002-046-100.wav"] = b"broken"
    files["nsynth-test/audio/mine.wav"] = 0.1
    return file_tree(tmp_path / "my nsynth", files)


def test_the_list(zoo: Zoo) -> None:
    text = zoo("prepare").stdout
    for words in ("esc50 ", "speech-commands-v2", "CC BY-NC 3.0", "multi-label", "zoo prepare NAME SOURCE"):
        assert words in text
    rows = json.loads(zoo("prepare", "--json").stdout)
    assert len(rows) == 14
    assert {row["name"]: row["options"] for row in rows}["folder"] == {"labels": ["auto", "folders", "none"]}


def test_one_data_set_in_full(zoo: Zoo) -> None:
    text = zoo("prepare", "nsynth").stdout
    for words in ("https://magenta.tensorflow.org", "nsynth-train/", "label=family|source|pitch (default family)"):
        assert words in text
    assert json.loads(zoo("prepare", "nsynth", "--json").stdout)["licence"] == "CC BY 4.0"


def test_preparing_and_what_it_prints(zoo: Zoo, tmp_path: Path, notes: Path) -> None:
    done = zoo("prepare", "nsynth", notes, "label=pitch")
    for words in (
        "nsynth: 7 clips, 2 s, 128 classes (single-label), 3 groups",
        "split train",
        "missing (listed, no audio): 1 – nsynth-test/audio/bass_acoustic_002-047-100.wav (all in data/nsynth/missing",
        "unreadable: 1 – nsynth-test/audio/bass_acoustic_002-046-100.wav: not audio, or damaged from the start",
        "audio that is in no list: 1 – nsynth-test/audio/mine.wav",
        "clips a class: 1 each; 121 without any: 0, 1, 2, 3, 4, …",
        "wrote data/nsynth/manifest.csv and data/nsynth/labels.csv",
    ):
        assert words in done.stdout
    report = json.loads((tmp_path / "data" / "nsynth" / "prepared.json").read_text())
    assert f"hash {report['hash']}" in done.stdout
    assert f"next: {report['next']}" in done.stdout
    again = zoo("prepare", "nsynth", notes, "label=pitch", "--json")
    assert json.loads(again.stdout) == report
    quick = json.loads(zoo("prepare", "nsynth", notes, "--quick", "--json", "--out", "quick").stdout)
    assert (quick["hours"], quick["unreadable"], quick["options"]) == (None, None, {"label": "family"})
    assert "–" in zoo("prepare", "nsynth", notes, "--quick", "-o", "quick").stdout


def test_what_comes_next_runs(zoo: Zoo, notes: Path) -> None:
    """The recipe takes the manifest and the table; `check` reads both."""
    report = json.loads(zoo("prepare", "nsynth", notes, "--json").stdout)
    words = [
        f"data.{part}.{key}={value}"
        for part, split in (("train", "train"), ("eval", "valid"))
        for key, value in (("path", report["manifest"]), ("split", split))
    ]
    assert all(word in report["next"] for word in words)
    checked = json.loads(
        zoo("check", "finetune/folder/ast-base.yaml", *words, f"data.labels={report['labels']}", "--json").stdout
    )
    assert (checked[0]["train_clips"], checked[0]["eval_clips"], checked[0]["classes"]) == (4, 2, 11)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["esc51", "."], "esc51: no known data set; did you mean"),
        (["esc50", "."], ".: found my nsynth/ - expected meta/esc50.csv beside"),
        (["esc50", "nowhere"], "nowhere: no such folder"),
        (["nsynth", "my nsynth", "label=x"], "label=x: no such choice - expected label=family|source|pitch"),
        (["nsynth", "my nsynth", "--out", "my nsynth"], "my nsynth: is not empty, and no earlier preparation"),
    ],
)
def test_mistakes_are_one_line(zoo: Zoo, notes: Path, arguments: list[str], words: str) -> None:
    done = zoo("prepare", *arguments, code=2)
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
