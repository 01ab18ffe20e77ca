"""Where a run writes what it sees: TensorBoard for pictures, `metrics.jsonl` with the same numbers for grep.

The x-axis of both is clips seen, so that runs of different batch size lie over each other. Only this file imports
TensorBoard, which takes a second.
"""

import contextlib
import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from zoo import disk
from zoo.errors import DataError, ShapeError

METRICS = "metrics.jsonl"
Picture = np.ndarray | Tensor
Scalars = Mapping[str, float | int]
"""Numbers by tag."""


@runtime_checkable
class Book(Protocol):
    """What the training loop and its callbacks write to."""

    def scalars(self, values: Scalars, *, clips: int, step: int, epoch: int, seconds: float) -> None:
        """One line of numbers by tag."""

    def image(self, tag: str, image: Picture, clips: int) -> None:
        """A picture: (H, W), (1 or 3, H, W) or (H, W, 3), floats in 0..1 or bytes."""

    def audio(self, tag: str, waveform: Picture, clips: int, sample_rate: int) -> None:
        """A mono sound (S,), within -1..1."""

    def text(self, tag: str, text: str, clips: int = 0) -> None:
        """Markdown."""

    def hparams(self, choices: Mapping[str, str | int | float | bool], metrics: Mapping[str, float]) -> None:
        """A row of TensorBoard's HParams table: what was chosen, and by tag what came out."""

    def sync(self) -> None:
        """Waits until what was written is on the disk, so that no checkpoint outlives the lines before it."""

    def close(self) -> None:
        """Writes out what is pending."""


class Logbook:
    """The log of one run folder.

    Args:
        folder: the run's; made when absent.
        resume_at_clips: the clips seen at the checkpoint a run goes on from (0: it starts again). What the interrupted
            run logged beyond that point is dropped from `metrics.jsonl` and hidden from TensorBoard. None: a new run.

    Raises:
        DataError: the folder cannot be written.
    """

    def __init__(self, folder: Path, resume_at_clips: int | None = None) -> None:
        self.path = folder / METRICS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if resume_at_clips is not None:
                drop_lines_after(self.path, resume_at_clips)
            self._file = self.path.open("a", encoding="utf-8")
            self._hook_before, threading.excepthook = threading.excepthook, self._unless_told
            # TensorBoard hides the events of earlier files from `purge_step` on.
            purge_step = None if resume_at_clips is None else resume_at_clips + 1
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)
        except OSError as error:
            raise DataError(
                f"{folder}: found no way to write ({error}) - expected a folder for logs - choose another"
            ) from error

    def scalars(self, values: Scalars, *, clips: int, step: int, epoch: int, seconds: float) -> None:
        """One line of `metrics.jsonl`, on the disk's side at once. NaN and infinity, which JSON lacks, become null."""
        line: dict[str, Any] = {"clips": clips, "step": step, "epoch": epoch, "seconds": round(seconds, 3)}
        line |= {tag: value if math.isfinite(value) else None for tag, value in values.items()}
        with self._refusals_told():
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            for tag, value in values.items():
                self._writer.add_scalar(tag, value, clips)
            self._writer.flush()

    def image(self, tag: str, image: Picture, clips: int) -> None:
        """A picture: (H, W), (1 or 3, H, W) or (H, W, 3), floats in 0..1 or bytes, else ShapeError."""
        with self._refusals_told():
            self._writer.add_image(tag, image, clips, dataformats=_axes(image, tag))

    def audio(self, tag: str, waveform: Picture, clips: int, sample_rate: int) -> None:
        """A mono sound (S,); what lies outside -1..1 is clipped."""
        if waveform.ndim != 1:
            raise ShapeError(f"{tag}: found a waveform of {tuple(waveform.shape)} - expected (S,)")
        with self._refusals_told():
            self._writer.add_audio(tag, waveform[None], clips, sample_rate=sample_rate)

    def text(self, tag: str, text: str, clips: int = 0) -> None:
        """Markdown; indent by four spaces what has to stay as it is."""
        with self._refusals_told():
            self._writer.add_text(tag, text, clips)

    def hparams(self, choices: Mapping[str, str | int | float | bool], metrics: Mapping[str, float]) -> None:
        """A row of TensorBoard's HParams table: what was chosen, and by tag what came out.

        In this run's own file: `SummaryWriter.add_hparams` would open a run of its own beside it.
        """
        writer = self._writer._get_file_writer()
        with self._refusals_told():
            for summary in hparams(dict(choices), dict(metrics)):
                writer.add_summary(summary)
            self._writer.flush()

    def sync(self) -> None:
        """Waits until what was written is on the disk, so that no checkpoint outlives the lines before it."""
        with self._refusals_told():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Writes out what is pending; the logbook is done with."""
        # A disk that is full has been told of already, by what is being raised now or by the summary that follows.
        for writer in (self._writer, self._file):
            with contextlib.suppress(OSError):
                writer.close()
        threading.excepthook = self._hook_before

    def _unless_told(self, failed: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread of its own, and hands on what the disk refused: a traceback adds nothing."""
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__name__ == "_AsyncWriterThread"):
            self._hook_before(failed)

    def _refusals_told(self) -> contextlib.AbstractContextManager[None]:
        """Raises CheckpointError, a line, where the disk refuses."""
        return disk.refusals_told(self.path.parent, "the last checkpoint is whole: make room and resume")

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SilentLogbook:
    """Takes everything and writes nothing: for other processes of a run, and for tests."""

    def scalars(self, values: Scalars, *, clips: int, step: int, epoch: int, seconds: float) -> None:
        """Nothing."""

    def image(self, tag: str, image: Picture, clips: int) -> None:
        """Nothing."""

    def audio(self, tag: str, waveform: Picture, clips: int, sample_rate: int) -> None:
        """Nothing."""

    def text(self, tag: str, text: str, clips: int = 0) -> None:
        """Nothing."""

    def hparams(self, choices: Mapping[str, str | int | float | bool], metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _axes(image: Picture, tag: str) -> str:
    """The order of axes of an image, in TensorBoard's letters."""
    if image.ndim == 2:
        return "HW"
    if image.ndim == 3 and image.shape[2] == 3 and image.shape[0] not in (1, 3):
        return "HWC"
    if image.ndim == 3 and image.shape[0] in (1, 3):
        return "CHW"
    raise ShapeError(
        f"{tag}: found an image of {tuple(image.shape)} - expected (H, W), (1, H, W), (3, H, W) or (H, W, 3) - "
        "move its axes"
    )


def drop_lines_after(path: Path, clips: int) -> None:
    """Keeps the lines of a `metrics.jsonl` up to this many clips; also drops a line that a crash cut short, and what
    the test clips said at the end, which is said anew.

    The file is replaced as a whole, so that a second crash cannot lose what was kept.
    """
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
            is_verdict = any(tag.startswith("test/") for tag in values)  # on the end of a run, which comes again
            if values["clips"] <= clips and not is_verdict:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    temporary = path.with_name(f".{path.name}.writing")
    with temporary.open("w", encoding="utf-8") as file:
        file.writelines(kept)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
