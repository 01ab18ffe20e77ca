"""What a pickle would build, read without building any of it.

`torch.load(weights_only=True)` decides while it is already building, and believes the sizes that the file states. So
every instruction is walked here first: nothing is imported, called or allocated. A name that is not on our list is
refused before anything of the file has run, and every size is known to be held against the bytes that are there.

Source: the opcodes' documentation in Python's `pickletools`, and the form in which `torch.save` writes tensors.
"""

import math
import pickletools
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import torch

from zoo.errors import CheckpointError
from zoo.weights.pickles.stand_ins import STAND_INS

_STORAGES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
    "torch.storage.UntypedStorage": torch.uint8,  # counted in bytes
}
_DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
_VIEWS = {"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"}
_ORDERED, _ENCODE, _SIZE, _SET = "collections.OrderedDict", "_codecs.encode", "torch.Size", "builtins.set"
_CALLS = {*_VIEWS, _ORDERED, _ENCODE, _SIZE, _SET, "torch._utils._rebuild_parameter", "torch.device"}
_CALLS |= STAND_INS.keys()
_MENTIONS = {*_CALLS, *_STORAGES, *_DTYPES}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
_PROTOCOL = 2
_MOST_DIMENSIONS, _MOST_CLAIMS = 64, 8
_UNWANTED = "expected tensors, numbers and text alone"


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle refers to."""

    text: str


@dataclass(frozen=True)
class Made:
    """What a call would have returned."""

    by: str


@dataclass(frozen=True)
class Storage:
    """A run of bytes in the file, by which tensors are filled."""

    key: str
    nbytes: int
    itemsize: int


@dataclass
class Outline:
    """What one pickle would build, and of which bytes."""

    value: Any = None
    """Numbers, text, tuples and lists as they are; what would be made by a call as `Made`."""
    storages: dict[str, Storage] = field(default_factory=dict)
    claimed: int = 0
    """Bytes of all tensors together, as they state it."""


def read_outline(stream: BytesIO) -> Outline:
    """Walks one pickle and leaves the stream behind it.

    Raises:
        CheckpointError: it names something that is not on the list (every such name is told), claims more than its
            storages hold, is of a newer protocol, or is damaged.
    """
    walk = _Walk()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickletools, about text in an old form, which is refused next
            for opcode, argument, _ in pickletools.genops(stream):
                walk.step(opcode.name, argument)
        walk.outline.value = walk.stack.pop()
    except CheckpointError:
        walk.refuse_unknown()
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        walk.refuse_unknown()  # which is what matters, whatever comes after it
        text = " ".join(str(error).split())[:120]
        raise CheckpointError(
            f"found a pickle that cannot be read ({text}) - expected what torch.save writes - "
            "it is damaged or cut short: fetch it again"
        ) from None
    walk.refuse_unknown()
    if walk.outline.claimed > _MOST_CLAIMS * sum(one.nbytes for one in walk.outline.storages.values()):
        raise CheckpointError(
            f"found tensors that claim {walk.outline.claimed:,} bytes, more than {_MOST_CLAIMS} times what is stored "
            "- expected each value once - it is no ordinary checkpoint: save its state_dict() instead"
        )
    return walk.outline


class _Walk:
    """A pickle machine whose calls do nothing."""

    def __init__(self) -> None:
        self.outline = Outline()
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.unknown: list[str] = []

    def step(self, name: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        match name:
            case "PROTO" if argument > _PROTOCOL:
                raise CheckpointError(
                    f"found pickle protocol {argument} - expected protocol {_PROTOCOL}, which torch.save writes - "
                    "save its state_dict() again with torch.save(state, path)"
                )
            case "PROTO" | "STOP":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append(Made("dict"))
            case "MARK":
                self.marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(self.since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                number = int(name[-1])
                stack[-number:] = [tuple(stack[-number:])]
            case "APPEND":
                self.append([stack.pop()])
            case "APPENDS":
                self.append(self.since_mark())
            case "SETITEM":
                _, key = stack.pop(), stack.pop()
                _check_keys([key])
            case "SETITEMS":
                _check_keys(self.since_mark()[::2])
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                self.mention(argument.replace(" ", "."))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self.call(function, arguments))
            case "BUILD":
                stack.pop()
                self.check_build(stack[-1])
            case "BINPERSID":
                stack.append(self.storage(stack.pop()))
            case _ if name in _LITERALS:
                stack.append(argument)
            case _:
                raise ValueError(f"instruction {name}")

    def since_mark(self) -> list[Any]:
        """The values after the last mark, taken off."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def append(self, values: list[Any]) -> None:
        """To the list on top."""
        if not isinstance(self.stack[-1], list):
            raise TypeError("a list was expected")
        self.stack[-1].extend(values)

    def mention(self, name: str) -> None:
        """A class or function is named; it is not looked up."""
        if name.startswith("__builtin__."):  # as protocol 2 spells it
            name = name.removeprefix("__").replace("__", "s", 1)
        if name not in _MENTIONS and name not in self.unknown:
            self.unknown.append(name)
        self.stack.append(Name(name))

    def refuse_unknown(self) -> None:
        """One line about every name that is not on the list."""
        if not self.unknown:
            return
        shown = ", ".join(repr(name)[1:-1] for name in self.unknown[:4])
        more = f" and {len(self.unknown) - 4} more" if len(self.unknown) > 4 else ""
        if any("sparse" in name for name in self.unknown):
            what = "sparse tensors"
        elif any("qtensor" in name or ".QInt" in name or ".QUInt" in name for name in self.unknown):
            what = "quantised tensors"
        elif any(name.startswith("torch.nn.modules.") for name in self.unknown):
            what = "a whole pickled model"
        else:
            what = "Python objects"
        raise CheckpointError(
            f"found {what} ({shown}{more}) - {_UNWANTED} - nothing of it was run; "
            "where it was made, save its state_dict() instead: torch.save(model.state_dict(), path)"
        )

    def call(self, function: Any, arguments: Any) -> Made:
        """A call as it would be made: of a function on the list, with arguments that it is known to take."""
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise TypeError("a call of something that is no function")
        name = function.text
        if name in self.unknown:
            return Made(name)
        if name not in _CALLS:
            raise TypeError(f"a call of {name}")
        if name in _VIEWS:
            self.check_view(name, arguments)
        elif name == _ENCODE and (len(arguments) != 2 or arguments[1] != "latin1"):  # others can make bytes grow
            raise TypeError("text in an unusual coding")
        elif name == _ORDERED and arguments:
            raise TypeError("an OrderedDict with arguments")
        elif name == _SIZE:
            _check_integers(*arguments)
        elif name == _SET:
            _check_keys(*arguments)
        return Made(name)

    def check_build(self, target: Any) -> None:
        """State is set on containers and stand-ins, never on a tensor, whose sizes it would replace."""
        unchecked = isinstance(target, Made) and target.by in self.unknown
        if not unchecked and (not isinstance(target, Made) or target.by not in {_ORDERED, *STAND_INS}):
            raise TypeError("state of something that has none")

    def storage(self, reference: Any) -> Storage:
        """`("storage", type, key, device, number of values[, view])`."""
        _, kind, key, _, numel, *view = reference
        if reference[0] != "storage" or not isinstance(kind, Name) or not isinstance(key, str) or any(view):
            raise TypeError("an unknown kind of storage")
        _check_integers((numel,))
        if kind.text in self.unknown:
            return Storage(key, 0, 1)
        itemsize = _STORAGES[kind.text].itemsize
        found = Storage(key, numel * itemsize, itemsize)
        if self.outline.storages.setdefault(key, found).nbytes != found.nbytes:
            raise ValueError(f"storage {key} with two sizes")
        return found

    def check_view(self, name: str, arguments: tuple[Any, ...]) -> None:
        """A tensor lies inside its storage and has no more values than it: an expanded one could fill the memory."""
        storage, offset, size, stride = arguments[:4]
        if not isinstance(storage, Storage):
            raise TypeError("a tensor without storage")
        _check_integers((offset,), size, stride)
        itemsize = _DTYPES[arguments[6].text].itemsize if name.endswith("_v3") else storage.itemsize
        numel = math.prod(size)
        last = sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if numel else -1
        if max(numel, offset + last + 1) * itemsize > storage.nbytes:
            raise CheckpointError(
                f"found a tensor of shape {size} that claims {numel * itemsize:,} bytes of the {storage.nbytes:,} that "
                "are stored for it - expected every value in the file - it is damaged, or was saved expanded: "
                "save its state_dict() with .contiguous() tensors"
            )
        self.outline.claimed += numel * itemsize


def _check_integers(*groups: Any) -> None:
    """Sizes: short tuples of integers that are not negative."""
    for group in groups:
        if not isinstance(group, tuple) or len(group) > _MOST_DIMENSIONS:
            raise TypeError("sizes were expected")
        if not all(type(value) is int and value >= 0 for value in group):
            raise TypeError("sizes were expected")


def _check_keys(keys: list[Any]) -> None:
    """Keys that are cheap to hash: a deeply shared tuple would never end."""
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(part, tuple | list) for part in parts):
            raise TypeError("a nested key")
