"""Resampling: exact lengths, torchaudio's numbers, any pair of rates, and a clear word when torchaudio is broken."""

import math
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.audio import resample as module
from zoo.audio.resample import reach, resample, resampled_length
from zoo.errors import DataError


@pytest.fixture
def _no_cache() -> Iterator[None]:
    module._torchaudio_resample.cache_clear()
    yield
    module._torchaudio_resample.cache_clear()


def test_same_rates_change_nothing() -> None:
    waveform = torch.randn(100)
    assert resample(waveform, 16_000, 16_000) is waveform


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000), (22_050, 32_000)]
)
def test_it_is_torchaudio(from_rate: int, to_rate: int) -> None:
    waveform = torch.randn(12_345)
    expected = torchaudio.transforms.Resample(from_rate, to_rate)(waveform)
    torch.testing.assert_close(resample(waveform, from_rate, to_rate), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("from_rate", "to_rate"), [(44_100, 16_000), (11_025, 16_000), (16_000, 44_100), (7, 5), (5, 7)]
)
def test_the_sum_over_taps_is_torchaudio(from_rate: int, to_rate: int) -> None:
    """In float64, that is: in float32 torchaudio rounds the phases, which moves its output by up to 1e-4."""
    waveform = torch.randn(9_876)
    expected = torchaudio.functional.resample(waveform.double(), from_rate, to_rate).float()
    found = module._resample_taps(waveform, *module.reduced(from_rate, to_rate))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("from_rate", [44_101, 15_999, 44_056, 192_001])
def test_rates_without_a_common_divisor(from_rate: int) -> None:
    """torchaudio's kernel for 44 101 -> 16 000 Hz would have 700 million numbers."""
    time = torch.arange(from_rate // 2, dtype=torch.float64) / from_rate
    found = resample(torch.sin(2 * math.pi * 1_000 * time).float(), from_rate, 16_000)
    expected = torch.sin(2 * math.pi * 1_000 * torch.arange(found.shape[0], dtype=torch.float64) / 16_000).float()
    torch.testing.assert_close(found[100:-100], expected[100:-100], rtol=0, atol=2e-3)


def test_a_tone_stays_and_what_the_new_rate_cannot_hold_goes() -> None:
    time = torch.arange(48_000, dtype=torch.float64) / 48_000
    low, high = (torch.sin(2 * math.pi * f * time).float() for f in (1_000, 12_000))
    assert resample(low, 48_000, 16_000).square().mean().item() == pytest.approx(0.5, rel=0.01)
    assert resample(high, 48_000, 16_000)[100:-100].abs().max().item() < 0.01


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3_000),
    st.sampled_from([8_000, 11_025, 16_000, 44_100, 44_101, 96_000]),
    st.sampled_from([16_000, 32_000]),
)
def test_the_length_is_exact(num_samples: int, from_rate: int, to_rate: int) -> None:
    found = resample(torch.ones(num_samples), from_rate, to_rate)
    assert found.shape[0] == math.ceil(num_samples * to_rate / from_rate)


def test_the_length_of_a_long_clip_is_exact() -> None:
    """torchaudio alone returns one sample less: it counts in float32."""
    num_samples = 25_165_825
    assert resampled_length(num_samples, 48_000, 16_000) == 8_388_609
    assert resample(torch.zeros(num_samples), 48_000, 16_000).shape[0] == 8_388_609


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44_100, 16_000), (8_000, 16_000), (44_101, 16_000)])
def test_an_output_depends_on_no_more_than_its_reach(from_rate: int, to_rate: int) -> None:
    waveform = torch.randn(4_000)
    middle = 1_000 * to_rate // from_rate
    changed = waveform.clone()
    centre = middle * from_rate // to_rate
    changed[: centre - reach(from_rate, to_rate)] = 9.0
    changed[centre + reach(from_rate, to_rate) + 2 :] = -9.0
    assert resample(changed, from_rate, to_rate)[middle] == resample(waveform, from_rate, to_rate)[middle]


@pytest.mark.usefixtures("_no_cache")
def test_a_broken_torchaudio_is_the_users_to_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio.transforms", None)
    with pytest.raises(DataError, match=r"torchaudio cannot be imported .* install that pair, or convert"):
        resample(torch.zeros(100), 44_100, 16_000)


@pytest.mark.usefixtures("_no_cache")
@pytest.mark.parametrize(
    "error", [OSError("libcudart.so.13\nmissing"), RuntimeError("CUDA 13.2"), AttributeError("ops")]
)
def test_every_way_of_torchaudio_to_break(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Broken:
        def __getattr__(self, name: str) -> None:
            raise error

    monkeypatch.setitem(sys.modules, "torchaudio.transforms", Broken())
    with pytest.raises(DataError, match="torchaudio cannot be imported") as caught:
        resample(torch.zeros(100), 44_100, 16_000)
    assert "\n" not in str(caught.value)
    resample(torch.zeros(100), 16_000, 16_000)  # and where nothing is resampled, nothing is imported


def test_torchaudio_is_imported_only_when_needed() -> None:
    code = "import sys, zoo.audio.decode; sys.exit('torchaudio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
