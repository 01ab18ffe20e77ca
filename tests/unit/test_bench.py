"""What `zoo bench` measures with: the same work on both sides, ratios of what was measured, errors told."""

import io
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rich.console
import soundfile
import torch
from torch import Tensor

from zoo.errors import DataError
from zoo.use.bench import contender, usage
from zoo.use.bench.contender import Contender, Round, race, ratio, summary
from zoo.use.bench.loaders import OurLoader, PlainLoader, n_frames_for
from zoo.use.bench.log_mels import OurLogMels, PlainLogMels
from zoo.use.bench.long_files import bench_crop
from zoo.use.bench.manifest import measure_manifest, write_manifest
from zoo.use.bench.packs import PACKED, stores
from zoo.use.bench.sounds import FORMS, check_forms, sounds
from zoo.use.console import Console
from zoo.use.show.bench import show_bench

needs_proc = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")


def test_medians_and_ratios_are_those_of_the_rounds() -> None:
    ours = summary([Round(10, 1.0, 0.5), Round(10, 2.0, 1.0), Round(10, 5.0, 2.5)])
    peer = summary([Round(10, 10.0, 4.0)])
    assert ours["clips_per_second"] == 5.0
    assert ours["clips_per_second_spread"] == [2.0, 10.0]
    assert ours["clips_per_core_second"] == 10.0
    assert ours["cpu_ms_per_clip"] == 100.0
    assert ratio(ours, peer, "clips_per_second") == 5.0
    assert ratio(ours, peer, "clips_per_core_second") == 4.0
    assert ratio(ours, None, "clips_per_second") is None
    unknown = summary([Round(10, 1.0, None)])
    assert unknown["cpu_ms_per_clip"] is None
    assert ratio(ours, unknown, "clips_per_core_second") is None


@pytest.mark.parametrize("kind", ["ast", "passt"])
def test_both_front_ends_give_the_same_log_mels(kind: str) -> None:
    ours, plain = OurLogMels(kind, 1.0, 3, "cpu", 1), PlainLogMels(kind, 1.0, 3, 2)
    found, expected = ours.log_mels(), plain.log_mels()
    torch.testing.assert_close(found[:, :, : expected.shape[2]], expected, rtol=0, atol=4e-6)
    assert found.shape[2] - expected.shape[2] in (0, 1)  # one sample fewer than 100 hops is left after sharpening
    assert (ours.run(), plain.run()) == (3, 6)


@pytest.mark.parametrize("form", ["wav", "flac", "ogg", *PACKED])
def test_both_loaders_give_the_same_batches(tmp_path: Path, form: str) -> None:
    stored = stores("ast")[form](sounds(None, 16_000, 1.0, 5), 16_000, tmp_path / form)
    assert stored.num_bytes > 0
    ours = OurLoader(stored.source, "ast", 1.0, 5, 0, "cpu")
    plain = PlainLoader(stored.files, "ast", 1.0, 5, 0, "cpu")
    assert (ours.run(), plain.run()) == (5, 5)
    ((log_mels, names),) = list(ours.batches())
    assert log_mels.shape == (5, 128, n_frames_for("ast", 1.0)) == (5, 128, 128)
    assert sorted(names) == [file.name for file in stored.files]
    for name, log_mel in zip(names, log_mels, strict=True):
        index = [file.name for file in stored.files].index(name)
        real = 98  # the plain way pads what is normalised, ours what is not, as the released code does
        atol = 1e-3 if form == "log-mel-shards" else 1e-6  # stored in half precision
        torch.testing.assert_close(log_mel[:, :real], plain._data[index][:, :real], rtol=0, atol=atol)
    for work in (ours, plain):
        stages = work.stages()
        work.close()
        if work is ours and form == "log-mel-shards":
            assert stages == {}  # they are read, and normalised
            continue
        assert list(stages) == ["decode", "resample", "front end"]
        assert all(value >= 0 for value in stages.values())
        assert stages["front end"] > 0


def test_clips_of_another_rate_are_resampled_on_both_sides(tmp_path: Path) -> None:
    stored = FORMS["wav"](sounds(None, 44_100, 0.5, 2), 44_100, tmp_path / "wav")
    assert soundfile.info(stored.files[0]).samplerate == 44_100
    ours = OurLoader(stored.source, "ast", 0.5, 2, 0, "cpu")
    ((log_mels, names),) = list(ours.batches())
    plain = PlainLoader(stored.files, "ast", 0.5, 2, 0, "cpu")
    expected: Tensor = plain._data[int(names[0] == stored.files[1].name)]
    torch.testing.assert_close(log_mels[0, :, :48], expected[:, :48], rtol=0, atol=1e-5)


def test_clips_of_a_source_are_joined_and_used_again(tone_folder: Callable[..., Path]) -> None:
    folder = str(tone_folder(clips=2, seconds=0.5))
    clips = list(sounds(folder, 8_000, 0.75, 5))
    assert [len(clip) for clip in clips] == [6_000] * 5
    assert not (clips[0] == clips[1]).all()
    joined, again = torch.cat([torch.from_numpy(c) for c in clips]), 4 * 4_000
    assert torch.equal(joined[: len(joined) - again], joined[again:])


def test_made_up_notes_are_the_same_every_time() -> None:
    one, other = list(sounds(None, 16_000, 0.3, 2)), list(sounds(None, 16_000, 0.3, 2))
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert not (one[0] == one[1]).all()
    assert abs(one[0]).max() <= 1


def test_a_source_without_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="no clip can be decoded"):
        next(sounds(str(tmp_path), 16_000, 1.0, 1))
    with pytest.raises(DataError, match="--formats: 'aac' - expected some of wav, flac"):
        check_forms(["wav", "aac"], list(FORMS))


class _InThisProcess(Contender):
    """Stands in for a contender that has a process of its own."""

    def __init__(self, name: str, order: list[str]) -> None:
        self._name, self._order = name, order

    def round(self) -> Round:
        self._order.append(self._name)
        return Round(1, 1.0, 1.0)

    def peak_memory_mib(self) -> float:
        return 7.0


def test_contenders_take_turns() -> None:
    order: list[str] = []
    contenders: Any = {name: _InThisProcess(name, order) for name in ("a", "b")}
    told: list[int] = []
    found = race(contenders, 3, lambda: told.append(1))
    assert "".join(order) == "abbaab"
    assert len(told) == 6
    assert found["a"]["rounds"] == 3
    assert found["a"]["peak_memory_mib"] == 7.0


def test_what_goes_wrong_in_the_other_process_is_told() -> None:
    options = {"kind": "ast", "seconds": 1.0, "batch": 1, "workers": 0, "device": "cpu"}
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        Contender(OurLoader, options | {"source": "nowhere"}, 1)
    with pytest.raises(RuntimeError, match="KeyError"):
        Contender(OurLogMels, {"kind": "x", "seconds": 1.0, "batch": 1, "device": "cpu", "repeats": 1}, 1)


def test_a_device_that_is_too_small_is_told_in_one_line() -> None:
    def build() -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1 GiB")

    here, there = multiprocessing.Pipe()
    for command in ("start", None):
        here.send(command)
    contender._serve(there, build, {}, 1)
    told = "bench: CUDA out of memory - expected the work to fit the device - lower --batch"
    assert here.recv() == ("user", told)


class _Trained:
    """Work with something to do around its turns."""

    num_workers = 0

    def __init__(self) -> None:
        self.order: list[str] = []

    def begin_turn(self) -> None:
        time.sleep(0.2)
        self.order.append("begin")

    def run(self) -> int:
        self.order.append("run")
        return 3

    def end_turn(self) -> None:
        time.sleep(0.2)
        self.order.append("end")

    def facts(self) -> dict[str, Any]:
        return {"rounds": self.order.count("run")}

    def stages(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


def test_what_surrounds_a_turn_is_not_timed() -> None:
    work = _Trained()
    clips, seconds, _ = contender._do("round", work)
    assert clips == 3
    assert seconds < 0.2
    assert work.order == ["begin", "run", "end"]
    assert contender._do("facts", work) == {"rounds": 1}


@needs_proc
def test_processor_time_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    before = usage.cpu_seconds(0)
    since = time.process_time()
    while time.process_time() - since < 0.05:
        pass
    after = usage.cpu_seconds(0)
    assert before is not None
    assert after is not None
    assert 0.05 <= after - before < 1.0
    peak, here = usage.peak_memory_mib(0), usage.resident_mib()
    assert peak is not None
    assert here is not None
    assert 0.9 * here < peak
    monkeypatch.setattr(usage, "_PROC", Path("/nowhere"))
    assert usage.descendants() is None
    assert usage.cpu_seconds(1) is None
    assert usage.peak_memory_mib(1) is None


def _shown(report: dict[str, Any]) -> str:
    console = Console()
    console.out = rich.console.Console(file=io.StringIO(), width=160)
    show_bench(console, report)
    text: str = console.out.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=needs_proc)])
def test_a_manifest_is_measured(tmp_path: Path, workers: int) -> None:
    path = write_manifest(tmp_path, 300)
    found = measure_manifest(str(path), workers, 100, 16)
    assert found["points"][0]["clips"] == 16
    assert found["points"][-1]["clips"] >= 100
    assert found["read_seconds"] > 0
    for point in found["points"]:
        assert len(point["workers_own_mib"]) == len(point["workers_share_mib"]) == workers
        assert all(0 < own < share for own, share in zip(*list(point.values())[2:], strict=True))
    text = _shown({"what": "manifest", "rows": 300, "megabytes": 0.1, "workers": workers, **found})
    assert "300 rows" in text


def test_crops_of_long_files_are_measured() -> None:
    told: list[tuple[int, int]] = []
    report = bench_crop(
        None,
        ["wav", "flac"],
        hours=0.05,
        seconds=1.0,
        sample_rate=8_000,
        crops=3,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 2), (2, 2)]
    assert [(row["format"], row["hours"]) for row in report["rows"]] == [("wav", 0.05), ("flac", 0.05)]
    for row in report["rows"]:
        assert 0 < row["long"]["ms"] <= row["long"]["ms_worst"]
    assert "flac" in _shown(report)
