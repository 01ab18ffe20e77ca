"""Several processes of a run, played by threads: the exchange of plain values, without torch's."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from zoo.group import Group

Found = TypeVar("Found")


@dataclass
class Table:
    """Where all lay down what they give."""

    world: int
    values: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = [None] * self.world
        self.barrier = threading.Barrier(self.world, timeout=60)


@dataclass(frozen=True)
class ThreadGroup(Group):
    """One thread among `world`."""

    table: Table = field(default_factory=lambda: Table(1))

    def gather(self, value: Any) -> list[Any]:
        self.table.values[self.rank] = value
        self.table.barrier.wait()
        values = list(self.table.values)
        self.table.barrier.wait()
        return values

    def from_main(self, value: Any) -> Any:
        return self.gather(value)[0]


def together(world: int, work: Callable[[Group], Found]) -> list[Found | Exception]:
    """What each of `world` threads gives, or raises."""
    table = Table(world)

    def one(rank: int) -> Found | Exception:
        try:
            return work(ThreadGroup(rank, world, table))
        except Exception as error:
            return error

    try:
        with ThreadPoolExecutor(world) as pool:
            return list(pool.map(one, range(world)))
    finally:
        torch.compiler.set_stance("default")  # one for all threads, which put it back in any order
