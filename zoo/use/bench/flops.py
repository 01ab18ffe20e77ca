"""What a training step has to compute, for every way of taking it."""

import functools

from zoo.models.cost import build_on_meta, training_flops_per_clip
from zoo.use.bench.ways import config_of


@functools.cache
def step_flops_per_clip(family: str, size: str, seconds: float, way: str) -> int:
    """Operations of forward and backward pass for one clip (`training_flops_per_clip`). A peer's are those of the same
    work here."""
    return training_flops_per_clip(build_on_meta(config_of(family, size, seconds, way), pretraining=family == "ssast"))
