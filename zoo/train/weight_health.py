"""How large the trained weights are, and how far a step moves them: looked at when the log is due, never in a step."""

from typing import Any

import torch
from torch import Tensor


@torch.no_grad()
def weight_health(optimiser: torch.optim.Optimizer) -> dict[str, float]:
    """`health/weight_norm`, of all trained weights together, and `health/update_ratio`. Waits for the device.

    The ratio is that of the latest step to the weights. A rule of thumb has it near 1e-3: far more breaks what was
    learned, far less learns nothing. The step is read from the running means of Adam and AdamW, without the share of
    weight decay, and is missing before the first one and for other optimisers.
    """
    weights, steps = [], []
    for group in optimiser.param_groups:
        for weight in group["params"]:
            weights.append(torch.linalg.vector_norm(weight.float()))
            state = optimiser.state.get(weight, {})
            if "exp_avg_sq" in state and "betas" in group:
                steps.append(_step_size(state, group))
    norm = torch.linalg.vector_norm(torch.stack(weights))
    if not steps:
        return {"health/weight_norm": float(norm)}
    ratio = torch.linalg.vector_norm(torch.stack(steps)) / norm.clamp(min=1e-12)
    return {"health/weight_norm": float(norm), "health/update_ratio": float(ratio)}


def _step_size(state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """The length of a weight's latest step (Kingma and Ba 2015, algorithm 1)."""
    first, second = group["betas"]
    count = torch.as_tensor(state["step"]).double().clamp(min=1)  # 0 while every step was left out
    mean = state["exp_avg"] / (1 - first**count)
    deviation = (state["exp_avg_sq"] / (1 - second**count)).sqrt()
    return group["lr"] * torch.linalg.vector_norm((mean / (deviation + group["eps"])).float())
