"""Batches from workers: the same as without, from any batch on, safe beside CUDA, and errors in one line."""

import subprocess
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.data.batch import Batch
from zoo.data.clip import Clip
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.labels import LabelTable
from zoo.data.loader import Clips, Loader
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.training_set import TrainingSet
from zoo.data.windows import Windows, read_lengths
from zoo.errors import DataError

WORKERS = 2


@pytest.fixture
def manifest(tone_folder: Callable[..., Path]) -> Manifest:
    """Six clips per class, and a file that is no audio."""
    folder = tone_folder(clips=6, seconds=0.3)
    (folder / "low" / "broken.wav").write_bytes(b"RIFF")
    return read_manifest(SourceConfig(path=str(folder)), {}, True)


def make(manifest: Manifest, num_workers: int = 0, pad_to: int | None = 2500, **choices: Any) -> Loader:
    training = choices.pop("training", True)
    labels = LabelTable.from_manifest(manifest, "single-label")
    reader = ClipReader(manifest, labels, 16_000, 400)
    if training:
        data: Clips = TrainingSet(reader, 2000)
    else:
        data = EvaluationSet(reader, Windows(read_lengths(reader), 2000, 2000, 2000, first_only=True))
    return Loader(data, EpochSampler(len(data), 3, 0, shuffle=training), num_workers, pad_to, **choices)


def same(one: Batch, other: Batch) -> bool:
    assert one.target is not None
    assert other.target is not None
    return (
        torch.equal(one.waveform, other.waveform)
        and torch.equal(one.num_samples, other.num_samples)
        and torch.equal(one.target, other.target)
        and torch.equal(one.ids, other.ids)
        and (one.names, one.bad) == (other.names, other.bad)
    )


def all_same(one: Iterator[Batch], other: Iterator[Batch]) -> bool:
    return all(same(a, b) for a, b in zip(one, other, strict=True))


def test_batches(manifest: Manifest) -> None:
    loader = make(manifest)
    batches = list(loader.epoch(0))
    assert loader.num_clips == 13
    assert [tuple(batch.waveform.shape) for batch in batches] == [(3, 2500)] * 4 + [(1, 2500)]
    assert all((batch.num_samples == 2000).all() for batch in batches)
    assert not any(batch.waveform[:, 2000:].any() for batch in batches)
    assert {bad.name for batch in batches for bad in batch.bad} == {"low/broken.wav"}
    assert len({name for batch in batches for name in batch.names}) == 12
    assert loader.seconds_waiting > 0


def test_the_number_of_workers_changes_nothing(manifest: Manifest) -> None:
    """Nor does where an epoch is started, in the same loader or in a new one."""
    alone, helped = make(manifest), make(manifest, WORKERS)
    whole = [list(alone.epoch(epoch)) for epoch in range(2)]
    assert not same(whole[0][0], whole[1][0])
    for epoch in range(2):
        assert all_same(iter(whole[epoch]), helped.epoch(epoch))
    for start in (3, 5, 1):
        assert all_same(iter(whole[1][start:]), alone.epoch(1, start))
        assert all_same(iter(whole[1][start:]), helped.epoch(1, start))
    helped.close()
    assert all_same(iter(whole[1]), helped.epoch(1))
    # An epoch that is left in the middle does not spill into the next one.
    for loader in (alone, helped):
        assert same(next(iter(loader.epoch(0))), whole[0][0])
        assert all_same(iter(whole[1]), loader.epoch(1))


def test_evaluation_leaves_out_and_pads_to_the_longest(manifest: Manifest) -> None:
    batches = list(make(manifest, pad_to=None, training=False).epoch(0))
    assert [len(batch) for batch in batches] == [3, 3, 2, 3, 1]
    assert batches[0].waveform.shape == (3, 2000)
    assert [bad.used for bad in batches[2].bad] == [False]


@pytest.mark.parametrize("num_workers", [0, WORKERS])
def test_an_error_is_one_line(tmp_path: Path, num_workers: int) -> None:
    clips = tuple(Clip(tmp_path / f"{i}.wav", f"{i}", ("x",)) for i in range(4))
    loader = make(Manifest(clips, "the set"), num_workers)
    with pytest.raises(DataError) as caught:
        next(loader.epoch(0))
    assert str(caught.value).startswith("the set: 20 clips drawn in a row cannot be used (")
    assert "\n" not in str(caught.value)


def test_torchs_own_random_numbers_are_left_alone(manifest: Manifest) -> None:
    state = torch.get_rng_state()
    list(make(manifest).epoch(0))
    assert torch.equal(torch.get_rng_state(), state)


def test_workers_are_not_forked_and_outlive_signals_to_all(manifest: Manifest) -> None:
    """A fork of a process that holds CUDA hangs. Ctrl-C, and SIGTERM from torchrun or a job's scheduler, come to every
    process, but are for the main one, which saves a checkpoint with the batches that still come."""
    forkserver._forkserver._stop()  # one that another test has started hears SIGTERM
    loader = make(manifest, 1)
    context = loader._loader.multiprocessing_context
    assert context is not None
    assert context.get_start_method() in ("forkserver", "spawn")
    batches = loader.epoch(0)
    next(batches)
    iterator = loader._loader._iterator
    assert iterator is not None
    (worker,) = iterator._workers
    for sent in ("-INT", "-TERM"):
        subprocess.run(["kill", sent, str(worker.pid), str(forkserver._forkserver._forkserver_pid)], check=True)
    assert len(list(batches)) == 4
    assert len(list(loader.epoch(1))) == 5
    assert worker.is_alive()
    worker.terminate()  # as a main process does that ends
    worker.join(10)
    assert worker.exitcode == 0


@pytest.mark.gpu
def test_pinned_batches_beside_cuda(manifest: Manifest) -> None:
    torch.zeros(1, device="cuda")
    pinned = make(manifest, WORKERS, pin=True)
    for one, other in zip(pinned.epoch(0), make(manifest).epoch(0), strict=True):
        assert one.waveform.is_pinned()
        moved = one.to("cuda")
        assert moved.waveform.is_cuda
        assert moved.num_samples.is_cuda
        assert same(moved.to("cpu"), other)
