"""What a training step has to compute, counted by torch on tensors without numbers."""

import functools

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from zoo.data.batch import Inputs
from zoo.models.registry import build_model
from zoo.use.bench.ways import NUM_CLASSES, config_of, loss_of


@functools.cache
def step_flops_per_clip(family: str, size: str, seconds: float, way: str) -> int:
    """Operations of forward, loss and backward for one clip, a multiply-add counted as two.

    Of matrix products and convolutions alone, in training: of the tokens that masking and patchout leave. Attention is
    counted as four products in the backward pass; what a kernel computes again to save memory is not. A peer's are
    those of the same work here.
    """
    config = config_of(family, size, seconds, way)
    with torch.device("meta"):
        model = build_model(config, pretraining=family == "ssast").train()
    # Fake tensors say that they are on a CPU: the loss asks for the autocast of its device, and meta has none.
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = model.to_empty(device="cpu")
        inputs = Inputs(
            log_mel=torch.empty(1, config.n_mels, config.n_frames),
            num_frames=None,
            target=torch.empty(1, NUM_CLASSES),
            keys=torch.empty(1, dtype=torch.int64),
            names=("clip",),
        )
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            loss_of(family, way)(model, inputs).backward()
    return counter.get_total_flops()
