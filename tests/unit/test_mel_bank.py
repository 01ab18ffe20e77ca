"""A bank multiplied block by block is the whole product; nothing but zeros is left out."""

import pytest
import torch

from zoo.audio.mel_bank import blocks_of_bands, in_blocks, make_mel_bank


def _bank(n_mels: int, n_fft: int, low: float, high: float, sample_rate: int) -> torch.Tensor:
    return make_mel_bank(torch.tensor(low), torch.tensor(high), n_mels, n_fft, sample_rate)


@pytest.mark.parametrize(
    "bank",
    [
        _bank(128, 512, 20.0, 8_000.0, 16_000),
        _bank(128, 1_024, 9.0, 14_001.0, 32_000),
        _bank(1, 512, 20.0, 8_000.0, 16_000),
        _bank(33, 512, 20.0, 8_000.0, 16_000),
        _bank(1_000, 64, 20.0, 8_000.0, 16_000),  # hardly any triangle reaches a bin
        _bank(64, 64, 20.0, 30.0, 16_000),  # none does
    ],
    ids=["ast", "passt", "one band", "a block and one band", "narrow bands", "empty bands"],
)
def test_block_by_block_is_the_whole_product(bank: torch.Tensor) -> None:
    blocks = blocks_of_bands(bank)
    kept = torch.zeros_like(bank)
    for bands, bins in blocks:
        kept[bands, bins] = bank[bands, bins]
    assert torch.equal(kept, bank)
    assert [bands.start for bands, _ in blocks] == list(range(0, len(bank), 32))
    power = torch.rand(50, bank.shape[1], generator=torch.Generator().manual_seed(0))
    found = in_blocks(power, bank, blocks)
    torch.testing.assert_close(found.double(), bank.double() @ power.double().T, rtol=1e-6, atol=1e-6)


def test_most_products_are_left_out() -> None:
    bank = _bank(128, 512, 20.0, 8_000.0, 16_000)
    done = sum((bands.stop - bands.start) * (bins.stop - bins.start) for bands, bins in blocks_of_bands(bank))
    assert done < 0.3 * bank.numel()


@pytest.mark.parametrize("count", [16, 17, 31, 100, 499, 512])
def test_a_frame_does_not_depend_on_those_beside_it(count: int) -> None:
    """What lets a clip in a batch be, bit for bit, the clip alone; 16 is the smallest piece (zoo/audio/pieces.py)."""
    bank = _bank(128, 512, 20.0, 8_000.0, 16_000)
    blocks = blocks_of_bands(bank)
    power = torch.rand(1_024, 257, generator=torch.Generator().manual_seed(0))
    whole = in_blocks(power, bank, blocks)
    for first in (0, 1, 7, 500):
        assert torch.equal(in_blocks(power[first : first + count], bank, blocks), whole[:, first : first + count])
