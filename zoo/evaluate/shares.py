"""What the processes of a run found in their batches of an evaluation, put together as one process would have it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Num
from torch import Tensor

from zoo.data.batch import BadAudio, Batch
from zoo.group import Group


@runtime_checkable
class Batches(Protocol):
    """The clips to evaluate, each once, or each of their windows once. `Batch.clips` says which is whose."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """All batches. Some may hold fewer clips than others or none, where clips could not be used."""


@runtime_checkable
class DealtBatches(Batches, Protocol):
    """Batches that several processes can share among them."""

    def dealt(self, group: Group) -> Iterator[tuple[int, Batch]]:
        """This process's batches, each with its number among all."""


@dataclass(frozen=True)
class Seen:
    """A batch that was evaluated."""

    number: int
    """Among all batches of the evaluation."""
    names: tuple[str, ...]
    clips: tuple[int, ...]
    bad: tuple[BadAudio, ...]

    @classmethod
    def of(cls, number: int, batch: Batch) -> "Seen":
        """What is kept of a batch."""
        return cls(number, batch.names, batch.clips, batch.bad)


def own_batches(loader: Batches, group: Group) -> Iterable[tuple[int, Batch]]:
    """(number, batch) of those that this process is to evaluate."""
    if group.world == 1:
        return enumerate(loader.epoch(0))
    assert isinstance(loader, DealtBatches), f"{type(loader)} cannot be shared among processes"
    return loader.dealt(group)


def gather(
    group: Group,
    seen: list[Seen],
    columns: Sequence[Num[Tensor, "..."] | None],
    num_rows: Callable[[Seen], int],
) -> tuple[list[Seen], list[Num[Tensor, "..."] | None]]:
    """The batches of all processes in their order, and their rows below each other: the same on every process.

    Args:
        columns: rows of this process's batches, on the CPU; None where it has none of the kind.
        num_rows: how many rows a batch has in each column that there is.
    """
    if group.world == 1:
        return seen, list(columns)
    shares = group.gather((seen, list(columns)))
    together = [one for share, _ in shares for one in share]
    numbers = torch.tensor([one.number for one in together], dtype=torch.int64)
    order = numbers.argsort().tolist()
    assert [together[place].number for place in order] == list(range(len(order))), "a batch was lost, or came twice"
    counts = torch.tensor([num_rows(one) for one in together], dtype=torch.int64)
    row_order = numbers.repeat_interleave(counts).argsort(stable=True)
    joined: list[Tensor | None] = []
    for number in range(len(columns)):
        rows = [found[number] for _, found in shares if found[number] is not None]
        joined.append(torch.cat(rows)[row_order] if rows else None)
    return [together[place] for place in order], joined
