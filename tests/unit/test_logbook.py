"""What stands in metrics.jsonl and in the event files, and what a resume takes back."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as PluginEventAccumulator

from zoo.errors import CheckpointError, DataError, ShapeError
from zoo.train.logbook import Book, Logbook, SilentLogbook, drop_lines_after


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "audio": 0}).Reload()


def log(book: Logbook, clips: int, **values: float) -> None:
    book.scalars(values, clips=clips, step=clips // 8, epoch=clips // 80, seconds=clips / 3)


def test_scalars_go_to_both_and_are_on_disk_before_close(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "run")
    log(book, 16, **{"loss/total": 0.5, "optim/lr": 1e-4})
    assert lines(tmp_path / "run") == [
        {"clips": 16, "step": 2, "epoch": 0, "seconds": 5.333, "loss/total": 0.5, "optim/lr": 1e-4}
    ]
    log(book, 24, **{"loss/total": 0.25})
    book.close()
    assert [(e.step, e.value) for e in events(tmp_path / "run").Scalars("loss/total")] == [(16, 0.5), (24, 0.25)]


def test_what_json_lacks_becomes_null(tmp_path: Path) -> None:
    with Logbook(tmp_path) as book:
        log(book, 8, **{"eval/auc": math.nan, "eval/x": math.inf, "eval/mAP": 0.5})
    assert (lines(tmp_path)[0]["eval/auc"], lines(tmp_path)[0]["eval/x"]) == (None, None)
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_images_audio_and_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Logbook(tmp_path) as book:
        book.image("log_mel/grey", np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), 8)
        book.image("log_mel/one", torch.rand(1, 5, 6), 8)
        book.image("log_mel/colour", np.zeros((3, 5, 7), np.uint8), 8)
        book.image("log_mel/last", np.zeros((5, 8, 3), np.uint8), 8)
        book.audio("audio/clip", 1.5 * torch.sin(torch.arange(100.0)), 8, sample_rate=16_000)  # clipped
        book.text("recipe", "    name: x")
    found = events(tmp_path)
    sizes = {tag: (found.Images(tag)[0].height, found.Images(tag)[0].width) for tag in found.Tags()["images"]}
    assert sizes == {"log_mel/grey": (3, 4), "log_mel/one": (5, 6), "log_mel/colour": (5, 7), "log_mel/last": (5, 8)}
    assert found.Audio("audio/clip")[0].sample_rate == 16_000
    assert capsys.readouterr().out == ""  # stdout is for JSON
    assert "recipe/text_summary" in found.Tags()["tensors"]


def test_wrong_shapes_are_named(tmp_path: Path) -> None:
    with Logbook(tmp_path) as book:
        with pytest.raises(ShapeError, match=r"log_mel/x: found an image of \(2, 4, 5\) - expected \(H, W\)"):
            book.image("log_mel/x", torch.zeros(2, 4, 5), 0)
        with pytest.raises(ShapeError, match=r"audio/x: found a waveform of \(1, 5\) - expected \(S,\)"):
            book.audio("audio/x", torch.zeros(1, 5), 0, 16_000)


def test_a_resume_drops_what_lies_beyond_its_point(tmp_path: Path) -> None:
    with Logbook(tmp_path) as book:
        for clips in (8, 16, 24, 32):
            log(book, clips, loss=float(clips))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"clips": 40, "los')  # a crash cut this one short
    with Logbook(tmp_path, resume_at_clips=16) as book:
        assert [line["clips"] for line in lines(tmp_path)] == [8, 16]
        log(book, 24, loss=-24.0)
    assert [(line["clips"], line["loss"]) for line in lines(tmp_path)] == [(8, 8.0), (16, 16.0), (24, -24.0)]
    assert [(e.step, e.value) for e in events(tmp_path).Scalars("loss")] == [(8, 8.0), (16, 16.0), (24, -24.0)]


def test_tensorboard_itself_hides_what_lies_beyond_a_first_and_a_second_resume(tmp_path: Path) -> None:
    """It reads event files by other code than `EventAccumulator`, which takes the first restart for a start."""

    def seen() -> list[tuple[int, float]]:
        found = PluginEventAccumulator(str(tmp_path)).Reload().Tensors("loss")
        return [(event.step, float(event.tensor_proto.float_val[0])) for event in found]

    for resume, value in ((None, 1.0), (16, 2.0), (24, 3.0)):
        with Logbook(tmp_path, resume) as book:
            for clips in (8, 16, 24, 32):
                if clips > (resume or 0):
                    log(book, clips, loss=value)
    assert seen() == [(8, 1.0), (16, 1.0), (24, 2.0), (32, 3.0)]


def test_sessions_begin_behind_the_checkpoint(tmp_path: Path) -> None:
    for resume, begins_at in ((None, 0), (0, 0), (16, 17)):
        with Logbook(tmp_path / str(resume), resume) as book:
            assert book.begins_at == begins_at
            book.layout({"Losses": {"training": ["loss/.*"]}})
        found = events(tmp_path / str(resume)).Tags()["tensors"]
        assert ("custom_scalars__config__" in found) == (begins_at == 0)


def test_curves_and_vectors(tmp_path: Path) -> None:
    with Logbook(tmp_path) as book:
        book.pr_curve("eval/pr/dog", np.array([[True], [False]]), np.array([[0.9], [0.2]]), 8)
        book.embedding(np.eye(2), {"label": ["a", "b"], "clip": ["x", "y"]}, np.zeros((2, 4, 4, 3), np.uint8))
    (event,) = events(tmp_path).Tensors("eval/pr/dog")
    curve = np.array(event.tensor_proto.float_val).reshape(6, 127)
    assert event.step == 8
    assert (curve[0, 63], curve[1, 63]) == (1, 0)  # at a threshold of .5: true and false positives
    assert (tmp_path / "projector_config.pbtxt").exists()
    assert len(list(tmp_path.rglob("events.*"))) == 1


def test_a_resume_from_the_beginning_drops_everything(tmp_path: Path) -> None:
    with Logbook(tmp_path) as book:
        log(book, 8, loss=1.0)
    Logbook(tmp_path, resume_at_clips=0).close()
    assert lines(tmp_path) == []


def test_a_new_logbook_keeps_what_is_there(tmp_path: Path) -> None:
    for clips in (8, 16):
        with Logbook(tmp_path) as book:
            log(book, clips, loss=1.0)
    assert [line["clips"] for line in lines(tmp_path)] == [8, 16]


def test_dropping_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"clips": 8}\n{"clips": 16}\n')

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        drop_lines_after(path, 8)
    assert path.read_text() == '{"clips": 8}\n{"clips": 16}\n'


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.*found no way to write .* expected a folder for logs"):
        Logbook(tmp_path / "file" / "run")


def test_the_silent_logbook_is_a_book(tmp_path: Path) -> None:
    silent = SilentLogbook()
    assert isinstance(silent, Book)
    silent.scalars({"loss": 1.0}, clips=1, step=1, epoch=0, seconds=0.0)
    silent.image("a", np.zeros((2, 2)), 1)
    silent.audio("a", np.zeros(2), 1, 16_000)
    silent.text("a", "b")
    silent.hparams({"lr": 1.0}, {"final/loss": 1.0})
    silent.layout({"Losses": {"training": ["loss/.*"]}})
    silent.pr_curve("a", np.zeros(2, bool), np.zeros(2), 1)
    silent.embedding(np.zeros((2, 2)), {}, np.zeros((2, 2, 2, 3), np.uint8))
    silent.close()
    assert list(tmp_path.iterdir()) == []


def test_hparams_are_in_the_runs_own_file(tmp_path: Path) -> None:
    """`SummaryWriter.add_hparams` opens a run of its own in a folder beside, which clutters every chart."""
    with Logbook(tmp_path / "run") as book:
        log(book, 8, **{"eval/accuracy": 0.5})
        book.hparams({"model": "ast", "lr": 1e-3, "seed": 0}, {"final/accuracy": 0.5}, 8, ["final/loss"])
    assert [path for path in (tmp_path / "run").iterdir() if path.is_dir()] == []
    assert len(list((tmp_path / "run").glob("events.*"))) == 1
    plugins = events(tmp_path / "run").summary_metadata
    assert any(data.plugin_data.plugin_name == "hparams" for data in plugins.values())
    assert [(event.step, event.value) for event in events(tmp_path / "run").Scalars("final/accuracy")] == [(8, 0.5)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a file on a disk that is full")
def test_a_full_disk_is_told_in_one_line_and_closing_says_nothing_more(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    book._file.close()
    book._file = open("/dev/full", "a")  # noqa: SIM115 - the logbook closes it
    with pytest.raises(CheckpointError, match=r"No space left on device.*the last checkpoint is whole: make room"):
        book.scalars({"loss": 1.0}, clips=1, step=1, epoch=0, seconds=0.0)
    book.close()
