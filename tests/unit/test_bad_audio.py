"""The record of bad audio: each thing once, across a crash, and when a run has to stop."""

import json
from pathlib import Path

import pytest

from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import BadAudio
from zoo.errors import CheckpointError, DataError


def bad(name: str, used: bool = False, path: str | None = None, reason: str = "missing") -> BadAudio:
    return BadAudio(name, path or f"/x/{name}", reason, used)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_thing_once(tmp_path: Path) -> None:
    """Clips that cannot be used count each; of an odd file, however many clips it has, one line is enough."""
    path = tmp_path / "bad_audio.jsonl"
    log = BadAudioLog(path, 0.5, 100)
    assert not path.exists()
    assert log.add([]) == ()
    assert len(log.add([bad("a"), bad("b", path="/x/long"), bad("a")])) == 2
    assert len(log.add([bad("c", path="/x/long"), bad("a")])) == 1
    assert len(log.add([bad("d", True, "/x/odd", "silent"), bad("e", True, "/x/odd", "silent")])) == 1
    assert len(log.add([bad("d", False, "/x/odd", "missing")])) == 1
    assert (log.num_unusable, log.num_odd) == (4, 1)
    assert lines(path) == [
        {"path": "/x/a", "reason": "missing", "used": False, "name": "a", "set": "train"},
        {"path": "/x/long", "reason": "missing", "used": False, "name": "b", "set": "train"},
        {"path": "/x/long", "reason": "missing", "used": False, "name": "c", "set": "train"},
        {"path": "/x/odd", "reason": "silent", "used": True, "name": "d", "set": "train"},
        {"path": "/x/odd", "reason": "missing", "used": False, "name": "d", "set": "train"},
    ]


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "bad_audio.jsonl"
    BadAudioLog(path, 0.5, 100).add([bad("a"), bad("ü", True), bad("\udce9.wav")])
    with path.open("a") as file:
        file.write('{"path": "/x/b", "rea')  # a crash in the middle of a line
    log = BadAudioLog(path, 0.5, 100)
    assert (log.num_unusable, log.num_odd) == (2, 1)
    assert len(log.add([bad("a"), bad("ü", True), bad("\udce9.wav"), bad("b")])) == 1
    assert BadAudioLog(path, 0.5, 100).num_unusable == 3
    assert json.loads(path.read_text().splitlines()[-1])["name"] == "b"


def test_in_memory() -> None:
    log = BadAudioLog(None, 0.5, 10)
    log.add([bad("a")])
    assert log.num_unusable == 1


def test_stops_above_the_share(tmp_path: Path) -> None:
    path = tmp_path / "bad_audio.jsonl"
    log = BadAudioLog(path, 0.5, 24)
    log.add(bad(f"{i:02}") for i in range(12))
    log.check(12)  # exactly half
    log.add([bad("12", reason="zero bytes"), bad("odd", True)])
    with pytest.raises(DataError) as caught:
        log.check(11)
    found = str(caught.value).split("\n")
    assert found[0] == (
        "audio: 13 of 24 clips tried cannot be used - expected at most 50% (data.max_bad_share of data.train) - "
        "check the paths and files, or allow more:"
    )
    assert found[1:11] == [f"/x/{i:02}: missing" for i in range(10)]
    assert found[11] == f"… and 3 more in {path}"


def test_not_before_enough_clips_were_tried() -> None:
    log = BadAudioLog(None, 0.5, 1000)
    log.add(bad(str(i)) for i in range(19))
    log.check(0)
    log.add([bad("19")])
    with pytest.raises(DataError, match="20 of 20 clips"):
        log.check(0)
    small = BadAudioLog(None, 0.5, 3)
    small.add([bad("a"), bad("b")])
    small.check(0)
    with pytest.raises(DataError, match="2 of 3 clips"):
        small.check(1)


def test_bad_luck_does_not_stop_a_run() -> None:
    """13 of the first 20 may be bad where 40 % of all are; 13 of 20 thousand times as many may not."""
    log = BadAudioLog(None, 0.5, 1_000_000)
    log.add(bad(str(i)) for i in range(13))
    log.check(7)
    log.add(bad(str(i)) for i in range(13_000))
    with pytest.raises(DataError):
        log.check(7000)


@pytest.mark.parametrize(("share", "stops"), [(0.0, True), (1.0, False)])
def test_the_ends_of_the_share(share: float, stops: bool) -> None:
    log = BadAudioLog(None, share, 20)
    log.add([bad("a")] if share == 0 else [bad(str(i)) for i in range(20)])
    if stops:
        with pytest.raises(DataError, match="1 of 20 clips tried cannot be used - expected at most 0%"):
            log.check(500)
    else:
        log.check(0)


def test_repeats_of_clips_do_no_harm() -> None:
    """After many epochs the share is still one of the clips, not of how often they were seen."""
    log = BadAudioLog(None, 0.5, 30)
    log.add(bad(str(i)) for i in range(16))
    with pytest.raises(DataError, match="16 of 30"):
        log.check(100_000)


def test_a_name_of_two_lines_is_shown_on_one() -> None:
    log = BadAudioLog(None, 0.0, 1)
    log.add([bad("two\nlines")])
    with pytest.raises(DataError, match=r"'/x/two\\nlines': missing"):
        log.check(0)


def test_training_and_evaluation_clips_are_counted_apart(tmp_path: Path) -> None:
    """They may have the same names, and the share of one says nothing about the other."""
    path = tmp_path / "bad_audio.jsonl"
    train, held_out = BadAudioLog(path, 0.5, 100), BadAudioLog(path, 0.5, 4, "eval")
    train.add([bad("a")])
    held_out.add([bad("a"), bad("b"), bad("c")])
    assert (train.num_unusable, held_out.num_unusable) == (1, 3)
    train.check(99)
    with pytest.raises(DataError, match=r"3 of 4 clips tried .*data\.max_bad_share of data\.eval"):
        held_out.check(1)
    assert BadAudioLog(path, 0.5, 100).num_unusable == 1
    assert BadAudioLog(path, 0.5, 4, "eval").num_unusable == 3


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BadAudioLog(tmp_path / "bad_audio.jsonl", 0.5, 100)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(CheckpointError, match=r"bad_audio\.jsonl: .*No space left on device.*make room and resume"):
        log.add([bad("a")])
