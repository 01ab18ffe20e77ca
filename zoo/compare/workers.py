"""Work side by side in processes that are started once: many small trainings use a machine better than one at a time.

Every process computes with a stated number of threads, whatever else runs, so that a result does not depend on how many
processes there are. SIGINT and SIGTERM go to the parent, which hands them on and waits until every training has written
its checkpoint. Should the parent be killed, its processes end at once.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, runtime_checkable

import torch

from zoo.errors import ZooError
from zoo.train.interrupt import Caught, Interrupted, held_back_signals

Tell = Callable[[float], None]
"""Told by work how much of it is done, from 0 to 1."""
_EVERY_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@runtime_checkable
class Display(Protocol):
    """What workers tell the person who waits."""

    def say(self, text: str) -> None:
        """One line."""

    def counting(self, title: str, unit: str = ...) -> contextlib.AbstractContextManager[Callable[[int, int], None]]:
        """A bar for work that is counted."""


@dataclass(frozen=True)
class Work:
    """A call for another process: `function(*arguments, tell)`. All of it can be pickled, and so can its result."""

    title: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    size: int = 1
    """How much it is beside other work: clips, say. The largest is begun first."""


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    doing: int | None = None
    """The number of its work."""
    share: float = 0.0
    """Of its work that is done."""
    interrupted: Interrupted | None = None


@dataclass
class Workers:
    """Processes for work, as a context manager."""

    jobs: int
    threads: int
    """Of each process."""
    _workers: list[_Worker] = field(default_factory=list)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(timeout=5.0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def results(
        self,
        works: Sequence[Work],
        console: Display,
        title: str,
        unit: str = "clips",
        told: Callable[[Any], str] = lambda result: "done",
    ) -> list[Any]:
        """What each work returned, in the order of `works`. A line is said as each ends, with `told` of its result.

        Raises:
            ZooError: what a work raised; the others are interrupted first, and write their checkpoints.
            Interrupted: SIGINT or SIGTERM.
            RuntimeError: our own bug in another process, with its traceback.
        """
        results: dict[int, Any] = {}
        total = sum(work.size for work in works)
        order = deque(sorted(range(len(works)), key=lambda number: -works[number].size))
        self._start(min(self.jobs, len(works)))
        with held_back_signals() as caught, console.counting(title, unit) as tell:
            while len(results) < len(works):
                for worker in self._workers:
                    if worker.doing is None and order:
                        worker.doing, worker.share = order.popleft(), 0.0
                        worker.pipe.send(works[worker.doing])
                busy = {worker.pipe: worker for worker in self._workers if worker.doing is not None}
                for pipe in wait(list(busy), timeout=_EVERY_SECONDS):
                    worker = busy[pipe]  # type: ignore[index]
                    number = worker.doing
                    assert number is not None
                    if self._heard(worker, results):
                        text = f"{works[number].title}: {told(results[number])}"
                        console.say(f"[{len(results)} of {len(works)}] {text}")
                self._stop_if_signalled(caught)
                running = sum(works[one.doing].size * one.share for one in self._workers if one.doing is not None)
                tell(round(sum(works[number].size for number in results) + running), max(total, 1))
        return [results[number] for number in range(len(works))]

    def _start(self, jobs: int) -> None:
        context = multiprocessing.get_context("spawn")
        with _fewer_threads(self.threads):
            while len(self._workers) < jobs:
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs, self.threads), name="zoo worker")
                process.start()
                theirs.close()
                self._workers.append(_Worker(process, ours))

    def _heard(self, worker: _Worker, results: dict[int, Any]) -> bool:
        """Takes one message of a busy worker; whether it was a result."""
        assert worker.doing is not None
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(timeout=5.0)
            code, worker.doing = worker.process.exitcode, None
            self._interrupt(signal.SIGTERM)
            raise ZooError(
                f"a process of {self.jobs} ended without a word (exit code {code}) - expected its result - was memory "
                "short? then give fewer --jobs; the same command goes on"
            ) from None
        if kind == "share":
            worker.share = value
            return False
        number, worker.doing = worker.doing, None
        if kind == "result":
            results[number] = value
            return True
        if kind == "interrupted":
            raise Interrupted(*value)
        self._interrupt(signal.SIGTERM)
        if kind == "refused":
            error, text = value
            raise error(text)
        raise RuntimeError(f"in another process:\n{value}")

    def _stop_if_signalled(self, caught: Caught) -> None:
        if caught.number is None:
            return
        clips = self._interrupt(signal.SIGTERM)
        raise Interrupted(caught.number, clips)

    def _interrupt(self, number: signal.Signals) -> int:
        """Ends all processes; those that train write a checkpoint. Gives the clips that they had seen."""
        clips, deadline = 0, time.monotonic() + _PATIENCE_SECONDS
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number)
        for worker in self._workers:
            with contextlib.suppress(EOFError, OSError):
                while worker.doing is not None and worker.pipe.poll(max(0.0, deadline - time.monotonic())):
                    kind, value = worker.pipe.recv()
                    if kind == "share":
                        continue
                    worker.doing = None
                    clips += value[1] if kind == "interrupted" else 0
        return clips


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _fewer_threads(threads: int) -> Iterator[None]:
    """Processes that are started within give libraries so many threads."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _work(pipe: Connection, threads: int) -> None:
    """What another process does, until the pipe is closed."""
    if hasattr(os, "setsid"):
        os.setsid()  # a Ctrl-C in a terminal reaches the parent alone, which hands it on
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the parent's stdout may be JSON
    torch.set_num_threads(threads)
    last = 0.0

    def tell(share: float) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY_SECONDS:
            last = time.monotonic()
            pipe.send(("share", share))

    with contextlib.suppress(EOFError, OSError):
        while True:
            work: Work = pipe.recv()
            last = 0.0
            try:
                answer: tuple[str, Any] = ("result", work.function(*work.arguments, tell))
            except ZooError as error:
                answer = ("refused", (type(error), str(error)))
            except Interrupted as error:
                answer = ("interrupted", (int(error.signal), error.clips))
            except Exception:
                answer = ("crashed", traceback.format_exc())
            pipe.send(answer)


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
