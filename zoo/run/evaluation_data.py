"""Clips of any length -> the batches that a model is evaluated on."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch

from zoo.data.batch import Batch
from zoo.data.buckets import BucketSampler
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.item import Collate
from zoo.data.loader import Loader
from zoo.data.open_reader import Measure, Reader
from zoo.data.windows import WindowConfig, Windows, read_lengths
from zoo.group import ALONE, Group


def make_evaluation_loader(
    reader: Reader,
    model: Any,
    measure: Measure,
    config: WindowConfig,
    batch_size: int,
    *,
    padding: Literal["masked", "as_source"] = "masked",
    num_workers: int = 0,
    device: torch.device | None = None,
    tell: Callable[[int, int], None] | None = None,
    group: Group = ALONE,
) -> Loader:
    """Every clip once, in windows where it is longer than the model, those of like length together.

    Args:
        model: a model of the zoo, which may be on the meta device: its length counts.
        batch_size: clips of the model's length in a batch; as many samples of shorter or longer ones.
        padding: of the `InputMaker`.
        tell: is called with (headers read, clips).
        group: the processes that evaluate together; the first reads the headers for all, so that all see the same.
    """
    n_frames = model.config.n_frames
    usual = measure.num_samples(n_frames)
    lengths = group.main_first(lambda: read_lengths(reader, tell))
    windows = plan_windows(lengths, model, measure, config, padding)
    # Padding that the model is to see is there in any case.
    shortest = usual if padding == "as_source" else reader.min_samples
    sampler = BucketSampler(np.maximum(windows.length, shortest), batch_size, usual)
    is_cuda = device is not None and device.type == "cuda"
    return Loader(EvaluationSet(reader, windows), sampler, num_workers, pin=is_cuda)


def plan_windows(
    lengths: np.ndarray, model: Any, measure: Measure, config: WindowConfig, padding: str = "masked"
) -> Windows:
    """The windows of clips of so many samples.

    A clip is long when the model has no position for its last patches; a few frames more than `n_frames` may still fit.
    """
    n_frames = model.config.n_frames
    window = measure.num_samples(n_frames)
    if config.long_clips == "beginning":
        return Windows(lengths, window, window, window, first_only=True)
    fits = n_frames if padding == "as_source" else getattr(model, "max_frames", n_frames)
    limit = measure.num_samples(fits)
    while measure.num_frames(limit + 1) <= fits:
        limit += 1
    if config.long_clips == "whole":
        window = limit = max(limit, round(config.max_seconds * measure.sample_rate))
    return Windows(lengths, limit, window, max(1, round(window * (1 - config.overlap))))


def example_batches(loader: Loader, count: int) -> tuple[Batch, ...]:
    """The first usable clips of an evaluation, a batch each, for pictures."""
    assert isinstance(loader.dataset, EvaluationSet)
    return tuple(Collate(None)([item]) for item in loader.dataset.examples(count))
