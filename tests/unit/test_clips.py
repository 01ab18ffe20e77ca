"""From a clip to its waveform: crops, padding, targets, and clips that cannot be used."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from zoo.audio import decode as decode_module
from zoo.audio.decode import Decoded, OpenAudio
from zoo.data import reader as reader_module
from zoo.data.clip import Clip
from zoo.data.evaluation_set import EvaluationSet
from zoo.data.item import Collate, Item, Key
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest
from zoo.data.packed import PackedTexts
from zoo.data.reader import ClipReader
from zoo.data.training_set import TrainingSet
from zoo.data.windows import Windows
from zoo.errors import DataError

RATE = 16_000


def ramp(path: Path, samples: int, rate: int = RATE) -> Path:
    """A file in which the value of sample i is i / 2**20: a crop tells where it is from."""
    soundfile.write(path, np.arange(samples, dtype=np.float32) / 2**20, rate, subtype="FLOAT", format="WAV")
    return path


def positions(item: Item) -> list[int]:
    assert item.waveform is not None
    return (item.waveform * 2**20).round().int().tolist()


def clips(folder: Path, *lengths: int) -> Manifest:
    return Manifest(
        tuple(Clip(ramp(folder / f"{i}.wav", length), f"clip {i}") for i, length in enumerate(lengths)), "the set"
    )


def read(manifest: Manifest, labels: LabelTable | None = None, min_samples: int = 1) -> ClipReader:
    return ClipReader(manifest, labels, RATE, min_samples)


def make(manifest: Manifest, num_samples: int | None = 1000, **choices: Any) -> TrainingSet:
    reader = read(manifest, choices.pop("labels", None), choices.pop("min_samples", 1))
    return TrainingSet(reader, num_samples, **choices)


def test_a_whole_clip(tmp_path: Path) -> None:
    item = make(clips(tmp_path, 700), num_samples=None)[Key(0, 0)]
    assert positions(item) == list(range(700))
    assert (item.num_samples, item.name, item.target, item.bad) == (700, "clip 0", None, ())


def test_a_long_clip_is_cropped_at_random(tmp_path: Path) -> None:
    """Every epoch elsewhere, each place as likely; the crop is a stretch of the clip, and the same again."""
    data = make(clips(tmp_path, 1003), min_samples=10)
    offsets = []
    for epoch in range(200):
        found = positions(data[Key(epoch, 0)])
        assert found == list(range(found[0], found[0] + 1000))
        assert positions(data[Key(epoch, 0)]) == found
        offsets.append(found[0])
    counts = np.bincount(offsets, minlength=4)
    assert counts.shape == (4,)
    assert counts.min() > 30
    assert [positions(make(clips(tmp_path, 1003), seed=1)[Key(epoch, 0)])[0] for epoch in range(200)] != offsets


def test_a_crop_from_the_start(tmp_path: Path) -> None:
    data = make(clips(tmp_path, 5000), crop="start")
    assert positions(data[Key(0, 0)]) == positions(data[Key(3, 0)]) == list(range(1000))


@pytest.mark.parametrize("crop", ["random", "start"])
def test_only_the_crop_is_read(tmp_path: Path, crop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour costs no more than a minute."""
    asked: list[float] = []

    def decode(self: OpenAudio, rate: int, start: float | None = None, stop: float | None = None) -> Decoded:
        assert start is not None
        assert stop is not None
        asked.append(stop - start)
        return real(self, rate, start, stop)

    real = OpenAudio.decode
    monkeypatch.setattr(OpenAudio, "decode", decode)
    data = make(clips(tmp_path, 100_000), crop=crop)
    for epoch in range(5):
        data[Key(epoch, 0)]
    assert asked == pytest.approx([1000 / RATE] * 5)


def test_a_crop_opens_its_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    real = decode_module._open
    monkeypatch.setattr(decode_module, "_open", lambda path: (opened.append(path), real(path))[1])
    data = make(clips(tmp_path, 100_000, 50))
    for epoch in range(4):
        for index in range(2):
            data[Key(epoch, index)]
    assert len(opened) == 8


def test_crops_stay_within_the_cut(tmp_path: Path) -> None:
    path = ramp(tmp_path / "a.wav", 20_000)
    cuts = ((0.25, 0.5), (0.25, None), (None, 0.5), (0.25, 0.3), (1.0, 99.0))
    data = make(Manifest(tuple(Clip(path, str(cut), start=cut[0], stop=cut[1]) for cut in cuts), "s"))
    for index, (start, stop) in enumerate(cuts):
        low, high = round((start or 0) * RATE), min(20_000, round((stop or 99) * RATE))
        found = [positions(data[Key(epoch, index)]) for epoch in range(30)]
        assert min(map(min, found)) >= low
        assert max(map(max, found)) < high
        assert all(len(one) == min(1000, high - low) for one in found)
        assert len({one[0] for one in found}) > 20 or high - low <= 1000
    starts = make(Manifest(data_clips(path, cuts), "s"), crop="start")
    assert [positions(starts[Key(0, i)])[0] for i in range(5)] == [4000, 4000, 0, 4000, 16_000]


def data_clips(path: Path, cuts: tuple[tuple[float | None, float | None], ...]) -> tuple[Clip, ...]:
    return tuple(Clip(path, str(cut), start=cut[0], stop=cut[1]) for cut in cuts)


def test_crops_of_another_rate(tmp_path: Path) -> None:
    """A crop equals the same stretch of the resampled clip."""
    wave = np.random.default_rng(0).standard_normal(44_100).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "a.wav", wave, 44_100, subtype="FLOAT")
    manifest = Manifest((Clip(tmp_path / "a.wav", "a"),), "s")
    whole = make(manifest, num_samples=None)[Key(0, 0)].waveform
    assert whole is not None
    for epoch in range(5):
        crop = make(manifest)[Key(epoch, 0)].waveform
        assert crop is not None
        assert crop.shape == (1000,)
        distances = (whole.unfold(0, 1000, 1) - crop).abs().amax(1)
        assert distances.min() < 1e-6


def test_short_clips_are_padded_to_the_smallest_input(tmp_path: Path) -> None:
    item = make(clips(tmp_path, 3), min_samples=10)[Key(0, 0)]
    assert positions(item) == [0, 1, 2, 0, 0, 0, 0, 0, 0, 0]
    assert item.num_samples == 10
    one = make(clips(tmp_path, 1), num_samples=None, min_samples=400)[Key(0, 0)]
    assert one.num_samples == 400
    assert [bad.used for bad in one.bad] == [True]
    assert "one sample" in one.bad[0].reason


def test_targets(tmp_path: Path) -> None:
    manifest = Manifest(tuple(Clip(ramp(tmp_path / "a.wav", 9), name, (name,)) for name in "bab"), "s")
    data = make(manifest, labels=LabelTable.from_manifest(manifest, "single-label"))
    assert [data[Key(0, i)].target.tolist() for i in range(3)] == [[0, 1], [1, 0], [0, 1]]  # type: ignore[union-attr]
    with pytest.raises(DataError, match="label 'b'"):
        make(manifest, labels=LabelTable(("a", "c"), "single-label"))


def broken(folder: Path, *names: str) -> tuple[Clip, ...]:
    return tuple(Clip(folder / name, name) for name in names)


def test_an_unusable_clip_is_replaced_in_training(tmp_path: Path) -> None:
    good = clips(tmp_path, *([50] * 8))
    (tmp_path / "zero.wav").touch()
    manifest = Manifest(good.clips + broken(tmp_path, "missing.wav", "zero.wav"), "s")
    data = make(manifest)
    chosen = []
    for epoch in range(40):
        item = data[Key(epoch, 8)]
        assert item.waveform is not None
        assert item.name.startswith("clip ")
        assert item.bad[0].name == "missing.wav"
        assert item.bad[0].reason == "missing"
        assert not item.bad[0].used
        assert {bad.name for bad in item.bad} <= {"missing.wav", "zero.wav"}
        # The replacement is the clip that it always is in this epoch, crop and all.
        again = make(manifest)[Key(epoch, 8)]
        assert (again.name, again.id, again.bad) == (item.name, item.id, item.bad)
        index = int(item.name.split()[1])
        assert positions(item) == positions(data[Key(epoch, index)])
        chosen.append(index)
    assert set(chosen) == set(range(8))


def test_a_clip_drawn_twice_in_an_epoch_looks_different(tmp_path: Path) -> None:
    """Sampling with replacement: the second time is another draw, and the same one wherever it is made."""
    data = make(clips(tmp_path, 50_000))
    keys = [Key(epoch, 0, repeat) for epoch in range(5) for repeat in range(4)]
    firsts = [positions(data[key])[0] for key in keys]
    assert len(set(firsts)) == len(keys)
    assert len({data[key].id for key in keys}) == 4
    assert [positions(make(clips(tmp_path, 50_000))[key])[0] for key in keys] == firsts


def test_clips_that_are_never_drawn_stand_in_for_none(tmp_path: Path) -> None:
    """Of weight 0: the place of an unusable clip is taken by one that may be drawn."""
    manifest = Manifest(clips(tmp_path, *([50] * 8)).clips + broken(tmp_path, "missing.wav"), "s")
    data = TrainingSet(read(manifest), 1000, drawable=np.array([2, 5, 8]))
    assert {data[Key(epoch, 8)].name for epoch in range(40)} == {"clip 2", "clip 5"}


def test_an_unusable_clip_is_left_out_in_evaluation(tmp_path: Path) -> None:
    manifest = Manifest(broken(tmp_path, "missing.wav"), "s")
    item = EvaluationSet(read(manifest), Windows([0], 1000, 1000, 1000))[Key(0, 0)]
    assert item.waveform is None
    assert item.bad[0].reason == "missing"
    assert item.bad[0].path == str(tmp_path / "missing.wav")


def test_when_everything_is_unusable(tmp_path: Path) -> None:
    data = make(Manifest(broken(tmp_path, "a.wav", "b.wav"), "the set"))
    with pytest.raises(DataError, match=r"^the set: 20 clips drawn in a row cannot be used \(.*a\.wav: missing"):
        data[Key(0, 0)]


def test_a_bad_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = Manifest(clips(tmp_path, 5).clips + broken(tmp_path, "missing.wav"), "s")
    data = make(manifest)
    first = [data[Key(epoch, 1)].bad for epoch in range(5)]
    opened: list[Path] = []
    for name in ("decode", "duration", "count_samples", "open_audio"):
        real = getattr(reader_module, name)
        monkeypatch.setattr(
            reader_module, name, lambda path, *rest, real=real: (opened.append(path), real(path, *rest))[1]
        )
    assert [data[Key(epoch, 1)].bad for epoch in range(5)] == first
    assert not [path for path in opened if path.name == "missing.wav"]


def test_a_crop_that_failed_does_not_change_other_crops(tmp_path: Path) -> None:
    """NaN in one place of a clip: which crops are used must not depend on what this process has seen before."""
    wave = np.arange(6000, dtype=np.float32) / 2**20
    wave[2000:2010] = np.nan
    wave[:5] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, RATE, subtype="FLOAT")
    manifest = Manifest((Clip(tmp_path / "nan.wav", "nan"), *clips(tmp_path, 50).clips), "s")
    seen = make(manifest)
    usable = [not seen[Key(epoch, 0)].bad for epoch in range(60)]
    assert 10 < sum(usable) < 55
    assert [not seen[Key(epoch, 0)].bad for epoch in range(60)] == usable
    assert [not make(manifest)[Key(epoch, 0)].bad for epoch in range(60)] == usable


def test_a_file_that_is_cut_short_is_used(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(64_000).astype(np.float32) * 0.1
    soundfile.write(tmp_path / "whole.flac", noise, RATE)
    whole = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 4])
    data = make(Manifest((Clip(tmp_path / "cut.flac", "cut"),), "s"))
    for epoch in range(20):
        item = data[Key(epoch, 0)]
        assert item.waveform is not None
        assert item.waveform.abs().max() > 0


def test_odd_clips_are_used_and_reported(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((800, 4), dtype=np.float32), 12_345)
    item = make(Manifest((Clip(tmp_path / "a.wav", "a"),), "s"))[Key(0, 0)]
    (bad,) = item.bad
    assert (bad.name, bad.path, bad.used) == ("a", str(tmp_path / "a.wav"), True)
    for reason in ("odd rate 12345 Hz", "4 channels", "silent"):
        assert reason in bad.reason


def test_it_travels_to_a_worker(tmp_path: Path) -> None:
    data = make(clips(tmp_path, 1200, 30))
    copy = pickle.loads(pickle.dumps(data))
    for key in (Key(0, 0), Key(5, 0), Key(0, 1)):
        assert torch.equal(copy[key].waveform, data[key].waveform)


def test_packed_texts() -> None:
    texts = ["", "a", "ü/ñ.wav", "\udce9.wav", ""]
    packed = PackedTexts(texts)
    assert [packed[i] for i in range(len(packed))] == texts


# Collation


def item(length: int | None, target: list[float] | None = None, name: str = "x") -> Item:
    waveform = None if length is None else torch.full((length,), 1.0)
    return Item(waveform, length or 0, None if target is None else torch.tensor(target, dtype=torch.float32), 5, name)


def test_collation_pads() -> None:
    for pad_to, width in ((None, 4), (6, 6)):
        batch = Collate(pad_to)([item(4, [0, 1]), item(2, [1, 0])])
        assert batch.waveform.shape == (2, width)
        assert batch.waveform.sum(1).tolist() == [4, 2]
        assert batch.waveform[1, :2].tolist() == [1, 1]
        assert batch.num_samples.tolist() == [4, 2]
        assert batch.target is not None
        assert batch.target.tolist() == [[0, 1], [1, 0]]
        assert batch.ids.tolist() == [5, 5]
        assert len(batch) == 2


def test_collation_leaves_out_what_cannot_be_used() -> None:
    batch = Collate(None)([item(None, [0, 1], "bad"), item(3, [1, 0], "good")])
    assert batch.names == ("good",)
    assert batch.target is not None
    assert batch.target.tolist() == [[1, 0]]
    empty = Collate(8)([item(None, [0, 1])])
    assert len(empty) == 0
    assert empty.waveform.shape == (0, 8)
    assert empty.target is not None
    assert empty.target.shape == (0, 2)
    assert Collate(None)([item(None)]).target is None
