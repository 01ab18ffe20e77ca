"""Names inside shards: made from ids so that any program may unpack them, and checked where others made them."""

import re
import unicodedata
from pathlib import PurePath

from zoo.data.folder import AUDIO_SUFFIXES

_SLUG = 60  # with number, ending and all well below the 100 bytes of a plain tar header
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def member_key(number: int, clip_id: str) -> str:
    """`0000123_dog-1`: a number, unique in all the pack, and what is fit for a file name of the clip's id.

    ASCII without dots (webdataset takes all from the first dot on for the ending), slashes or anything special.
    """
    name, dot, ending = clip_id.rpartition(".")
    if f".{ending.lower()}" not in AUDIO_SUFFIXES or not dot:
        name = clip_id
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_-")[-_SLUG:].strip("_-")
    return f"{number:07d}_{slug}" if slug else f"{number:07d}"


def audio_ending(name: str) -> str:
    """The ending of an audio file's name in lower case and without its dot; "audio" for one that says nothing."""
    ending = PurePath(name).suffix.lower()
    return ending[1:] if ending in AUDIO_SUFFIXES else "audio"


def check_shard_name(name: str) -> str:
    """The name of a file in the folder of the pack. Raises ValueError for any other."""
    if not name.endswith(".tar") or "/" in name or "\\" in name or not name.isprintable() or len(name) > 255:
        raise ValueError(f"shard {name!r} is not the name of a .tar in the folder")
    return name


def unsafe_name(name: str) -> str | None:
    """What is wrong with the name of a member, or None: unpacked, it must land below the folder."""
    if _PLAIN.fullmatch(name):
        return None
    if not name or not name.isprintable():
        return "is no name that can be printed"
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "leads out of the folder with '..'"
    return None
