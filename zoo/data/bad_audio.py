"""The record of audio that could not be used or is odd: `bad_audio.jsonl` in the run folder."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo import disk
from zoo.data.batch import BadAudio
from zoo.data.problems import SHOWN, printable
from zoo.errors import DataError

_MIN_TRIED = 20
_REPORTED = 100  # lines in a summary; bad_audio.jsonl has them all


class BadAudioLog:
    """One line for every clip that cannot be used, and for every odd file; each once, also over a resumed run.

    Args:
        path: the file, which is appended to and read first if it is there; None keeps the record in memory.
        max_share: of the clips tried, how many may be unusable (0 to 1).
        num_clips: clips in the data set.
        data_set: "train" or "eval"; each has a record of its own in the same file, since its clips are others.
        limit: what sets `max_share`, as messages call it; None is the recipe's.
        writes: whether to write to the file; of several processes one does.
    """

    def __init__(
        self,
        path: Path | None,
        max_share: float,
        num_clips: int,
        data_set: str = "train",
        limit: str | None = None,
        writes: bool = True,
    ) -> None:
        self._path = path
        self._writes = writes
        self._max_share = max_share
        self._num_clips = num_clips
        self._data_set = data_set
        self._limit = limit or f"data.max_bad_share of data.{data_set}"
        self._unusable: dict[str, BadAudio] = {}
        self._odd: dict[str, BadAudio] = {}
        self._is_torn = False
        if path is not None and path.exists():
            self._read(path)

    @property
    def num_unusable(self) -> int:
        """Clips that could not be used."""
        return len(self._unusable)

    @property
    def num_odd(self) -> int:
        """Files that are odd, and used."""
        return len(self._odd)

    def report(self) -> dict[str, Any]:
        """What a summary says: how many clips are unusable and how many files odd, by reason, and the first of each."""
        return {
            "unusable": dict(Counter(bad.reason for bad in self._unusable.values())),
            "odd": dict(Counter(reason for bad in self._odd.values() for reason in bad.reason.split("; "))),
            "unusable_clips": [f"{printable(bad.path)}: {bad.reason}" for bad in self._unusable.values()][:_REPORTED],
            "odd_files": [f"{printable(bad.path)}: {bad.reason}" for bad in self._odd.values()][:_REPORTED],
        }

    def add(self, bads: Iterable[BadAudio]) -> tuple[BadAudio, ...]:
        """Record what is new, and return it."""
        new = tuple(bad for bad in bads if self._remember(bad))
        if new and self._path is not None and self._writes:
            lines = "".join(
                json.dumps(
                    {"path": bad.path, "reason": bad.reason, "used": bad.used, "name": bad.name, "set": self._data_set}
                )
                + "\n"
                for bad in new
            )
            refusals_told = disk.refusals_told(self._path, "the last checkpoint is whole: make room and resume")
            with refusals_told, self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + lines if self._is_torn else lines)
            self._is_torn = False
        return new

    def check(self, num_seen: int) -> None:
        """Stop when too many clips cannot be used.

        `num_seen` is how many usable clips came out of the loader so far (repeats do no harm). Clips tried are those
        and the unusable ones; when that is the whole set, the share is exact. Before, a share measured on few clips
        is uncertain, and the run stops only when it is above `max_share` by three standard errors and at least 20
        clips were tried: a set with 40 % unusable clips must not stop at 50 % by bad luck.

        Raises: DataError - above `max_share`, with up to 10 of the clips.
        """
        tried = min(num_seen + self.num_unusable, self._num_clips)
        if tried < min(self._num_clips, _MIN_TRIED):
            return
        share = self._max_share
        margin = 0.0 if tried == self._num_clips else 3 * (share * (1 - share) * tried) ** 0.5
        if self.num_unusable <= share * tried + margin:
            return
        shown = list(self._unusable.values())[:SHOWN]
        lines = [
            f"audio: {self.num_unusable} of {tried} clips tried cannot be used - expected at most {share:.0%} "
            f"({self._limit}) - check the paths and files, or allow more:",
            *(f"{printable(bad.path)}: {bad.reason}" for bad in shown),
        ]
        if self.num_unusable > len(shown):
            lines.append(f"… and {self.num_unusable - len(shown)} more" + (f" in {self._path}" if self._path else ""))
        raise DataError("\n".join(lines))

    def _remember(self, bad: BadAudio) -> bool:
        seen, key = (self._odd, bad.path) if bad.used else (self._unusable, bad.name)
        return seen.setdefault(key, bad) is bad

    def _read(self, path: Path) -> None:
        """The lines of an earlier run; a line that a crash cut short is passed over."""
        text = path.read_text(encoding="utf-8", errors="replace")
        self._is_torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                found = json.loads(line)
                if found.get("set", "train") != self._data_set:
                    continue
                bad = BadAudio(str(found["name"]), str(found["path"]), str(found["reason"]), found["used"] is True)
            except (ValueError, KeyError, TypeError):
                continue
            self._remember(bad)
