"""Ctrl-C while libsndfile calls Python: the sound is whole, and the program stops behind it."""

import io
import os
import signal
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from zoo.audio.byte_range import ByteRange
from zoo.audio.decode import decode
from zoo.audio.uninterrupted import uninterrupted


def test_it_comes_at_the_end_of_the_block() -> None:
    steps = []

    def work() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("inside")
        steps.append("behind")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["inside"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with uninterrupted():
        pass


def test_others_who_handle_it_and_other_threads_are_let_be() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]

    def enter() -> None:
        with uninterrupted():
            seen.append(0)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.SIGINT, 0]


def test_a_member_is_read_to_its_end_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.ones(50_000, dtype=np.int16), 16_000)
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(path, "a.wav")
    member = ByteRange(tmp_path / "a.tar", 512, path.stat().st_size, "a.wav")

    class Interrupting(io.BytesIO):
        def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
            os.kill(os.getpid(), signal.SIGINT)
            return super().readinto(buffer)

    monkeypatch.setattr(ByteRange, "open", lambda self: Interrupting(self.read()))
    with pytest.raises(KeyboardInterrupt):
        decode(member, 16_000)
