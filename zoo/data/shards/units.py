"""What becomes one member: a clip, or a whole file with all the clips that are cuts of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.audio.byte_range import ByteRange
from zoo.data.clip import Clip
from zoo.data.shards.layout import Mode
from zoo.data.shards.names import member_key


@dataclass(frozen=True)
class Unit:
    """Clips that share a member, with their places in the manifest."""

    number: int
    audio: Path | ByteRange
    rows: tuple[int, ...]
    clips: tuple[Clip, ...]

    @property
    def key(self) -> str:
        """The name of its members, without endings."""
        clip = self.clips[0]
        return member_key(self.number, clip.id if len(self.clips) == 1 else Path(self.name).name)

    @property
    def name(self) -> str:
        """The name of its audio, whose ending says what it is."""
        return self.audio.member if isinstance(self.audio, ByteRange) else self.audio.name


class Units(Sequence[Unit]):
    """All that is to be packed, in the order of the manifest; a unit is made when it is asked for.

    In mode original the bytes of a file are kept once, where the first of its clips stands.
    """

    def __init__(self, clips: Sequence[Clip], mode: Mode) -> None:
        self._clips = clips
        self._rows: list[list[int]] | None = None
        if mode == "original":
            by_audio: dict[Path | ByteRange, list[int]] = {}
            for row, clip in enumerate(clips):
                by_audio.setdefault(clip.path, []).append(row)
            if len(by_audio) < len(clips):
                self._rows = list(by_audio.values())

    @property
    def shares_members(self) -> bool:
        """Whether some clips are cuts of one file whose bytes are kept once."""
        return self._rows is not None

    def __len__(self) -> int:
        return len(self._clips) if self._rows is None else len(self._rows)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]  # Sequence's two signatures
        rows = [number] if self._rows is None else self._rows[number]
        clips = tuple(self._clips[row] for row in rows)
        return Unit(number, clips[0].path, tuple(rows), clips)

    def starting_at(self, number: int) -> Iterator[Unit]:
        """The units from one on."""
        return (self[i] for i in range(number, len(self)))
