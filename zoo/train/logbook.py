"""Where a run writes what it sees: TensorBoard for pictures, `metrics.jsonl` with the same numbers for grep.

The x-axis of both is clips seen, so that runs of different batch size lie over each other. Only this file imports
TensorBoard, which takes a second.
"""

import contextlib
import json
import math
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from zoo import disk
from zoo.errors import DataError, ShapeError
from zoo.train.projector import write_projector

METRICS = "metrics.jsonl"
Picture = np.ndarray | Tensor
Scalars = Mapping[str, float | int]
"""Numbers by tag."""
Charts = Mapping[str, Mapping[str, Sequence[str]]]
"""Category -> title of a chart -> the tags of its lines, as regular expressions that match from the beginning on."""


@runtime_checkable
class Book(Protocol):
    """What the training loop and its callbacks write to."""

    begins_at: int
    """Where on the x-axis this session of the run begins: what is said once a session stands there."""

    def scalars(self, values: Scalars, *, clips: int, step: int, epoch: int, seconds: float) -> None:
        """One line of numbers by tag."""

    def image(self, tag: str, image: Picture, clips: int) -> None:
        """A picture: (H, W), (1 or 3, H, W) or (H, W, 3), floats in 0..1 or bytes."""

    def audio(self, tag: str, waveform: Picture, clips: int, sample_rate: int) -> None:
        """A mono sound (S,), within -1..1."""

    def text(self, tag: str, text: str, clips: int = 0) -> None:
        """Markdown."""

    def hparams(
        self,
        choices: Mapping[str, str | int | float | bool],
        metrics: Mapping[str, float],
        clips: int = 0,
        others: Sequence[str] = (),
    ) -> None:
        """A row of TensorBoard's HParams table: what was chosen, and by tag what came out."""

    def layout(self, charts: Charts) -> None:
        """What TensorBoard's Custom Scalars shows."""

    def pr_curve(self, tag: str, is_positive: np.ndarray, probability: np.ndarray, clips: int) -> None:
        """Precision over recall at all thresholds."""

    def embedding(self, vectors: np.ndarray, columns: Mapping[str, Sequence[str]], pictures: np.ndarray) -> None:
        """Vectors for TensorBoard's Projector, as in `zoo.train.projector`."""

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
            # What is logged at this point is what the checkpoint had behind it, but in a run that starts again.
            self.begins_at = resume_at_clips + 1 if resume_at_clips else 0
            self._is_new = not resume_at_clips
            # TensorBoard hides the events of earlier files from `purge_step` on, but for the first file that has one:
            # so a new run has one too, or its first resume would hide nothing.
            self._writer = SummaryWriter(str(folder), purge_step=self.begins_at)
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
            # Clipped here, for the writer would print a line to stdout about it.
            self._writer.add_audio(tag, waveform[None].clip(-1, 1), clips, sample_rate=sample_rate)

    def text(self, tag: str, text: str, clips: int = 0) -> None:
        """Markdown; indent by four spaces what has to stay as it is."""
        with self._refusals_told():
            self._writer.add_text(tag, text, clips)

    def hparams(
        self,
        choices: Mapping[str, str | int | float | bool],
        metrics: Mapping[str, float],
        clips: int = 0,
        others: Sequence[str] = (),
    ) -> None:
        """A row of TensorBoard's HParams table: what was chosen, and by tag what came out, which is charted too.

        In this run's own file: `SummaryWriter.add_hparams` would open a run of its own beside it.

        Args:
            others: tags that other runs may have in place of these. TensorBoard takes the columns of its table from
                any one run, so that each has to name all of them.
        """
        writer = self._writer._get_file_writer()
        known = dict.fromkeys((*others, *metrics), 0.0)
        with self._refusals_told():
            for summary in hparams(dict(choices), known):
                writer.add_summary(summary)
            for tag, value in metrics.items():
                self._writer.add_scalar(tag, value, clips)
            self._writer.flush()

    def layout(self, charts: Charts) -> None:
        """What TensorBoard's Custom Scalars shows; written once a run, not by those that go on with it."""
        if self._is_new:
            with self._refusals_told():
                self._writer.add_custom_scalars(
                    {
                        category: {title: ["Multiline", list(tags)] for title, tags in several.items()}
                        for category, several in charts.items()
                    }
                )

    def pr_curve(self, tag: str, is_positive: np.ndarray, probability: np.ndarray, clips: int) -> None:
        """Precision over recall at 127 thresholds, of pairs of any shape; probabilities lie within 0..1."""
        with self._refusals_told():
            self._writer.add_pr_curve(tag, is_positive.ravel(), probability.ravel(), clips)

    def embedding(self, vectors: np.ndarray, columns: Mapping[str, Sequence[str]], pictures: np.ndarray) -> None:
        """Vectors (n, D) for TensorBoard's Projector, in the place of earlier ones; see `zoo.train.projector`."""
        write_projector(self.path.parent, vectors, columns, pictures)

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

    begins_at = 0

    def scalars(self, values: Scalars, *, clips: int, step: int, epoch: int, seconds: float) -> None:
        """Nothing."""

    def image(self, tag: str, image: Picture, clips: int) -> None:
        """Nothing."""

    def audio(self, tag: str, waveform: Picture, clips: int, sample_rate: int) -> None:
        """Nothing."""

    def text(self, tag: str, text: str, clips: int = 0) -> None:
        """Nothing."""

    def hparams(
        self,
        choices: Mapping[str, str | int | float | bool],
        metrics: Mapping[str, float],
        clips: int = 0,
        others: Sequence[str] = (),
    ) -> None:
        """Nothing."""

    def layout(self, charts: Charts) -> None:
        """Nothing."""

    def pr_curve(self, tag: str, is_positive: np.ndarray, probability: np.ndarray, clips: int) -> None:
        """Nothing."""

    def embedding(self, vectors: np.ndarray, columns: Mapping[str, Sequence[str]], pictures: np.ndarray) -> None:
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
