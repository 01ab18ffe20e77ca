"""SIGINT and SIGTERM, held back until a checkpoint is written."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

_HELD_BACK = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """A run was stopped from outside after it had saved its state; the command line exits with `exit_code`."""

    def __init__(self, number: int, clips: int) -> None:
        self.signal = signal.Signals(number)
        self.clips = clips
        super().__init__(
            f"interrupted by {self.signal.name} after {clips} clips; the checkpoint is written, and the same command "
            "(of pretrain and finetune with --resume) goes on from it"
        )

    @property
    def exit_code(self) -> int:
        """128 + the number of the signal, as shells have it: 130 or 143."""
        return 128 + self.signal


@dataclass
class Caught:
    """The signal that arrived, if any."""

    number: int | None = None


@contextlib.contextmanager
def held_back_signals(patient: bool = False) -> Iterator[Caught]:
    """Within, the first SIGINT or SIGTERM is only noted. A second one acts as it would have without this, unless
    `patient`: torchrun passes a signal on that a terminal has already sent to all its processes.

    Python delivers signals to the main thread alone; in any other thread nothing is changed.
    """
    caught = Caught()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in _HELD_BACK}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def note(number: int, frame: FrameType | None) -> None:
        caught.number = number
        if not patient:
            restore()

    for number in _HELD_BACK:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        restore()
