"""From what values training starts: as published, or scaled by the width with positions that begin as sinusoids."""

import math
from typing import Any

import pytest
import torch
from torch import nn

import zoo
from zoo.models.registry import build_model, preset_config
from zoo.nn.init import init_weights
from zoo.nn.patch import PatchGrid
from zoo.nn.position import FrequencyTimePosition, LearnedPosition, SinusoidalPosition

SMALL = {"embed_dim": 48, "depth": 2, "num_heads": 3, "n_frames": 128}
TRANSFORMERS = ["ast-tiny", "ssast-patch-tiny", "ssast-frame-tiny", "passt-tiny", "ast-minimal", "ast-sinusoidal"]


def small(preset: str, **fields: Any) -> nn.Module:
    torch.manual_seed(0)
    patchout = {"patchout_freq": 0, "patchout_time": 0} if preset.startswith("passt") else {}
    return build_model(preset_config(preset, **{**SMALL, **patchout, **fields}))


def test_learned_positions_begin_as_sinusoids() -> None:
    position = LearnedPosition(PatchGrid(3, 5), 16)
    init_weights(position, "scaled")
    assert torch.equal(position.table, SinusoidalPosition(PatchGrid(3, 5), 16).table)


def test_row_and_column_add_up_to_sinusoids() -> None:
    position = FrequencyTimePosition(3, 5, 16)
    init_weights(position, "scaled")
    grid = PatchGrid(3, 5)
    assert torch.equal(position.eval()(grid), SinusoidalPosition(grid, 16)(grid))


@pytest.mark.parametrize(("wide", "high"), [(64, 64), (64, 256), (400, 100)])
def test_linear_weights_keep_the_size_of_signals(wide: int, high: int) -> None:
    linear = nn.Linear(wide, high)
    init_weights(linear, "scaled")
    assert float(linear.weight.detach().std()) == pytest.approx(math.sqrt(2 / (wide + high)), rel=0.05)
    assert not linear.bias.any()


@pytest.mark.parametrize("preset", TRANSFORMERS)
def test_every_transformer_takes_them_and_stays_trainable(preset: str) -> None:
    published, scaled = small(preset), small(preset, initial_values="scaled")
    assert {name: x.shape for name, x in published.named_parameters()} == {
        name: x.shape for name, x in scaled.named_parameters()
    }
    changed = [name for name, x in scaled.named_parameters() if not torch.equal(x, published.get_parameter(name))]
    assert any("attention" in name or "mlp" in name or "blocks" in name for name in changed)
    assert all(x.requires_grad and x.isfinite().all() for x in scaled.parameters())


@pytest.mark.parametrize("preset", TRANSFORMERS)
def test_published_is_the_default(preset: str) -> None:
    stated = small(preset, initial_values="published")
    assert all(torch.equal(x, stated.get_parameter(name)) for name, x in small(preset).named_parameters())


def test_the_decoder_of_a_masked_autoencoder_has_them_too() -> None:
    config = preset_config("ssast-patch-tiny", **SMALL, num_masked=0.5, encode="visible", initial_values="scaled")
    model: Any = build_model(config, pretraining=True)
    weight = model.decoder.embed.weight.detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / sum(weight.shape)), rel=0.1)


def test_sinusoids_on_two_axes_need_a_width_of_four_parts() -> None:
    with pytest.raises(zoo.RecipeError, match=r"embed_dim: found 6 with initial_values 'scaled'.*multiple of 4"):
        zoo.build("ssast-patch-tiny", embed_dim=6, num_heads=1, initial_values="scaled")


def test_weights_that_are_loaded_do_not_depend_on_them(tmp_path: Any) -> None:
    model = small("ast-tiny")
    torch.save(model.state_dict(), tmp_path / "m.pth")
    again = small("ast-tiny", initial_values="scaled")
    again.load_state_dict(torch.load(tmp_path / "m.pth"))
    log_mel = torch.randn(2, 128, 128)
    assert torch.equal(model.eval()(log_mel), again.eval()(log_mel))
