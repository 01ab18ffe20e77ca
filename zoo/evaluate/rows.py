"""The rows of all batches of an evaluation, one below the other."""

import torch
from jaxtyping import Num
from torch import Tensor

_BLOCK = 4_096  # rows


class Rows:
    """Takes the rows of one batch after the other, on the device where they are.

    They are copied into few large blocks. Kept as they come, thousands of small tensors would lie between the large
    ones of each batch in the memory of the process, and the holes between them are never filled again: 5 MB a batch on
    a CPU.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        self._blocks: list[Tensor] = []
        self._used = 0  # of the last block
        self._full: list[int] = []  # rows of the blocks before it

    def __len__(self) -> int:
        return sum(self._full) + self._used

    def add(self, rows: Num[Tensor, "row out"]) -> None:
        """In the type of all."""
        if not self._blocks or self._used + len(rows) > len(self._blocks[-1]):
            if self._blocks:
                self._full.append(self._used)
            shape = (max(_BLOCK, len(rows)), *rows.shape[1:])
            self._blocks.append(torch.empty(shape, dtype=self._dtype, device=rows.device))
            self._used = 0
        self._blocks[-1][self._used : self._used + len(rows)] = rows
        self._used += len(rows)

    def on_cpu(self) -> Num[Tensor, "row out"] | None:
        """All of them; None where none was added. Read back once, at the end: until then the device never waits for
        the host."""
        if not self._blocks:
            return None
        used = [*self._full, self._used]
        return torch.cat([block[:count] for block, count in zip(self._blocks, used, strict=True)]).cpu()
