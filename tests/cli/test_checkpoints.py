"""`zoo checkpoints` as a user runs it. No test reaches beyond this machine."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.weights.catalogue import find

Zoo = Callable[..., subprocess.CompletedProcess[str]]
NAME = "multitask-ssast-patch-tiny-400"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # nobody listens there
    for exception in ("no_proxy", "NO_PROXY", "ZOO_OFFLINE"):
        monkeypatch.delenv(exception, raising=False)


def fetched_by_hand(folder: Path, byte: bytes = b"\0") -> Path:
    """A file of the published size, which is all that is known of it."""
    known = find(NAME)
    assert known.size_range is not None
    folder.mkdir(exist_ok=True)
    path = folder / known.file
    with path.open("wb") as file:
        file.write(byte)
        file.truncate(known.size_range[0])
    return path


def test_the_table(zoo: Zoo) -> None:
    table = zoo("checkpoints").stdout
    for words in ("ast-base-stride10 ", "128 × 1024", "10×10", "mAP 0.4593 AudioSet", "BSD-3-Clause", "deit-base-384"):
        assert words in table


def test_the_list_as_json(zoo: Zoo, tmp_path: Path) -> None:
    here = fetched_by_hand(tmp_path / "checkpoints")
    rows = {row["name"]: row for row in json.loads(zoo("checkpoints", "--json").stdout)}
    assert rows[NAME]["cached"] == str(here)
    assert rows["ast-base-stride10"]["cached"] is None
    assert rows["ast-base-stride10"]["own"]["stride"] == [10, 10]


def test_one_in_full(zoo: Zoo) -> None:
    known = find("ast-base-stride10-speech-commands")
    text = zoo("checkpoints", known.name).stdout
    for words in (known.url, "std: 5.5654526", "backward, follow, five", "stride: 10×10"):
        assert words in text
    report = json.loads(zoo("checkpoints", known.name, "--json").stdout)
    assert report["labels"][-1] == "one"
    assert report["megabytes"] == pytest.approx(347.7)


def test_a_file_fetched_by_hand_is_found_and_watched(zoo: Zoo, tmp_path: Path) -> None:
    path = fetched_by_hand(tmp_path / "cache")
    assert zoo("checkpoints", NAME, "--download").stdout == f"{path}\n"
    assert json.loads(zoo("checkpoints", NAME, "--download", "--json").stdout)["cached"] == str(path)
    fetched_by_hand(tmp_path / "cache", byte=b"\1")
    done = zoo("checkpoints", NAME, "--download", code=2)
    assert "at its first use" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("offline", [False, True])
def test_without_a_network(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: bool) -> None:
    if offline:
        monkeypatch.setenv("ZOO_OFFLINE", "1")
    done = zoo("checkpoints", NAME, "--download", "--json", code=2)
    known = find(NAME)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    for words in (
        "ZOO_OFFLINE is set" if offline else "no answer",
        f"{known.url} by hand",
        str(tmp_path / "cache" / known.file),
        str(tmp_path / "checkpoints" / known.file),
    ):
        assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ast-base-stride11"], "did you mean ast-base-stride1"),
        (["ast-base-stride11", "--download"], "did you mean ast-base-stride1"),
        (["--download"], "NAME"),
    ],
)
def test_wrong_input_is_one_line(zoo: Zoo, arguments: list[str], words: str) -> None:
    done = zoo("checkpoints", *arguments, code=2)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_has_an_example(zoo: Zoo) -> None:
    assert "zoo checkpoints ast-base-stride10 --download" in zoo("checkpoints", "--help").stdout
