"""In what numbers a step computes. Weights, their gradients and the optimiser are float32 in every case.

| precision | matrix products and convolutions of the model           | on a CPU                             |
| --------- | ------------------------------------------------------- | ------------------------------------ |
| fp32      | float32                                                 | the same                             |
| tf32      | float32 rounded to 10 bits of mantissa, sums in float32 | as fp32: it is an arithmetic of GPUs |
| bf16      | bfloat16 by autocast, sums in float32                   | the same                             |
| fp16      | float16 by autocast, sums in float32; needs a scaler    | the same, slowly                     |

float32 is not torch's own default on a GPU: there convolutions, such as that of the patches, compute in TF32 unless
told otherwise. What has to be exact is float32 whatever is chosen: log-mels, LayerNorm, softmax and losses
(tests/unit/test_precision.py has a test for each).
"""

import contextlib
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["fp32", "tf32", "bf16", "fp16"]

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def auto_precision(device: torch.device) -> Precision:
    """What `auto` stands for: bf16 on a GPU that computes in it, else fp32."""
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def dtype_of(precision: Precision) -> torch.dtype:
    """The type in which the model's matrix products get their numbers; float32 for tf32, which is no type."""
    return _HALF.get(precision, torch.float32)


@contextlib.contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Around a forward pass: autocast where the precision has it, and `float32_products`.

    A backward pass belongs outside of it, or autocast would round what the loss keeps exact; but inside
    `float32_products`, which is why a run as a whole is inside that one.
    """
    half = _HALF.get(precision)
    with float32_products(precision, device), torch.autocast(device.type, half, enabled=half is not None):
        yield


@contextlib.contextmanager
def float32_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Lets a GPU compute float32 products in TF32 for tf32, and forbids it for all others; restored afterwards.

    A backward pass needs the same setting as its forward pass. On a CPU nothing is set.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _set("high" if precision == "tf32" else "highest", precision == "tf32")
    try:
        yield
    finally:
        _set(*before)


def exactly(device: torch.device) -> AbstractContextManager[None]:
    """Around what has to be exact in every precision and has no gradient, such as a batch's log-mels."""
    return arithmetic("fp32", device)


def _set(matmul: str, convolutions_in_tf32: bool) -> None:
    """Both settings by their older names, which set the newer `fp32_precision` of every library along.

    The newer one alone leaves the two in contradiction, and parts of torch.compile then raise as they read the older.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Please use the new API", UserWarning)  # some versions ask for the newer
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolutions_in_tf32
