"""The tokens after every layer of every family, where they lie, and that nothing else has changed."""

import math

import numpy as np
import pytest
import torch

import zoo
from tests.unit.small_models import FAMILY, save_small
from zoo.audio.front_ends import FAMILIES
from zoo.audio.mel_bank import hertz_at_band, make_mel_bank
from zoo.data.stretches import SideBySide
from zoo.errors import ShapeError
from zoo.nn.patch import unfold_patches
from zoo.use.places import Places
from zoo.use.ready import ready_model


def _log_mel(batch: int = 2, frames: int = 60) -> torch.Tensor:
    return torch.randn(batch, 128, frames, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize("name", FAMILY)
def test_the_last_layer_is_what_the_model_gives(name: str, tmp_path) -> None:
    model = zoo.load(save_small(tmp_path / "c", name))
    num_frames = torch.tensor([60, 41])
    with torch.no_grad():
        layers, is_padded = model.layers(_log_mel(), num_frames)
        assert len(layers) == model.depth + 1 == (1 if name == "cnn-baseline" else 3)
        assert torch.equal(layers[-1], model.tokens(_log_mel(), num_frames))
        assert torch.equal(model.aggregator(layers[-1], is_padded), model.features(_log_mel(), num_frames))
        again, _ = model.layers(_log_mel(), num_frames, wanted=[model.depth, 0])
        assert torch.equal(again[0], layers[-1])
        assert torch.equal(again[1], layers[0])


@pytest.mark.parametrize("name", ["ast-tiny", "passt-tiny", "ast-sinusoidal"])
def test_layers_between_are_the_outputs_of_blocks(name: str, tmp_path) -> None:
    model = zoo.load(save_small(tmp_path / "c", name))
    seen = []
    for block in model.encoder.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        tokens, _ = model.embedding(_log_mel())
        model.tokens(_log_mel())
        hooked = [tokens, *seen]
        layers, _ = model.layers(_log_mel())
    assert torch.equal(layers[0], hooked[0])
    assert torch.equal(layers[1], hooked[1])
    is_normalised = model.encoder.norm is not None
    assert torch.equal(layers[2], model.encoder.norm(hooked[2]) if is_normalised else hooked[2])


def test_layers_that_are_none(tmp_path) -> None:
    model = zoo.load(save_small(tmp_path / "c"))
    with pytest.raises(ShapeError, match="layers: found 3, -1 - expected 0 to 2"):
        model.layers(_log_mel(), wanted=[0, 3, -1])


@pytest.mark.parametrize("name", FAMILY)
def test_a_token_lies_where_its_layout_says(name: str, tmp_path) -> None:
    """What changes when a patch of the input changes is the embedding of the patches over it."""
    model = zoo.load(save_small(tmp_path / "c", name))
    layout, log_mel = model.layout, _log_mel(1, 60)
    grid = layout.grid(128, 60)
    with torch.no_grad():
        (before,), _ = model.layers(log_mel, wanted=[0])
        f, t = grid.freq - 1, grid.time - 2
        changed = log_mel.clone()
        mel, frame = f * layout.stride[0], t * layout.stride[1]
        changed[:, mel + layout.patch_size[0] - 1, frame + layout.patch_size[1] // 2] += 5.0
        (after,), _ = model.layers(changed, wanted=[0])
    distance = (layout.on_grid(after, 128) - layout.on_grid(before, 128)).abs().amax(dim=(0, 3))
    assert distance.shape == (grid.freq, grid.time)
    assert distance[f, t] > 1e-3
    if name != "cnn-baseline":  # whose convolutions look around
        covering = torch.ones(1, 128, 60)
        covering[:, mel + layout.patch_size[0] - 1, frame + layout.patch_size[1] // 2] = 0
        sees = (unfold_patches(covering, layout.patch_size, layout.stride) == 0).any(2).reshape(grid)
        assert torch.equal(distance > 1e-6, sees)


@pytest.mark.parametrize("name", ["ast-tiny", "passt-tiny", "ssast-frame-tiny", "cnn-baseline"])
def test_a_click_is_found_at_its_time(name: str, tmp_path) -> None:
    ready = ready_model(save_small(tmp_path / "c", name, 128))
    places, front_end = Places.of(ready, "frame"), ready.front_end
    rate = front_end.sample_rate
    for click in (0.312, 0.55, 0.8):
        wave = torch.zeros(1, rate)
        wave[0, round(click * rate)] = 1.0
        log_mel = front_end(wave).as_subclass(torch.Tensor)
        width, step = places.layout.patch_size[1], places.layout.stride[1]
        loud = (log_mel[0].mean(0) - log_mel.mean()).clamp(min=0).unfold(0, width, step)
        # The patches that hold the click lie around it: their middle is its time, to half a step and a hop.
        held = (loud.sum(1) > 0.99 * loud.sum(1).max()).nonzero()[:, 0]
        times = places.times(0.0, loud.shape[0])
        assert times.diff().numpy() == pytest.approx(step * front_end.config.hop_length / rate)
        slack = (step / 2 + width / 2 * (width > 4) + 1) * front_end.config.hop_length / rate
        assert abs(float(times[held].mean()) - click) <= slack, (times[held], click)


@pytest.mark.parametrize("family", ["ast", "passt"])
def test_frames_are_centred_where_they_say(family: str) -> None:
    """The loudest frame of a click is the one whose centre is nearest to it."""
    front_end = FAMILIES[family].build()
    rate, hop = front_end.sample_rate, front_end.config.hop_length
    for sample in (rate // 2, rate // 2 + 37, rate // 2 + hop // 2 - 3):
        wave = torch.zeros(1, rate)
        wave[0, sample] = 1.0
        energy = front_end(wave).as_subclass(torch.Tensor)[0].mean(0)
        assert abs(int(energy.argmax()) * hop + front_end.first_centre - sample) <= hop / 2 + 1


def test_frequencies_are_those_of_the_filters() -> None:
    """The centre of band b is where its triangle is 1; of a patch, the middle in mel of its bands."""
    config = FAMILIES["ast"]
    low, high = config.band_limits
    bank = make_mel_bank(torch.tensor(low).double(), torch.tensor(high).double(), 128, 1 << 18, config.sample_rate)
    peaks = bank.argmax(1) * config.sample_rate / (1 << 18)
    assert hertz_at_band(torch.arange(128.0), low, high, 128).numpy() == pytest.approx(peaks.numpy(), abs=0.05)

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    found = hertz_at_band(torch.tensor([7.5]), low, high, 128)
    mean = np.mean([mel(float(peak)) for peak in peaks[:16]])
    assert mel(float(found)) == pytest.approx(mean, abs=0.05)


def test_windows_side_by_side() -> None:
    rows = SideBySide([0, 5, 100, 205, 210, 259], window=110, hop=100, least=10)
    found = [(int(c), int(f), int(n)) for c, f, n in zip(rows.clip, rows.first, rows.length, strict=True)]
    assert found == [
        (0, 0, 110),
        (0, 100, 10),
        (1, 0, 5),
        (2, 0, 100),
        (3, 0, 110),
        (3, 100, 105),
        (4, 0, 110),
        (4, 100, 110),
        (4, 200, 10),
        (5, 0, 110),
        (5, 100, 110),
        (5, 200, 59),
    ]
    assert rows[5].before == 0
    assert rows[4].before is None
