"""A small set with every codec, several rates, odd names and cuts of one long file, as users have it."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.shards.layout import PackOptions
from zoo.data.shards.write import Packed, write_pack

ROWS: list[dict[str, Any]] = [
    {"path": "a.wav", "labels": "dog", "fold": 1, "group": "g1"},
    {"path": "long.wav", "labels": "rain;dog", "fold": 1, "start": 0, "stop": 1.1},
    {"path": "b.flac", "labels": "rain", "fold": 2, "split": "eval"},
    {"path": "sub/ça va, oui.ogg", "labels": "dog", "fold": 2, "id": "été/été.v2.ogg"},
    {"path": "long.wav", "labels": "rain", "fold": 3, "start": 0.9, "stop": 2.55},
    {"path": "d.mp3", "labels": "", "fold": 3},
    {"path": "e.wav", "labels": "été", "fold": 3},
    {"path": "long.wav", "labels": "dog", "fold": 3, "start": 2.0},
]
FILES = {
    "a.wav": (44_100, 2, 1.3, "PCM_16", 1),
    "long.wav": (16_000, 1, 3.0, "PCM_16", 2),
    "b.flac": (16_000, 1, 2.0, "PCM_16", 3),
    "sub/ça va, oui.ogg": (16_000, 1, 1.6, "VORBIS", 4),
    "d.mp3": (22_050, 1, 1.5, "MPEG_LAYER_III", 5),
    "e.wav": (16_000, 1, 0.2, "FLOAT", 6),
}


def sound(seconds: float, rate: int, channels: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate))[:, None] / rate
    wave = 0.4 * np.sin(2 * np.pi * (150 * seed + 400 * time) * time)
    wave = wave + 0.05 * rng.standard_normal((time.size, channels))
    return wave.astype(np.float32)


def write_manifest(path: Path, rows: list[dict[str, Any]]) -> Path:
    columns = ("path", "labels", "fold", "split", "group", "start", "stop", "id")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def csv_path(tmp_path: Path) -> Path:
    """The manifest of the set."""
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    for name, (rate, channels, seconds, subtype, seed) in FILES.items():
        soundfile.write(folder / name, sound(seconds, rate, channels, seed), rate, subtype=subtype)
    return write_manifest(folder / "meta.csv", ROWS)


def read(path: Path, labelled: bool = True) -> Manifest:
    return read_manifest(SourceConfig(path=str(path)), labelled=labelled)


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Packed]:
    """Packs a manifest's path into a folder."""

    def make(source: Path, out: Path | None = None, mode: str = "original", **choices: Any) -> Packed:
        fields: dict[str, Any] = {"mode": mode, "shard_clips": choices.pop("shard_clips", 3)}
        if mode in ("flac", "wav"):
            fields["sample_rate"] = 16_000
        fields |= choices.pop("options", {})
        labelled = fields.setdefault("labelled", True)
        return write_pack(read(source, labelled), out or tmp_path / "pack", PackOptions(**fields), **choices)

    return make


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder, by its checksum."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
