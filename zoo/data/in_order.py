"""A function over many things, in worker processes, with the results in the order of the things."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import forkserver
from typing import TypeVar

import torch

from zoo.audio.uninterrupted import uninterrupted
from zoo.errors import DataError

_TOGETHER = 4  # things a worker gets at a time
_WORTH_A_PROCESS = 32  # things: starting one takes a second or two
_AHEAD = 4  # such handfuls for every worker under way or waiting: what bounds the memory

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def default_workers() -> int:
    """One a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worth_it(workers: int, num_things: int) -> int:
    """So many workers, or fewer where there is little to do: none for a few things."""
    workers = min(workers, num_things // _WORTH_A_PROCESS)
    return workers if workers > 1 else 0


def in_order(
    function: Callable[[Thing], Result], things: Iterable[Thing], workers: int
) -> Generator[Result, None, None]:
    """`function(thing)` of every thing. With 0 workers in this process; no number of them changes the results.

    Everything computes with one thread: sums depend on how many share them.

    Raises: what the function raises; DataError where a worker was killed.
    """
    if workers == 0:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for thing in things:
                yield function(thing)
        finally:
            torch.set_num_threads(threads)
        return
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    if sys.platform != "win32":
        # A fork of this very process could hang: it has threads.
        context.set_forkserver_preload([__name__, getattr(function, "func", function).__module__])
        _start_fork_server()
    executor = ProcessPoolExecutor(workers, context, _start_worker)
    waiting: deque[Future[list[Result]]] = deque()
    remaining = iter(things)
    try:
        while True:
            while len(waiting) < workers * _AHEAD and (few := list(islice(remaining, _TOGETHER))):
                with uninterrupted():  # it starts workers
                    waiting.append(executor.submit(_each, function, few))
            if not waiting:
                return
            yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "workers: one was killed - expected all to live to the end - the memory may be too small: use fewer with "
            "--workers; the same command goes on"
        ) from None
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _each(function: Callable[[Thing], Result], things: list[Thing]) -> list[Result]:
    return [function(thing) for thing in things]


def _start_fork_server() -> None:
    """Deaf to Ctrl-C from its birth: it would print a traceback while it imports."""
    if threading.current_thread() is not threading.main_thread():
        return  # signals are the main thread's
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to answer
    torch.set_num_threads(1)
