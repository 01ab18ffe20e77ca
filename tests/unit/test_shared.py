"""Arrays for other processes: mapped where that can be, copied where not, the same numbers in any case."""

import os
import pickle
from multiprocessing import context, reduction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.data import shared as module
from zoo.data.clip import Clip
from zoo.data.manifest import Manifest
from zoo.data.packed import PackedClips
from zoo.data.shared import SharedArrays

needs_descriptors = pytest.mark.skipif(not hasattr(reduction, "DupFd"), reason="processes here pass no descriptors on")


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "bytes": rng.integers(0, 256, 1_001).astype(np.uint8),
        "none": np.zeros(0, dtype=np.int64),
        "numbers": rng.integers(-99, 99, 500),
        "seconds": np.array([np.nan, 1.5]),
    }


class _Starting:
    """What a process that is being started looks like to a pickler: it gets descriptors of its own."""

    class DupFd:
        def __init__(self, descriptor: int) -> None:
            self.descriptor = descriptor

        def detach(self) -> int:
            return self.descriptor

    def __init__(self) -> None:
        self.passed: list[int] = []

    def duplicate_for_child(self, descriptor: int) -> int:
        self.passed.append(descriptor)
        return os.dup(descriptor)


def _send(value: Any) -> tuple[Any, list[int]]:
    """As multiprocessing sends it to a process that is being started, and the descriptors that went with it."""
    starting = _Starting()
    context.set_spawning_popen(starting)
    try:
        sent = reduction.ForkingPickler.dumps(value)
    finally:
        context.set_spawning_popen(None)
    assert len(sent) < 4_000 or not starting.passed
    return pickle.loads(sent), starting.passed


def _same(one: SharedArrays, arrays: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], array, equal_nan=array.dtype.kind == "f") for name, array in arrays.items())


@needs_descriptors
def test_they_are_mapped_in_a_process_that_is_started() -> None:
    arrays = SharedArrays(_arrays())
    for _ in range(2):
        there, passed = _send(arrays)
        assert len(passed) == 1
        assert _same(there, _arrays())
        assert _same(arrays, _arrays())
        assert not there["numbers"].flags.owndata
        with pytest.raises(ValueError, match="read-only"):
            there["numbers"][0] = 1
    one, two = _send(arrays)[1], _send(arrays)[1]
    assert one == two  # written once
    again, _ = _send(there)  # from a process to which it was sent
    assert _same(again, _arrays())


@needs_descriptors
def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    arrays = SharedArrays(_arrays())
    there, _ = _send(arrays)
    assert not list(tmp_path.iterdir())
    del arrays
    assert _same(there, _arrays())


@needs_descriptors
def test_where_there_is_no_room_they_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", full)
    there, passed = _send(SharedArrays(_arrays()))
    assert not passed
    assert _same(there, _arrays())


def test_plain_pickling_copies() -> None:
    arrays = SharedArrays(_arrays())
    assert _same(pickle.loads(pickle.dumps(arrays)), _arrays())
    _send(arrays)
    assert _same(pickle.loads(pickle.dumps(arrays)), _arrays())


def test_nothing_at_all() -> None:
    there, passed = _send(SharedArrays({"none": np.zeros(0)}))
    assert not passed
    assert len(there["none"]) == 0


@pytest.mark.parametrize("places", [None, [tuple(range(i % 4)) for i in range(50)]], ids=["no labels", "labels"])
def test_the_clips_of_a_worker_are_those_of_the_manifest(places: list[tuple[int, ...]] | None) -> None:
    clips = tuple(
        Clip(
            Path(f"a/{i}\udce9.wav"),
            f"clip {i}",
            ("x",),
            start=None if i % 2 else i / 7,
            stop=i + 1.0 if i % 3 else None,
        )
        for i in range(50)
    )
    packed = PackedClips(Manifest(clips, "x"), places)
    there, _ = _send(packed)
    for one in (packed, there):
        assert len(one) == 50
        for i, clip in enumerate(clips):
            assert (one.path(i), one.name(i), one.start(i), one.stop(i)) == (clip.path, clip.id, clip.start, clip.stop)
            assert places is None or one.places(i) == list(places[i])
            assert one.id(i) == packed.id(i)
