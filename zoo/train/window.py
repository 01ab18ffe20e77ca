"""Means over the steps since the last log, kept on the device until they are read."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zoo.errors import CheckpointError
from zoo.group import ALONE, Group


class Window:
    """Adds up scalars of every step without reading one: reading makes the host wait for the device.

    The sums are part of a checkpoint, so that a run resumed between two logs logs the same means as one that was never
    interrupted. Of several processes each has the sums of its own parts of the steps.
    """

    def __init__(self, device: torch.device, group: Group = ALONE) -> None:
        self._device = device
        self._group = group
        self._restart()

    def _restart(self) -> None:
        self._tags: tuple[str, ...] = ()
        self._is_loaded = False
        self._sums = torch.zeros(1, device=self._device)  # of each tag, then the number of steps

    def add(
        self,
        parts: Sequence[Mapping[str, Tensor]],
        shares: Sequence[Float[Tensor, ""]],
        is_left_out: Bool[Tensor, ""],
    ) -> None:
        """Adds one step, made of parts that have these shares in it; those of all processes make up 1.

        is_left_out: whether the step was not taken; then it does not count.
        """
        tags = tuple(parts[0])
        if self._is_loaded and tags != self._tags:
            self._restart()  # an older version had other tags: its few steps since the last log are left out
        if not self._tags:
            self._tags, self._sums = tags, torch.zeros(len(tags) + 1, device=self._device)
        self._is_loaded = False
        if tags != self._tags:
            raise ValueError(f"an objective gave the tags {tags} after {self._tags}; they may not change")
        for scalars, share in zip(parts, shares, strict=True):
            values = [value.detach().float() for value in scalars.values()]
            step = share * torch.stack([*values, torch.ones_like(share)])
            self._sums += torch.where(is_left_out, 0.0, step)

    def read(self) -> dict[str, float]:
        """The means by tag, over all processes; then the window is empty. Waits for the device.

        Of no step that was taken, there are none.
        """
        *sums, steps = self._group.sum(self._sums).tolist()
        means = {tag: value / steps for tag, value in zip(self._tags, sums, strict=True)} if steps else {}
        self._restart()
        return means

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the sums of every process, apart, so that saving moves no bit of what is logged."""
        return {"tags": list(self._tags), "sums": torch.stack(self._group.gather(self._sums.cpu().clone()))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where a checkpoint left off; with another number of processes, up to the last bits."""
        self._restart()
        sums, rank = state["sums"], self._group.rank
        if sums.ndim != 2:
            raise CheckpointError(
                "trainer.pt: found that of an older version, before several processes - expected one of this - start "
                "a new run, with init.from this checkpoint"
            )
        self._tags, self._is_loaded = tuple(state["tags"]), True
        if len(sums) == self._group.world:
            mine = sums[rank]
        else:
            mine = sums.sum(dim=0) if self._group.is_main else torch.zeros_like(sums[0])
        self._sums = mine.to(self._device, copy=True)
