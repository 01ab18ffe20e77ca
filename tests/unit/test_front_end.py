"""What every kind of front end promises; and AST's: torchaudio's numbers but for rounding, and released padding."""

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from zoo.audio import front_end as module
from zoo.audio import pieces
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.front_end import FrontEnd
from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig, parse_front_end
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.audio.picture import band_frequencies
from zoo.draws import random_keys
from zoo.errors import RecipeError, ShapeError
from zoo.recipe import dump_recipe, parse_recipe

MEAN, STD = -4.2677393, 4.5689974

EVERY_KIND: dict[str, AnyFrontEndConfig] = {
    **FAMILIES,
    "padded after normalising": AstFrontEndConfig(pad="after_normalise"),
    "normalised per clip": AstFrontEndConfig(normalise="clip"),
    "not normalised": AstFrontEndConfig(normalise="none"),
    "short hops": PasstFrontEndConfig(hop_length=100, n_mels=40),
}
PADDING = {
    "ast": -MEAN / (2 * STD),
    "hf": -MEAN / (2 * STD),
    "passt": (math.log(1e-5) + 4.5) / 5,
    "padded after normalising": 0.0,
    "normalised per clip": 0.0,
    "not normalised": 0.0,
    "short hops": (math.log(1e-5) + 4.5) / 5,
}
"""What the frames after a clip's last hold."""

ROUNDING = 4e-6
"""Of a log-mel, which is within 16 of 0, so that its float32 neighbours are up to 9.5e-7 away.

The power of a bin is some sums and a product, that of a band is a sum without cancellation of some dozen of them: its
parts in a thousand million are what the log adds. The greatest difference seen is 9.5e-7, one neighbour.
"""

each_kind = pytest.mark.parametrize("name", list(EVERY_KIND))


def _build(**changes: object) -> FrontEnd:
    return AstFrontEndConfig.model_validate(changes).build()


def _plain(**changes: object) -> FrontEnd:
    """Without normalising: (x - 0) / (2 * 0.5)."""
    return _build(mean=0.0, std=0.5, **changes)


def _kaldi(waveform: Tensor, **changes: object) -> Tensor:
    """(mel, frame), as AST's released code calls it."""
    options = {
        "htk_compat": True,
        "sample_frequency": 16_000,
        "use_energy": False,
        "window_type": "hanning",
        "num_mel_bins": 128,
        "dither": 0.0,
        "frame_shift": 10,
    }
    return torchaudio.compliance.kaldi.fbank(waveform[None], **(options | changes)).T


def _assert_kaldis(found: Tensor, expected: Tensor, scale: float = 1.0) -> None:
    torch.testing.assert_close(found.as_subclass(Tensor), expected, rtol=0, atol=ROUNDING / scale)


def _speechlike(num_samples: int, seed: int = 0) -> Tensor:
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))
    clock = torch.arange(num_samples) / 16_000
    return 0.05 * noise + 0.3 * torch.sin(2 * math.pi * 440 * clock) * torch.sin(2 * math.pi * 2 * clock) + 0.01


def _batch() -> tuple[Tensor, Tensor, list[Tensor]]:
    clips = [_speechlike(n, seed) for seed, n in enumerate([16_000, 9_999, 400, 399, 1, 560])]
    batch = torch.zeros(len(clips), 16_000)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return batch, torch.tensor([len(clip) for clip in clips]), clips


@each_kind
def test_what_lies_behind_a_clip_has_no_influence_at_all(name: str) -> None:
    batch, num_samples, _ = _batch()
    front_end = EVERY_KIND[name].build()
    for n_frames in (None, 70):
        clean = front_end(batch, num_samples, n_frames)
        for rubbish in (7.0, math.nan, math.inf, -1e30):
            dirty = batch.clone()
            for row, count in zip(dirty, num_samples.tolist(), strict=True):
                row[count:] = rubbish
            assert torch.equal(front_end(dirty, num_samples, n_frames), clean)


@each_kind
def test_a_clip_in_a_batch_equals_the_clip_alone(name: str) -> None:
    batch, num_samples, clips = _batch()
    front_end = EVERY_KIND[name].build()
    log_mel = front_end(batch, num_samples)
    assert log_mel.shape[2] == front_end.num_frames(batch.shape[1])
    for row, clip in zip(log_mel, clips, strict=True):
        alone = front_end(clip[None])[0]
        assert alone.shape[1] == front_end.num_frames(len(clip))
        assert torch.equal(row[:, : alone.shape[1]], alone)
        behind = row[:, alone.shape[1] :]
        torch.testing.assert_close(behind, torch.full_like(behind, PADDING[name]))


@each_kind
def test_a_stated_width_does_not_depend_on_the_batch(name: str) -> None:
    batch, num_samples, clips = _batch()
    front_end = EVERY_KIND[name].build()
    log_mel = front_end(batch, num_samples, 70)
    for row, clip in zip(log_mel, clips, strict=True):
        assert torch.equal(row, front_end(clip[None], n_frames=70)[0])


@each_kind
@settings(max_examples=20, deadline=None)
@given(num_samples=st.integers(0, 3_000), n_frames=st.integers(0, 30) | st.none())
def test_the_width(name: str, num_samples: int, n_frames: int | None) -> None:
    front_end = EVERY_KIND[name].build()
    log_mel = front_end(torch.zeros(2, num_samples), n_frames=n_frames)
    assert log_mel.shape == (2, front_end.n_mels, front_end.num_frames(num_samples) if n_frames is None else n_frames)
    assert log_mel.isfinite().all()


@each_kind
@settings(max_examples=50, deadline=None)
@given(number=st.integers(0, 200_000))
def test_num_frames_undoes_num_samples(name: str, number: int) -> None:
    front_end = EVERY_KIND[name].build()
    assert front_end.num_frames(front_end.num_samples(number)) == number
    several = torch.tensor([0, 1, 399, number])
    assert front_end.num_frames(several).tolist() == [front_end.num_frames(n) for n in several.tolist()]
    assert front_end.num_samples(several).tolist() == [front_end.num_samples(n) for n in several.tolist()]
    assert front_end.num_frames(0) == front_end.num_frames(-5) == front_end.num_samples(0) == 0


@each_kind
@pytest.mark.parametrize("numbers", [1, 30_000, 70_000])
def test_the_size_of_the_pieces_changes_nothing(name: str, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces that end within a clip, and pieces of several clips; of 1 number: as few frames as there may be."""
    batch, num_samples, _ = _batch()
    keys = random_keys(len(batch))
    front_end = EVERY_KIND[name].build()
    at_once = front_end(batch, num_samples, keys=keys)
    monkeypatch.setattr(pieces, "_NUMBERS", numbers)
    assert torch.equal(front_end(batch, num_samples, keys=keys), at_once)
    assert front_end(batch[:0]).shape == (0, front_end.n_mels, front_end.num_frames(16_000))


@each_kind
def test_whole_clips_at_once_give_the_same_but_for_rounding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a device, and of a CPU where a gradient is wanted."""
    batch, num_samples, _ = _batch()
    keys = random_keys(len(batch))
    front_end = EVERY_KIND[name].build()
    for n_frames in (None, 0, 70, 130):
        for drawn in (None, keys):
            in_pieces = front_end(batch, num_samples, n_frames, drawn)
            at_once = front_end(batch.clone().requires_grad_(), num_samples, n_frames, drawn)
            assert at_once.requires_grad or n_frames == 0
            torch.testing.assert_close(at_once.detach(), in_pieces, rtol=0, atol=ROUNDING)
            with monkeypatch.context() as changed:
                changed.setattr(module, "_CPU_SAMPLES", 5_000)
                few = front_end(batch.clone().requires_grad_(), num_samples, n_frames, drawn)
            torch.testing.assert_close(few.detach(), at_once.detach(), rtol=0, atol=ROUNDING)
    assert front_end(batch[:0].requires_grad_()).shape == (0, front_end.n_mels, front_end.num_frames(16_000))


@each_kind
def test_the_gradient_is_that_of_the_numbers(name: str) -> None:
    """Against the slope between two points, in a direction at random."""
    front_end = EVERY_KIND[name].build()
    waveform = 10 * torch.stack([_speechlike(4_000), _speechlike(4_000, 1)])
    weight = torch.randn(2, front_end.n_mels, 30, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(waveform.shape, generator=torch.Generator().manual_seed(1))
    num_samples = torch.tensor([4_000, 3_000])

    def total(step: float) -> Tensor:
        return (front_end(waveform + step * direction, num_samples, 30).double() * weight).sum()

    waveform.requires_grad_()
    total(0.0).backward()
    assert waveform.grad is not None
    found = (waveform.grad.double() * direction).sum()
    with torch.no_grad():
        slope = (total(1e-3) - total(-1e-3)) / 2e-3
    torch.testing.assert_close(found, slope, rtol=1e-2, atol=0)


@each_kind
def test_autocast_changes_nothing(name: str) -> None:
    waveform = _speechlike(8_000)[None]
    front_end = EVERY_KIND[name].build()
    expected = front_end(waveform)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = front_end(waveform)
        half = front_end(waveform.bfloat16())
    assert torch.equal(found, expected)
    assert half.dtype == torch.float32


@each_kind
def test_it_runs_on_the_meta_device(name: str) -> None:
    front_end = EVERY_KIND[name].build().to("meta")
    num_samples = torch.zeros(3, dtype=torch.int64, device="meta")
    log_mel = front_end(torch.zeros(3, 16_000, device="meta"), num_samples, 128, num_samples)
    assert log_mel.shape == (3, front_end.n_mels, 128)


@each_kind
def test_it_adds_nothing_to_a_checkpoint(name: str) -> None:
    front_end = EVERY_KIND[name].build()
    assert not front_end.state_dict()
    assert not list(front_end.parameters())


@each_kind
def test_a_waveform_without_a_batch_axis_is_refused(name: str) -> None:
    with pytest.raises(ShapeError, match=r"waveform: found 1 axes \(8000,\) - expected 2 .* waveform\[None\]"):
        EVERY_KIND[name].build()(torch.zeros(8_000))


@pytest.mark.gpu
@each_kind
def test_on_the_device(name: str) -> None:
    batch, num_samples, _ = _batch()
    keys = random_keys(len(batch))
    here, there = EVERY_KIND[name].build(), EVERY_KIND[name].build().cuda()
    found = there(batch.cuda(), num_samples.cuda(), keys=keys.cuda()).cpu()
    torch.testing.assert_close(found, here(batch, num_samples, keys=keys), rtol=0, atol=2e-3)


@each_kind
def test_a_config_comes_back_from_plain_values(name: str) -> None:
    config = EVERY_KIND[name]
    assert parse_front_end(config.model_dump(mode="json")) == config


def test_a_config_without_kind_is_asts() -> None:
    assert parse_front_end({"n_mels": 64}) == AstFrontEndConfig(n_mels=64)
    with pytest.raises(ValidationError, match="does not match any of the expected tags: 'ast', 'passt'"):
        parse_front_end({"kind": "pasta"})


def test_the_bands_of_a_picture_lie_between_the_edges() -> None:
    assert AstFrontEndConfig().band_limits == (20.0, 8_000.0)
    assert PasstFrontEndConfig().band_limits == (0.0, 15_000.0)
    assert AstFrontEndConfig(f_max=4_000.0).band_limits == PasstFrontEndConfig(f_min=20, f_max=4_000).band_limits
    for config in EVERY_KIND.values():
        low, high = config.band_limits
        centres = band_frequencies(config)
        assert low < centres[0] < centres[-1] < high
        assert (np.diff(centres) > 0).all()


RECIPE = """
name: x
model: {kind: passt, embed_dim: 24, depth: 1, num_heads: 3, n_frames: 200, num_classes: 2}
objective: {kind: classification}
data: {task: single-label}
train: {epochs: 1, batch_size: 2}
"""


def test_the_kind_of_a_recipe() -> None:
    assert parse_recipe(RECIPE, "x").front_end == AstFrontEndConfig()
    assert parse_recipe(RECIPE + "front_end: {n_fft: 1024}\n", "x").front_end == AstFrontEndConfig(n_fft=1024)
    passt = parse_recipe(RECIPE, "x", ["front_end.kind=passt", "front_end.f_min_range=1"])
    assert passt.front_end == PasstFrontEndConfig(f_min_range=1)
    assert parse_recipe(dump_recipe(passt), "x") == passt


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("{kind: pasta}", "x:7: front_end.kind: unknown kind 'pasta'; did you mean 'passt'? Known: ast, passt"),
        ("{kind: passt, window: povey}", "x:7: front_end.window: unknown key"),
        ("{f_max_range: 5}", "x:7: front_end.f_max_range: unknown key"),
        ("{kind: passt, f_max: 15500.0}", "x:7: front_end.f_max_range: found 2000, which takes f_max (15500.0) to"),
        ("{pad: never}", "x:7: front_end.pad: expected 'before_normalise' or 'after_normalise', got 'never'"),
    ],
)
def test_a_wrong_section_says_so(section: str, text: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_recipe(f"{RECIPE}front_end: {section}\n", "x")
    assert text in str(error.value)


@pytest.mark.parametrize("num_samples", [400, 559, 560, 16_000, 12_345, 160_000])
def test_it_is_kaldi_but_for_rounding(num_samples: int) -> None:
    waveform = _speechlike(num_samples)
    _assert_kaldis(_plain(subtract_mean=False)(waveform[None])[0], _kaldi(waveform))
    centred = waveform - waveform.mean()
    _assert_kaldis(_plain()(waveform[None])[0], _kaldi(centred))
    official = (_kaldi(centred) - MEAN) / (STD * 2)
    _assert_kaldis(_build()(waveform[None])[0], official, 2 * STD)


@pytest.mark.parametrize("loudness", [1e-8, 1e-5, 1e-3, 1.0])
def test_quiet_bands_are_kaldis_too(loudness: float) -> None:
    """A pure tone: in most bands there is nothing but the rounding of the samples, which must then be the same."""
    tone = loudness * torch.sin(2 * math.pi * 440 * torch.arange(16_000) / 16_000)
    _assert_kaldis(_plain(subtract_mean=False)(tone[None])[0], _kaldi(tone))


@pytest.mark.parametrize(
    ("ours", "kaldis"),
    [
        ({"window": "hamming"}, {"window_type": "hamming"}),
        ({"window": "povey"}, {"window_type": "povey"}),
        ({"n_mels": 64}, {"num_mel_bins": 64}),
        ({"f_min": 50.0, "f_max": 7_000.0}, {"low_freq": 50.0, "high_freq": 7_000.0}),
        (
            {"sample_rate": 32_000, "hop_length": 320, "win_length": 800, "n_fft": 1_024},
            {"sample_frequency": 32_000},
        ),
        ({"win_length": 512}, {"frame_length": 32.0}),
    ],
)
def test_other_settings_are_kaldis_too(ours: dict[str, object], kaldis: dict[str, object]) -> None:
    waveform = _speechlike(8_000)
    _assert_kaldis(_plain(subtract_mean=False, **ours)(waveform[None])[0], _kaldi(waveform, **kaldis))


def test_known_numbers() -> None:
    """Run with torchaudio 2.11: 0.5 sin(2 pi 440 t) + 0.1 sin(2 pi 3000 t), less its mean."""
    clock = np.arange(16_000) / 16_000
    wave = 0.5 * np.sin(2 * np.pi * 440 * clock) + 0.1 * np.sin(2 * np.pi * 3_000 * clock)
    log_mel = _plain()(torch.from_numpy(wave.astype(np.float32))[None])[0]
    assert log_mel.shape == (128, 98)
    assert log_mel.mean().item() == pytest.approx(-12.09192, abs=1e-3)
    assert log_mel.std().item() == pytest.approx(5.53334, abs=1e-3)
    known = torch.tensor([-0.35965, 3.07933, 3.41858, 3.90881, 3.53650, 1.42561])
    torch.testing.assert_close(log_mel[20:26, 50], known, rtol=0, atol=1e-4)
    assert (log_mel[3] == math.log(torch.finfo(torch.float32).eps)).all()  # no bin lies under this triangle


def test_it_is_the_obvious_formula() -> None:
    """One frame in float64, from the definition."""
    waveform = _speechlike(400)
    frame = waveform.double() - waveform.double().mean()
    frame = frame - 0.97 * torch.cat([frame[:1], frame[:-1]])
    frame = frame * (0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(400) / 399))
    basis = torch.exp(-2j * math.pi * torch.arange(257)[:, None] * torch.arange(400)[None] / 512)
    power = (basis.to(torch.complex128) @ frame.to(torch.complex128)).abs() ** 2
    edges = torch.linspace(1127 * math.log(1 + 20 / 700), 1127 * math.log(1 + 8_000 / 700), 130, dtype=torch.float64)
    mel = 1127 * torch.log(1 + torch.arange(256) * 31.25 / 700)
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        weight = torch.minimum((mel - low) / (centre - low), (high - mel) / (high - centre)).clamp(min=0)
        bands.append((weight * power[:256]).sum())
    expected = torch.stack(bands).clamp(min=torch.finfo(torch.float32).eps).log().float()
    torch.testing.assert_close(_plain()(waveform[None])[0, :, 0], expected, rtol=0, atol=2e-3)


@settings(deadline=None)
@given(st.integers(0, 200_000))
def test_num_frames_and_num_samples_are_inverse(number: int) -> None:
    ast = _build()
    assert ast.num_frames(number) == max(0, (number - 400) // 160 + 1)
    assert ast.num_frames(ast.num_samples(number)) == number
    if number:
        assert ast.num_frames(ast.num_samples(number) - 1) == number - 1  # the smallest
    assert ast.num_samples(ast.num_frames(number)) <= max(number, 0)


def test_num_frames_and_num_samples_of_a_batch() -> None:
    ast = _build()
    numbers = torch.tensor([0, 1, 399, 400, 559, 560, 16_000, 160_000])
    assert ast.num_frames(numbers).tolist() == [ast.num_frames(number) for number in numbers.tolist()]
    assert ast.num_frames(numbers).tolist() == [0, 0, 0, 1, 1, 2, 98, 998]
    assert ast.num_samples(numbers).tolist() == [ast.num_samples(number) for number in numbers.tolist()]


def test_padded_frames_are_zero_before_normalising() -> None:
    """As in the released code, where padding is louder than silence."""
    waveform = _speechlike(16_000)[None]
    padded = _build()(waveform, n_frames=128)
    official = (torch.nn.functional.pad(_kaldi(waveform[0] - waveform[0].mean()), (0, 30)) - MEAN) / (STD * 2)
    _assert_kaldis(padded[0], official, 2 * STD)
    assert torch.equal(padded[0, :, 98:], official[:, 98:])
    assert padded[0, 0, 127].item() == pytest.approx(0.467, abs=1e-3)
    silence = _build()(torch.zeros(1, 16_000))
    assert silence.mean().item() == pytest.approx(-1.278, abs=1e-3)


def test_the_end_is_cut() -> None:
    waveform = _speechlike(16_000)[None]
    assert torch.equal(_build()(waveform, n_frames=50), _build()(waveform)[:, :, :50])
    assert torch.equal(
        _build()(waveform, torch.tensor([5_000]), n_frames=50), _build()(waveform, torch.tensor([5_000]))[:, :, :50]
    )


def test_padded_frames_are_zero_after_normalising() -> None:
    """As in SSAST's code for SUPERB: real frames are what they are, padding is the data set's mean."""
    waveform, num_samples = _speechlike(16_000)[None], torch.tensor([9_000])
    before, after = _build(), _build(pad="after_normalise")
    count = before.num_frames(9_000)
    assert torch.equal(
        after(waveform, num_samples, 128)[:, :, :count], before(waveform, num_samples, 128)[:, :, :count]
    )
    assert (after(waveform, num_samples, 128)[:, :, count:] == 0).all()


def test_not_normalising() -> None:
    """Hugging Face's do_normalize=False."""
    waveform = _speechlike(16_000)
    log_mel = _build(normalise="none", subtract_mean=False)(waveform[None], n_frames=128)
    _assert_kaldis(log_mel[0], torch.nn.functional.pad(_kaldi(waveform), (0, 30)))


@pytest.fixture
def extractors() -> ModuleType:
    """The module of Hugging Face's extractor."""
    return pytest.importorskip(
        "transformers.models.audio_spectrogram_transformer.feature_extraction_audio_spectrogram_transformer",
        reason="transformers is the peer",
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "n_frames"),
    [
        ({}, {}, 1_024),
        ({"max_length": 128, "mean": -6.845978, "std": 5.5654526}, {"mean": -6.845978, "std": 5.5654526}, 128),
        ({"max_length": 30, "num_mel_bins": 64}, {"n_mels": 64}, 30),
        ({"do_normalize": False}, {"normalise": "none"}, 1_024),
    ],
)
@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_it_is_hugging_faces_extractor(
    theirs: dict[str, Any], ours: dict[str, Any], n_frames: int, extractors: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its back end torchaudio but for rounding; its back end numpy computes in float64."""
    front_end = FAMILIES["hf"].model_copy(update=ours).build()
    clips = [_speechlike(n, seed) for seed, n in enumerate([8_000, 16_123, 400])]
    found = [front_end(clip[None], n_frames=n_frames)[0].T for clip in clips]

    def expected() -> list[Tensor]:
        extractor = extractors.ASTFeatureExtractor(**theirs)
        values = extractor([clip.numpy() for clip in clips], sampling_rate=16_000, return_tensors="np")["input_values"]
        return list(torch.from_numpy(values))

    torch.testing.assert_close(found, expected(), rtol=0, atol=ROUNDING)
    monkeypatch.setattr(extractors, "is_speech_available", lambda: False)
    torch.testing.assert_close(found, expected(), rtol=0, atol=1e-3 if "do_normalize" in theirs else 1e-4)


def test_normalising_per_clip() -> None:
    batch, num_samples, _ = _batch()
    log_mel = _build(normalise="clip")(10 * batch, num_samples)
    raw = _plain()(10 * batch, num_samples)
    for row, unnormalised, count in zip(log_mel, raw, _build().num_frames(num_samples).tolist(), strict=True):
        assert (row[:, count:] == 0).all()
        if count:
            real = unnormalised[:, :count].double()
            expected = (real - real.mean()) / (2 * real.std(correction=0))
            torch.testing.assert_close(row[:, :count], expected.float(), rtol=0, atol=1e-5)


def test_silence_normalised_per_clip_is_finite_and_near_zero() -> None:
    log_mel = _build(normalise="clip")(torch.zeros(2, 16_000), torch.tensor([16_000, 0]))
    assert log_mel.abs().max() < 1e-2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_fft": 256}, r"n_fft \(256\) must be even and no less than win_length \(400\)"),
        ({"n_fft": 513}, r"n_fft \(513\) must be even"),
        ({"f_max": 9_000.0}, r"f_min \(20.0\) < f_max \(9000.0\) <= 8000.0 Hz"),
        ({"f_min": 300.0, "f_max": 200.0}, r"f_min \(300.0\) < f_max \(200.0\)"),
        ({"std": 0.0}, "greater than 0"),
        ({"n_mels": 10**9}, "less than or equal to 4096"),
        ({"window": "hanning"}, "'hann', 'hamming' or 'povey'"),
        ({"mel_bins": 64}, "Extra inputs are not permitted"),
        ({"sample_rate": 16_000.5}, "valid integer"),
        ({"mean": math.nan}, "finite"),
        ({"normalise": "batch"}, "'dataset', 'clip' or 'none'"),
    ],
)
def test_a_wrong_config_says_so(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        AstFrontEndConfig.model_validate(changes)
