"""Batches from worker processes, or from this process.

Workers come from a fork server: a plain fork of a process that has used CUDA or threads can hang. They live as long
as the loader; the key of an item carries the epoch, so nothing has to be told to them between epochs.
"""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from typing import Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset

from zoo.data.batch import Batch
from zoo.data.deal import deal
from zoo.data.item import Collate, Item, Key
from zoo.errors import DataError
from zoo.group import Group


@runtime_checkable
class Clips(Protocol):
    """A data set by `Key`. What comes out depends on the key alone, whichever process asks."""

    def __len__(self) -> int:
        """How many clips."""

    def __getitem__(self, key: Key) -> Item:
        """One of them. Raises DataError where the run has to stop."""


@runtime_checkable
class Sampler(Protocol):
    """Which items make up which batch, as a function of the epoch alone."""

    @property
    def num_clips(self) -> int:
        """Items of the data set."""

    def num_batches(self) -> int:
        """Batches of an epoch."""

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[list[Key]]:
        """An epoch from a batch on: exactly the tail of the whole epoch."""


@runtime_checkable
class DealtSampler(Sampler, Protocol):
    """One whose batches can be dealt to processes, as those of an evaluation are."""

    def costs(self) -> list[int]:
        """What each batch of an epoch costs, in units of its own."""


class Loader:
    """The batches of one data set, epoch after epoch.

    Args: `pad_to` gives every batch the same number of samples (training), None only as many as its longest clip
    needs; `pin` copies batches into pinned memory where there is a CUDA device; `num_workers` 0 decodes in this
    process, and no number of workers changes what comes out.
    """

    def __init__(
        self,
        dataset: Clips,
        sampler: Sampler,
        num_workers: int = 0,
        pad_to: int | None = None,
        pin: bool = False,
    ) -> None:
        assert sampler.num_clips == len(dataset), (sampler.num_clips, len(dataset))
        self.seconds_waiting = 0.0
        """Seconds, since the start, in which `next` of an epoch had not yet a batch to give."""
        self.dataset = dataset
        self._sampler = sampler
        self._plan = _Plan(sampler)
        self._loader: DataLoader[Item | DataError] = DataLoader(
            _Guarded(dataset),
            batch_sampler=self._plan,
            num_workers=num_workers,
            collate_fn=_GuardedCollate(pad_to),
            pin_memory=pin and torch.cuda.is_available(),
            worker_init_fn=_start_worker if num_workers else None,
            multiprocessing_context=_worker_context() if num_workers else None,
            persistent_workers=num_workers > 0,
            # Its own generator: torch's loader draws a number from it for every epoch.
            generator=torch.Generator(),
        )

    @property
    def num_clips(self) -> int:
        return self._sampler.num_clips

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from `start_batch` on. One epoch at a time: a new one ends the one before.

        Raises: DataError - no usable clip can be found (training).
        """
        return self._batches(epoch, range(start_batch, self._sampler.num_batches()))

    def dealt(self, group: Group) -> Iterator[tuple[int, Batch]]:
        """This process's share of the batches of epoch 0 in whole batches, each with its number in the epoch."""
        assert isinstance(self._sampler, DealtSampler), type(self._sampler)
        mine = deal(self._sampler.costs(), group.world)[group.rank]
        return zip(mine, self._batches(0, mine), strict=True)

    def _batches(self, epoch: int, numbers: Sequence[int]) -> Iterator[Batch]:
        self._plan.epoch, self._plan.numbers = epoch, numbers
        since = time.perf_counter()
        batches = iter(self._loader)
        while True:
            batch = next(batches, None)
            self.seconds_waiting += time.perf_counter() - since
            if batch is None:
                return
            if isinstance(batch, DataError):
                del batches
                self.close()
                raise DataError(str(batch))
            yield batch
            since = time.perf_counter()

    def close(self) -> None:
        """End the workers; a later epoch would start new ones.

        They also end with the loader. But where an error holds the frames that hold the loader, that is left to the
        garbage collector, which stops the queues before torch can use them, and torch waits ten seconds for nothing.
        """
        self._loader._iterator = None


class _Plan:
    """What torch's loader takes for a batch sampler: the batches of the epoch that are asked for."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.epoch = 0
        self.numbers: Sequence[int] = range(sampler.num_batches())

    def __iter__(self) -> Iterator[list[Key]]:
        if isinstance(self.numbers, range):  # the rest of an epoch, at one go
            return self._sampler.batches(self.epoch, self.numbers.start)
        return (next(iter(self._sampler.batches(self.epoch, number))) for number in self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)


class _Guarded(Dataset["Item | DataError"]):
    """Hands an error on as a value: torch would wrap the worker's traceback around its one line."""

    def __init__(self, dataset: Clips) -> None:
        self._dataset = dataset

    def __getitem__(self, key: Key) -> Item | DataError:
        try:
            return self._dataset[key]
        except DataError as error:
            return DataError(str(error))


class _GuardedCollate:
    def __init__(self, pad_to: int | None) -> None:
        self._collate = Collate(pad_to)

    def __call__(self, items: Sequence[Item | DataError]) -> Batch | DataError:
        good = [item for item in items if isinstance(item, Item)]
        return self._collate(good) if len(good) == len(items) else next(i for i in items if isinstance(i, DataError))


def _worker_context() -> multiprocessing.context.BaseContext:
    """A fork server that has this module imported, so that a worker starts in milliseconds; spawn on Windows.

    It is started with SIGTERM blocked, and so are the workers that it forks (`_start_worker` says why).
    """
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    resource_tracker.ensure_running()  # the fork server would start it, and it unblocks SIGTERM
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _start_worker(number: int) -> None:
    """Signals that go to every process of a terminal, a job or a `torchrun` are for the main one, which saves a
    checkpoint with batches of this one. This one ignores SIGINT, and SIGTERM unless it comes from the main one.

    What came with the fork is not searched for garbage: that would write to its pages, and so copy 75 MB of them here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # torch's handler is for a worker that the main process forked
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        main = multiprocessing.parent_process()
        assert main is not None
        threading.Thread(target=_end_with, args=(main.pid,), daemon=True).start()
    gc.freeze()


def _end_with(main: int | None) -> None:
    """Ends this process when the process `main` asks it to; what others ask is not heard."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != main:
        pass
    os._exit(0)
