"""HEAR's common interface, as its validator asks for it, for every family, from the module that kits import."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.small_models import FAMILY, save_small

RATES = (16_000, 22_050, 32_000, 44_100, 48_000)
"""That the interface allows."""


@pytest.mark.parametrize("name", FAMILY)
def test_the_rules_of_the_interface(name: str, tmp_path: Path) -> None:
    hear = importlib.import_module("zoo.hear")
    model = hear.load_model(str(save_small(tmp_path / "c", name, 128)))
    assert isinstance(model, torch.nn.Module)
    assert model.sample_rate in RATES
    assert isinstance(model.scene_embedding_size, int)
    assert isinstance(model.timestamp_embedding_size, int)
    for seconds in (0.02, 0.7, 3.1):
        audio = 0.2 * torch.randn(2, round(seconds * model.sample_rate))
        scene = hear.get_scene_embeddings(audio, model)
        assert scene.dtype == torch.float32
        assert scene.shape == (2, model.scene_embedding_size)
        assert not scene.requires_grad
        moments, stamps = hear.get_timestamp_embeddings(audio, model)
        assert moments.dtype == stamps.dtype == torch.float32
        assert moments.shape == (2, stamps.shape[1], model.timestamp_embedding_size)
        assert stamps.shape[0] == 2
        assert torch.equal(stamps[0], stamps[1])
        # Milliseconds: from the beginning of the clip to its end, no further apart than 50.
        assert float(stamps[0, 0]) == 0
        np.testing.assert_allclose(stamps[0].diff().numpy(), 50.0, atol=1e-2)
        assert float(stamps[0, -1]) + 50 > 1000 * seconds
        assert scene.isfinite().all()
        assert moments.isfinite().all()
        assert not torch.equal(scene[0], scene[1])


def test_silence_and_the_loudest_are_finite(tmp_path: Path) -> None:
    hear = importlib.import_module("zoo.hear")
    model = hear.load_model(str(save_small(tmp_path / "c")))
    for audio in (torch.zeros(1, 16_000), torch.ones(1, 16_000), torch.ones(1, 16_000).cumsum(1) % 2 * 2 - 1):
        assert hear.get_scene_embeddings(audio, model).isfinite().all()
        assert hear.get_timestamp_embeddings(audio, model)[0].isfinite().all()
