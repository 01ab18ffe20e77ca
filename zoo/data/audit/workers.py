"""Work on many clips in worker processes, with the results in the order of the work."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

import torch

Work = TypeVar("Work")
Result = TypeVar("Result")

_IN_FLIGHT = 3  # pieces of work a process: enough to keep it busy, and a slow reader does not fill the memory
_WORTH_A_PROCESS = 32


def default_workers() -> int:
    """One a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(
    function: Callable[[Work], Result], work: Sequence[Work], workers: int, together: int = 8
) -> Iterator[Result]:
    """`function` of every piece of work.

    With fewer than two workers, or little work, in this process. `together` pieces travel at once. A function that
    raises ends the iteration with its error.
    """
    workers = min(workers, len(work) // _WORTH_A_PROCESS)
    if workers < 2:
        yield from map(function, work)
        return
    waiting: deque[Future[list[Result]]] = deque()
    # Workers come from a fork server, as those of the loader, and for its reasons (zoo/data/loader.py).
    with ProcessPoolExecutor(workers, mp_context=_context(), initializer=_start) as pool:
        try:
            for begin in range(0, len(work), together):
                waiting.append(pool.submit(_each, function, work[begin : begin + together]))
                if len(waiting) >= workers * _IN_FLIGHT:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _each(function: Callable[[Work], Result], work: Sequence[Work]) -> list[Result]:
    return [function(piece) for piece in work]


def _context() -> multiprocessing.context.BaseContext:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zoo.data.audit.listen", "zoo.data.audit.correlate"])
    return context


def _start() -> None:
    """Ctrl-C is the main process's; one thread each, or the processes would wait for each other's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
