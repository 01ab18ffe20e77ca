"""Every finding about single clips, on a clip that has it; and none on a clip that has nothing."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.unit.audit_sounds import RATE, as_mp3, music, noise, write
from zoo.data.audit import listen as module
from zoo.data.audit.clip_checks import Needs, check_clip
from zoo.data.audit.finding import KINDS, Finding
from zoo.data.audit.listen import Stretch, listen
from zoo.data.clip import Clip
from zoo.use.audit import audit_manifests

NEEDS = Needs(sample_rate=16_000, frame_samples=400, patch_samples=2_800)


def _kinds(path: Path, **clip: Any) -> set[str]:
    stretch = Stretch(path, clip.get("start"), clip.get("stop"))
    return {found.kind for found in check_clip(Clip(path, "clip", **clip), listen(stretch), NEEDS)}


def _clipped(share: float) -> np.ndarray:
    wave = music(0, 1.0)
    level = np.quantile(np.abs(wave), 1 - share)
    return np.clip(wave / level, -1, 1).astype(np.float32)


PLANTED = {
    "silent": lambda path: write(path, np.zeros(RATE, np.float32)),
    "quiet": lambda path: write(path, 1e-3 * music(0, 1.0), subtype="FLOAT"),
    "clipped": lambda path: write(path, _clipped(0.02)),
    "dc-offset": lambda path: write(path, 0.5 * music(0, 1.0) + 0.05),
    "no-frame": lambda path: write(path, music(0, 1.0)[:390]),
    "no-patch": lambda path: write(path, music(0, 1.0)[:2_700]),
    "odd-rate": lambda path: write(path, music(0, 1.0), rate=17_123),
    "many-channels": lambda path: write(path, np.stack([music(0, 1.0)] * 3, 1)),
    "narrow": lambda path: write(path, music(0, 1.0), rate=8_000),
    "mostly-silent": lambda path: write(path, np.concatenate([music(0, 1.0), np.zeros(2 * RATE, np.float32)])),
    "beyond-full-scale": lambda path: write(path, 6 * music(0, 1.0), subtype="FLOAT"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_every_finding_about_a_clip(tmp_path: Path, kind: str) -> None:
    PLANTED[kind](tmp_path / "clip.wav")
    expected = {kind, "clipped"} if kind == "beyond-full-scale" else {kind}
    assert _kinds(tmp_path / "clip.wav") == expected


@pytest.mark.parametrize("make", [music, noise])
def test_a_good_clip_has_no_finding(tmp_path: Path, make: Any) -> None:
    wave = make(0, 2.0)
    assert _kinds(write(tmp_path / "a.wav", wave)) == set()
    assert _kinds(write(tmp_path / "peak.wav", wave / np.abs(wave).max())) == set()  # normalised is not clipped
    assert _kinds(as_mp3(tmp_path / "a.mp3", wave)) == set()
    assert _kinds(tmp_path / "a.wav", start=0.5, stop=2.0) == set()


def test_a_full_scale_tone_is_not_clipped(tmp_path: Path) -> None:
    for hertz in (50, 440, 3_000):
        wave = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
        assert _kinds(write(tmp_path / f"{hertz}.wav", wave, subtype="PCM_16")) == set()


def test_what_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no audio\n" * 99)
    soundfile.write(tmp_path / "nan.wav", np.full(8_000, np.nan, np.float32), RATE, subtype="FLOAT")
    (tmp_path / "folder.wav").mkdir()
    write(tmp_path / "late.wav", music(0, 1.0))
    for name, reason in {
        "empty.wav": "zero bytes",
        "text.wav": "not audio",
        "nan.wav": "NaN",
        "folder.wav": "a directory",
        "gone.wav": "missing",
    }.items():
        (found,) = check_clip(Clip(tmp_path / name, name), listen(Stretch(tmp_path / name)), NEEDS)
        assert found.kind == "unreadable"
        assert reason in found.text
    assert _kinds(tmp_path / "late.wav", start=5.0) == {"unreadable"}
    assert _kinds(tmp_path / "late.wav", start=0.5, stop=4.0) == {"short-stretch"}


def test_a_file_that_was_cut_is_truncated(tmp_path: Path) -> None:
    path = as_mp3(tmp_path / "a.mp3", noise(0, 3.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert _kinds(path) == {"truncated"}
    path = write(tmp_path / "a.flac", noise(0, 3.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for size in (1 << 24, 4_000):
        heard = listen(Stretch(path), block=size)
        assert "truncated" in heard.oddities
        assert 1.0 < heard.seconds < 2.0


def test_damage_in_a_later_block_makes_a_clip_unreadable(tmp_path: Path) -> None:
    wave = noise(0, 2.0)
    wave[-10] = np.nan
    heard = listen(Stretch(write(tmp_path / "a.wav", wave, subtype="FLOAT")), block=4_000)
    assert heard.reason == "NaN or Inf among the samples"


def test_an_hour_fits_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes of it are printed, and nothing is ever as large as the whole: 58 MB as 32-bit numbers."""
    part = np.tile(noise(0, 4.0)[::4], 900)  # one hour at 4 kHz
    path = write(tmp_path / "hour.flac", part, rate=4_000, subtype="PCM_16")
    monkeypatch.setattr(module, "MAX_SECONDS", 20.0)
    tracemalloc.start()
    heard = listen(Stretch(path), block=1 << 17)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heard.seconds == 3_600
    assert peak < 20e6, peak
    found = {one.kind for one in check_clip(Clip(path, "hour"), heard, NEEDS)}
    assert found == {"very-long", "odd-rate", "narrow"}


def test_every_kind_is_known_and_no_other() -> None:
    with pytest.raises(AssertionError):
        Finding("nonsense", "here", "text")
    assert {severity for severity, _ in KINDS.values()} == {"error", "warning", "note"}


def test_totals_and_the_front_end_decide_what_is_short(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", music(0, 1.0)[:3_000])
    write(tmp_path / "b.flac", music(1, 2.0))
    (tmp_path / "bad.wav").write_bytes(b"")
    report = audit_manifests([str(tmp_path)], unlabelled=True, workers=0)
    totals = report["totals"]
    assert (totals["clips"], totals["readable"]) == (3, 2)
    assert totals["formats"] == {"FLAC/PCM_16": 1, "WAV/PCM_16": 1}
    assert totals["seconds"] == {"shortest": 0.1875, "median": 1.0938, "longest": 2.0}
    assert [row["kind"] for row in report["kinds"]] == ["unreadable"]
    passt = audit_manifests([str(tmp_path)], unlabelled=True, workers=0, front_end_of="passt")
    assert [row["kind"] for row in passt["kinds"]] == ["unreadable", "narrow"]
