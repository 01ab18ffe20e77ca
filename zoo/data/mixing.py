"""Which clips are mixed with which: drawn from the whole data set by (seed, epoch, clip), never from a batch."""

from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from scipy.special import betaincinv

from zoo.audio.augment import MixupConfig
from zoo.data.item import Item, Key, Partner
from zoo.data.loader import Clips
from zoo.draws import clip_keys, combine, stable_id, uniform

_LAST_BIT = 2.0**-25  # half a step of a drawn number: moves it from [0, 1) to the middle of its step, off the ends


@runtime_checkable
class Drawable(Clips, Protocol):
    """Clips of which any may be drawn for another."""

    def any_index(self, number: int) -> int:
        """The clip that a large number means, all that may be drawn alike."""


class MixedSet(torch.utils.data.Dataset[Item]):
    """The clips of a training set, some of them with a partner, which is read and cropped here and mixed on the device.

    A log-mel partner may have a waveform partner of its own. A partner that cannot be used is replaced like any clip,
    and told like any. Partners are drawn uniformly, in every epoch anew, and may be the clip itself (in another crop).
    """

    def __init__(
        self, clips: Drawable, waveform: MixupConfig | None, log_mel: MixupConfig | None, seed: int = 0
    ) -> None:
        self.clips = clips
        self.waveform = waveform
        self.log_mel = log_mel
        self.seed = seed

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: Key) -> Item:
        item = self._with_waveform_partner(self.clips[key], key.epoch)
        partner = self._partner(item, key.epoch, "log-mel-mixup", self.log_mel)
        if partner is None:
            return item
        partner = replace(partner, item=self._with_waveform_partner(partner.item, key.epoch))
        return replace(item, log_mel_partner=partner, bad=item.bad + partner.item.bad)

    def _with_waveform_partner(self, item: Item, epoch: int) -> Item:
        partner = self._partner(item, epoch, "waveform-mixup", self.waveform)
        if partner is None:
            return item
        return replace(item, waveform_partner=partner, bad=item.bad + partner.item.bad)

    def _partner(self, item: Item, epoch: int, purpose: str, config: MixupConfig | None) -> Partner | None:
        """What this clip is mixed with, for this purpose; None: nothing."""
        if config is None:
            return None
        decides, quantile = uniform(clip_keys(self.seed, epoch, torch.tensor([item.id])), purpose, 2)[0].tolist()
        if decides >= config.probability:
            return None
        share = draw_share(config.alpha, quantile)
        if config.keep_larger:
            share = max(share, 1 - share)
        drawn = combine(self.seed, epoch, item.id, stable_id(purpose))
        # As a repeat of its own, so that a partner is cropped and changed unlike the same clip elsewhere in the epoch.
        return Partner(self.clips[Key(epoch, self.clips.any_index(drawn), repeat=drawn)], share)


def draw_share(alpha: float, number: float) -> float:
    """A number of Beta(alpha, alpha) from one in [0, 1): its quantile."""
    return float(betaincinv(alpha, alpha, number + _LAST_BIT))
