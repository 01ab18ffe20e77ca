"""Names of members: whatever the id, safe to unpack anywhere, and one clip's never another's."""

from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import example, given
from hypothesis import strategies as st

from zoo.data.shards.names import audio_ending, member_key, unsafe_name

ids = st.text(min_size=1, max_size=300) | st.from_regex(r"(\.\./)*[a-z]{0,5}\.(wav|tar|json)", fullmatch=True)


@given(ids, st.integers(0, 10**9))
@example("../../etc/passwd", 0)
@example("/absolute.wav", 0)
@example("con.wav", 1)
@example("a" * 500, 2)
@example("日本語.wav", 3)
@example(".", 4)
@example("\udcff.wav", 5)
def test_a_key_is_a_plain_name(clip_id: str, number: int) -> None:
    key = member_key(number, clip_id)
    assert key.isascii()
    assert key.isprintable()
    assert not set(key) & set('./\\:*?"<>| ')
    assert len(key) <= 85
    assert key.startswith(f"{number:07d}")
    assert unsafe_name(f"{key}.flac") is None
    assert PurePosixPath(key).name == PureWindowsPath(key).name == key


@given(st.lists(ids, min_size=2, max_size=20))
def test_keys_differ_even_without_regard_to_case(some: list[str]) -> None:
    keys = [member_key(number, clip_id).lower() for number, clip_id in enumerate(some)]
    assert len(set(keys)) == len(keys)


@given(st.text(max_size=50))
def test_an_ending_is_one_of_audio(name: str) -> None:
    ending = audio_ending(name)
    assert ending.isalnum()
    assert ending.isascii()
    assert ending not in ("json", "cls", "txt", "npy")


@given(st.text(max_size=30))
def test_no_name_that_leads_out_is_called_safe(name: str) -> None:
    """The slow obvious way: where would it land?"""
    depth = lowest = 0
    for part in name.replace("\\", "/").split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        lowest = min(lowest, depth)
    leads_out = lowest < 0 or name.startswith(("/", "\\")) or PureWindowsPath(name).drive != ""
    if leads_out or not name:
        assert unsafe_name(name) is not None
