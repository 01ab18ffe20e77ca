"""The whole way of a clip in the released recipes of AST and PaSST, done clip by clip as their code does it.

The draws are this zoo's; what is done with them is written down here from the released code, with its own libraries.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torchaudio
from torch import Tensor
from torchaudio.functional import mask_along_axis_iid

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.augment import Augment, AugmentConfig, MixupConfig
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.data.batch import Batch, InputMaker
from zoo.data.item import Collate, Item, Partner
from zoo.draws import clip_keys, uniform

SEED, EPOCH = 3, 2


def _drawn(clip: int, purpose: str, count: int = 1) -> list[float]:
    return uniform(clip_keys(SEED, EPOCH, torch.tensor([clip])), purpose, count)[0].tolist()


def _sound(num_samples: int, seed: int) -> Tensor:
    noise = torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))
    clock = torch.arange(num_samples) / 16_000
    return 0.02 * noise + 0.2 * torch.sin(2 * torch.pi * 200 * (seed + 1) * clock) + 0.01 * seed


def _item(clip: int, num_samples: int, **partners: Partner) -> Item:
    target = torch.eye(6)[clip % 6]
    return Item(_sound(num_samples, clip), num_samples, target, clip, f"clip {clip}", **partners)


def _released_mask(fbank: np.ndarray, axis: int, param: int, u: float, v: float) -> None:
    """One mask of 0, in place."""
    size = fbank.shape[axis]
    width, start = int(u * param), int(v * (size - u * param))
    for place in range(start, start + width):
        if axis == 0:
            fbank[place] = 0.0
        else:
            fbank[:, place] = 0.0


def _released_ast(item: Item, config: AugmentConfig, n_frames: int) -> np.ndarray:
    """src/dataloader.py of AST: (n_frames, 128)."""
    assert item.waveform is not None
    front_end = AstFrontEndConfig()
    waveform = item.waveform - item.waveform.mean()
    if item.waveform_partner is not None:
        partner = item.waveform_partner.item.waveform
        assert partner is not None
        partner = partner - partner.mean()
        fitted = torch.zeros_like(waveform)
        shorter = min(len(fitted), len(partner))
        fitted[:shorter] = partner[:shorter]
        share = item.waveform_partner.share
        waveform = share * waveform + (1 - share) * fitted
        waveform = waveform - waveform.mean()
    fbank = torchaudio.compliance.kaldi.fbank(
        waveform[None], htk_compat=True, sample_frequency=16_000, use_energy=False, window_type="hanning",
        num_mel_bins=128, dither=0.0, frame_shift=10,
    ).numpy()  # fmt: skip
    padded = np.zeros((n_frames, 128), np.float32)
    padded[: len(fbank)] = fbank[:n_frames]
    if config.freq_mask:
        _released_mask(padded, 1, config.freq_mask, *_drawn(item.id, "freq-mask", 2))
    if config.time_mask:
        _released_mask(padded, 0, config.time_mask, *_drawn(item.id, "time-mask", 2))
    padded = (padded - front_end.mean) / (2 * front_end.std)
    if config.log_mel_noise:
        noise = np.array(_drawn(item.id, "log-mel-noise", n_frames * 128)).reshape(n_frames, 128)
        padded = padded + noise * _drawn(item.id, "log-mel-noise-level")[0] / 10
    if config.time_roll:
        padded = np.roll(padded, int(_drawn(item.id, "time-roll")[0] * 20) - 10, axis=0)
    return padded


AST = {"spec_augment": "as_source", "freq_mask": 48, "time_mask": 48}
AST_RECIPES = {
    "AudioSet": {**AST, "time_mask": 192, "waveform_mixup": {"probability": 0.5, "alpha": 10.0, "length": "first"}},
    "ESC-50": {**AST, "freq_mask": 24, "time_mask": 96},
    "Speech Commands": {
        **AST,
        "waveform_mixup": {"probability": 0.6, "alpha": 10.0, "length": "first"},
        "log_mel_noise": 0.1,
        "time_roll": 10,
    },
    "noise alone": {"spec_augment": "as_source", "log_mel_noise": 0.1, "time_roll": 10},
}


@pytest.mark.parametrize("name", AST_RECIPES)
@pytest.mark.parametrize("num_samples", [12_000, 40_000])
def test_a_clip_of_the_released_ast(name: str, num_samples: int) -> None:
    """Shorter than the input and longer; partners shorter and longer than the clip; unmixed clips in between."""
    n_frames = 210
    config = AugmentConfig.model_validate(AST_RECIPES[name])
    items = [_item(clip, num_samples) for clip in range(4)]
    if config.waveform_mixup is not None:
        items[1] = _item(1, num_samples, waveform_partner=Partner(_item(11, 9_000), 0.3))
        items[3] = _item(3, num_samples, waveform_partner=Partner(_item(13, 41_000), 0.62))
    front_end = AstFrontEndConfig()
    make_inputs = InputMaker(front_end.build(), config.build(front_end.zero_level), SEED, "as_source", n_frames)
    inputs = make_inputs(Collate(None)(items), EPOCH, True)
    assert inputs.num_frames is None
    expected = np.stack([_released_ast(item, config, n_frames) for item in items])
    # The mean is taken off twice here, once as a mixture and once by the front end: a bit of float32 in a quiet band.
    np.testing.assert_allclose(inputs.log_mel.transpose(1, 2).numpy(), expected, atol=2e-4)
    assert inputs.target is not None
    for item, target in zip(items, inputs.target, strict=True):
        assert item.target is not None
        wanted = item.target
        if (partner := item.waveform_partner) is not None:
            assert partner.item.target is not None
            wanted = partner.share * item.target + (1 - partner.share) * partner.item.target
        torch.testing.assert_close(target, wanted)


def _as_source(freq_mask: int, time_mask: int, zero_level: float) -> Augment:
    return AugmentConfig(freq_mask=freq_mask, time_mask=time_mask, spec_augment="as_source").build(zero_level)


@pytest.mark.parametrize(("freq_mask", "time_mask"), [(48, 192), (24, 96), (48, 0), (0, 80), (1, 1)])
def test_masks_are_torchaudios_with_the_same_draws(
    freq_mask: int, time_mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = clip_keys(0, 0, torch.arange(500))
    log_mel = torch.randn(500, 128, 200)
    found = _as_source(freq_mask, time_mask, 0.47)(log_mel, None, keys)
    for axis, param, purpose in ((1, freq_mask, "freq-mask"), (2, time_mask, "time-mask")):
        draws = list(uniform(keys, purpose, 2).unbind(1))
        monkeypatch.setattr(torch, "rand", lambda *_, draws=draws, **__: draws.pop(0))
        log_mel = mask_along_axis_iid(log_mel, param, 0.47, axis)
    assert torch.equal(found, log_mel)


def test_released_masks_are_narrower_than_stated_and_stay_on_the_clip() -> None:
    """Without padding in sight, a mask is on the clip's own frames; it may be as long as they are, less one."""
    keys, num_frames = clip_keys(0, 0, torch.arange(4_000)), torch.tensor([60, 5, 1, 0]).repeat(1_000)
    found = _as_source(0, 50, 9.0)(torch.zeros(4_000, 8, 64), num_frames, keys)
    hidden = (found == 9.0).all(1)
    assert torch.equal(hidden, (found == 9.0).any(1))
    widths = hidden.sum(1).view(1_000, 4)
    assert widths.max(0).values.tolist() == [49, 4, 0, 0]
    assert torch.bincount(widths[:, 0], minlength=50).min() > 3  # every width from 0 to 49
    assert not hidden[(torch.arange(64) >= num_frames[:, None])].any()


def test_the_roll_of_the_released_code_is_one_shorter_forwards() -> None:
    keys = clip_keys(0, 0, torch.arange(4_000))
    log_mel = torch.arange(20.0).expand(4_000, 1, 20)
    found = AugmentConfig(time_roll=3, spec_augment="as_source").build(0.0)(log_mel, None, keys)
    shift = -found[:, 0, 0].long()  # the first frame now is the one so far back
    shift = torch.where(shift < -10, shift + 20, shift)
    counts = torch.bincount(shift + 3)
    assert counts.shape[0] == 6  # -3 to 2
    assert ((counts - 4_000 / 6) ** 2 / (4_000 / 6)).sum() < 26  # chi-square, 5 degrees of freedom, 1 in ten thousand


@pytest.mark.parametrize(
    ("config", "level"),
    [
        (AstFrontEndConfig(), 0.46703),
        (AstFrontEndConfig(mean=-6.6268077, std=5.358466), 0.61835),
        (PasstFrontEndConfig(), 0.9),
        (AstFrontEndConfig(normalise="none"), 0.0),
        (AstFrontEndConfig(normalise="clip"), None),
    ],
)
def test_what_zero_becomes(config: Any, level: float | None) -> None:
    assert config.zero_level == (None if level is None else pytest.approx(level, abs=1e-5))


# PaSST

PASST = AugmentConfig(
    gain_db=(-7, 6),
    waveform_roll=50,
    waveform_mixup=MixupConfig(probability=0.5, alpha=2.0, keep_larger=True),
    spec_augment="as_source",
    freq_mask=48,
    time_mask=80,
    log_mel_mixup=MixupConfig(probability=1.0, alpha=0.3, keep_larger=True),
)
PASST_SAMPLES = 32_000


@pytest.fixture
def released() -> ModuleType:
    """The front end as its authors packaged it."""
    return pytest.importorskip(
        "hear21passt.models.preprocess", reason="hear21passt, the peer, is not installed (extra `peers`)"
    )


def _loaded(item: Item) -> np.ndarray:
    """audioset/dataset.py of PaSST: gain, filled with zeros, rolled."""
    assert item.waveform is not None
    gain_db = int(_drawn(item.id, "gain")[0] * 14) - 7
    padded = np.zeros(PASST_SAMPLES, np.float32)
    padded[: item.num_samples] = item.waveform.numpy() * 10 ** (gain_db / 20)
    return np.roll(padded, int(_drawn(item.id, "waveform-roll")[0] * 101) - 50)


def _released_passt(item: Item, released: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """Data set, then mel, then masks, then the training step's mixup: log-mel (128, T) and target."""
    waveform, target = _loaded(item), item.target
    assert target is not None
    if (partner := item.waveform_partner) is not None:
        other = _loaded(partner.item)
        assert partner.item.target is not None
        waveform, other = waveform - waveform.mean(), other - other.mean()
        waveform = partner.share * waveform + (1 - partner.share) * other
        waveform = waveform - waveform.mean()
        target = partner.share * target + (1 - partner.share) * partner.item.target
    mel = released.AugmentMelSTFT(freqm=48, timem=80, fmin_aug_range=10, fmax_aug_range=2_000).train()
    rise, fall = _drawn(item.id, "band-edges", 2)
    edges = [torch.tensor([int(rise * 10)]), torch.tensor([int(fall * 2_000)])]
    masks = [torch.tensor([u]) for purpose in ("freq-mask", "time-mask") for u in _drawn(item.id, purpose, 2)]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randint", lambda *_, **__: edges.pop(0))
        patch.setattr(torch, "rand", lambda *_, **__: masks.pop(0))
        log_mel = mel(torch.from_numpy(waveform.astype(np.float32))[None])[0]
    assert not edges
    assert not masks
    return log_mel, target


@pytest.mark.filterwarnings("ignore:stft with return_complex=False", "ignore:.*torch.cuda.amp.autocast")
@pytest.mark.parametrize("padded", [0, 7_000])
def test_a_clip_of_the_released_passt(released: ModuleType, padded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to four clips make one; each has its own gain, roll, band edges and masks."""
    length = PASST_SAMPLES - padded
    mixed = Partner(_item(20, length, waveform_partner=Partner(_item(21, length), 0.7)), 0.55)
    items = [
        _item(0, length, log_mel_partner=Partner(_item(10, length), 0.9)),
        _item(1, length, waveform_partner=Partner(_item(11, length), 0.6), log_mel_partner=mixed),
        _item(2, length, waveform_partner=Partner(_item(12, 20_000), 0.8)),
    ]
    front_end = PasstFrontEndConfig()
    make_inputs = InputMaker(front_end.build(), PASST.build(front_end.zero_level), SEED, "as_source", 100)
    inputs = make_inputs(Collate(PASST_SAMPLES)(items), EPOCH, True)
    for row, item in enumerate(items):
        log_mel, target = _released_passt(item, released, monkeypatch)
        if (partner := item.log_mel_partner) is not None:
            other, its_target = _released_passt(partner.item, released, monkeypatch)
            log_mel = partner.share * log_mel + (1 - partner.share) * other
            target = partner.share * target + (1 - partner.share) * its_target
        torch.testing.assert_close(inputs.log_mel[row], log_mel, rtol=0, atol=2e-4)
        assert inputs.target is not None
        torch.testing.assert_close(inputs.target[row], target)
    assert inputs.names == ("clip 0", "clip 1", "clip 2")
    assert torch.equal(inputs.keys, clip_keys(SEED, EPOCH, torch.tensor([0, 1, 2])))


def test_a_batch_without_partners_goes_through_a_recipe_that_mixes() -> None:
    batch = Batch(_sound(8_000, 0)[None], torch.tensor([8_000]), None, torch.tensor([4]), ("a",))
    front_end = PasstFrontEndConfig()
    inputs = InputMaker(front_end.build(), PASST.build(front_end.zero_level), SEED, "as_source", 25)(batch, 0, True)
    assert inputs.log_mel.shape == (1, 128, 25)
    assert inputs.target is None
