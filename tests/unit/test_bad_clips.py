"""From what is wrong with windows to what is wrong with clips."""

from zoo.data.batch import BadAudio
from zoo.evaluate.bad_clips import judge_clips


def bad(name: str, reason: str, used: bool) -> BadAudio:
    return BadAudio(name, f"folder/{name}.wav", reason, used)


def test_a_clip_without_a_usable_window_is_unusable_once() -> None:
    entries = [bad("a", "missing", False), bad("a", "missing", False), bad("b", "zero bytes", False)]
    assert judge_clips(entries, {}) == (bad("a", "missing", False), bad("b", "zero bytes", False))


def test_a_clip_that_lost_a_window_is_odd() -> None:
    entries = [bad("a", "NaN", False), bad("a", "truncated", True), bad("a", "undecodable", False)]
    assert judge_clips(entries, {"a": 3}) == (bad("a", "in part: truncated; in part unusable: NaN, undecodable", True),)


def test_what_is_odd_everywhere_is_odd_and_what_is_odd_somewhere_is_so_in_part() -> None:
    entries = [bad("a", "4 channels; silent", True), bad("a", "4 channels", True)]
    assert judge_clips(entries, {"a": 2}) == (bad("a", "4 channels; in part: silent", True),)


def test_a_clip_of_one_window_is_told_as_it_is() -> None:
    entries = (bad("a", "4 channels; silent", True), bad("b", "missing", False))
    assert judge_clips(entries, {"a": 1, "c": 1}) == entries


def test_nothing_used_and_only_oddities() -> None:
    """A window that lies behind the file's end is left out without a word; the others of the clip speak."""
    assert judge_clips([bad("a", "truncated", True)], {}) == ()
