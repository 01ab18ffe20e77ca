"""Signals are held back once, and only where Python delivers them."""

import os
import signal
import threading

import pytest

from zoo.train.interrupt import Interrupted, held_back_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number: int) -> None:
    received: list[int] = []
    before = {n: signal.signal(n, lambda n, _: received.append(n)) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with held_back_signals() as caught:
            assert caught.number is None
            os.kill(os.getpid(), number)
            assert (caught.number, received) == (number, [])
            os.kill(os.getpid(), number)
            assert received == [number]
        os.kill(os.getpid(), number)
        assert received == [number, number]
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)


def test_handlers_come_back_after_an_error() -> None:
    before, within = signal.getsignal(signal.SIGTERM), []

    def fail() -> None:
        with held_back_signals():
            within.append(signal.getsignal(signal.SIGTERM))
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert within[0] is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with held_back_signals() as caught:
            seen.extend([caught.number, signal.getsignal(signal.SIGTERM)])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None, signal.getsignal(signal.SIGTERM)]


def test_exit_codes_and_text() -> None:
    assert Interrupted(signal.SIGINT, 8).exit_code == 130
    assert Interrupted(signal.SIGTERM, 8).exit_code == 143
    assert str(Interrupted(signal.SIGTERM, 8)).startswith("interrupted by SIGTERM after 8 clips")
