"""Harmless types that stand beside weights in released checkpoints, and what is put in place of each.

`torch.load(weights_only=True)` refuses them. It is told this list and nothing else (see `only_stand_ins`): a name of
the file stands for one of the two classes here, never for what it names. Neither imports, opens or runs anything.

| in the file | why it is there | becomes |
| --- | --- | --- |
| argparse.Namespace | arguments of DeiT's and of many training scripts | `ForeignObject` |
| numpy scalar, dtype, array | metrics, best epochs and means; numpy 1 and 2 name them differently | `ForeignObject` |
| pathlib paths | arguments | `ForeignObject` |
| Lightning's callbacks, Python's plain types | keys and factories | `ForeignObject` |
| defaultdict, Lightning's AttributeDict | logs and hyper-parameters | dict |
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals


class ForeignObject:
    """In place of whatever is no dict: takes any arguments and any state, and keeps none of them."""

    def __new__(cls, *_: object) -> "ForeignObject":
        """An empty one."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Without it, torch would set every attribute that the file states."""


class PlainDict:
    """In place of kinds of dict: making one gives a dict, which the file then fills, perhaps with the weights."""

    def __new__(cls, *_: object) -> Any:
        """Whatever would fill in missing keys is left out."""
        return {}


_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_LIGHTNING_CALLBACKS = ("pytorch_lightning.callbacks", "lightning.pytorch.callbacks")

_OBJECTS = {
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"{module}.{function}" for module in _NUMPY_MODULES for function in ("scalar", "_reconstruct")),
    *(
        f"{module}.{kind}"
        for module in ("pathlib", "pathlib._local")
        for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    ),
    *(
        f"{module}.{kind}"
        for module in _LIGHTNING_CALLBACKS
        for kind in ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping")
    ),
    *(f"builtins.{kind}" for kind in ("bytes", "int", "float", "str", "bool", "list", "tuple", "dict")),
}
_DICTS = {
    "collections.defaultdict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
}

STAND_INS: dict[str, type] = {**dict.fromkeys(_OBJECTS, ForeignObject), **dict.fromkeys(_DICTS, PlainDict)}
"""What a name in a checkpoint stands for."""


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
