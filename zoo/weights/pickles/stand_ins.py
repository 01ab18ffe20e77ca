"""Harmless types that stand beside weights in released checkpoints, and what is put in place of each.

`torch.load(weights_only=True)` refuses them. It is told this list and nothing else (see `only_stand_ins`): a name of
the file stands for the object here, never for the one that it names. None of them imports, opens or runs anything.

| in the file | why it is there | becomes |
| --- | --- | --- |
| argparse.Namespace | arguments of DeiT's and of many training scripts | a namespace of plain values |
| numpy scalar, dtype, array | metrics, best epochs and means; numpy 1 and 2 name them differently | numbers and lists |
| defaultdict, Lightning's AttributeDict | logs and hyper-parameters | dict |
| pathlib paths | arguments | text: nothing is opened |
| Lightning's callbacks, Python's plain types | keys and factories, which are named and never called | their name |
"""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

from zoo.errors import CheckpointError

_NUMPY_CODE = re.compile(r"b1|[iu][1248]|f[248]|[US]\d{1,5}")


class NumpyType:
    """In place of `numpy.dtype`, whose real state could be crafted to misread memory. Keeps the code: `f8`, `U3`."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])

    def dtype(self) -> np.dtype:
        """Raises CheckpointError: objects and records, which are no plain values."""
        code = self.code.decode("ascii", "replace") if isinstance(self.code, bytes) else self.code
        if not isinstance(code, str) or not _NUMPY_CODE.fullmatch(code) or self.order not in ("<", ">", "|", "="):
            raise CheckpointError(
                f"found numpy values of type {code!r} - expected numbers and text - save its state_dict() instead"
            )
        return np.dtype(code if self.order == "|" else self.order + code)


class NumpyArray:
    """In place of `numpy.ndarray`: plain values once its state was set."""

    def __init__(self) -> None:
        self.array = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, column_major, data = state
        self.array = np.frombuffer(data, kind.dtype()).reshape(shape, order="F" if column_major else "C")


class PlainDict:
    """In place of kinds of dict: making one gives a dict."""

    def __new__(cls, *_: object) -> Any:
        """Whatever would fill in missing keys is left out."""
        return {}


def numpy_array(*_: object) -> NumpyArray:
    """In place of numpy's function that makes an empty array, of which the state is set afterwards."""
    return NumpyArray()


def numpy_scalar(kind: NumpyType, data: bytes) -> Any:
    """In place of numpy's function of that name: the value as Python's own number or text."""
    dtype = kind.dtype()
    if len(data) != dtype.itemsize:
        raise ValueError(f"a numpy {dtype} of {len(data)} bytes")
    return np.frombuffer(data, dtype)[0].item() if data else ("" if dtype.kind == "U" else b"")


def empty_bytes() -> bytes:
    """In place of `bytes`, by which protocol 2 writes empty ones; others it writes as text."""
    return b""


def path_text(*parts: object) -> str:
    """In place of a path; what is made here never looks at the disk."""
    return str(PurePosixPath(*(str(part) for part in parts)))


_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_ATTRIBUTE_DICTS = (
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
)
_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
_CALLBACKS = ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")

STAND_INS: dict[str, Any] = {
    "argparse.Namespace": argparse.Namespace,
    "numpy.dtype": NumpyType,
    "numpy.ndarray": NumpyArray,
    **{f"{module}.scalar": numpy_scalar for module in _NUMPY_MODULES},
    **{f"{module}._reconstruct": numpy_array for module in _NUMPY_MODULES},
    "builtins.bytes": empty_bytes,
    "collections.defaultdict": PlainDict,
    **dict.fromkeys(_ATTRIBUTE_DICTS, PlainDict),
    **{f"{module}.{kind}": path_text for module in ("pathlib", "pathlib._local") for kind in _PATHS},
    **{
        f"{module}.{kind}": kind.rpartition(".")[2]
        for module in ("pytorch_lightning.callbacks", "lightning.pytorch.callbacks")
        for kind in _CALLBACKS
    },
    **{f"builtins.{kind}": kind for kind in ("int", "float", "str", "bool", "list", "tuple", "dict")},
}
"""What a name in a checkpoint stands for. The plain texts are for names that may be mentioned and not be called."""


@contextmanager
def only_stand_ins() -> Iterator[None]:
    """While it lasts, `torch.load` knows these names and none that other code registered before."""
    before = get_safe_globals()
    clear_safe_globals()
    try:
        with safe_globals([(value, name) for name, value in STAND_INS.items()]):
            yield
    finally:
        clear_safe_globals()
        add_safe_globals(before)
