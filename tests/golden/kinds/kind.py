"""What a kind of golden needs, and the file by which weights get into the zoo."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from golden import Golden
from torch import Tensor


class Kind(NamedTuple):
    """Two steps, so that something between them can be altered to see that it shows."""

    build: Callable[[Golden, Path], Any]
    """From the golden and an empty folder to the thing under test, loaded as a user loads it."""
    compute: Callable[[Golden, Any], dict[str, Any]]
    """From the golden and that thing to arrays in full size by the names of the golden's outputs."""


def write_weights(golden: Golden, part: str, folder: Path, wrap: bool = False) -> Path:
    """A `.pth` of one of the golden's states, by its official names; within {"model": ...} as the DeiT files are."""
    state = {key: torch.from_numpy(array) for key, array in golden.state(part).items()}
    path = folder / f"{part}.pth"
    torch.save({"model": state} if wrap else state, path)
    return path


def fill_head(model: Any, state: Mapping[str, np.ndarray], names: str) -> None:
    """The layers that the released code makes afresh: `names`.0 is the LayerNorm, `names`.1 the linear map."""
    layers = {"norm": 0, "linear": 1}
    model.head.load_state_dict(
        {
            f"{ours}.{part}": torch.from_numpy(state[f"{names}.{theirs}.{part}"])
            for ours, theirs in layers.items()
            for part in ("weight", "bias")
        }
    )


def log_mel_of(array: np.ndarray) -> Tensor:
    """(B, T, F) of AST and SSAST, or (B, 1, F, T) of PaSST, to (B, F, T)."""
    tensor = torch.from_numpy(array)
    return tensor[:, 0] if tensor.ndim == 4 else tensor.mT


def position_of(model: Any) -> Tensor:
    """The position table in the released form (1, P + N, D)."""
    embedding = model.embedding
    return torch.cat([embedding.prefix.position, embedding.position.table.flatten(0, 1)[None]], dim=1)


def arrays_of(outputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """As numpy, in float64 where it is exact."""
    return {name: tensor.detach().numpy() for name, tensor in outputs.items()}
