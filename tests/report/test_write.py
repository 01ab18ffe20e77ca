"""The page as a whole: what it says of runs that are whole, cut short or odd, and that it needs nothing else."""

import base64
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.compare.report import write_report
from zoo.errors import CheckpointError, DataError
from zoo.train.logbook import Logbook

FakeRun = Callable[..., Path]
VOID = {"meta", "link", "img", "br", "source"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps what a test asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.addresses.append(value or "")
            if key == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _read(path: Path) -> tuple[str, Page]:
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def written(two_models: dict[str, list[Path]], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    return _read(write_report(two_models, None, tmp_path_factory.mktemp("written") / "r.html"))


def test_one_file_that_needs_nothing_else(written: tuple[str, Page]) -> None:
    text, page = written
    assert page.addresses
    assert all(address.startswith(("#", "data:")) for address in page.addresses), page.addresses
    assert not {"script", "iframe", "object"} & set(page.tags)
    assert "url(http" not in text
    assert "@import" not in text
    assert len(page.ids) == len(set(page.ids)), "an id twice"
    inside = set(page.ids)
    assert all(address[1:] in inside for address in page.addresses if address.startswith("#"))
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= inside
    assert len(text) < 2_000_000


def test_every_part_is_there(written: tuple[str, Page]) -> None:
    text, page = written
    parts = ["result", "curves", "compute", "classes", "confusion", "clips", "health", "recipes", "runs"]
    assert [name for name in page.ids if name in parts] == parts
    assert page.tags.count("audio") == 12
    assert text.index(">clever<") < text.index(">plain<")  # best first
    for heading in ("Learning curves", "Accuracy against compute", "Hardest clips", ">optim.lr<", ">0.002<"):
        assert heading in text, heading


def test_the_table_of_a_comparison_is_shown_as_it_is(two_models: dict[str, list[Path]], tmp_path: Path) -> None:
    comparison = {
        "metric": "accuracy",
        "chance": 0.25,
        "rows": [
            {"name": "plain", "mean": 0.512, "deviation": None, "values": [0.512], "parameters": None, "news": [1]},
            {"name": "clever", "mean": 0.75, "deviation": 0.125, "values": [0.6, 0.9], "clips": 800, "seconds": 3.0},
            {"name": "of another time", "mean": 0.1},
        ],
        "remarks": ["Beware of <these> & those."],
        "unknown": {"a": 1},
    }
    text, _ = _read(write_report(two_models, comparison, tmp_path / "r.html"))
    for cell in ("0.512", "0.750 ± 0.125", "0.250", "Beware of &lt;these&gt; &amp; those."):
        assert cell in text, cell
    assert text.index(">plain<") < text.index(">clever<")  # the comparison's order


def test_runs_that_were_cut_short_are_told_and_do_not_count(fake_run: FakeRun, tmp_path: Path) -> None:
    cut = fake_run("plain", 1, is_finished=False)
    (cut / "black_box" / "step-000031").mkdir(parents=True)
    with (cut / "metrics.jsonl").open("a") as file:
        file.write('{"clips": 400, "loss/tot')
    empty = tmp_path / "empty"
    empty.mkdir()
    groups = {"plain": [fake_run("plain", 0, 0.5), cut], "gone": [empty]}
    text, _ = _read(write_report(groups, None, tmp_path / "r.html"))
    assert "2 of 3 runs have not finished" in text
    assert "stopped after 300 clips: a step was not finite (step-000031)" in text
    assert "not finished: nothing logged" in text
    assert ", one run. Chance" in text


def test_names_cannot_become_markup(fake_run: FakeRun, tmp_path: Path) -> None:
    name = '<script>alert("$x_1$")</script>'
    groups = {name: [fake_run("a")], "b & c": [fake_run("b")]}
    text, page = _read(write_report(groups, None, tmp_path / "r.html", title="<b>"))
    assert "script" not in page.tags
    assert "&lt;script&gt;" in text


def test_several_classes_a_clip(fake_run: FakeRun, tmp_path: Path) -> None:
    groups = {name: [fake_run(name, s, 2.0, task="multi-label") for s in (0, 1)] for name in ("a", "bb")}
    text, page = _read(write_report(groups, None, tmp_path / "r.html"))
    assert "average precision" in text
    assert "confusion" not in page.ids
    assert "clips" in page.ids


def test_runs_without_predictions_or_of_another_task_are_no_obstacle(fake_run: FakeRun, tmp_path: Path) -> None:
    old, other = fake_run("old"), fake_run("other", task="multi-label")
    (old / "predictions.npz").unlink()
    damaged = fake_run("damaged")
    (damaged / "predictions.npz").write_bytes(b"PK nothing")
    (damaged / "summary.json").write_text('{"metrics"')
    half = fake_run("half")
    (half / "predictions.npz").write_bytes(b"PK nothing")
    groups = {"old": [old], "other": [other], "damaged": [damaged], "half": [half], "whole": [fake_run("whole")]}
    text, page = _read(write_report(groups, None, tmp_path / "r.html"))
    assert "clips" in page.ids
    assert "finished, but its predictions.npz cannot be read, so parts lack it" in text
    assert "summary.json cannot be read" in text


def test_audio_that_has_gone_is_told(fake_run: FakeRun, tmp_path: Path) -> None:
    groups = {"a": [fake_run("a")]}
    for path in (tmp_path / "tones").rglob("*.wav"):
        path.unlink()
    text, page = _read(write_report(groups, None, tmp_path / "r.html", num_clips=3))
    assert text.count("Its audio was not found") == 3
    assert "audio" not in page.tags


def test_what_pretraining_has_cost(fake_run: FakeRun, tmp_path: Path) -> None:
    before = fake_run("before", command="pretrain")
    after = fake_run("after", init={"from": str(before), "clips": 800, "seconds": 16.0})
    text, _ = _read(write_report({"after": [after], "b": [fake_run("b")]}, None, tmp_path / "r.html"))
    assert "800 clips, 16 s" in text
    assert "A hollow point is the same run with its pretraining" in text


def test_no_run_at_all_and_a_folder_in_the_way(fake_run: FakeRun, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no runs to report on"):
        write_report({"a": []}, None, tmp_path / "r.html")
    (tmp_path / "r.html" / "x").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"r\.html"):
        write_report({"a": [fake_run("a")]}, None, tmp_path / "r.html")


def test_odd_values_in_a_summary(fake_run: FakeRun, tmp_path: Path) -> None:
    odd = fake_run("odd", metrics={"accuracy": None}, chance=None, versions=None, front_end={"kind": "none"}, clips=0)
    text, _ = _read(write_report({"odd": [odd]}, json.loads('{"rows": null}'), tmp_path / "r.html"))
    assert "No run has been judged yet" in text


def test_a_pretraining_run_alone_shows_what_it_hides_and_guesses(fake_run: FakeRun, tmp_path: Path) -> None:
    run = fake_run("hidden", command="pretrain", metric="loss", metrics={"loss": 2.5}, chance={})
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    pretext = {"loss/reconstruct": 1.0, "eval/pretext_accuracy": 0.3, "eval/pretext_chance": 0.02, "eval/loss": 2.5}
    pretext |= {"eval/loss_reconstruct": 0.9, "eval/mean_patch_loss": 1.01, "health/effective_rank": 20.0}
    pretext |= {"eval/probe_knn": 0.5, "eval/probe_linear": 0.6, "eval/probe_chance": 0.1}
    (run / "metrics.jsonl").write_text("".join(json.dumps(line | pretext) + "\n" for line in lines))
    (run / "predictions.npz").unlink()
    with Logbook(run) as book:
        for clips, level in ((100, 0.0), (800, 1.0)):
            for tag in ("log_mel/input", "log_mel/masked", "log_mel/reconstructed"):
                book.image(tag, np.full((20, 30), level), clips)
    text, page = _read(write_report({"hidden": [run]}, None, tmp_path / "r.html"))
    assert "pretext" in page.ids
    pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">', text)
    assert [told for _, told in pictures] == [
        "hidden: what a clip is",
        "hidden: what the model sees of it",
        "hidden: what it makes of the hidden patches",
    ]
    for content, _ in pictures:  # the last ones
        assert np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).mean() == 255
    for told in (
        "pretext accuracy",
        "reconstruction loss",
        "linear probe of the features",
        "kNN probe of the features",
    ):
        assert f"{told} over clips seen" in text
    assert "effective rank over clips seen" in text
    assert "mean patch loss" not in text  # no curves of their own: dotted lines
    assert "probe chance" not in text
    assert text.count(">the mean patch<") == 2  # of training and of the evaluation
    assert text.count(">chance<") == 3
    assert "hidden: loss 2.500" in text


def test_models_that_were_judged_on_other_clips_are_remarked_on(fake_run: FakeRun, tmp_path: Path) -> None:
    groups = {name: [fake_run(name, judged_manifest=name)] for name in ("a", "b")}
    assert "their numbers do not compare" in write_report(groups, None, tmp_path / "r.html").read_text()
    same = {name: [fake_run(name, judged_manifest="the same")] for name in ("c", "d")}
    assert "their numbers do not compare" not in write_report(same, None, tmp_path / "r.html").read_text()
