"""What recipes are tried on: a few seconds of sound, manifests of any number of clips over it, and small weights."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from zoo.models.registry import build_model, parse_model_config
from zoo.recipe import Recipe
from zoo.train.checkpoint import save_checkpoint
from zoo.weights.catalogue import find
from zoo.weights.tensor_names import KERNEL

CLASSES = ("low", "middle", "high")
SMALL = {"embed_dim": 24, "depth": 1, "num_heads": 2}
RULES = {"deit": "image", "ast": "ast", "ssast": "ssast", "passt": "passt"}


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine files in a folder a class: .3 s, 1 s and 11 s, so that there is something to fill up and to crop."""
    folder, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    for i, label in enumerate(CLASSES):
        (folder / label).mkdir()
        for seconds in (0.3, 1.0, 11.0):
            time = np.arange(round(seconds * 16_000)) / 16_000
            wave = 0.3 * np.sin(2 * np.pi * 300 * (i + 1) * time) + 0.01 * rng.standard_normal(time.size)
            soundfile.write(folder / label / f"{seconds}.wav", wave.astype(np.float32), 16_000)
    return folder


@pytest.fixture
def manifest(sounds: Path, tmp_path: Path) -> Callable[..., str]:
    """Writes a manifest of so many clips over these files; with a group of their own for every tenth."""

    def write(name: str, clips: int, several_labels: bool) -> str:
        files = sorted(sounds.glob("*/*.wav"))
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "labels", "group", "id"])
            for number in range(clips):
                path = files[number % len(files)]
                label = path.parent.name
                labels = f"{label};{CLASSES[number % 2]}" if several_labels and label != CLASSES[number % 2] else label
                rows.writerow([path, labels, f"{name} {number % 10}", f"{name}/{number}"])
        return str(tmp_path / f"{name}.csv")

    return write


@pytest.fixture
def small_weights(tmp_path: Path) -> Callable[[str], Path]:
    """Writes fresh weights that are in everything but width and depth what a published checkpoint is."""

    def write(name: str) -> Path:
        known = find(name)
        model = build_model(parse_model_config({**known.own, **SMALL}), pretraining=known.pretraining)
        state = model.state_dict()
        if known.family == "deit":  # an image has three channels, and a classifier of its own
            state[KERNEL] = state[KERNEL].repeat(1, 3, 1, 1)
        config: Any = model.config
        described = {
            "model": config.model_dump(mode="json"),
            "front_end": known.front_end,
            "labels": None,
            "task": None,
            "pretraining": known.pretraining,
            "origin": {"format": "released", "rule": RULES[known.family]},
        }
        save_checkpoint(tmp_path / name, state, described)
        return tmp_path / name

    return write


def clips_for(recipe: Recipe) -> int:
    """Training clips with which the run is as long as its schedule asks for, in batches as small as they may be."""
    if recipe.train.clips is not None:  # its length is not that of the data
        return 20
    batch, epochs = batch_size_of(recipe), recipe.train.epochs or 1
    steps = math.ceil(getattr(recipe.schedule, "warmup_steps", 0) / epochs)
    clips = math.ceil(getattr(recipe.schedule, "warmup_clips", 0) / epochs)
    return max(20, steps * batch, clips)


def batch_size_of(recipe: Recipe) -> int:
    """Two clips, or one a part of the batch."""
    return max(2, recipe.train.accumulate)
