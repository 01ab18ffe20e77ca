"""The seed of what torch itself draws in a step: dropout and stochastic depth. All else follows from `zoo/draws.py`."""

import torch

from zoo.draws import combine


def seed_step(seed: int, step: int, rank: int = 0, micro: int = 0) -> None:
    """Seeds torch on every device, so that a step draws the same after a resume, and in a replay.

    Args:
        step: steps that are done before this one.
        rank: of the process: each has clips of its own.
        micro: which of the step's batches, under accumulation; seeded before each, so that it can be run alone.
    """
    torch.manual_seed(combine(seed, step, rank, micro))
