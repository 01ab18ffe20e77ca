"""The averages themselves: of all that a model's `state_dict` holds, buffers too, and without waiting for the device.

What is not floating-point is not averaged but taken as it was when something was last added.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import CheckpointError


class _Average:
    """What any average has: the tensors of a model, values kept beside them, and how often something was added."""

    kind: str

    def __init__(self, model: nn.Module) -> None:
        # The tensors themselves, on the device where they are now; tied ones once, although they have two names.
        state = model.state_dict(keep_vars=True)
        named = {id(tensor): (name, tensor.detach()) for name, tensor in state.items() if isinstance(tensor, Tensor)}
        self._weights = {name: tensor for name, tensor in named.values() if tensor.is_floating_point()}
        self._others = {name: tensor for name, tensor in named.values() if not tensor.is_floating_point()}
        self._num = 0
        self._values: list[Tensor] = []
        self._other_values: list[Tensor] = []

    @property
    def has_begun(self) -> bool:
        """Whether there is an average yet."""
        return self._num > 0

    def _averages(self) -> list[Tensor]:
        return self._values

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the model has the averaged weights, in place; afterwards its own ones, bit for bit.

        Takes memory for one more copy of the weights. Raises RuntimeError before there is an average.
        """
        if not self.has_begun:
            raise RuntimeError("there is no average yet: ask has_begun first")
        tensors = [*self._weights.values(), *self._others.values()]
        own = [tensor.clone() for tensor in tensors]
        try:
            torch._foreach_copy_(tensors, [*self._averages(), *self._other_values])
            yield
        finally:
            torch._foreach_copy_(tensors, own)

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and numbers; not copies."""
        return {"kind": self.kind, "num": self._num, "values": self._named(self._values, self._other_values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises CheckpointError for the state of another kind of average, or of another model."""
        found = state.get("kind")
        if found != self.kind:
            raise CheckpointError(
                f"average: found the state of {found!r} - expected {self.kind!r} - resume with the recipe of the run"
            )
        self._num = state["num"]
        self._values, self._other_values = self._unnamed(state["values"])

    def _named(self, values: Sequence[Tensor], other_values: Sequence[Tensor]) -> dict[str, Tensor]:
        """By the model's names; empty for none."""
        return dict(zip([*self._weights, *self._others], [*values, *other_values], strict=True)) if values else {}

    def _unnamed(self, values: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        if not values:
            return [], []
        own = {**self._weights, **self._others}
        odd = sorted(values.keys() ^ own.keys()) or [name for name in own if values[name].shape != own[name].shape]
        if odd:
            raise CheckpointError(
                f"average: found '{odd[0]}' in the checkpoint or in the model alone, or of another shape - expected "
                "the same tensors - resume with the recipe of the run"
            )
        # Clones: what was given stays the caller's.
        return tuple(  # type: ignore[return-value]
            [values[name].to(tensor.device, copy=True) for name, tensor in tensors.items()]
            for tensors in (self._weights, self._others)
        )


class Ema(_Average):
    """An exponential moving average: average <- decay * average + (1 - decay) * weights."""

    kind = "ema"

    def __init__(self, model: nn.Module, decay: float, every_steps: int = 1, warmup: bool = False) -> None:
        """warmup: after t updates, decay is at most (1 + t) / (10 + t)."""
        super().__init__(model)
        self.decay = decay
        self.every_steps = every_steps
        self.warmup = warmup

    @torch.no_grad()
    def after_step(self, step: int, epoch: int, is_last_of_epoch: bool) -> None:
        """As `Averager.after_step`."""
        if step % self.every_steps:
            return
        weights = [_at_least_float32(weight) for weight in self._weights.values()]
        if not self.has_begun:
            self._values = [weight.clone() for weight in weights]
        else:
            decay = min(self.decay, (1 + self._num) / (10 + self._num)) if self.warmup else self.decay
            torch._foreach_lerp_(self._values, weights, 1 - decay)
        self._other_values = [other.clone() for other in self._others.values()]
        self._num += 1


class SnapshotMean(_Average):
    """The arithmetic mean of the weights at the end of some epochs, from sums in float64."""

    kind = "snapshots"

    def __init__(self, model: nn.Module, is_due: Callable[[int], bool], of_next_epoch: bool = False) -> None:
        """
        Args:
            is_due: whether the weights at the end of an epoch, from 0, take part; -1 is before the first.
            of_next_epoch: they are those with which the next epoch begins, and take part only when it does.
        """
        super().__init__(model)
        self._is_due = is_due
        self._of_next_epoch = of_next_epoch
        self._waiting: list[Tensor] = []
        self._waiting_others: list[Tensor] = []
        if of_next_epoch and is_due(-1):
            self._wait()

    @torch.no_grad()
    def after_step(self, step: int, epoch: int, is_last_of_epoch: bool) -> None:
        """As `Averager.after_step`."""
        if self._waiting:  # the epoch that they are of has begun
            self._add(self._waiting, self._waiting_others)
            self._waiting, self._waiting_others = [], []
        if is_last_of_epoch and self._is_due(epoch):
            self._wait()
            if not self._of_next_epoch:
                self._add(self._waiting, self._waiting_others)
                self._waiting, self._waiting_others = [], []

    def _wait(self) -> None:
        self._waiting = [weight.clone() for weight in self._weights.values()]
        self._waiting_others = [other.clone() for other in self._others.values()]

    def _add(self, weights: list[Tensor], others: list[Tensor]) -> None:
        weights = [weight.double() for weight in weights]
        if self.has_begun:
            torch._foreach_add_(self._values, weights)
        else:
            self._values = weights
        self._other_values = others
        self._num += 1

    def _averages(self) -> list[Tensor]:
        return list(torch._foreach_div(self._values, self._num))

    def state_dict(self) -> dict[str, Any]:
        """As that of any average, and the snapshot that waits for the next epoch."""
        return super().state_dict() | {"waiting": self._named(self._waiting, self._waiting_others)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As that of any average."""
        super().load_state_dict(state)
        self._waiting, self._waiting_others = self._unnamed(state["waiting"])


def _at_least_float32(weight: Tensor) -> Tensor:
    return weight.to(torch.promote_types(weight.dtype, torch.float32))
