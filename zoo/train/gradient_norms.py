"""How large the gradient is, of a model as a whole and of its parts, in one pass over it.

The parts are few, so that a chart can be read: `input` (patches, positions, tokens), `early_blocks`, `middle_blocks`
and `late_blocks` (thirds of the encoder, the norm above it with the last), `head`, and `other` (the CNN).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from zoo.train.parameter_places import Place, num_blocks, place_of

TAG = "optim/grad_norm"


class GradientNorms:
    """Measures the gradients of a model's trained parameters; nothing in it waits for the device.

    A part that has no trained parameter has no norm, and a model of one part only the whole one: what it says is what
    a window of the log takes, the same tags at every step.
    """

    def __init__(self, model: nn.Module) -> None:
        blocks = num_blocks(model)
        trained = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
        by_part: dict[str, list[nn.Parameter]] = {}
        for name, parameter in trained:
            by_part.setdefault(part_of(place_of(name), blocks), []).append(parameter)
        self._parts = by_part
        self.parameters = [parameter for _, parameter in trained]

    def measure(self) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The norm of all gradients together, and by tag (`optim/grad_norm/PART`) that of each part."""
        gradients = {
            part: [one.grad for one in several if one.grad is not None] for part, several in self._parts.items()
        }
        norms = _norms([one for several in gradients.values() for one in several])
        total = torch.linalg.vector_norm(norms)
        if len(gradients) < 2:
            return total, {}
        counts = [len(several) for several in gradients.values()]
        pieces = [piece for piece in norms.split(counts) if len(piece)]
        found = iter(torch._foreach_norm(pieces) if pieces else ())
        nothing = total.new_zeros(())
        return total, {
            f"{TAG}/{part}": next(found) if count else nothing for part, count in zip(gradients, counts, strict=True)
        }


def part_of(place: Place, blocks: int) -> str:
    """The part of a model of so many blocks that a place belongs to."""
    if place.part == "norm":
        return "late_blocks"
    if place.block is None:
        return place.part
    third = 3 * place.block // blocks if blocks > 2 else 2 * place.block
    return ("early_blocks", "middle_blocks", "late_blocks")[third]


def _norms(gradients: Sequence[Tensor]) -> Float[Tensor, "n"]:
    """Of each gradient: on a GPU by one kernel for many of them, as `torch.nn.utils.get_total_norm` does it, to the
    last bit."""
    if not gradients:
        return torch.zeros(0)
    if gradients[0].device.type == "cuda":
        return torch.stack(list(torch._foreach_norm(list(gradients))))
    return torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
