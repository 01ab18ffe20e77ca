"""Predictions: what `zoo evaluate` would say, and what each second says, whatever the files are."""

import csv
import json
from pathlib import Path

import pytest
import soundfile
import torch

import zoo
from tests.unit.small_models import noise, save_small
from zoo.audio.decode import decode
from zoo.errors import CheckpointError, DataError, RecipeError
from zoo.use.predict import Prediction
from zoo.use.prediction_files import write_predictions

RATE = 16_000


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    noise(tmp_path / "sounds/a.wav", 0.5)
    noise(tmp_path / "sounds/deep/b.flac", 2.3, 22_050, seed=1)
    noise(tmp_path / "sounds/c.wav", 0.02, seed=2)
    return tmp_path / "sounds"


def _logits(model: torch.nn.Module, path: Path, start: float | None = None, stop: float | None = None) -> torch.Tensor:
    wave = decode(path, RATE, start, stop).waveform
    with torch.no_grad():
        return model(model.front_end.build()(wave[None]))[0].double()


def test_a_short_clip_is_the_softmax_of_its_logits(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    (found,) = zoo.predict(run, audio / "a.wav")
    expected = _logits(zoo.load(run), audio / "a.wav").softmax(0)
    assert (found.start, found.stop) == (None, None)
    assert dict(found.labels) == pytest.approx(
        dict(zip(("cat", "dog", "owl"), expected.tolist(), strict=True)), abs=1e-6
    )
    assert [value for _, value in found.labels] == sorted((v for _, v in found.labels), reverse=True)


def test_long_clips_are_the_mean_of_their_windows(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", carried={"windows": {"long_clips": "windows", "overlap": 0.0}})
    model = zoo.load(run)
    (found,) = zoo.predict(run, [audio / "deep/b.flac"])
    window = model.front_end.build().num_samples(64) / RATE
    starts = [0.0, window, 2 * window, 2.3 - window]
    each = [_logits(model, audio / "deep/b.flac", start, start + window).softmax(0) for start in starts]
    mean = torch.stack(each).mean(0)
    assert dict(found.labels) == pytest.approx(dict(zip(("cat", "dog", "owl"), mean.tolist(), strict=True)), abs=1e-5)


def test_multi_label_is_a_sigmoid_a_class(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", carried={"task": "multi-label"})
    (found,) = zoo.predict(run, audio / "a.wav")
    expected = _logits(zoo.load(run), audio / "a.wav").sigmoid()
    assert dict(found.labels)["dog"] == pytest.approx(float(expected[1]), abs=1e-6)


@pytest.mark.parametrize("name", ["ast-tiny", "passt-tiny", "cnn-baseline"])
def test_timed_windows_are_the_stretches_themselves(name: str, audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", name)
    model = zoo.load(run)
    front_end = model.front_end.build()
    found = zoo.predict(run, audio / "deep/b.flac", windows=0.5, hop=0.3, top_k=1)
    assert [one.start for one in found] == pytest.approx([0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8])
    assert [one.stop for one in found] == pytest.approx([0.5, 0.8, 1.1, 1.4, 1.7, 2.0, 2.3])
    for one in found:
        wave = decode(audio / "deep/b.flac", front_end.sample_rate, one.start, one.stop).waveform
        with torch.no_grad():
            expected = model(front_end(wave[None]))[0].softmax(0)
        assert one.labels[0][1] == pytest.approx(float(expected.max()), abs=1e-4)
    # The last window ends with the clip; a shorter clip is one.
    assert [one.stop for one in zoo.predict(run, audio / "deep/b.flac", windows=0.6)] == pytest.approx(
        [0.6, 1.2, 1.8, 2.3]
    )
    assert [(one.start, one.stop) for one in zoo.predict(run, audio / "a.wav", windows=0.6)] == [(0.0, 0.5)]


def test_top_k_and_threshold(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    (all_of_them,) = zoo.predict(run, audio / "a.wav")
    values = [value for _, value in all_of_them.labels]
    assert len(values) == 3
    between = (values[0] + values[1]) / 2
    (one,) = zoo.predict(run, audio / "a.wav", threshold=between)
    assert one.labels == all_of_them.labels[:1]
    (one,) = zoo.predict(run, audio / "a.wav", threshold=0.0, top_k=2)
    assert one.labels == all_of_them.labels[:2]
    (one,) = zoo.predict(run, audio / "a.wav", threshold=1.0)
    assert one.labels == ()


def test_files_folders_and_manifests_each_clip_once(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    (tmp_path / "m.csv").write_text("path,label,start,stop\nsounds/deep/b.flac,anything,0.5,1\nsounds/a.wav,x,,\n")
    found = zoo.predict(run, [tmp_path / "m.csv", audio, audio / "a.wav"], top_k=1)
    assert [(Path(one.path).name, one.start, one.stop) for one in found] == [
        ("b.flac", 0.5, 1.0),
        ("a.wav", None, None),
        ("c.wav", None, None),
        ("b.flac", None, None),
    ]
    timed = zoo.predict(run, tmp_path / "m.csv", windows=0.25)
    assert [(one.start, one.stop) for one in timed][:2] == [(0.5, 0.75), (0.75, 1.0)]  # seconds in the file
    model = zoo.load(run)
    cut = _logits(model, audio / "deep/b.flac", 0.5, 1.0).softmax(0)
    assert found[0].labels[0][1] == pytest.approx(float(cut.max()), abs=1e-5)


def test_bad_files_are_told_and_the_rest_goes_on(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    (audio / "broken.wav").write_bytes(b"RIFF")
    (audio / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(64))
    (tmp_path / "empty").mkdir()
    wave = torch.zeros(8_000)
    wave[100] = torch.nan
    soundfile.write(audio / "nan.wav", wave.numpy(), RATE, subtype="FLOAT")
    found = zoo.predict(run, [audio, tmp_path / "empty", tmp_path / "gone.wav"])
    assert len(found) == 3
    reasons = {Path(one.path).name: one.reason for one in found.bad if not one.used}
    assert set(reasons) == {"broken.wav", "song.m4a", "nan.wav", "empty", "gone.wav"}
    assert "ffmpeg" in reasons["song.m4a"]
    assert "missing" in reasons["gone.wav"]
    assert "no audio file" in reasons["empty"]
    with pytest.raises(DataError, match=r"none of 2 can be used.*\n.*gone.wav: missing") as caught:
        zoo.predict(run, [tmp_path / "gone.wav", audio / "broken.wav"])
    assert len(str(caught.value).splitlines()) == 3


def test_a_loaded_model_is_used_as_it_is(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", carried={"task": "multi-label"})
    model = zoo.load(run)
    assert isinstance(model, torch.nn.Module)
    from_path, from_model = zoo.predict(run, audio), zoo.predict(model, audio)
    assert [one.labels for one in from_path] == [one.labels for one in from_model]
    fresh = zoo.build("ast-tiny", embed_dim=24, depth=1, num_heads=2, num_classes=3, n_frames=64)
    with pytest.raises(CheckpointError, match=r"model: no front end .* set model\.front_end"):
        zoo.predict(fresh, audio)
    fresh.front_end = zoo.front_end("ast").config
    with pytest.raises(CheckpointError, match="stores no task"):
        zoo.predict(fresh, audio)
    (found, *_) = zoo.predict(fresh, audio, task="single-label")
    assert {name for name, _ in found.labels} == {"0", "1", "2"}  # classes without names


def test_order_and_answers_do_not_depend_on_batches(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    for number in range(9):
        noise(audio / f"n{number}.wav", 0.2 + 0.4 * (number % 4), seed=number)
    wide, narrow = zoo.predict(run, audio, windows=0.3), zoo.predict(run, audio, windows=0.3, batch_size=1)
    assert [(one.path, one.start) for one in wide] == [(one.path, one.start) for one in narrow]
    assert [one.path for one in wide] == sorted(one.path for one in wide)
    for one, other in zip(wide, narrow, strict=True):
        assert dict(one.labels) == pytest.approx(dict(other.labels), abs=1e-5)


def test_labels_from_a_file(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", carried={"labels": None})
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    (found,) = zoo.predict(run, audio / "a.wav", labels=str(tmp_path / "names.txt"))
    assert {name for name, _ in found.labels} == {"one", "two", "three"}
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match="2 names - expected 3"):
        zoo.predict(run, audio / "a.wav", labels=str(tmp_path / "few.txt"))


def test_windows_that_are_none(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    for options, words in {
        (("windows", 5.0),): r"windows: found 5 s - expected at least 0\.175 s, one patch and at most 0\.665",
        (("windows", 0.01),): "windows: found 0.01 s",
        (("windows", 0.5), ("hop", 0.6)): "hop: found 0.6 s with windows of 0.5 s",
        (("windows", 0.5), ("hop", 0.0)): "hop: found 0 s",
        (("windows", float("nan")),): "windows: found nan",
        (("windows", 0.5), ("hop", float("inf"))): "hop: found inf",
        (("hop", 0.5),): "hop: found 0.5 s without windows",
        (("top_k", 0),): "top_k: found 0",
        (("threshold", 1.5),): "threshold: found 1.5",
    }.items():
        with pytest.raises(RecipeError, match=words):
            zoo.predict(run, audio, **dict(options))
    # A model without a position table takes windows of any length.
    assert len(zoo.predict(save_small(tmp_path / "cnn", "cnn-baseline"), audio / "deep/b.flac", windows=2.0)) == 2


def test_a_model_without_a_classifier(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c", num_classes=0)
    with pytest.raises(CheckpointError, match=r"without a classifier .* zoo finetune RECIPE init\.from="):
        zoo.predict(run, audio)
    pretraining = zoo.build("ssast-patch-tiny", pretraining=True, embed_dim=24, depth=1, num_heads=2)
    with pytest.raises(CheckpointError, match="pretraining=False"):
        zoo.predict(pretraining, audio)


def test_files_of_predictions(audio: Path, tmp_path: Path) -> None:
    run = save_small(tmp_path / "c")
    noise(audio / "odd.wav", 0.3).rename(f"{audio}/odd, \udce9.wav")
    whole, timed = zoo.predict(run, audio, top_k=2), zoo.predict(run, audio / "a.wav", windows=0.25)
    for name, found in (("whole", whole), ("timed", timed)):
        for ending in (".csv", ".json", ".jsonl"):
            write_predictions(tmp_path / f"{name}{ending}", found)
    rows = list(csv.DictReader((tmp_path / "whole.csv").read_text().splitlines()))
    assert list(rows[0]) == ["path", "rank", "label", "probability"]
    assert len(rows) == 8
    assert [row["rank"] for row in rows[:3]] == ["1", "2", "1"]
    assert float(rows[0]["probability"]) == pytest.approx(whole[0].labels[0][1], rel=1e-5)
    assert any("odd, \\udce9.wav" in row["path"] for row in rows)
    rows = list(csv.DictReader((tmp_path / "timed.csv").read_text().splitlines()))
    assert (rows[0]["start"], rows[0]["stop"], rows[3]["start"]) == ("0.0", "0.25", "0.25")
    lines = [json.loads(line) for line in (tmp_path / "timed.jsonl").read_text().splitlines()]
    assert lines[1]["start"] == 0.25
    assert lines[0]["labels"][0] == {"label": timed[0].labels[0][0], "probability": timed[0].labels[0][1]}
    report = json.loads((tmp_path / "whole.json").read_text())
    assert (len(report["predictions"]), report["task"], report["bad_audio"]) == (4, "single-label", [])
    with pytest.raises(RecipeError, match=r"found the ending '\.txt'"):
        write_predictions(tmp_path / "x.txt", whole)


def test_long_files_are_never_decoded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest stretch that is read of two minutes is a window."""
    noise(tmp_path / "long.flac", 120, 8_000)
    run = save_small(tmp_path / "c")
    longest = []

    def watched(*arguments: object) -> object:
        found = decode(*arguments)  # type: ignore[arg-type]
        longest.append(found.length)
        return found

    monkeypatch.setattr("zoo.data.reader.decode", watched)
    assert len(zoo.predict(run, tmp_path / "long.flac", windows=0.5, hop=0.5)) == 240
    assert len(longest) == 240
    assert max(longest) == 8_000


def test_predictions_are_a_sequence(audio: Path, tmp_path: Path) -> None:
    found = zoo.predict(save_small(tmp_path / "c"), audio)
    assert len(found) == 3
    assert isinstance(found[0], Prediction)
    assert found[-1] is list(found)[-1]
    assert len(found[:2]) == 2
