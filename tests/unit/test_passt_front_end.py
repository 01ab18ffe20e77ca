"""PaSST's log-mel: released numbers but for rounding, a mirror at every clip's own end, and band edges that move."""

import math
from types import ModuleType
from typing import Any

import pytest
import torch
import torchaudio
from pydantic import ValidationError
from torch import Tensor

from zoo.audio.mel_bank import make_mel_bank
from zoo.audio.passt_front_end import PasstFrontEnd, PasstFrontEndConfig, mirrored
from zoo.data.batch import Batch, InputMaker
from zoo.draws import clip_keys


def _build(**changes: object) -> PasstFrontEnd:
    front_end = PasstFrontEndConfig.model_validate(changes).build()
    assert isinstance(front_end, PasstFrontEnd)
    return front_end


def _speechlike(num_samples: int, seed: int = 0) -> Tensor:
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))
    clock = torch.arange(num_samples) / 32_000
    return 0.05 * noise + 0.3 * torch.sin(2 * math.pi * 440 * clock) + 0.01


def _assert_the_same(found: Tensor, expected: Tensor) -> None:
    """But for the order in which a band is summed up: a few parts in ten million, of which the log is divided by 5."""
    torch.testing.assert_close(found.as_subclass(Tensor), expected, rtol=0, atol=2e-6)


@pytest.fixture
def released() -> ModuleType:
    """The front end as its authors packaged it."""
    return pytest.importorskip(
        "hear21passt.models.preprocess", reason="hear21passt, the peer, is not installed (extra `peers`)"
    )


@pytest.mark.filterwarnings("ignore:stft with return_complex=False", "ignore:.*torch.cuda.amp.autocast")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"fmin_aug_range": 10, "fmax_aug_range": 2_000}, {}),
        ({}, {"f_min_range": 1, "f_max_range": 1_000}),
        ({"hopsize": 100, "fmax_aug_range": 2_000}, {"hop_length": 100}),
        ({"n_mels": 64, "fmin": 50.0, "fmax": 15_000.0}, {"n_mels": 64, "f_min": 50.0, "f_max": 15_000.0}),
        (
            {"sr": 16_000, "win_length": 400, "hopsize": 160, "n_fft": 512},
            {"sample_rate": 16_000, "win_length": 400, "hop_length": 160, "n_fft": 512, "f_max_range": 1_000},
        ),
    ],
)
@pytest.mark.parametrize("num_samples", [514, 9_999, 32_000])
def test_it_is_the_released_code_but_for_rounding(
    theirs: dict[str, Any], ours: dict[str, Any], num_samples: int, released: ModuleType
) -> None:
    waveform = torch.stack([_speechlike(num_samples), 1e-3 * _speechlike(num_samples, 1)])
    _assert_the_same(_build(**ours)(waveform), released.AugmentMelSTFT(**theirs).eval()(waveform))


@pytest.mark.filterwarnings("ignore:stft with return_complex=False", "ignore:.*torch.cuda.amp.autocast")
@pytest.mark.parametrize("draws", [(0, 0), (3, 1_500), (9, 1_999)])
def test_it_is_the_released_training_code_with_the_same_draws(
    draws: tuple[int, int], released: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = released.AugmentMelSTFT(freqm=0, timem=0, fmin_aug_range=10, fmax_aug_range=2_000).train()
    waveform, to_draw = _speechlike(8_000)[None], list(draws)
    monkeypatch.setattr(torch, "randint", lambda *_: torch.tensor([to_draw.pop(0)]))
    expected = theirs(waveform)
    edges = torch.tensor([float(draws[0])]), torch.tensor([16_000.0 - draws[1]])
    _assert_the_same(_build()(waveform, band_edges=edges), expected)


def test_numbers_of_the_released_checkpoints() -> None:
    passt = _build()
    assert passt.num_frames(torch.tensor([320_000, 320_001, 160_000, 960_000, 1])).tolist() == [
        1000,
        1001,
        500,
        3000,
        1,
    ]
    assert passt.num_samples(1_000) == 320_000
    silence = passt(torch.zeros(1, 32_000))
    assert silence.shape == (1, 128, 100)
    torch.testing.assert_close(silence, torch.full_like(silence, -1.402585))


def test_it_is_the_obvious_formula() -> None:
    """One frame in float64, from the definition."""
    waveform = _speechlike(4_000)
    sharp = waveform[1:].double() - 0.97 * waveform[:-1].double()
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(800) / 799)
    frame = sharp[5 * 320 - 400 : 5 * 320 + 400] * window
    basis = torch.exp(-2j * math.pi * torch.arange(513)[:, None] * torch.arange(800)[None] / 1_024)
    power = (basis.to(torch.complex128) @ frame.to(torch.complex128)).abs() ** 2
    edges = torch.linspace(0, 1127 * math.log(1 + 15_000 / 700), 130, dtype=torch.float64)
    mel = 1127 * torch.log(1 + torch.arange(512) * 31.25 / 700)
    bands = []
    for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
        weight = torch.minimum((mel - low) / (centre - low), (high - mel) / (high - centre)).clamp(min=0)
        bands.append((weight * power[:512]).sum())
    expected = ((torch.stack(bands) + 1e-5).log() + 4.5) / 5
    torch.testing.assert_close(_build()(waveform[None])[0, :, 5], expected.float(), rtol=0, atol=1e-4)


def test_the_mel_bank_is_kaldis_for_every_pair_of_edges() -> None:
    low, high = torch.tensor([0.0, 3.0, 20.0]), torch.tensor([15_000.0, 14_500.0, 16_000.0])
    banks = make_mel_bank(low, high, 128, 1_024, 32_000)
    for bank, f_min, f_max in zip(banks, low.tolist(), high.tolist(), strict=True):
        kaldis, _ = torchaudio.compliance.kaldi.get_mel_banks(128, 1_024, 32_000, f_min, f_max, 100.0, -500.0, 1.0)
        assert torch.equal(bank[:, :512], kaldis)
        assert (bank[:, 512] == 0).all()


def test_every_clip_is_mirrored_at_its_own_end() -> None:
    signal = torch.arange(1.0, 15.0).reshape(2, 7)
    extended = mirrored(signal, torch.tensor([7, 5]), 3)
    assert extended[0].tolist() == [4, 3, 2, 1, 2, 3, 4, 5, 6, 7, 6, 5, 4]
    assert extended[1, :11].tolist() == [11, 10, 9, 8, 9, 10, 11, 12, 11, 10, 9]
    torch.testing.assert_close(extended[:1], torch.nn.functional.pad(signal[:1], (3, 3), mode="reflect"))


def test_a_stated_width_pads_and_cuts_the_waveform() -> None:
    """As the released loader does, before the transform: the mirror is at the end of the zeros, or of the cut."""
    passt, waveform = _build(), _speechlike(8_000)[None]
    padded = torch.nn.functional.pad(waveform, (0, 40 * 320 - 8_000))
    assert torch.equal(passt(waveform, n_frames=40), passt(padded))
    assert torch.equal(passt(waveform, n_frames=10), passt(waveform[:, :3_200]))
    assert not torch.equal(passt(waveform, n_frames=10), passt(waveform)[:, :, :10])


def test_clips_shorter_than_the_mirror_are_filled_with_zeros() -> None:
    passt, waveform = _build(), _speechlike(513)
    filled = torch.nn.functional.pad(waveform[:100], (0, 414))
    assert torch.equal(passt(waveform[None, :100])[0], passt(filled[None])[0, :, :1])
    assert passt(waveform[None]).shape == (1, 128, 2)


def _keys(count: int, epoch: int = 0) -> Tensor:
    return clip_keys(0, epoch, torch.arange(count))


def test_band_edges_are_drawn_over_their_whole_range() -> None:
    low, high = _build().draw_band_edges(_keys(40_000))
    assert set(low.tolist()) == set(range(10))
    assert (high.min().item(), high.max().item()) == (14_001, 16_000)
    assert high.unique().numel() == 2_000
    assert high.mean().item() == pytest.approx(15_000.5, abs=12)  # four standard errors
    low, high = _build(f_min=100.0, f_max=15_900.0, f_min_range=1, f_max_range=1).draw_band_edges(_keys(9))
    assert low.unique().tolist() == [100]
    assert high.unique().tolist() == [15_900]


def test_every_clip_has_band_edges_of_its_own() -> None:
    passt = _build()
    batch, keys = torch.stack([_speechlike(4_000)] * 3), _keys(3)
    drawn = passt(batch, keys=keys)
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(passt(batch[1:2], keys=keys[1:2])[0], drawn[1])  # whatever else is in the batch
    low, high = passt.draw_band_edges(keys)
    for i in range(3):
        bank_of_its_own = _build(f_min=float(low[i]), f_max=float(high[i]), f_min_range=1, f_max_range=1)
        assert torch.equal(bank_of_its_own(batch[:1])[0], drawn[i])


def test_band_edges_move_in_training_only() -> None:
    waveform = torch.stack([_speechlike(4_000, seed) for seed in range(2)])
    batch = Batch(waveform, torch.tensor([4_000, 3_000]), None, torch.tensor([5, 6]), ("a", "b"))
    for padding in ("masked", "as_source"):
        make_inputs = InputMaker(_build(), None, 0, padding, 20)  # type: ignore[arg-type]
        plain = _build()(waveform, batch.num_samples, None if padding == "masked" else 20)
        assert torch.equal(make_inputs(batch, 1, False).log_mel, plain)
        first, again, other = (make_inputs(batch, epoch, True).log_mel for epoch in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert not torch.equal(first, plain)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_fft": 512}, r"n_fft \(512\) must be even and no less than win_length \(800\)"),
        ({"f_max": 17_000.0}, r"f_min \(0.0\) < f_max \(17000.0\) <= 16000.0 Hz"),
        (
            {"f_max": 15_500.0},
            r"f_max_range: found 2000, which takes f_max \(15500.0\) to 16500.0 Hz .* at most 16000.0",
        ),
        ({"f_max_range": 20_000}, r"f_min_range: found 10, which takes f_min to 9.0 Hz .* down to -3999.0 Hz"),
        ({"f_min_range": 0}, "greater than or equal to 1"),
        ({"window": "hann"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_config_says_so(changes: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        PasstFrontEndConfig.model_validate(changes)
