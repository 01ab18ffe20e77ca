"""Embeddings in memory, and as an `.npz` file."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.data.batch import BadAudio
from zoo.disk import written_whole

Level = Literal["clip", "frame", "patch"]
Dtype = Literal["float32", "float16"]


@dataclass(frozen=True)
class Piece:
    """The embeddings of a clip, or of the next window of one."""

    clip: int
    path: str
    times: np.ndarray | None
    """(T,) seconds into the file; None for a whole clip."""
    values: np.ndarray
    """(layers, rows of the grid, T, D); T and rows are 1 for a whole clip, and rows are 1 for frames."""


@dataclass(frozen=True)
class Kind:
    """What the embeddings of one run are."""

    level: Level
    layers: tuple[int, ...]
    frequencies: np.ndarray | None
    """(F,) Hz, the middle of every row of patches; None where there are no rows."""
    dtype: Dtype
    about: dict[str, Any]
    """Checkpoint, front end, windows and versions, in plain values."""


@dataclass(frozen=True)
class Embeddings:
    """The vectors of all clips. `len` is the number of clips, and `embeddings[i]` are the vectors of clip i."""

    kind: Kind
    paths: tuple[str, ...]
    """Of every clip."""
    embeddings: np.ndarray
    """Clips: (N, D). Frames: (T, D), and patches (F, T, D), clip behind clip along T. Of several layers one more axis
    in front."""
    offsets: np.ndarray
    """(N + 1,): clip i is `embeddings[..., offsets[i]:offsets[i + 1], :]`."""
    times: np.ndarray | None
    """(T,) seconds into the file, the middle of every frame or patch; None for whole clips."""
    bad: tuple[BadAudio, ...]
    """Clips without embeddings, and odd ones (`used`)."""

    @property
    def layers(self) -> tuple[int, ...]:
        """0 is what the encoder gets; the last one is the model's output."""
        return self.kind.layers

    @property
    def frequencies(self) -> np.ndarray | None:
        """(F,) Hz of the rows of patches."""
        return self.kind.frequencies

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        place = range(len(self))[index]
        found: np.ndarray = self.embeddings[..., self.offsets[place] : self.offsets[place + 1], :]
        return found[..., 0, :] if self.kind.level == "clip" else found

    def write(self, out: str | Path) -> None:
        """An `.npz`, readable with `numpy.load`: the fields of this class, and `about` as a JSON text.

        Raises: CheckpointError - the disk refuses.
        """
        arrays = {"paths": np.array(self.paths), "embeddings": self.embeddings, "layers": np.array(self.layers)}
        if self.times is not None:
            arrays |= {"offsets": self.offsets, "times": self.times}
        if self.frequencies is not None:
            arrays["frequencies"] = self.frequencies
        about = {**self.kind.about, "level": self.kind.level, "bad_audio": [asdict(one) for one in self.bad]}
        with written_whole(Path(out)) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)


def collect(kind: Kind, pieces: Iterable[Piece]) -> Embeddings:
    """All pieces, which come clip by clip, in one array. `bad` is left empty."""
    paths: list[str] = []
    counts: list[int] = []
    values, times = [], []
    last = None
    for piece in pieces:
        if piece.clip != last:
            last = piece.clip
            paths.append(piece.path)
            counts.append(0)
        counts[-1] += piece.values.shape[2]
        values.append(piece.values)
        times.append(piece.times)
    merged = np.concatenate(values, axis=2) if values else np.zeros((len(kind.layers), 1, 0, 0), kind.dtype)
    if kind.level != "patch":
        merged = merged[:, 0]
    if len(kind.layers) == 1:
        merged = merged[0]
    known = [one for one in times if one is not None]
    return Embeddings(
        kind,
        tuple(paths),
        merged,
        np.cumsum([0, *counts]),
        np.concatenate(known) if known else None,
        (),
    )
