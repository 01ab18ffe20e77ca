"""One recording is found after a codec, gain, shift, cut or another rate; different sounds of one kind are not."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.audit_sounds import RATE, Sound, as_mp3, music, noise, speech, write
from zoo.audio.resample import resample
from zoo.data.audit import candidates as module
from zoo.data.audit.candidates import MIN_VOTES, find_candidates
from zoo.data.audit.correlate import match
from zoo.data.audit.fingerprint import HOP_LENGTH, SAMPLE_RATE, TIME_BITS, fingerprint
from zoo.data.audit.listen import Stretch, listen, low_waveform
from zoo.use.audit import audit_manifests

Found = list[dict[str, Any]]


def _at(wave: Sound, rate: int) -> Sound:
    return resample(torch.from_numpy(wave), RATE, rate).numpy()


def _pairs(report: dict[str, Any], *kinds: str) -> list[tuple[str, str]]:
    wanted = kinds or ("leak", "near-leak", "duplicate", "near-duplicate", "steady-tone")
    return [(f["clip"], f["other_clip"]) for f in report["findings"] if f["kind"] in wanted]


@pytest.fixture
def audited(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The report on a manifest of rows (file, fold, label)."""

    def run(*rows: tuple[str, object, str], workers: int = 0, **options: Any) -> dict[str, Any]:
        table = "path,fold,label\n" + "".join(f"{name},{fold},{label}\n" for name, fold, label in rows)
        (tmp_path / "meta.csv").write_text(table)
        return audit_manifests([str(tmp_path / "meta.csv")], workers=workers, **options)

    return run


@pytest.mark.parametrize("kind", [noise, music, speech], ids=lambda kind: kind.__name__)
def test_the_planted_copy_is_found(tmp_path: Path, audited: Callable[..., dict[str, Any]], kind: Any) -> None:
    """An mp3 at half the gain, shifted by half a second, in another fold: among ten other clips of its kind."""
    clips = [kind(seed, seconds=3.0) for seed in range(10)]
    for seed, wave in enumerate(clips):
        write(tmp_path / f"{seed}.wav", wave)
    late = np.concatenate([np.zeros(RATE // 2, np.float32), clips[3]])[: len(clips[3])]
    as_mp3(tmp_path / "copy.mp3", 0.5 * late)
    report = audited(*((f"{i}.wav", i % 5, "a") for i in range(10)), ("copy.mp3", 1, "a"))
    assert _pairs(report) == [("3.wav", "copy.mp3")]
    (leak,) = [f for f in report["findings"] if f["kind"] == "near-leak"]
    assert leak["severity"] == "error"
    assert leak["data"]["across"] == "fold 3 and 1"
    assert leak["data"]["correlation"] > 0.9
    # An mp3 begins with up to 0.07 s of the encoder's own.
    assert 0.5 <= leak["data"]["offset"] <= 0.58
    assert 2.0 <= leak["data"]["shared_seconds"] <= 2.6


CHANGES = {
    "cut at the beginning": lambda path, wave: write(path, wave[RATE // 2 + 37 :]),
    "a second from the middle": lambda path, wave: write(path, wave[RATE + 11 : 2 * RATE + 11]),
    "louder, turned over": lambda path, wave: write(path, -2.0 * wave),
    "44.1 kHz": lambda path, wave: write(path, _at(wave, 44_100), 44_100),
    "8 kHz": lambda path, wave: write(path, _at(wave, 8_000), 8_000),
    "low bit rate": lambda path, wave: as_mp3(path, wave, compression=0.9),
    "opus": lambda path, wave: write(path, wave, format="OGG", subtype="OPUS"),
    "within another": lambda path, wave: write(path, np.concatenate([music(99, 2.0), wave, noise(98, 2.0)])),
    "noise 20 dB below": lambda path, wave: write(path, wave + 0.1 * wave.std() / 0.1 * noise(97, 4.0)),
}


@pytest.mark.parametrize("kind", [noise, music], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("change", CHANGES)
def test_copies_after_every_change(
    tmp_path: Path, audited: Callable[..., dict[str, Any]], change: str, kind: Callable[..., Sound]
) -> None:
    write(tmp_path / "original.wav", kind(0))
    write(tmp_path / "other.wav", kind(1))
    CHANGES[change](tmp_path / "copy", kind(0))
    report = audited(("original.wav", 1, "a"), ("other.wav", 2, "a"), ("copy", 2, "a"))
    assert _pairs(report, "near-leak") == [("original.wav", "copy")]


def test_different_sounds_of_one_kind_are_not_one_recording(
    tmp_path: Path, audited: Callable[..., dict[str, Any]]
) -> None:
    rows = []
    time = np.arange(2 * RATE) / RATE
    chords = {name: [220 * 2 ** (n / 12) for n in notes] for name, notes in {"C": (0, 4, 7), "F": (5, 9, 12)}.items()}
    sounds = {f"noise{i}": noise(i, 2.0) for i in range(8)} | {f"music{i}": music(i, 2.0) for i in range(8)}
    sounds |= {f"word{i}": speech(i, 1.0, word=0) for i in range(12)}
    sounds |= {f"word{i}": speech(i, 1.0, word=1) for i in range(12, 16)}
    sounds |= {f"tone{hertz}": 0.3 * np.sin(2 * np.pi * hertz * time) for hertz in (440, 466, 880)}
    sounds |= {f"chord{k}": 0.1 * sum(np.sin(2 * np.pi * f * time) for f in fs) for k, fs in chords.items()}
    for place, (name, wave) in enumerate(sounds.items()):
        write(tmp_path / f"{name}.wav", wave.astype(np.float32))
        rows.append((f"{name}.wav", place % 2, "a"))
    report = audited(*rows)
    assert _pairs(report) == []
    assert report["compared"]["fingerprints"] == len(sounds)


def test_a_steady_tone_is_a_note_and_no_leak(tmp_path: Path, audited: Callable[..., dict[str, Any]]) -> None:
    """Two recordings of one tone agree at every period: nobody can tell from the samples whether they are one."""
    time = np.arange(3 * RATE) / RATE
    swell = 1 + 0.2 * np.sin(2 * np.pi * 3 * time)
    tones = sum(np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, 12))
    write(tmp_path / "a.wav", (0.1 * swell * tones).astype(np.float32))
    write(tmp_path / "b.wav", (0.05 * swell * tones).astype(np.float32))
    report = audited(("a.wav", 1, "a"), ("b.wav", 2, "a"))
    assert _pairs(report) == _pairs(report, "steady-tone") == [("a.wav", "b.wav")]
    assert all(row["severity"] != "error" for row in report["kinds"])


def test_the_same_samples_in_other_formats(tmp_path: Path, audited: Callable[..., dict[str, Any]]) -> None:
    wave = (32_767 * music(0, 1.0)).astype(np.int16)
    write(tmp_path / "a.wav", wave)
    write(tmp_path / "a.flac", wave)
    write(tmp_path / "stereo.wav", np.stack([wave, wave], 1))
    write(tmp_path / "slow.wav", wave, rate=8_000)
    write(tmp_path / "silent1.wav", np.zeros(RATE, np.float32))
    write(tmp_path / "silent2.wav", np.zeros(RATE, np.float32))
    rows = [("a.wav", 1, "a"), ("a.flac", 1, "a"), ("stereo.wav", 2, "b"), ("slow.wav", 1, "a")]
    report = audited(*rows, ("silent1.wav", 1, "a"), ("silent2.wav", 2, "a"))
    assert _pairs(report, "duplicate") == [("a.flac", "a.wav")]
    assert _pairs(report, "leak") == [("stereo.wav", "a.wav"), ("slow.wav", "stereo.wav")]
    assert _pairs(report, "other-rate") == [("slow.wav", "a.wav")]
    assert _pairs(report, "conflicting-labels") == [("stereo.wav", "a.wav")]
    assert not [pair for pair in _pairs(report) if "silent" in str(pair)]


def test_a_twin_of_a_near_duplicate_on_the_other_side_is_a_leak(
    tmp_path: Path, audited: Callable[..., dict[str, Any]]
) -> None:
    """Near-duplicates on one side, and the same samples as one of them on the other side."""
    write(tmp_path / "a.wav", music(0))
    write(tmp_path / "b.wav", 0.5 * music(0)[800:])
    write(tmp_path / "c.wav", 0.5 * music(0)[800:])
    report = audited(("a.wav", 1, "a"), ("b.wav", 1, "a"), ("c.wav", 2, "a"))
    assert _pairs(report, "near-leak") == [("a.wav", "c.wav")]
    assert _pairs(report, "leak") == [("c.wav", "b.wav")]


def test_stretches_of_one_file(tmp_path: Path) -> None:
    write(tmp_path / "long.wav", music(0, 6.0))
    table = "path,split,start,stop,group\n"
    table += "long.wav,train,0,2,g\nlong.wav,train,1.5,3,g\nlong.wav,test,2.5,4,g\nlong.wav,test,5,6,g\n"
    (tmp_path / "meta.csv").write_text(table)
    report = audit_manifests([str(tmp_path / "meta.csv")], unlabelled=True, workers=0)
    told = {
        (f["kind"], f["where"].rsplit(":")[-1], f["other"].rsplit(":")[-1]) for f in report["findings"] if "other" in f
    }
    assert told == {
        ("same-stretch", "3", "2"),
        ("stretch-leak", "4", "3"),
        ("shared-file", "5", "2"),
        ("shared-group", "2", "4"),
    }


def test_manifests_are_sides(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(0, 2.0))
    write(tmp_path / "b.wav", 0.7 * noise(0, 2.0))
    for name, clip in (("train", "a"), ("eval", "b")):
        (tmp_path / f"{name}.csv").write_text(f"path,label\n{clip}.wav,rain\n")
    report = audit_manifests([str(tmp_path / "train.csv"), str(tmp_path / "eval.csv")], workers=0)
    (leak,) = [f for f in report["findings"] if f["kind"] == "near-leak"]
    assert leak["data"]["across"] == "manifest train and eval"
    assert report["balance"]["classes"][0]["sides"] == {"manifest": {"eval": 1, "train": 1}}


def test_workers_change_nothing(tmp_path: Path, audited: Callable[..., dict[str, Any]]) -> None:
    rows = []
    for i in range(80):
        write(tmp_path / f"{i}.wav", noise(i // 2, 1.0)[: RATE - 160 * (i % 2)])
        rows.append((f"{i}.wav", i % 3, "a"))
    alone, crew = audited(*rows, workers=1), audited(*rows, workers=2)
    assert alone == crew
    assert len(_pairs(alone)) == 40


def _by_hand(prints: list[Any]) -> dict[tuple[int, int], int]:
    """The most votes of every pair for a shift or the two shifts that are one frame apart."""
    best = {}
    for one, two in itertools.combinations(range(len(prints)), 2):
        cast: dict[int, int] = {}
        for a in prints[one].tolist():
            for b in prints[two].tolist():
                if a >> TIME_BITS == b >> TIME_BITS:
                    shift = (b & 0xFFFF) - (a & 0xFFFF)
                    cast[shift] = cast.get(shift, 0) + 1
        votes = max((count + cast.get(shift + 1, 0) for shift, count in cast.items()), default=0)
        if votes >= MIN_VOTES:
            best[one, two] = votes
    return best


def test_candidates_are_those_of_every_two_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    prints = []
    for _ in range(12):
        hashes = np.unique(rng.integers(0, 300, 60)).astype(np.uint64)
        prints.append((hashes << np.uint64(TIME_BITS)) | rng.integers(0, 6, len(hashes)).astype(np.uint64))
    expected = _by_hand(prints)
    assert 3 < len(expected) < 66
    for at_once, a_slice in ((10_000, 1 << 22), (50, 1 << 22), (1_000, 17)):
        monkeypatch.setattr(module, "_SLICE", a_slice)
        found = find_candidates(prints, at_once)
        pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
        assert dict(zip(pairs, found.votes.tolist(), strict=True)) == expected


def test_a_hash_of_very_many_clips_costs_no_square() -> None:
    """2,000 clips of the same 50 hashes are two million pairs; each clip is held against its neighbours alone."""
    same = (np.arange(1, 51, dtype=np.uint64) << np.uint64(TIME_BITS)) | np.uint64(3)
    found = find_candidates([same] * 2_000)
    assert len(found) <= 2_000 * module.PAIRS_A_CLIP
    assert found.crowded == 50
    linked = np.zeros(2_000, bool)
    linked[found.first], linked[found.second] = True, True
    assert linked.all()


def test_a_large_set_has_fewer_pairs_a_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    same = np.arange(1, 9, dtype=np.uint64) << np.uint64(TIME_BITS)
    everything = len(find_candidates([same] * 10))
    monkeypatch.setattr(module, "PAIRS_IN_ALL", 20)
    assert everything == 45
    assert len(find_candidates([same] * 10)) == 24  # those of the first three clips: 9 + 8 + 7


def test_a_clip_has_a_best_pair_whatever_the_others_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_A_CLIP", 1)
    names = [range(0, 9), range(0, 8), range(0, 7), range(3, 9)]
    prints = [np.array(name, np.uint64) << np.uint64(TIME_BITS) for name in names]
    found = find_candidates(prints)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3)]


def test_the_offset_is_exact_to_a_fraction_of_a_sample() -> None:
    wave = noise(0, 3.0)
    late = np.concatenate([np.zeros(1_003, np.float32), wave])
    low = [resample(torch.from_numpy(one), RATE, SAMPLE_RATE).numpy() for one in (wave, late)]
    found = match(low[0], low[1], 4 * HOP_LENGTH)
    assert found is not None
    assert found.offset == pytest.approx(1_003 / RATE, abs=1.5 / 8 / SAMPLE_RATE)
    assert found.correlation > 0.98  # half a sample of 8 kHz apart: resampling differs close to 4 kHz
    assert match(low[0], low[1], 40 * HOP_LENGTH) is None


def test_a_common_stretch_within_other_sounds_is_found() -> None:
    shared = music(0, 1.6)
    one = np.concatenate([noise(1, 1.5), shared, noise(2, 1.5)])
    two = np.concatenate([noise(3, 1.0), shared, noise(4, 2.0)])
    low = [resample(torch.from_numpy(wave), RATE, SAMPLE_RATE).numpy() for wave in (one, two)]
    found = match(low[0], low[1], -SAMPLE_RATE // 2)
    assert found is not None
    assert found.offset == pytest.approx(-0.5, abs=1e-3)
    assert 1.0 <= found.shared <= 1.75


def test_fingerprints_do_not_hear_the_gain() -> None:
    wave = torch.from_numpy(_at(music(0), SAMPLE_RATE))
    quiet, loud = fingerprint(4 * wave), fingerprint(wave)
    assert len(np.intersect1d(quiet, loud)) > 0.9 * len(loud)  # the rest is at the edge of what is loud enough
    assert len(fingerprint(torch.zeros(SAMPLE_RATE))) == 0
    assert len(fingerprint(torch.zeros(0))) == 0


def test_blocks_give_what_the_whole_gives(tmp_path: Path) -> None:
    """A clip of hours is heard in blocks: the same numbers, and the same waveform for its fingerprint."""
    path = write(tmp_path / "a.flac", np.concatenate([noise(0, 3.0), np.zeros(900, np.float32)]), subtype="PCM_16")
    for start, stop in ((None, None), (0.3, None), (0.21, 2.9), (1.0, 9.0)):
        whole, blocks = (listen(Stretch(path, start, stop), block=size) for size in (1 << 24, 5_000))
        assert blocks.digest == whole.digest
        assert (blocks.num_samples, blocks.peak, blocks.clipped) == (whole.num_samples, whole.peak, whole.clipped)
        assert (blocks.sound_begins, blocks.sound_ends) == (whole.sound_begins, whole.sound_ends)
        assert blocks.mean == pytest.approx(whole.mean, abs=1e-9)
        assert blocks.rms == pytest.approx(whole.rms, rel=1e-9)
        assert len(np.intersect1d(blocks.prints, whole.prints)) > 0.98 * len(whole.prints)
        np.testing.assert_allclose(
            low_waveform(Stretch(path, start, stop), 5_000), low_waveform(Stretch(path, start, stop)), atol=1e-7
        )
