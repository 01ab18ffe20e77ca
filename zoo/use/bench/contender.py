"""One way of doing the work, in a process of its own, so that its memory and its processor time are its own too."""

import multiprocessing
import statistics
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol, runtime_checkable

import torch

from zoo.errors import DataError, ZooError
from zoo.use.bench.usage import cpu_seconds, peak_memory_mib


@runtime_checkable
class Work(Protocol):
    """What is measured, once it is built."""

    num_workers: int

    def run(self) -> int:
        """Does one round. Returns how many clips it was."""

    def stages(self) -> dict[str, float]:
        """Processor milliseconds a clip of each stage, measured apart in this one process."""

    def close(self) -> None:
        """Ends what was started."""


@runtime_checkable
class Turns(Protocol):
    """A `Work` that has something to do before its turn, which is not timed, and gives back what others need after."""

    def begin_turn(self) -> None:
        """Before the clock starts."""

    def end_turn(self) -> None:
        """After it has stopped."""

    def facts(self) -> dict[str, Any]:
        """What else there is to know once all rounds are done."""


@dataclass(frozen=True)
class Round:
    """What one round took. `cpu_seconds` is of all processes; None where they cannot be asked."""

    clips: int
    seconds: float
    cpu_seconds: float | None


class Contender:
    """A `Work` in a fresh process. The first round, in which caches are filled and workers start, is not counted.

    Raises: ZooError, as the work does; RuntimeError with its traceback for anything else.
    """

    def __init__(self, build: Callable[..., Work], options: Mapping[str, Any], threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, build, dict(options), threads))
        self._process.start()
        there.close()
        self.start_seconds: float = self._ask("start")
        """From the built loader to its first batch: what starting the workers takes, and the first decoding."""

    def round(self) -> Round:
        """One more round."""
        return Round(*self._ask("round"))

    def stages(self) -> dict[str, float]:
        """See `Work.stages`."""
        found: dict[str, float] = self._ask("stages")
        return found

    def facts(self) -> dict[str, Any]:
        """See `Turns.facts`; empty for work that has none."""
        found: dict[str, Any] = self._ask("facts")
        return found

    def peak_memory_mib(self) -> float | None:
        """So far, of all its processes."""
        found: float | None = self._ask("memory")
        return found

    def close(self) -> None:
        """Ends the process, whatever it is at."""
        try:
            self._connection.send(None)
            self._process.join(10)
        except OSError:
            pass
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
        self._connection.close()

    def _ask(self, command: str) -> Any:
        try:
            self._connection.send(command)
            failed, answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(10)
            raise DataError(
                f"bench: a process ended with code {self._process.exitcode} - expected a measurement - "
                "look for what it wrote above; out of memory is likely"
            ) from None
        if failed == "user":
            raise DataError(answer)
        if failed:
            raise RuntimeError(answer)
        return answer


def _serve(connection: Connection, build: Callable[..., Work], options: dict[str, Any], threads: int) -> None:
    """The other process: does what it is told until it is told nothing more."""
    torch.set_num_threads(threads)
    work: Work | None = None
    try:
        while (command := connection.recv()) is not None:
            try:
                if work is None:
                    work = build(**options)
                connection.send(("", _do(command, work)))
            except ZooError as error:
                connection.send(("user", str(error)))
            except torch.OutOfMemoryError as error:
                what = str(error).split(". ")[0]
                connection.send(("user", f"bench: {what} - expected the work to fit the device - lower --batch"))
            except Exception:
                connection.send(("bug", traceback.format_exc()))
    except EOFError:
        pass
    finally:
        if work is not None:
            work.close()


def _do(command: str, work: Work) -> Any:
    if command == "stages":
        return work.stages()
    if command == "memory":
        return peak_memory_mib(work.num_workers)
    if command == "facts":
        return work.facts() if isinstance(work, Turns) else {}
    if isinstance(work, Turns):
        work.begin_turn()
    cpu, since = cpu_seconds(work.num_workers), time.perf_counter()
    clips = work.run()
    seconds = time.perf_counter() - since
    cpu_after = cpu_seconds(work.num_workers)
    if isinstance(work, Turns):
        work.end_turn()
    if command == "start":
        return seconds
    return clips, seconds, None if cpu is None or cpu_after is None else cpu_after - cpu


def race(
    contenders: Mapping[str, Contender], rounds: int, on_round: Callable[[], None] | None = None
) -> dict[str, dict[str, Any]]:
    """Rounds of all contenders in turn, so that whatever else the machine does falls on all of them alike."""
    found: dict[str, list[Round]] = {name: [] for name in contenders}
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(contenders[name].round())
            if on_round is not None:
                on_round()
    return {
        name: {**summary(found[name]), "peak_memory_mib": contender.peak_memory_mib()}
        for name, contender in contenders.items()
    }


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians over the rounds, with the lowest and the highest. Per core: clips per second of processor time."""
    wall = [one.clips / one.seconds for one in rounds]
    core = [one.clips / one.cpu_seconds for one in rounds if one.cpu_seconds]
    return {
        "clips_per_second": statistics.median(wall),
        "clips_per_second_spread": [min(wall), max(wall)],
        "clips_per_core_second": statistics.median(core) if core else None,
        "clips_per_core_second_spread": [min(core), max(core)] if core else None,
        "cpu_ms_per_clip": 1e3 / statistics.median(core) if core else None,
        "rounds": len(rounds),
        "clips_per_round": rounds[0].clips,
    }


def ratio(ours: Mapping[str, Any] | None, peer: Mapping[str, Any] | None, key: str) -> float | None:
    """How many times as many clips ours does, by a key of `summary`; None where one of the two is not known."""
    if ours is None or peer is None or not ours[key] or not peer[key]:
        return None
    found: float = ours[key] / peer[key]
    return found
