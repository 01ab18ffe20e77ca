"""The processes of a run that train one model together; one process alone is a group of one.

`torchrun` starts them and tells each its rank. Numbers travel by two ways: tensors by the device's (NCCL between GPUs,
gloo between CPUs), and what the processes agree on by gloo, so that no GPU is waited for.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.errors import DataError, ZooError
from zoo.torchrun import fresh_store, is_started_by_torchrun

Found = TypeVar("Found")

_TIMEOUT = timedelta(minutes=30)  # of one process for the others: an evaluation, a slow disk


@dataclass(frozen=True)
class Group:
    """This process among `world`. Every method that takes part in an exchange is called by all of them alike."""

    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes; a new tensor, without waiting for the device."""
        if self.world == 1:
            return tensor
        total = tensor.detach().clone()
        dist.all_reduce(total)
        return total

    def gather(self, value: Any) -> list[Any]:
        """What every process gives, by rank; plain values and CPU tensors."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value, group=_host_group())
        return values

    def from_main(self, value: Any) -> Any:
        """What the first process gives; the others' values are not looked at."""
        if self.world == 1:
            return value
        values = [value if self.is_main else None]
        dist.broadcast_object_list(values, src=0, group=_host_group())
        return values[0]

    def main_first(self, function: Callable[[], Found]) -> Found:
        """What a function gives on the first process, where alone it runs; the others wait for it.

        Raises:
            ZooError, OSError: the function raised it; on all processes, so that all of them end.
        """
        if self.world == 1:
            return function()
        found, error = None, None
        if self.is_main:
            try:
                found = function()
            except (ZooError, OSError) as raised:
                error = raised
        found, error = self.from_main((found, error))
        if error is not None:
            raise error
        return found

    def check_same(self, what: str, value: str) -> None:
        """Raises DataError on all processes where one has another value than the first."""
        values = self.gather(value)
        others = [rank for rank, found in enumerate(values) if found != values[0]]
        if others:
            raise DataError(
                f"{what}: found {values[others[0]]} in process {others[0]} and {values[0]} in process 0 - expected the "
                "same in all processes - give every machine the same files"
            )


ALONE = Group()
_GROUPS: dict[str, dist.ProcessGroup] = {}


def _host_group() -> dist.ProcessGroup:
    """The gloo group for what is on the host."""
    return _GROUPS["host"]


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """Within, the processes that torchrun started are a group; without torchrun, a group of one.

    Args:
        device: this process's own.

    Raises:
        ZooError: another process has gone, and what it was to give never comes.
    """
    if not is_started_by_torchrun():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        backend, store = "nccl" if device.type == "cuda" else "gloo", fresh_store(_TIMEOUT)
        if store is None:
            dist.init_process_group(backend, timeout=_TIMEOUT)
        else:
            rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=_TIMEOUT)
        host = dist.new_group(backend="gloo", timeout=_TIMEOUT)
        assert isinstance(host, dist.ProcessGroup)  # every process is a member
        _GROUPS["host"] = host
        yield Group(dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if not _is_of_connection(error):
            raise
        raise ZooError(
            "torchrun: a process of this run has gone - expected all of them to the end - look for its own message; "
            "--max-restarts N starts them again, and --resume goes on from the last checkpoint"
        ) from error
    finally:
        _GROUPS.clear()
        if dist.is_initialized():
            dist.destroy_process_group()


def _is_of_connection(error: RuntimeError) -> bool:
    """Whether it says that another process cannot be reached; gloo has no class of its own for that."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


class Agreement:
    """What any process wants, made known to all of them one step later, so that all act at the same step.

    The exchange runs while the next step is computed: nobody waits for it, nor for a device.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._pending: tuple[Tensor, Any] | None = None

    def exchange(self, wishes: Sequence[int]) -> list[int]:
        """The largest of each wish over all processes: of this very call in a group of one, else of the call before."""
        if self._group.world == 1:
            return list(wishes)
        before = self.settle(len(wishes))
        tensor = torch.tensor(list(wishes), dtype=torch.int64)
        self._pending = tensor, dist.all_reduce(tensor, dist.ReduceOp.MAX, group=_host_group(), async_op=True)
        return before

    def settle(self, count: int) -> list[int]:
        """What was agreed on last, waiting for it; zeros when nothing is under way."""
        if self._pending is None:
            return [0] * count
        tensor, work = self._pending
        work.wait()
        self._pending = None
        return [int(wish) for wish in tensor.tolist()]
