"""The clocks of a run: how long it has trained, how fast, and when it was last saved."""

import contextlib
import time
from collections.abc import Iterator


class Pace:
    """Times one session of a run. Evaluating and saving count as time of the run, not against its speed.

    Args:
        seconds, training_seconds, clips, seconds_waiting: where the run stands as the session begins.
    """

    def __init__(self, seconds: float, training_seconds: float, clips: int, seconds_waiting: float) -> None:
        now = time.monotonic()
        self._run_began = now - seconds
        self._session_began = self._window_began = self._saved_at = now
        self._trained_before = training_seconds
        self._session_clips = self._window_clips = clips
        self._waited = seconds_waiting

    def seconds(self) -> float:
        """Of the whole run, all sessions together."""
        return time.monotonic() - self._run_began

    def training_seconds(self) -> float:
        """Of the whole run, without evaluating and saving."""
        return self._trained_before + time.monotonic() - self._session_began

    def rate(self, clips: int) -> float:
        """Clips a second, in this session."""
        return (clips - self._session_clips) / max(time.monotonic() - self._session_began, 1e-9)

    def read(self, clips: int, seconds_waiting: float) -> dict[str, float]:
        """Scalars of the time since they were last read."""
        now = time.monotonic()
        scalars = {
            "perf/clips_per_second": (clips - self._window_clips) / max(now - self._window_began, 1e-9),
            "data/seconds_waiting": seconds_waiting - self._waited,
        }
        self._window_began, self._window_clips, self._waited = now, clips, seconds_waiting
        return scalars

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Around what is no training."""
        began = time.monotonic()
        try:
            yield
        finally:
            away = time.monotonic() - began
            self._session_began += away
            self._window_began += away

    def saved(self) -> None:
        """The run is on the disk now."""
        self._saved_at = time.monotonic()

    def unsaved_seconds(self) -> float:
        """Of work that a crash would cost."""
        return time.monotonic() - self._saved_at
