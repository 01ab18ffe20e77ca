"""How much memory a training step takes, found by running it on tensors that have shapes and no numbers.

torch's `FakeTensorMode` runs every operation of forward and backward pass without computing or allocating, and frees
its tensors when it would free them in earnest. So nothing about a model has to be known here, and a new one is counted
right. What is inside of one operation is not seen: the working memory of convolutions and matrix products.
"""

import itertools
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.data.batch import Inputs
from zoo.precision import Precision, arithmetic

CUDA_BLOCK = 512
"""Bytes: what torch's allocator of a GPU rounds every tensor up to."""
CUDA_WORKSPACE = 32 * 2**20
"""Bytes: what cuBLAS asks torch for once, on recent GPUs. It is in `torch.cuda.max_memory_allocated`."""
CUDA_CONTEXT = 600 * 2**20
"""Bytes: about what a process takes of a GPU for the driver and its kernels. torch does not count it."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes by part at the moment at which a step takes most."""

    weights: int
    """And buffers; float32."""
    gradients: int
    """Of what is trained; float32."""
    optimiser: int
    """Two moments of Adam."""
    average: int
    """A copy of the weights that are averaged; 0 without."""
    workspace: int
    """A constant of a GPU's libraries; 0 on a CPU."""
    activations: int
    """The rest: what the forward pass keeps for the backward pass, the weights rounded by autocast, the batch, and what
    is in work; less than that where a step takes most before its gradients are there."""

    @property
    def total(self) -> int:
        """All parts together: what `torch.cuda.max_memory_allocated` says."""
        return sum(asdict(self).values())


class Allocations(TorchDispatchMode):
    """While it is on, counts the bytes of all tensors that are made: those there are, and the most there were.

    rounded_to: each is counted as a multiple of so many bytes.
    """

    def __init__(self, rounded_to: int = 1) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._rounded_to = rounded_to
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for every operation."""
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        if id(storage) in self._known:  # a view, or changed in place
            return
        size = -(-storage.nbytes() // self._rounded_to) * self._rounded_to
        self._known.add(id(storage))
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, id(storage), size)

    def _freed(self, identity: int, size: int) -> None:
        self._known.discard(identity)
        self.now -= size


def run_step(
    model: nn.Module,
    objective: Callable[[nn.Module, Inputs], Sequence[Any]],
    make_part: Callable[[], Inputs],
    accumulate: int,
    update: Callable[[], object],
    precision: Precision,
    device: torch.device,
) -> None:
    """A step in the order of the training loop; gradients are dropped at its beginning, before the forward pass."""
    for parameter in model.parameters():
        parameter.grad = None
    for _ in range(min(accumulate, 2)):  # a third part is like the second
        with arithmetic(precision, device):
            loss = objective(model, make_part())[0]
        loss.backward()
        del loss
    update()


def memory_of_step(
    model: nn.Module,
    objective: Callable[[nn.Module, Inputs], Sequence[Any]],
    make_part: Callable[[], Inputs],
    *,
    accumulate: int = 1,
    precision: Precision = "fp32",
    on_cuda: bool = False,
    num_averages: int = 0,
) -> MemoryUse:
    """What training takes, by a trial without memory.

    Args:
        model: on the meta device, in training mode, with what is frozen; of no use afterwards.
        make_part: makes one part of a batch of random or empty numbers on the CPU.
        on_cuda: count what a GPU's allocator and libraries take too.
        num_averages: copies of the weights beside the model.
    """
    cpu = torch.device("cpu")
    with torch._subclasses.FakeTensorMode(), Allocations(CUDA_BLOCK if on_cuda else 1) as allocated:
        _allocate(model)
        weights = allocated.now
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        moments = [torch.empty_like(parameter) for parameter in (*trained, *trained)]
        optimiser = allocated.now - weights
        gradients = optimiser // 2
        copies = [torch.empty_like(p) for p, _ in itertools.product(model.parameters(), range(num_averages))]
        average = allocated.now - weights - optimiser
        allocated.peak = resting = allocated.now
        run_step(model, objective, make_part, accumulate, lambda: None, precision, cpu)
        peak = allocated.peak
        del moments, copies
    return MemoryUse(
        weights=weights,
        gradients=gradients,
        optimiser=optimiser,
        average=average,
        workspace=CUDA_WORKSPACE if on_cuda else 0,
        activations=max(peak - resting - gradients, 0),
    )


def _allocate(model: nn.Module) -> None:
    """Puts empty tensors in the place of all parameters and buffers, those that modules share once."""
    made: dict[int, Any] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None and id(tensor) not in made:
                    empty = torch.empty(tensor.shape, dtype=tensor.dtype)
                    is_parameter = isinstance(tensor, nn.Parameter)
                    made[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
                if tensor is not None:
                    tensors[name] = made[id(tensor)]
