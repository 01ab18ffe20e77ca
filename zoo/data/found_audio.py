"""What a person names to have it looked at: audio files, folders with audio below them, and manifests."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.data.batch import BadAudio
from zoo.data.clip import Clip
from zoo.data.folder import audio_below
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.shards.layout import is_pack
from zoo.errors import DataError

_MANIFESTS = (".csv", ".jsonl", ".json")


@dataclass(frozen=True)
class FoundAudio:
    """The clips, each once, in the order in which they were named, and what is none."""

    clips: Manifest
    bad: tuple[BadAudio, ...]


def find_audio(named: Sequence[str | Path]) -> FoundAudio:
    """The clips that these names stand for. Labels are not read.

    A folder stands for every audio file below it, a `.csv`, `.jsonl` or official `.json` for the clips that it lists,
    `zoo pack`'s folder for those in it, and any other file for itself, whatever its name: its content decides. A path
    that is not there, or a folder without audio, does not stop the others, and comes back as bad.

    Raises:
        DataError: nothing is named, a manifest that cannot be read, or packed log-mels beside audio.
    """
    if not named:
        raise DataError("audio: found no name - expected files, folders or manifests - name one")
    clips: dict[tuple[str, float | None, float | None], Clip] = {}
    bad: list[BadAudio] = []
    stored = []
    for one in named:
        shown = str(one)
        path = Path(one).expanduser()
        if path.suffix.lower() in _MANIFESTS or is_pack(path):
            manifest = read_manifest(SourceConfig(path=shown), labelled=False)
            stored += [manifest] if manifest.front_end is not None else []
            found: Sequence[Clip] = manifest.clips
        elif path.is_dir():
            files = audio_below(path, shown)
            found = [Clip(path=path / name, id=os.path.join(shown, name)) for name in files]
            if not files:
                bad.append(BadAudio(shown, shown, "a folder with no audio file below it", used=False))
        else:
            found = [Clip(path=path, id=shown)]
        for clip in found:
            clips.setdefault((os.path.abspath(str(clip.path)), clip.start, clip.stop), clip)
    if stored and len(named) > 1:
        raise DataError(
            f"{stored[0].source}: stored log-mels beside other audio - expected one kind - name them in two commands"
        )
    ids: dict[str, int] = {}
    unique = []
    for clip in clips.values():  # two manifests may call different clips alike
        count = ids[clip.id] = ids.get(clip.id, 0) + 1
        unique.append(clip if count == 1 else replace(clip, id=f"{clip.id} ({count})"))
    front_end = stored[0].front_end if stored else None
    return FoundAudio(Manifest(tuple(unique), ", ".join(map(str, named)), front_end=front_end), tuple(bad))
