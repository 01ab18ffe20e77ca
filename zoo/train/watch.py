"""Whether a step was finite: known to the device at once, and to the host a little later, without waiting."""

from collections import deque
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from zoo.train.incident import Incident

_LAG = 2  # steps by which the host learns of it on a GPU: by then the device is done with the step


class Watch:
    """Tells the optimiser which steps not to take.

    Args:
        stop: after the first bad step none is taken any more, so that the weights stay as they were.
    """

    def __init__(self, device: torch.device, stop: bool) -> None:
        self._device = device
        self._stop = stop
        self._stopped = torch.zeros((), dtype=torch.bool, device=device)
        self._pending: deque[tuple[Incident, Tensor, torch.cuda.Event | None]] = deque()

    def judge(self, is_bad: Bool[Tensor, ""]) -> Bool[Tensor, ""]:
        """Whether to leave a step out: a bad one, or any after it when the run is to stop."""
        if self._stop:
            self._stopped = self._stopped | is_bad
            return self._stopped
        return is_bad

    def note(
        self, step: Incident, is_bad: Bool[Tensor, ""], loss: Float[Tensor, ""], grad_norm: Float[Tensor, ""]
    ) -> None:
        """Remembers what would be an incident until it is known whether it is one."""
        values = torch.stack([is_bad.float(), loss.detach().float(), grad_norm.detach().float()])
        event = None
        if self._device.type == "cuda":
            values = torch.empty(3, pin_memory=True).copy_(values, non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._pending.append((step, values, event))

    def incidents(self, wait: bool = False) -> list[Incident]:
        """The bad steps that are known by now, each told once. On a GPU the last ones are so with `wait` alone.

        Which ones are known depends on the number of steps alone, so that all processes act at the same one.
        """
        lag = 0 if wait or self._device.type != "cuda" else _LAG
        found = []
        while len(self._pending) > lag:
            step, values, event = self._pending.popleft()
            if event is not None:
                event.synchronize()
            is_bad, loss, grad_norm = values.tolist()
            if is_bad:
                is_latest = lag == 0 and not self._pending
                found.append(replace(step, loss=loss, grad_norm=grad_norm, exact=self._stop or is_latest))
        return found[:1] if self._stop else found
