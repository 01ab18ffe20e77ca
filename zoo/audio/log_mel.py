"""A log-mel that knows which front end made it, so that a model trained behind another one can refuse it."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import ShapeError


class LogMel(Tensor):
    """A log-mel with the config of its front end as `front_end`.

    It is a tensor like any other. What cuts, joins, pads, copies or moves it keeps the config; what computes with it
    gives a plain tensor, for then nobody knows what the values are. Parts of two front ends cannot be joined.
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
        parts = args[0] if func in _JOINING and args else args[:1]
        with torch._C.DisableTorchFunctionSubclass():
            out = func(*args, **(kwargs or {}))
        makers = [part.front_end for part in parts if isinstance(part, LogMel)] if func in _KEEPING else []
        if makers and any(maker != makers[0] for maker in makers):
            raise ShapeError(
                "log_mel: found parts of two front ends in one batch - expected one front end - make all with the same"
            )
        return _marked(out, makers[0] if makers else None, args)

    def __deepcopy__(self, memo: dict[Any, Any]) -> "LogMel":
        return LogMel.of(copy.deepcopy(self.as_subclass(Tensor), memo), self.front_end)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.as_subclass(Tensor).__reduce_ex__(protocol)  # saved as a plain tensor, which loads anywhere


def _marked(out: Any, maker: Any, args: tuple[Any, ...]) -> Any:
    """A result, or each of several, with its maker; a plain tensor where there is none."""
    if isinstance(out, tuple | list) and any(isinstance(one, Tensor) for one in out):
        return type(out)(_marked(one, maker, args) for one in out)
    if not isinstance(out, Tensor) or any(out is one for one in args):
        return out
    plain = out.as_subclass(Tensor)
    return plain if maker is None else LogMel.of(plain, maker)


_JOINING = {torch.cat, torch.stack}
_KEEPING = _JOINING | {
    Tensor.__getitem__,
    Tensor.bfloat16,
    Tensor.chunk,
    Tensor.clone,
    Tensor.contiguous,
    Tensor.cpu,
    Tensor.cuda,
    Tensor.detach,
    Tensor.double,
    Tensor.expand,
    Tensor.flatten,
    Tensor.float,
    Tensor.half,
    Tensor.index_select,
    Tensor.mT.__get__,  # type: ignore[attr-defined]
    Tensor.narrow,
    Tensor.permute,
    Tensor.pin_memory,
    Tensor.repeat,
    Tensor.reshape,
    Tensor.roll,
    Tensor.split,
    Tensor.squeeze,
    Tensor.to,
    Tensor.transpose,
    Tensor.unbind,
    Tensor.unflatten,
    Tensor.unsqueeze,
    Tensor.view,
    F.pad,
    torch.chunk,
    torch.flatten,
    torch.index_select,
    torch.narrow,
    torch.permute,
    torch.reshape,
    torch.roll,
    torch.split,
    torch.squeeze,
    torch.transpose,
    torch.unbind,
    torch.unsqueeze,
}
"""Operations that move, cut, pad, join or copy the values, and compute nothing."""
