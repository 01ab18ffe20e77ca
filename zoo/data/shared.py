"""Arrays that worker processes map instead of getting a copy each.

They lie in a temporary file without a name, which goes with the last process that has it open. Unlike shared memory
(64 MB in a container, where writing beyond it kills the process), a file says when there is no room for it, and its
pages can be dropped when memory is short.
"""

import mmap
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from multiprocessing import context, reduction
from typing import Any

import numpy as np

_Layout = tuple[tuple[str, str, int, int], ...]
"""(name, type, first byte, length) of every array."""

_ALIGNMENT = 64


class SharedArrays:
    """One-dimensional arrays by name, read-only.

    Sent to a process that is being started, they are written to a file once, and mapped there and here. Where that
    does not work (Windows, no room), and by any other way of pickling, they are copied.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._arrays = dict(arrays)
        for array in self._arrays.values():
            array.flags.writeable = False
        self._file: Any = None
        self._layout: _Layout = ()

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is None or not self._write():
            return SharedArrays, (self._arrays,)
        return _map, (reduction.DupFd(self._file.fileno()), self._layout)

    def _write(self) -> bool:
        """Whether the arrays are in a file now."""
        if self._file is not None:
            return True
        if not hasattr(reduction, "DupFd") or not any(array.nbytes for array in self._arrays.values()):
            return False
        with ExitStack() as stack:
            try:
                file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
                self._layout = _fill(file, self._arrays)
                self._arrays = _views(file.fileno(), self._layout)
            except OSError:
                return False
            self._file = file
            weakref.finalize(self, stack.pop_all().close)
        return True


def _fill(file: Any, arrays: Mapping[str, np.ndarray]) -> _Layout:
    layout = []
    for name, array in arrays.items():
        begin = -(-file.tell() // _ALIGNMENT) * _ALIGNMENT
        file.seek(begin)
        rest = array.view(np.uint8)
        while len(rest):
            rest = rest[file.write(rest.data) :]
        layout.append((name, array.dtype.str, begin, len(array)))
    return tuple(layout)


def _views(descriptor: int, layout: _Layout) -> dict[str, np.ndarray]:
    mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)  # lives as long as a view of it
    return {
        name: np.frombuffer(mapped, kind, length, begin) if length else np.empty(0, kind)
        for name, kind, begin, length in layout
    }


def _map(duplicate: Any, layout: _Layout) -> SharedArrays:
    """In the process that was started."""
    descriptor = duplicate.detach()
    with open(descriptor, "rb") as file:
        return SharedArrays(_views(file.fileno(), layout))
