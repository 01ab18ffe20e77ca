"""The audio of a proof: a folder with one part to pretrain on and labelled tasks, packed once so that it reads fast."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import soundfile

from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.errors import DataError
from zoo.use.pack import pack_manifest

_MANIFESTS = ("manifest.jsonl", "manifest.csv", "meta.csv")
_READS_FAST = ".wav"


@runtime_checkable
class Display(Protocol):
    """What packing tells the person who waits."""

    def say(self, text: str) -> None:
        """One line."""

    def counting(self, title: str, unit: str = ...) -> AbstractContextManager[Callable[[int, int], None]]:
        """A bar for work that is counted."""


@dataclass(frozen=True)
class Audio:
    """Manifests, folders or packs, as `data.train` takes them."""

    pretrain: str
    tasks: dict[str, str]

    @property
    def all(self) -> dict[str, str]:
        """By name."""
        return {"pretrain": self.pretrain, **self.tasks}

    def manifest(self, name: str) -> Manifest:
        """Of `pretrain`, or of a task."""
        return read_manifest(SourceConfig(path=self.all[name]), labelled=name != "pretrain")


def find_audio(folder: Path, tasks: Sequence[str]) -> Audio:
    """`FOLDER/pretrain*` and `FOLDER/tasks/NAME`, each with a manifest, or plain files of which the names tell nothing.

    Raises: DataError: what is not there.
    """
    if not folder.is_dir():
        raise DataError(f"DATA={folder}: no such folder - expected one with pretrain*/ and tasks/ - see docs/proof.md")
    corpora = sorted(path for path in folder.glob("pretrain*") if path.is_dir())
    if len(corpora) != 1:
        found = ", ".join(path.name for path in corpora) or "none"
        raise DataError(
            f"DATA={folder}: found {found} - expected one folder pretrain* of audio without labels - see docs/proof.md"
        )
    found_tasks = {}
    for name in tasks:
        place = folder / "tasks" / name
        if not place.is_dir():
            known = ", ".join(sorted(path.name for path in (folder / "tasks").glob("*") if path.is_dir())) or "none"
            raise DataError(
                f"DATA={folder}: no tasks/{name} (there: {known}) - expected a folder with meta.csv and audio/ - "
                "add it, or take the task out of the plan"
            )
        found_tasks[name] = str(_manifest_in(place))
    return Audio(str(_manifest_in(corpora[0])), found_tasks)


def _manifest_in(folder: Path) -> Path:
    return next((folder / name for name in _MANIFESTS if (folder / name).is_file()), folder)


def packed(audio: Audio, out: Path, sample_rate: int, workers: int, console: Display) -> Audio:
    """The same clips in packs of 16-bit sound, which are made once; what is .wav already stays as it is.

    Args: `workers`: processes that decode.

    Raises: DataError, CheckpointError: audio that cannot be read, or a disk that refuses.
    """
    places = {}
    for name, source in audio.all.items():
        clips = audio.manifest(name)
        if all(str(clip.path).lower().endswith(_READS_FAST) for clip in clips.clips):
            places[name] = source
            continue
        pack = out / name
        with console.counting(f"packing {name}") as tell:
            report = pack_manifest(
                source,
                pack,
                mode="wav",
                sample_rate=sample_rate,
                unlabelled=name == "pretrain",
                workers=workers if len(clips) >= 500 else 0,
                on_progress=tell,
            )
        if not report["was_finished"]:
            console.say(f"packed {name}: {report['clips']:,} clips, {report['bytes'] / 1e6:,.0f} MB in {pack}")
        places[name] = str(pack)
    return Audio(places.pop("pretrain"), places)


def hours(clips: Manifest) -> float:
    """Of sound, by the headers of the files; cuts of a file count as such, files that cannot be opened not at all."""
    seconds = 0.0
    for clip in clips.clips:
        try:
            length = soundfile.info(str(clip.path)).duration
        except (soundfile.SoundFileError, OSError):
            continue
        seconds += (length if clip.stop is None else clip.stop) - (clip.start or 0.0)
    return seconds / 3600
