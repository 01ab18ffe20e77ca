"""A model run through clips of any length, with results in the order of the clips while the rest is still to come."""

import errno
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.clip_blocks import BlockSampler
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.loader import Clips, Loader
from zoo.data.open_reader import Measure, Reader
from zoo.data.problems import printable
from zoo.data.stretches import Rows, StretchSet
from zoo.data.windows import WindowConfig, Windows
from zoo.disk import refusals_told, remove, temporary_beside
from zoo.errors import DataError
from zoo.evaluate.bad_clips import judge_clips
from zoo.evaluate.evaluation import evaluating
from zoo.run.evaluation_data import plan_windows
from zoo.use.ready import ReadyModel

Compute = Callable[[Inputs, Batch], list[Any]]
"""What is kept of every row of a batch, on the CPU."""
Counting = Callable[[str, str], AbstractContextManager[Callable[[int, int], None]]]

_AT_ONCE = 1024


class Pass:
    """One pass of a model over the windows of clips.

    A unit, which is what results come for, is a clip with all its windows (`averaged`), or a window (`apart`).
    """

    def __init__(
        self,
        ready: ReadyModel,
        reader: Reader,
        dataset: Clips,
        rows: Rows,
        units: np.ndarray,
        usual: int,
        batch_size: int,
        workers: int | None,
        at_once: int,
    ) -> None:
        self.rows = rows
        self._ready = ready
        shortest = usual if ready.padding == "as_source" else reader.min_samples
        lengths = np.maximum(rows.length, shortest)
        self._sampler = BlockSampler(units, lengths, batch_size, usual, at_once)
        is_cuda = ready.device.type == "cuda"
        self._loader = Loader(dataset, self._sampler, ready.workers(workers), pin=is_cuda)
        self._bad: list[BadAudio] = []
        self._num_used: Counter[str] = Counter()

    @classmethod
    def averaged(
        cls,
        ready: ReadyModel,
        reader: Reader,
        lengths: np.ndarray,
        measure: Measure,
        config: WindowConfig,
        batch_size: int,
        workers: int | None,
    ) -> "Pass":
        """Every clip in the windows that an evaluation has it in."""
        rows = plan_windows(lengths, ready.model, measure, config, ready.padding)
        usual = measure.num_samples(ready.model.config.n_frames)
        return cls(
            ready, reader, EvaluationSet(reader, rows), rows, rows.clip, usual, batch_size, workers, at_once=_AT_ONCE
        )

    @classmethod
    def apart(
        cls,
        ready: ReadyModel,
        reader: Reader,
        rows: Rows,
        measure: Measure,
        batch_size: int,
        workers: int | None,
        at_once: int = _AT_ONCE,
    ) -> "Pass":
        """Every window on its own."""
        usual = measure.num_samples(ready.model.config.n_frames)
        units = np.arange(len(rows))
        return cls(ready, reader, StretchSet(reader, rows), rows, units, usual, batch_size, workers, at_once)

    def results(self, compute: Compute, tell: Callable[[int, int], None]) -> Iterator[tuple[int, list[Any]]]:
        """(unit, what `compute` gave for each of its windows), ascending; units of which nothing can be used are left
        out."""
        found: dict[int, list[Any]] = defaultdict(list)
        done = 0
        for number, batch in enumerate(self._loader.epoch(0)):
            self._bad += batch.bad
            self._num_used.update(batch.names)
            if len(batch):
                with evaluating(self._ready.model, self._ready.device, "fp32"):
                    kept = compute(self._ready.make_inputs(batch.to(self._ready.device), 0, False), batch)
                for unit, of_row in zip(batch.clips, kept, strict=True):
                    found[unit].append(of_row)
            done += len(batch)
            tell(done, len(self.rows))
            if self._sampler.ends_block(number):
                yield from sorted(found.items())
                found.clear()
        tell(len(self.rows), len(self.rows))
        self._loader.close()

    def judged(self) -> tuple[BadAudio, ...]:
        """The clips that could not be used, and the odd ones; after `results`."""
        return judge_clips(self._bad, self._num_used)


def timed_windows(lengths: np.ndarray, window: int, hop: int) -> Windows:
    """Windows of one length; the last of a clip ends with it, and a shorter clip is one."""
    return Windows(lengths, window, window, hop)


def real_frames(ready: ReadyModel, batch: Batch) -> torch.Tensor:
    """How many frames of each row are real, whatever the padding (B,)."""
    if batch.waveform is None:
        return batch.num_samples
    return ready.front_end.num_frames(batch.num_samples)


def check_some_usable(num_results: int, bad: Sequence[BadAudio]) -> None:
    """Raises DataError, a line for each of the first clips, where nothing could be used."""
    if num_results:
        return
    lines = [f"{printable(one.path)}: {one.reason}" for one in bad[:10]]
    more = [f"… and {len(bad) - 10:,} more"] if len(bad) > 10 else []
    raise DataError(
        "\n".join([f"audio: none of {len(bad)} can be used - expected at least one - see below", *lines, *more])
    )


def check_writable(out: Path) -> None:
    """Raises CheckpointError where a file cannot be written there: before the work that it is for."""
    with refusals_told(out, "make room, or choose another place"):
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with temporary_beside(out) as temporary:
            temporary.touch()
            remove(temporary)
