"""Ctrl-C waits while C code calls back into Python.

No exception can cross the C code: the callback would look like the end of the file, a sound would be cut short without
a word, and the Ctrl-C would be lost.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Raises KeyboardInterrupt at the end of the block where it would have come inside it."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # signals are the main thread's, and whoever else handles them may raise nothing
        return
    caught: list[Any] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if caught:
        raise KeyboardInterrupt
