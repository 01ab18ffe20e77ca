"""In which numbers a measured step computes, in the words of `--precision`."""

import torch

from zoo.errors import RecipeError
from zoo.precision import Precision, auto_precision

PRECISIONS: dict[str, Precision] = {"fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "fp16": "fp16"}


def pick_precision(wanted: str, device: torch.device) -> Precision:
    """`auto` is bf16 on a GPU that computes in it, else fp32.

    Raises: RecipeError for an unknown word, and for tf32 without a GPU.
    """
    if wanted == "auto":
        return auto_precision(device)
    if wanted not in PRECISIONS:
        raise RecipeError(
            f"--precision: {wanted!r} - expected one of auto, {', '.join(PRECISIONS)} - choose one of these"
        )
    if wanted == "tf32" and device.type != "cuda":
        raise RecipeError("--precision: 'tf32' on a CPU - expected a GPU, which alone has it - use fp32")
    return PRECISIONS[wanted]
