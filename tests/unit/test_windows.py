"""Windows over clips: where they lie, what is read, and files that hold less than they promise."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from zoo.audio.decode import Decoded
from zoo.data import reader as reader_module
from zoo.data.clip import Clip
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.item import Item, Key
from zoo.data.manifest import Manifest
from zoo.data.reader import ClipReader
from zoo.data.windows import WindowConfig, Windows, read_lengths

RATE = 16_000


def ramp(path: Path, samples: int) -> Path:
    """A file in which the value of sample i is (i + 1) / 2**20: a window tells where it is from."""
    soundfile.write(path, np.arange(1, samples + 1, dtype=np.float32) / 2**20, RATE, subtype="FLOAT", format="WAV")
    return path


def span(item: Item) -> tuple[int, int] | None:
    """First and last sample, the last not included; checks that nothing is left out or padded."""
    if item.waveform is None:
        return None
    places = (item.waveform * 2**20).round().long() - 1
    assert torch.equal(places, torch.arange(int(places[0]), int(places[0]) + len(places)))
    assert item.num_samples == len(places)
    return int(places[0]), int(places[-1]) + 1


def spans(clips: tuple[Clip, ...], limit: int, window: int, hop: int) -> list[tuple[int, tuple[int, int] | None]]:
    reader = ClipReader(Manifest(clips, "s"), None, RATE)
    data = EvaluationSet(reader, Windows(read_lengths(reader), limit, window, hop))
    items = [data[Key(0, row)] for row in range(len(data))]
    return [(item.clip, span(item)) for item in items]


def test_windows_by_hand() -> None:
    windows = Windows([10, 100, 104, 105, 250, 0], limit=104, window=100, hop=40)
    found = [(w.clip, w.number, w.first, w.length, w.before) for w in map(windows.__getitem__, range(len(windows)))]
    assert found == [
        (0, 0, 0, 10, None),
        (1, 0, 0, 100, None),
        (2, 0, 0, 104, None),
        (3, 0, 0, 100, None),
        (3, 1, 5, 100, 0),
        (4, 0, 0, 100, None),
        (4, 1, 40, 100, 0),
        (4, 2, 80, 100, 40),
        (4, 3, 120, 100, 80),
        (4, 4, 150, 100, 120),  # shifted back to end with the clip
        (5, 0, 0, 100, None),  # of unknown length
    ]
    assert (windows.num_clips, len(windows)) == (6, 11)


def test_the_beginning_alone() -> None:
    windows = Windows([10, 250], limit=100, window=100, hop=100, first_only=True)
    assert [(w.first, w.length) for w in map(windows.__getitem__, range(len(windows)))] == [(0, 10), (0, 100)]


def test_what_is_read(tmp_path: Path) -> None:
    clips = tuple(Clip(ramp(tmp_path / f"{n}.wav", n), str(n)) for n in (30, 250))
    assert spans(clips, 100, 100, 50) == [(0, (0, 30)), (1, (0, 100)), (1, (50, 150)), (1, (100, 200)), (1, (150, 250))]


def test_windows_stay_within_the_cut(tmp_path: Path) -> None:
    path = ramp(tmp_path / "a.wav", 5 * RATE)
    clips = (Clip(path, "a", start=1.0, stop=1.0 + 250 / RATE), Clip(path, "b", start=4.99))
    assert spans(clips, 100, 100, 100) == [
        (0, (16_000, 16_100)),
        (0, (16_100, 16_200)),
        (0, (16_150, 16_250)),
        (1, (79_840, 79_940)),
        (1, (79_900, 80_000)),
    ]


@pytest.mark.parametrize("real", [1, 99, 100, 101, 149, 150, 151, 200, 210, 333, 480, 499])
@pytest.mark.parametrize("hop", [100, 50, 30])
def test_a_file_shorter_than_it_says_has_the_windows_of_its_true_length(tmp_path: Path, real: int, hop: int) -> None:
    """The manifest's stop promises 500 samples; so would the header of a file that is cut short."""
    path = ramp(tmp_path / "a.wav", real)
    promised = spans((Clip(path, "a", stop=500 / RATE),), 100, 100, hop)
    assert len(promised) > 4
    assert [one for one in promised if one[1] is not None] == spans((Clip(path, "a"),), 100, 100, hop)


def test_a_flac_that_is_cut_short(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(20_000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "whole.flac", noise, RATE)
    content = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(content[: len(content) // 2])
    reader = ClipReader(Manifest((Clip(tmp_path / "cut.flac", "cut"),), "s"), None, RATE)
    assert reader.length(0) == 20_000
    held = len(reader.read(0).waveform)
    assert 2_000 < held < 18_000
    data = EvaluationSet(reader, Windows(read_lengths(reader), 2_000, 2_000, 1_500))
    items = [data[Key(0, row)] for row in range(len(data))]
    used = [item for item in items if item.waveform is not None]
    assert [item.num_samples for item in used] == [2_000] * len(used)
    assert len(used) == len(Windows([held], 2_000, 2_000, 1_500)) < len(data)
    assert used[-1].waveform is not None
    assert torch.equal(used[-1].waveform, reader.read(0).waveform[-2_000:])
    assert any("truncated" in bad.reason for item in items for bad in item.bad)


def test_a_window_that_cannot_be_used_leaves_the_others(tmp_path: Path) -> None:
    wave = np.arange(1, 501, dtype=np.float32) / 2**20
    wave[220] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, RATE, subtype="FLOAT")
    clips = (Clip(tmp_path / "nan.wav", "nan"), Clip(tmp_path / "missing.wav", "missing"))
    reader = ClipReader(Manifest(clips, "s"), None, RATE)
    data = EvaluationSet(reader, Windows(read_lengths(reader), 100, 100, 100))
    items = [data[Key(0, row)] for row in range(len(data))]
    assert [(item.clip, span(item)) for item in items] == [
        (0, (0, 100)),
        (0, (100, 200)),
        (0, None),
        (0, (300, 400)),
        (0, (400, 500)),
        (1, None),
    ]
    assert [bad.reason for bad in items[2].bad] == ["NaN or Inf among the samples"]
    assert [bad.reason for bad in items[5].bad] == ["missing"]


def test_every_window_has_draws_of_its_own(tmp_path: Path) -> None:
    clips = tuple(Clip(ramp(tmp_path / f"{i}.wav", 300), str(i)) for i in range(2))
    reader = ClipReader(Manifest(clips, "s"), None, RATE)
    data = EvaluationSet(reader, Windows([300, 300], 100, 100, 50))
    ids = [data[Key(0, row)].id for row in range(len(data))]
    assert len(set(ids)) == 10
    assert (ids[0], ids[5]) == (reader.id(0), reader.id(1))  # masks of the beginning are what they always were
    assert [data[Key(3, row)].id for row in range(len(data))] == ids


def test_examples_are_the_first_clips_that_can_be_used(tmp_path: Path) -> None:
    clips = tuple(
        Clip(tmp_path / "missing" if n is None else ramp(tmp_path / f"{i}.wav", n), f"clip {i}")
        for i, n in enumerate([None, 250, None, 30, 40])
    )
    reader = ClipReader(Manifest(clips, "s"), None, RATE)
    data = EvaluationSet(reader, Windows(read_lengths(reader), 100, 100, 50))
    assert [(item.name, span(item)) for item in data.examples(2)] == [("clip 1", (0, 100)), ("clip 3", (0, 30))]
    assert list(data.examples(0)) == []
    assert len(list(data.examples(99))) == 3


def test_lengths_are_exact_and_files_with_a_stop_stay_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [1, 2, 3, 44_100, 44_101, 44_102, 99_999]
    clips = []
    for count in counts:
        path = tmp_path / f"{count}.wav"
        soundfile.write(path, np.full(count, 0.1, dtype=np.float32), 44_100)
        clips.append(Clip(path, str(count)))
    (tmp_path / "text.wav").write_text("no audio")
    clips += [
        Clip(tmp_path / "text.wav", "text"),
        Clip(tmp_path / "99999.wav", "a", start=0.5, stop=1.25),
        Clip(tmp_path / "99999.wav", "b", start=2.0),
        Clip(tmp_path / "99999.wav", "c", start=50.0),
    ]
    opened: list[str] = []
    real = reader_module.count_samples
    monkeypatch.setattr(
        reader_module, "count_samples", lambda path, rate: (opened.append(path.name), real(path, rate))[1]
    )
    reader = ClipReader(Manifest(tuple(clips), "s"), None, RATE)
    told: list[tuple[int, int]] = []
    found = read_lengths(reader, lambda done, total: told.append((done, total)))
    assert found[:7].tolist() == [len(reader.read(index).waveform) for index in range(7)]
    assert found[7:].tolist() == [0, 12_000, len(reader.read(9).waveform), 0]
    assert len(opened) == 10
    assert told == [(11, 11)]


def test_hours_are_read_window_by_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wav of 12 hours, most of which is a hole in the file."""
    samples = 12 * 3600 * RATE
    size = 2 * samples
    header = (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    )
    with (tmp_path / "day.wav").open("wb") as file:
        file.write(header + b"data" + struct.pack("<I", size))
        file.truncate(44 + size)
    longest: list[int] = []

    def decode(*arguments: object) -> Decoded:
        decoded = real(*arguments)  # type: ignore[arg-type]
        longest.append(len(decoded.waveform))
        return decoded

    real = reader_module.decode
    monkeypatch.setattr(reader_module, "decode", decode)
    reader = ClipReader(Manifest((Clip(tmp_path / "day.wav", "day"),), "s"), None, RATE)
    lengths = read_lengths(reader)
    assert lengths.tolist() == [samples]
    data = EvaluationSet(reader, Windows(lengths, 160_000, 160_000, 80_000))
    assert len(data) == 8639
    for row in (0, 5_000, 8_638):
        assert data[Key(0, row)].num_samples == 160_000
    assert longest == [160_000] * 3


def test_the_rule_in_words() -> None:
    assert WindowConfig().in_words == "whole clips; mean over windows of the model's length, overlapping by 0.5"
    assert WindowConfig(long_clips="beginning").in_words == "first seconds of each clip, up to the model's length"
    words = WindowConfig(long_clips="whole", max_seconds=30.0).in_words
    assert "positions stretched" in words
    assert "30 s" in words
