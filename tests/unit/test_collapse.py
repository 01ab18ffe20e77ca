"""A run whose features collapse says so, and one whose features do not says nothing."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from zoo.recipe import parse_recipe
from zoo.run import train
from zoo.run.collapse import CollapseWatch
from zoo.train.checkpoint import load_checkpoint, save_checkpoint

RECIPE = """
name: pre
model: {kind: ssast, n_frames: 32, embed_dim: 16, depth: 2, num_heads: 2, num_masked: 4, cluster_size: [1, 1]}
objective: {kind: masked-patch}
data: {train: DATA, eval: DATA, num_workers: 0}
train: {clips: 8, batch_size: 4, precision: fp32, device: cpu}
evaluate: {every_clips: 4}
optim: {kind: adam, lr: 1.0e-9}
log: {every_clips: 8, images: 0}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 clips of noise, each of another colour and loudness."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("collapse") / "clips"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        wave = np.convolve(rng.standard_normal(6_000), rng.standard_normal(20), "valid")[:5_600]
        soundfile.write(folder / f"{number:02}.wav", (rng.uniform(0.01, 0.1) * wave).astype(np.float32), 16_000)
    return folder


def run(data: Path, out: Path, *overrides: str) -> dict[str, Any]:
    recipe = parse_recipe(RECIPE.replace("DATA", str(data)), "x.yaml", overrides, for_training=True)
    return train(recipe, out, command="pretrain")


def evaluations(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "eval/loss" in line]


@pytest.fixture(scope="module")
def healthy(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("healthy") / "run"
    assert not [text for text in run(data, out)["warnings"] if "collapse" in text]
    return out


def test_fresh_weights_are_healthy(healthy: Path) -> None:
    for found in evaluations(healthy):
        assert found["health/embedding_std"] > 0.05
        assert found["health/effective_rank"] > 2
        assert found["health/dead_dimensions"] == 0
        assert 0 <= found["health/attention_entropy_lowest"] <= found["health/attention_entropy"] <= 1


@pytest.mark.parametrize("kind", ["point", "line"])
def test_a_collapsed_model_says_so_once(
    kind: str, healthy: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """To a point: the last norm scales all to nothing. To a line: it leaves one dimension of sixteen."""
    weights, config = load_checkpoint(healthy / "checkpoints" / "last")
    scale, shift = (weights[f"backbone.encoder.norm.{name}"] for name in ("weight", "bias"))
    scale[1 if kind == "line" else 0 :] = 0
    shift[:] = 1
    save_checkpoint(tmp_path / "collapsed", weights, config)
    with caplog.at_level(logging.WARNING, "zoo.run"):
        summary = run(data, tmp_path / "run", f"init.from={tmp_path / 'collapsed'}")
    found = evaluations(tmp_path / "run")
    assert len(found) == 2
    for one in found:
        assert one["health/effective_rank"] == pytest.approx(1 if kind == "line" else 0, abs=0.01)
        assert one["health/dead_dimensions"] == pytest.approx(15 / 16 if kind == "line" else 1)
        if kind == "point":
            assert one["health/embedding_std"] == pytest.approx(0, abs=1e-4)
    (told,) = [text for text in summary["warnings"] if "collapse" in text]
    assert told.startswith("collapse after 4 clips: the features of all clips ")
    assert caplog.text.count("collapse after") == 1


def test_other_processes_keep_quiet(caplog: pytest.LogCaptureFixture) -> None:
    watch = CollapseWatch(256, 16, tells=False)
    with caplog.at_level(logging.WARNING, "zoo.run"):
        for clips in (4, 8):
            watch.look({"health/embedding_std": 0.0, "health/effective_rank": 0.0}, clips)
    assert len(watch.told) == 1
    assert caplog.text == ""
