"""Means over the steps since the last log, kept on the device until they are read."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from zoo.errors import ZooError

_NONE_BAD = -1
_NAMES_SHOWN = 5


class Window:
    """Adds up scalars of every step without reading one: reading makes the host wait for the device.

    It also notes the first step whose loss or gradient was not finite. The sums are part of a checkpoint, so that a run
    resumed between two logs logs the same means as one that was never interrupted.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._restart()

    def _restart(self) -> None:
        self.steps = 0
        self._tags: tuple[str, ...] = ()
        self._sums = torch.zeros(0, device=self._device)
        self._first_bad = torch.full((), _NONE_BAD, dtype=torch.int64, device=self._device)
        self._names: dict[int, tuple[str, ...]] = {}

    def add(self, step: int, names: tuple[str, ...], vital: Float[Tensor, ""], scalars: Mapping[str, Tensor]) -> None:
        """Adds one step. `vital` is the number that must be finite; `names` are the clips to blame if it is not."""
        if self.steps == 0:
            self._tags = tuple(scalars)
            self._sums = torch.zeros(len(scalars), device=self._device)
        if tuple(scalars) != self._tags:
            raise ValueError(f"an objective gave the tags {tuple(scalars)} after {self._tags}; they may not change")
        self.steps += 1
        self._sums += torch.stack([value.detach().float() for value in scalars.values()])
        self._names[step] = names
        is_fine = vital.detach().isfinite() | (self._first_bad != _NONE_BAD)
        self._first_bad = torch.where(is_fine, self._first_bad, step)

    def check(self) -> None:
        """Waits for the device and makes sure that every step so far was finite.

        Raises:
            ZooError: naming the first step that was not, and its clips.
        """
        bad = int(self._first_bad.item())
        if bad != _NONE_BAD:
            names = self._names[bad]
            shown = ", ".join(names[:_NAMES_SHOWN])
            shown += f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            raise ZooError(
                f"training: found a loss or gradient that is not finite at step {bad} (clips {shown}) - "
                "expected finite numbers - lower optim.lr or set optim.grad_clip, and look at these clips; "
                "the last checkpoint is from before"
            )
        self._names.clear()

    def read(self) -> dict[str, float]:
        """The means by tag; then the window is empty. Raises ZooError as `check` does."""
        self.check()
        means = dict(zip(self._tags, (self._sums / max(self.steps, 1)).tolist(), strict=True))
        self._restart()
        return means

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; call `check` before."""
        return {"steps": self.steps, "tags": list(self._tags), "sums": self._sums.cpu().clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where a checkpoint left off."""
        self._restart()
        self.steps, self._tags = state["steps"], tuple(state["tags"])
        self._sums = state["sums"].to(self._device, copy=True)
