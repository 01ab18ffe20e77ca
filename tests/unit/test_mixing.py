"""Partners: drawn from the whole data set by (seed, epoch, clip), read like any clip, and the same in any batch."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest
from torch import Tensor

from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.audio.augment import AugmentConfig, MixupConfig
from zoo.audio.passt_front_end import PasstFrontEndConfig
from zoo.data.bad_audio import BadAudioLog
from zoo.data.batch import BadAudio, Batch, InputMaker
from zoo.data.item import Collate, Item, Key, Partner
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.mixing import MixedSet, draw_share
from zoo.data.reader import ClipReader
from zoo.data.sampler import EpochSampler
from zoo.data.training_set import TrainingSet
from zoo.draws import combine

ALWAYS = MixupConfig(probability=1.0, alpha=2.0)
SOMETIMES = MixupConfig(probability=0.3, alpha=10.0)


class Numbered:
    """Clips that are never read: what comes out tells the index and the repeat."""

    def __init__(self, num_clips: int) -> None:
        self.num_clips = num_clips
        self.asked: list[Key] = []

    def __len__(self) -> int:
        return self.num_clips

    def any_index(self, number: int) -> int:
        return number % self.num_clips

    def __getitem__(self, key: Key) -> Item:
        self.asked.append(key)
        number = combine(key.index, key.repeat) if key.repeat else key.index
        bad = (BadAudio(f"{key.index}", "p", "odd", True),)
        return Item(torch.full((4,), 1.0 + key.index), 4, None, number, f"{key.index}", bad)


def _partners(num_clips: int, config: MixupConfig, epochs: int, **choices: Any) -> list[Partner | None]:
    data = MixedSet(Numbered(num_clips), config, None, **choices)
    return [data[Key(epoch, index)].waveform_partner for epoch in range(epochs) for index in range(num_clips)]


def test_partners_are_drawn_from_the_whole_set_alike() -> None:
    found = _partners(20, ALWAYS, 60)
    chosen = torch.tensor([[int(partner.item.name) for partner in found if partner]]).view(60, 20)
    for counts in (torch.bincount(chosen.flatten(), minlength=20), torch.bincount(chosen[:, 3] // 4, minlength=5)):
        expected = counts.sum() / counts.shape[0]
        limit = {20: 50, 5: 23}[counts.shape[0]]  # 19 and 4 degrees of freedom, one in ten thousand
        assert float(((counts - expected) ** 2 / expected).sum()) < limit
    ids = [partner.item.id for partner in found if partner]
    assert len(set(ids)) == len(ids)  # a partner has draws of its own
    assert not {*ids} & set(range(20))


@pytest.mark.parametrize(("alpha", "keep_larger"), [(0.3, True), (2.0, True), (10.0, False)])
def test_shares_follow_their_distribution(alpha: float, keep_larger: bool) -> None:
    config = MixupConfig(probability=1.0, alpha=alpha, keep_larger=keep_larger)
    shares = np.array([partner.share for partner in _partners(10, config, 80) if partner])
    assert len(shares) == 800
    if keep_larger:
        assert shares.min() >= 0.5
        shares = np.concatenate((shares, 1 - shares))
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 1e-4


def test_how_many_are_mixed() -> None:
    found = [partner is not None for partner in _partners(100, SOMETIMES, 10)]
    assert abs(np.mean(found) - 0.3) < 4 * (0.3 * 0.7 / 1_000) ** 0.5


def test_the_quantile_is_exact() -> None:
    for alpha, number in itertools.product((0.01, 0.3, 1.0, 10.0, 1_000.0), (0.0, 0.25, 0.5, 1 - 2.0**-12)):
        share = draw_share(alpha, number)
        assert 0 <= share <= 1
        if alpha >= 0.3:
            assert beta(alpha, alpha).cdf(share) == pytest.approx(number + 2.0**-25, rel=1e-9)
    assert draw_share(1.0, 0.25) == pytest.approx(0.25, abs=1e-7)


def test_seed_epoch_and_clip_all_matter_and_nothing_else() -> None:
    def drawn(seed: int, epoch: int, index: int) -> tuple[str, float]:
        partner = MixedSet(Numbered(1_000), ALWAYS, None, seed)[Key(epoch, index)].waveform_partner
        assert partner is not None
        return partner.item.name, partner.share

    one = drawn(0, 0, 0)
    assert drawn(0, 0, 0) == one
    assert len({one, drawn(1, 0, 0), drawn(0, 1, 0), drawn(0, 0, 1)}) == 4


def test_both_levels_and_all_of_their_bad_audio() -> None:
    clips = Numbered(50)
    item = MixedSet(clips, ALWAYS, ALWAYS)[Key(3, 7)]
    assert item.name == "7"
    assert item.waveform_partner is not None
    assert item.log_mel_partner is not None
    theirs = item.log_mel_partner.item.waveform_partner
    assert theirs is not None
    four = (item, item.waveform_partner.item, item.log_mel_partner.item, theirs.item)
    assert [bad.name for bad in item.bad] == [one.name for one in four]
    assert len(clips.asked) == 4
    assert {key.epoch for key in clips.asked} == {3}
    assert len({item.waveform_partner.share, item.log_mel_partner.share, theirs.share}) == 3
    assert len({one.name for one in four}) > 2
    items = [MixedSet(clips, ALWAYS, ALWAYS)[Key(0, index)] for index in range(40)]
    pairs = [(one.waveform_partner, one.log_mel_partner) for one in items]
    assert sum(bool(a and b and a.item.name == b.item.name) for a, b in pairs) < 8  # one in fifty by chance


def test_nothing_is_read_for_clips_that_are_not_mixed() -> None:
    clips = Numbered(50)
    data = MixedSet(clips, None, SOMETIMES)
    mixed = sum(data[Key(0, index)].log_mel_partner is not None for index in range(50))
    assert 0 < mixed < 50
    assert len(clips.asked) == 50 + mixed


def test_collation_puts_partners_behind_the_clips() -> None:
    def item(number: int, length: int, **partners: Partner) -> Item:
        return Item(torch.full((length,), float(number)), length, torch.eye(9)[number], number, f"{number}", **partners)

    deep = item(4, 3, waveform_partner=Partner(item(5, 6), 0.9))
    items = [
        item(0, 2),
        item(1, 4, log_mel_partner=Partner(deep, 0.8)),
        Item(None, 0, torch.zeros(9), 8, "unusable"),
        item(2, 3, waveform_partner=Partner(item(6, 1), 0.6)),
    ]
    batch = Collate(None)(items)
    assert (batch.names, batch.ids.tolist(), len(batch), batch.num_read) == (("0", "1", "2"), [0, 1, 2], 3, 6)
    assert batch.waveform.shape == (3, 6)  # as wide as the longest partner
    partners = batch.partners
    assert partners is not None
    assert partners.ids.tolist() == [4, 6, 5]
    assert partners.num_samples.tolist() == [3, 1, 6]
    assert partners.waveform.sum(1).tolist() == [12, 6, 30]
    assert partners.target is not None
    assert partners.target.argmax(1).tolist() == [4, 6, 5]
    assert partners.log_mel_row.tolist() == [1]
    assert partners.waveform_row.tolist() == [2, 3]  # clip 2, and the row of the log-mel partner
    torch.testing.assert_close(partners.log_mel_share, torch.tensor([0.8]))
    torch.testing.assert_close(partners.waveform_share, torch.tensor([0.6, 0.9]))
    moved = batch.to("cpu").partners
    assert moved is not None
    assert partners.names == moved.names == ("4", "6", "5")
    held = [field.name for field in fields(partners) if isinstance(getattr(partners, field.name), Tensor)]
    assert len(held) == len(fields(partners)) - 2  # no log-mels beside waveforms, and the names
    assert all(torch.equal(getattr(moved, name), getattr(partners, name)) for name in held)
    meta = batch.to("meta").partners
    assert meta is not None
    assert all(getattr(meta, name).is_meta for name in held)
    assert Collate(None)(items[:1]).partners is None


# Read from files


@pytest.fixture
def manifest(tone_folder: Callable[..., Path]) -> Manifest:
    """Six clips per class, one of them broken, all of them tones of .3 s."""
    folder = tone_folder(clips=6, seconds=0.3)
    (folder / "low" / "low_2.wav").write_bytes(b"RIFF")
    return read_manifest(SourceConfig(path=str(folder)), {}, True)


def _set(manifest: Manifest, waveform: MixupConfig | None, log_mel: MixupConfig | None) -> MixedSet:
    labels = LabelTable.from_manifest(manifest, "single-label")
    return MixedSet(TrainingSet(ClipReader(manifest, labels, 16_000, 400), 4_000, seed=5), waveform, log_mel, 5)


def _loader(manifest: Manifest, batch_size: int = 4, num_workers: int = 0) -> Loader:
    data = _set(manifest, MixupConfig(probability=0.6, alpha=2.0), MixupConfig(probability=0.5, alpha=0.3))
    return Loader(data, EpochSampler(len(data), batch_size, 5), num_workers, pad_to=4_000)


def _all_on(front_end: Any = None, padding: Any = "masked") -> InputMaker:
    front_end = front_end or AstFrontEndConfig(n_mels=16)
    augment = AugmentConfig(
        gain_db=(-6, 6),
        waveform_roll=100,
        waveform_mixup=ALWAYS,
        noise_snr_db=(10.0, 30.0),
        time_roll=4,
        log_mel_noise=0.1,
        freq_mask=5,
        time_mask=6,
        spec_augment="as_source" if padding == "as_source" else "mean",
        log_mel_mixup=ALWAYS,
    ).build(front_end.zero_level)
    return InputMaker(front_end.build(), augment, 5, padding, 24)


def test_a_partner_is_cropped_by_draws_of_its_own(manifest: Manifest) -> None:
    singles = _set(manifest, None, None)
    whole = {index: singles.clips.reader.read(index).waveform for index in (0, 1, 3)}  # type: ignore[attr-defined]
    mixed = _set(manifest, ALWAYS, None)
    offsets: dict[str, set[int]] = {}
    for epoch in range(6):
        for index in (0, 1, 3):
            partner = mixed[Key(epoch, index)].waveform_partner
            assert partner is not None
            assert partner.item.waveform is not None
            assert partner.item.target is not None
            name = partner.item.name
            assert int(partner.item.target.argmax()) == (0 if name.startswith("high") else 1)
            for other, waveform in whole.items():
                if singles[Key(0, other)].name == name:
                    windows = waveform.unfold(0, 4_000, 1)
                    offsets.setdefault(name, set()).add(int((windows == partner.item.waveform).all(1).int().argmax()))
    assert max(len(found) for found in offsets.values()) > 1


def test_a_broken_partner_is_replaced_and_told(manifest: Manifest) -> None:
    data = _set(manifest, ALWAYS, None)
    items = [data[Key(epoch, index)] for epoch in range(8) for index in range(12)]
    assert all(item.waveform_partner is not None for item in items)
    told = [item for item in items if any(not bad.used for bad in item.bad)]
    assert all("low_2" in bad.name for item in told for bad in item.bad)
    assert len(told) > 8  # the broken clip itself, and clips that drew it


def _same(one: Batch, other: Batch) -> bool:
    pairs = [(one, other), (one.partners, other.partners)]
    return all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b
        for left, right in pairs
        if left is not None
        for a, b in ((getattr(left, f.name), getattr(right, f.name)) for f in fields(left) if f.name != "partners")
    )


def test_workers_and_where_an_epoch_is_begun_change_nothing(manifest: Manifest) -> None:
    whole = list(_loader(manifest).epoch(1))
    assert any(batch.partners is not None for batch in whole)
    helped = _loader(manifest, num_workers=2)
    assert all(_same(a, b) for a, b in zip(whole, helped.epoch(1), strict=True))
    assert all(_same(a, b) for a, b in zip(whole[1:], helped.epoch(1, 1), strict=True))
    helped.close()
    assert not _same(whole[0], next(iter(_loader(manifest).epoch(2))))


@pytest.mark.parametrize("padding", ["masked", "as_source"])
@pytest.mark.parametrize("front_end", [AstFrontEndConfig(n_mels=16), PasstFrontEndConfig(n_mels=16)])
def test_a_clip_is_the_same_in_a_batch_of_one_and_of_any(manifest: Manifest, front_end: Any, padding: Any) -> None:
    """With everything on. Whole numbers of it, such as masks, to the bit; sums to a rounding of float32."""
    make_inputs = _all_on(front_end, padding)

    def clips(batch_size: int) -> Iterator[tuple[str, Tensor, Tensor, int]]:
        for batch in _loader(manifest, batch_size).epoch(0):
            inputs = make_inputs(batch, 0, True)
            assert inputs.target is not None
            lengths = [24] * len(batch) if inputs.num_frames is None else inputs.num_frames.tolist()
            yield from zip(inputs.names, inputs.log_mel, inputs.target, lengths, strict=True)

    together = {name: rest for name, *rest in clips(12)}
    for size in (1, 5):
        for name, log_mel, target, length in clips(size):
            its_log_mel, its_target, its_length = together[name]
            assert length == its_length
            assert torch.equal(target, its_target)
            torch.testing.assert_close(log_mel, its_log_mel, rtol=0, atol=1e-4)
            is_masked = log_mel == 0
            assert torch.equal(is_masked, its_log_mel == 0)


def test_mixing_alone_is_the_same_to_the_bit_in_any_batch(manifest: Manifest) -> None:
    """What the waveforms become; the filter bank's matrix product is not to the bit on a CPU."""
    make_inputs = _all_on()
    seen: list[Tensor] = []
    make_inputs._log_mel = lambda waveform, stored, num_samples, keys: (  # type: ignore[method-assign]
        seen.append(waveform) or torch.zeros(waveform.shape[0], 16, 23),  # type: ignore[func-returns-value]
        torch.full_like(num_samples, 23),
    )
    make_inputs.augment = replace_noise(make_inputs)

    def clips(batch_size: int) -> dict[str, Tensor]:
        found = {}
        for batch in _loader(manifest, batch_size).epoch(0):
            make_inputs(batch, 0, True)
            found |= dict(zip(batch.names, seen.pop(), strict=False))
        return found

    alone, together = clips(1), clips(12)
    assert alone.keys() == together.keys()
    assert all(torch.equal(alone[name], together[name]) for name in alone)


def replace_noise(make_inputs: InputMaker) -> Any:
    """The same augmentation without noise, whose sines differ in the last bit by where they lie in memory."""
    assert make_inputs.augment is not None
    return make_inputs.augment.config.model_copy(update={"noise_snr_db": None}).build()


def test_what_goes_on_has_as_many_rows_as_clips(manifest: Manifest) -> None:
    with_both = 0
    for batch in _loader(manifest, 6).epoch(0):
        assert batch.num_read > len(batch) == 6
        inputs = _all_on()(batch, 0, True)
        assert inputs.target is not None
        made = (inputs.log_mel, inputs.target, inputs.keys, inputs.names)
        assert [len(one) for one in made] == [6] * 4
        assert inputs.num_frames is None or len(inputs.num_frames) == 6
        assert torch.equal(inputs.target.sum(1), torch.ones(6))
        assert (inputs.target >= 0).all()
        assert not inputs.log_mel.requires_grad
        with_both += int(((inputs.target > 0).sum(1) == 2).sum())
    assert 0 < with_both < 12


@pytest.mark.parametrize("padding", ["masked", "as_source"])
@pytest.mark.parametrize("front_end", [AstFrontEndConfig(n_mels=16), PasstFrontEndConfig(n_mels=16)])
def test_nothing_waits_for_the_device(manifest: Manifest, front_end: Any, padding: Any) -> None:
    """On the meta device there are no values to wait for: whatever reads one fails."""
    batch = next(iter(_loader(manifest, 6).epoch(0)))
    inputs = _all_on(front_end, padding).to("meta")(batch.to("meta"), 0, True)
    assert inputs.log_mel.is_meta
    assert inputs.log_mel.shape[0] == 6


def test_partners_need_an_augmentation_that_mixes(manifest: Manifest) -> None:
    batch = next(iter(_loader(manifest, 6).epoch(0)))
    front_end = AstFrontEndConfig(n_mels=16).build()
    for augment in (None, AugmentConfig(time_roll=1).build()):
        with pytest.raises(AssertionError, match="partners without an augmentation"):
            InputMaker(front_end, augment, 0)(batch, 0, True)


def test_a_longer_partner_makes_the_clip_longer() -> None:
    short, long = (Item(torch.randn(n) * 0.1, n, None, n, f"{n}") for n in (2_000, 4_000))
    for level, length in itertools.product(("waveform", "log_mel"), ("longer", "first")):
        config = AugmentConfig.model_validate({f"{level}_mixup": {"probability": 1.0, "alpha": 1.0, "length": length}})
        batch = Collate(4_000)([replace(short, **{f"{level}_partner": Partner(long, 0.5)})])
        inputs = InputMaker(AstFrontEndConfig(n_mels=16).build(), config.build(), 0)(batch, 0, True)
        assert inputs.num_frames is not None
        assert inputs.num_frames.tolist() == [23 if length == "longer" else 11]
        # Padding is as that of any clip.
        assert (
            inputs.log_mel[0, :, int(inputs.num_frames) :] == pytest.approx(0.46703, abs=1e-4)
        ) or length == "longer"


def test_the_share_of_bad_clips_counts_partners_that_were_read() -> None:
    """Each clip of four brings three partners; three in ten files are bad, and up to half may be."""
    log, partners_too = (BadAudioLog(None, 0.5, 1_000) for _ in range(2))
    for bad_log in (log, partners_too):
        bad_log.add(BadAudio(f"{i}", f"{i}", "no audio", False) for i in range(300 * 4 // 7))
    partners_too.check(100 * 4)
    with pytest.raises(Exception, match="cannot be used"):
        log.check(100)
