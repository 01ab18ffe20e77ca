"""What every test shares: the same random numbers each time, one thread, and small folders of sound."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import settings

# How long an example takes is no property: other tests run beside it.
settings.register_profile("zoo", deadline=None)
settings.load_profile("zoo")

PLANTED_GAIN = "augment.gain_db=[80, 80]"


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tone_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder per class of short tones: class i is a tone of 300 * (i + 1) Hz with a little noise."""

    def make(
        name: str = "tones",
        classes: tuple[str, ...] = ("low", "high"),
        clips: int = 4,
        seconds: float = 0.5,
        sample_rate: int = 16_000,
    ) -> Path:
        rng = np.random.default_rng(0)
        time = np.arange(int(seconds * sample_rate)) / sample_rate
        for i, label in enumerate(classes):
            folder = tmp_path / name / label
            folder.mkdir(parents=True, exist_ok=True)
            for clip in range(clips):
                wave = 0.3 * np.sin(2 * np.pi * 300 * (i + 1) * time + clip) + 0.01 * rng.standard_normal(time.size)
                soundfile.write(folder / f"{label}_{clip}.wav", wave.astype(np.float32), sample_rate)
        return tmp_path / name

    return make


@pytest.fixture
def plant() -> Callable[[Path], Path]:
    """Writes a file that decodes, and that any front end takes, but whose power leaves float32 under PLANTED_GAIN."""

    def write(path: Path, seconds: float = 0.5, sample_rate: int = 16_000) -> Path:
        wave = 1e14 * np.random.default_rng(7).standard_normal(int(seconds * sample_rate))
        soundfile.write(path, wave.astype(np.float32), sample_rate, subtype="FLOAT")
        return path

    return write


@pytest.fixture
def file_tree() -> Callable[..., Path]:
    """Makes the files of a data set: a number is so many seconds of noise, bytes and texts are written as they are."""

    def make(root: Path, files: Mapping[str, float | str | bytes], sample_rate: int = 8_000) -> Path:
        rng = np.random.default_rng(0)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                wave = 0.1 * rng.standard_normal(round(content * sample_rate))
                soundfile.write(path, wave.astype(np.float32), sample_rate)
        return root

    return make
