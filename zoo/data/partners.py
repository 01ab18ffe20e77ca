"""The clips that the clips of a batch are mixed with, on their way to the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Partners:
    """Further clips behind those of a batch, in this order: those mixed as log-mels, then those mixed as waveforms.

    The rows are counted over the batch's own clips first. A log-mel partner is a row of its own until the end, so it
    can have a waveform partner itself: up to four clips make one.
    """

    waveform: Float[Tensor, "partner sample"] | None
    """None where the clips are log-mels."""
    log_mel: Float[Tensor, "partner mel frame"] | None
    num_samples: Int[Tensor, "partner"]
    target: Float[Tensor, "partner cls"] | None
    ids: Int[Tensor, "partner"]
    log_mel_row: Int[Tensor, "log_mel"]
    """The row that each log-mel partner is mixed into."""
    log_mel_share: Float[Tensor, "log_mel"]
    """Of that row; the partner has the rest."""
    waveform_row: Int[Tensor, "wave"]
    """The row that each waveform partner is mixed into."""
    waveform_share: Float[Tensor, "wave"]
    """Of that row; the partner has the rest."""
    names: tuple[str, ...] = ()
    """Of the partners, for people."""

    def __len__(self) -> int:
        return self.ids.shape[0]

    def to(self, device: torch.device | str) -> "Partners":
        """The same on a device; from pinned memory without waiting for the copy."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Partners":
        """The same in pinned memory."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Partners":
        changed: dict[str, Any] = {name: change(one) for name, one in vars(self).items() if isinstance(one, Tensor)}
        return replace(self, **changed)
