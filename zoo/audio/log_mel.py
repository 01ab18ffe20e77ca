"""A log-mel that knows which front end made it, so that a model trained behind another one can refuse it."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class LogMel(Tensor):
    """A log-mel with the config of its front end as `front_end`.

    It is a tensor like any other. What cuts, pads, copies or moves it keeps the config; what computes with it gives a
    plain tensor, for then nobody knows what the values are.
    """

    front_end: Any

    @staticmethod
    def of(tensor: Tensor, front_end: Any) -> "LogMel":
        """The same values, marked."""
        marked = tensor.as_subclass(LogMel)
        marked.front_end = front_end
        return marked

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for every operation on a LogMel."""
        with torch._C.DisableTorchFunctionSubclass():
            out = func(*args, **(kwargs or {}))
        if func in _KEEPING and type(out) is Tensor and args and isinstance(args[0], LogMel):
            return LogMel.of(out, args[0].front_end)
        return out.as_subclass(Tensor) if type(out) is LogMel and out is not args[0] else out

    def __deepcopy__(self, memo: dict[Any, Any]) -> "LogMel":
        return LogMel.of(copy.deepcopy(self.as_subclass(Tensor), memo), self.front_end)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.as_subclass(Tensor).__reduce_ex__(protocol)  # saved as a plain tensor, which loads anywhere


_KEEPING = {
    Tensor.__getitem__,
    Tensor.clone,
    Tensor.contiguous,
    Tensor.cpu,
    Tensor.cuda,
    Tensor.detach,
    Tensor.double,
    Tensor.float,
    Tensor.narrow,
    Tensor.to,
    F.pad,
}
