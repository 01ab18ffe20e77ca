"""Work that other processes can import."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from zoo.errors import DataError, ZooError
from zoo.train.interrupt import Interrupted, held_back_signals


def doubled(number: int, tell: Callable[[float], None]) -> dict[str, Any]:
    tell(0.5)
    return {"value": 2 * number, "process": os.getpid(), "threads": torch.get_num_threads()}


def refusing(text: str, tell: Callable[[float], None]) -> None:
    raise DataError(text) if text else ZooError("plain")


def crashing(tell: Callable[[float], None]) -> None:
    raise KeyError("our own bug")


def dying(tell: Callable[[float], None]) -> None:
    os._exit(9)


def until_interrupted(begun: Path, saved: Path, tell: Callable[[float], None]) -> None:
    """As a training does: it saves what it has, and says so."""
    with held_back_signals() as caught:
        begun.touch()
        while caught.number is None:
            time.sleep(0.01)
    saved.touch()
    raise Interrupted(caught.number, 5)


def interrupting_the_parent(begun: Path, tell: Callable[[float], None]) -> None:
    while not begun.exists():
        time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
