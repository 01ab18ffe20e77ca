"""One model whose weights are the mean of those of several, which differ in their training alone.

The weight averaging of AST (Gong et al. 2021) takes the epochs of one run, a uniform soup (Wortsman et al. 2022)
several runs from one start. Models from different starts have no reason to agree weight by weight: their mean is most
often no model at all, so that its metrics must be looked at.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.config import differences
from zoo.errors import CheckpointError
from zoo.weights.loaded import Loaded


def average_weights(members: Sequence[Loaded]) -> Loaded:
    """The mean of every tensor, in float64, and what the first member says of itself. Whole numbers are the first's.

    Raises:
        CheckpointError: fewer than two, or members that differ in model, front end, labels, task or padding.
    """
    if len(members) < 2:
        raise CheckpointError(f"weights: found {len(members)} checkpoint - expected two or more to average - name more")
    first = members[0]
    for other in members[1:]:
        _check_alike(first, other)
    state = {name: _mean([one.state[name] for one in members]) for name in first.state}
    config = {**first.config, "notes": ["average of the weights of " + ", ".join(str(one.path) for one in members)]}
    config.pop("select", None)
    if first.is_released:
        config["origin"] = {"format": first.origin, "rule": first.rule}
    return Loaded(first.path, config, state, first.origin, first.rule)


def _check_alike(first: Loaded, other: Loaded) -> None:
    found = [
        f"model.{key} {here!r} there, {there!r} here"
        for key, (here, there) in differences(first.model_config, other.model_config).items()
    ]
    found += [
        f"another {key}"
        for key, default in (("front_end", None), ("labels", None), ("task", None), ("padding", "masked"))
        if first.config.get(key, default) != other.config.get(key, default)
    ]
    names = sorted(first.state.keys() ^ other.state.keys())
    if not found and names:
        found.append(f"tensors that only one has, as {names[0]}")
    found += [
        name for name in first.state.keys() & other.state.keys() if first.state[name].shape != other.state[name].shape
    ][:1]
    if found:
        raise CheckpointError(
            f"{other.path}: found another geometry than {first.path} ({'; '.join(found[:4])}) - expected one of both, "
            "for their weights to have a mean - take the mean of predictions instead, without --weights"
        )


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors[0].is_floating_point():
        return tensors[0]
    total = torch.zeros_like(tensors[0], dtype=torch.float64)
    for tensor in tensors:
        total += tensor.double()
    return (total / len(tensors)).to(tensors[0].dtype)
