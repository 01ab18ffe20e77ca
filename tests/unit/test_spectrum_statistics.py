"""Mean and deviation over a data set, against numpy over all its frames at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit_sounds import RATE, music, noise, write
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.decode import decode
from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig
from zoo.audio.unnormalised import without_normalisation
from zoo.data import spectrum_statistics as module
from zoo.data.clip import Clip
from zoo.data.moments import Moments
from zoo.data.spectrum_statistics import measure, windows
from zoo.errors import DataError, RecipeError
from zoo.use.stats import data_statistics, front_end_config

KINDS = {**FAMILIES, "clip": AstFrontEndConfig(normalise="clip", n_mels=32)}


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    sounds = {f"{i}.wav": music(i, 0.4 + 0.3 * i) for i in range(4)} | {"n.wav": 0.1 * noise(0, 1.3)}
    sounds["offset.wav"] = noise(1, 0.7) * 0.5 + 0.1
    return [Clip(write(tmp_path / name, wave), name) for name, wave in sounds.items()]


def _by_hand(clips: list[Clip], config: AnyFrontEndConfig) -> np.ndarray:
    """Every frame of every clip alone, normalised as the config says, and that undone: (frames, bands)."""
    front_end, frames = config.build(), []
    for clip in clips:
        waveform = decode(clip.path, config.sample_rate).waveform[None]
        log_mel = front_end(waveform).as_subclass(torch.Tensor)[0].double() * 2 * config.std + config.mean
        frames.append(log_mel.T.numpy())
    return np.concatenate(frames)


@pytest.mark.parametrize("kind", ["ast", "hf", "passt"])
def test_equal_to_all_frames_at_once(clips: list[Clip], kind: str) -> None:
    frames = _by_hand(clips, FAMILIES[kind])
    found = measure(clips, FAMILIES[kind], workers=0)
    assert found.moments.count == len(frames)
    assert found.moments.overall() == pytest.approx((frames.mean(), frames.std()), rel=1e-6)
    means, stds = found.moments.by_band()
    np.testing.assert_allclose(means, frames.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stds, frames.std(0), rtol=1e-5, atol=1e-9)
    assert found.clips == len(found.of_clips) == 6


def test_a_log_mel_is_not_normalised_by_what_is_to_be_measured(clips: list[Clip]) -> None:
    one = measure(clips, AstFrontEndConfig(mean=1.0, std=7.0, n_mels=32), workers=0).moments
    for config in (AstFrontEndConfig(normalise="clip", n_mels=32), AstFrontEndConfig(normalise="none", n_mels=32)):
        other = measure(clips, config, workers=0).moments
        assert torch.equal(one.mean, other.mean)
        assert torch.equal(one.squares, other.squares)


def test_batches_and_workers_change_nothing(clips: list[Clip], monkeypatch: pytest.MonkeyPatch) -> None:
    config = AstFrontEndConfig(n_mels=32)
    many = clips * 11
    whole = measure(many, config, workers=0)
    crew = measure(many, config, workers=2)
    monkeypatch.setattr(module, "_BATCH_CLIPS", 3)
    monkeypatch.setattr(module, "_BATCH_SAMPLES", 40_000)
    few = measure(many, config, workers=0)
    assert torch.equal(whole.moments.mean, crew.moments.mean)
    assert whole.of_clips == crew.of_clips
    assert few.moments.overall() == pytest.approx(whole.moments.overall(), rel=1e-9)


def test_as_source_counts_the_padding(clips: list[Clip]) -> None:
    """Cut or padded to 60 frames: the padding of AST is 0."""
    config = AstFrontEndConfig(n_mels=32)
    rows = []
    for clip in clips:
        own = _by_hand([clip], config)[:60]
        rows.append(np.concatenate([own, np.zeros((60 - len(own), 32))]))
    frames = np.concatenate(rows)
    found = measure(clips, config, n_frames=60, workers=0).moments
    assert found.count == 360
    assert found.overall() == pytest.approx((frames.mean(), frames.std()), rel=1e-6)


@pytest.mark.parametrize("kind", ["ast", "hf", "passt"])
@pytest.mark.parametrize("seconds", [2.0, 1.99, 2.3217])
def test_windows_joined_are_the_whole_clip(tmp_path: Path, kind: str, seconds: float) -> None:
    config = without_normalisation(FAMILIES[kind])
    front_end = config.build()
    rate, hop = config.sample_rate, config.hop_length
    clip = Clip(write(tmp_path / "long.wav", noise(0, seconds + 0.5) + 0.05), "long", start=0.1, stop=0.1 + seconds)
    whole = front_end(decode(clip.path, rate, clip.start, clip.stop).waveform[None]).as_subclass(torch.Tensor)
    for size in (20 * hop, 33 * hop + 7, 500 * hop):
        pieces = list(windows(front_end, clip, size))
        joined = torch.cat([piece for piece, _ in pieces], 2)
        assert joined.shape == whole.shape
        torch.testing.assert_close(joined, whole, rtol=1e-4, atol=1e-3)
        assert pieces[-1][1] == round(seconds * rate)
        assert (len(pieces) > 1) == (size < 100 * hop)


@pytest.mark.parametrize("kind", ["ast", "passt"])
def test_long_clips_are_measured_in_windows(clips: list[Clip], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(clips, FAMILIES[kind], workers=0)
    monkeypatch.setattr(module, "_WINDOW_SECONDS", 0.5)
    monkeypatch.setattr(module, "_WINDOW_SECONDS", 1)
    pieces = measure(clips, FAMILIES[kind], workers=0)
    assert pieces.moments.count == whole.moments.count
    assert pieces.moments.overall() == pytest.approx(whole.moments.overall(), rel=1e-5)
    assert pieces.seconds == pytest.approx(whole.seconds)


def test_what_cannot_be_used_is_told(tmp_path: Path, clips: list[Clip]) -> None:
    (tmp_path / "bad.wav").write_bytes(b"")
    short = write(tmp_path / "short.wav", music(0, 1.0)[:200])
    found = measure([*clips, Clip(tmp_path / "bad.wav", "bad"), Clip(short, "short")], FAMILIES["ast"], workers=0)
    assert [reason for _, reason in found.unusable] == ["zero bytes"]
    assert (found.clips, found.without_frame) == (7, 1)
    assert found.moments.count == measure(clips, FAMILIES["ast"], workers=0).moments.count


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.floats(-1e3, 1e3), st.integers(0, 2**31))
def test_parts_join_exactly(sizes: list[int], offset: float, seed: int) -> None:
    values = offset + np.random.default_rng(seed).standard_normal((sum(sizes), 3))
    joined = Moments.none(3)
    for part in np.split(values, np.cumsum(sizes)[:-1]):
        batch = torch.from_numpy(part.T.copy())[None]
        joined = joined.joined(Moments.of(batch, torch.ones(1, len(part), dtype=torch.bool)))
    assert joined.count == len(values)
    if len(values):
        assert joined.overall() == pytest.approx((values.mean(), values.std()), rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(joined.by_band()[1], values.std(0), atol=1e-9)


def _report(clips: list[Clip], **options: Any) -> dict[str, Any]:
    return data_statistics(str(clips[0].path.parent), workers=0, **options)


def test_the_recipe_lines_normalise_the_set(clips: list[Clip]) -> None:
    report = _report(clips)
    fields = dict(line.removeprefix("front_end.").split("=") for line in report["recipe"])
    config = AstFrontEndConfig(mean=float(fields["mean"]), std=float(fields["std"]))
    frames = np.concatenate(
        [config.build()(decode(c.path, RATE).waveform[None]).as_subclass(torch.Tensor)[0].T.numpy() for c in clips]
    )
    assert frames.mean() == pytest.approx(0.0, abs=1e-4)
    assert frames.std() == pytest.approx(0.5, abs=1e-4)
    assert "get_norm_stats.py" in report["note"]


def test_a_limit_takes_clips_from_all_over_the_set(clips: list[Clip]) -> None:
    report = _report(clips, limit=3)
    ordered = sorted(clips, key=lambda clip: clip.id)
    expected = measure([ordered[0], ordered[2], ordered[4]], FAMILIES["ast"], workers=0).moments.overall()
    assert (report["mean"], report["std"]) == pytest.approx(expected)


def test_overrides_and_their_mistakes(tmp_path: Path) -> None:
    assert front_end_config("hf", ["n_mels=64", "front_end.f_max=7000"]) == AstFrontEndConfig(
        subtract_mean=False, n_mels=64, f_max=7_000.0
    )
    with pytest.raises(RecipeError, match="did you mean 'n_mels'") as caught:
        front_end_config("ast", ["n_mel=64", "f_min=-1"])
    assert "f_min" in str(caught.value)
    write(tmp_path / "short.wav", music(0, 1.0)[:200])
    with pytest.raises(DataError, match="every clip is too short"):
        data_statistics(str(tmp_path), workers=0)
