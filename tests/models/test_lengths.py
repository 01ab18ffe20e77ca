"""Every model on clips of 0.1, 1, 1.5 and 3.7 times its length, against a slow and obvious version."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import zoo
from tests.models.test_sweep import NAMES, PRETRAINED, shrunk
from zoo.audio.ast_front_end import AstFrontEndConfig
from zoo.data.batch import InputMaker, Inputs
from zoo.data.clip import Clip
from zoo.data.labels import LabelTable
from zoo.data.loader import Loader
from zoo.data.manifest import Manifest
from zoo.data.reader import ClipReader
from zoo.data.windows import WindowConfig
from zoo.evaluate.evaluation import evaluate_objective, extract_features, predict_all
from zoo.nn.position import FrequencyTimePosition, LearnedPosition
from zoo.run.evaluation_data import make_evaluation_loader
from zoo.weights.loaded import Loaded

FRONT_END = AstFrontEndConfig().build()
FRAMES = 96
# PaSST's table has n_frames // stride columns: 146 and 356 frames fill theirs.
Padding = Literal["masked", "as_source"]
CLIPS = {"long": 356, "short": 10, "other": 146, "full": 96, "longest": 366, "just": 97, "again": 146}
TOLERANCE: dict[str, Any] = {"atol": 1e-5, "rtol": 0}
# Shrunk, the three sizes of a family are one network.
NETWORKS = list({repr(shrunk(name)): name for name in reversed(NAMES)}.values())
LABELS = LabelTable(("a", "b", "c", "d", "e"), "single-label")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder: Path = tmp_path_factory.mktemp("clips")
    clips = []
    for i, (name, frames) in enumerate(CLIPS.items()):
        time = np.arange(FRONT_END.num_samples(frames) + 37 * i) / FRONT_END.sample_rate
        wave = 0.3 * np.sin(2 * np.pi * (200 + 300 * i + 400 * time) * time) * (1 + np.sin(7 * time))
        soundfile.write(folder / f"{name}.wav", wave.astype(np.float32), FRONT_END.sample_rate, subtype="FLOAT")
        clips.append(Clip(folder / f"{name}.wav", name, ("abcde"[i % 5],)))
    return Manifest(tuple(clips), "clips")


def built(name: str) -> Any:
    """With positions large enough to matter."""
    model = shrunk(name).eval()
    position = getattr(getattr(model, "embedding", None), "position", None)
    if isinstance(position, LearnedPosition | FrequencyTimePosition):
        for parameter in position.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model


def loader(
    manifest: Manifest,
    model: Any,
    batch_size: int = 2,
    padding: Literal["masked", "as_source"] = "masked",
    **config: Any,
) -> Loader:
    reader = ClipReader(manifest, LABELS, FRONT_END.sample_rate, FRONT_END.num_samples(model.min_frames))
    return make_evaluation_loader(reader, model, FRONT_END, WindowConfig(**config), batch_size, padding=padding)


def wave_of(manifest: Manifest, index: int, model: Any) -> Tensor:
    wave, _ = soundfile.read(manifest.clips[index].path, dtype="float32")
    shortest = FRONT_END.num_samples(model.min_frames)
    return torch.from_numpy(np.pad(wave, (0, max(0, shortest - len(wave)))))


def slow_windows(wave: Tensor, most_frames: int, overlap: float) -> Iterator[Tensor]:
    if FRONT_END.num_frames(len(wave)) <= most_frames:
        yield wave
        return
    size = FRONT_END.num_samples(FRAMES)
    first = 0
    while first + size < len(wave):
        yield wave[first : first + size]
        first += round(size * (1 - overlap))
    yield wave[-size:]


def run(function: Any, wave: Tensor) -> Tensor:
    with torch.no_grad():
        return function(FRONT_END(wave[None]).as_subclass(Tensor))[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_against_one_window_at_a_time(name: str, manifest: Manifest) -> None:
    model, make = built(name), InputMaker(FRONT_END, None, 0)
    clips = loader(manifest, model, overlap=0.3)
    scores = predict_all(model, clips, make, "cpu", task="single-label")
    features = extract_features(model, clips, make, "cpu")
    assert scores.names == features.names == tuple(CLIPS)
    assert scores.targets is not None
    assert scores.targets.argmax(1).tolist() == [0, 1, 2, 3, 4, 0, 1]
    count = 0
    for index in range(len(CLIPS)):
        windows = list(slow_windows(wave_of(manifest, index, model), model_length(model), 0.3))
        count += len(windows)
        probabilities = torch.stack([run(model, window).softmax(0) for window in windows]).mean(0)
        torch.testing.assert_close(scores.scores[index].softmax(0), probabilities, **TOLERANCE)
        expected = torch.stack([run(model.features, window) for window in windows]).mean(0)
        torch.testing.assert_close(features.features[index], expected, **TOLERANCE)
    assert clips.num_clips == count > 2 * len(CLIPS)


@pytest.mark.parametrize("name", NETWORKS)
def test_padding_that_is_seen(name: str, manifest: Manifest) -> None:
    """`as_source`: every window is padded to the model's length, and none is longer."""
    model = built(name)
    make = InputMaker(FRONT_END, None, 0, "as_source", FRAMES)
    clips = loader(manifest, model, padding="as_source")
    assert all(len(batch) <= 2 for batch in clips.epoch(0))  # short clips are as large as any other
    found = extract_features(model, clips, make, "cpu").features
    count = 0
    for index in range(len(CLIPS)):
        windows = list(slow_windows(wave_of(manifest, index, model), FRAMES, 0.5))
        count += len(windows)
        log_mels = [FRONT_END(window[None], n_frames=FRAMES).as_subclass(Tensor) for window in windows]
        with torch.no_grad():
            expected = torch.stack([model.features(log_mel)[0] for log_mel in log_mels]).mean(0)
        torch.testing.assert_close(found[index], expected, **TOLERANCE)
    assert clips.num_clips == count


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_clips_against_a_model_loaded_at_their_length(name: str, manifest: Manifest) -> None:
    model = built(name)
    before = model.state_dict()
    clips = loader(manifest, model, long_clips="whole")
    assert clips.num_clips == len(CLIPS)
    found = extract_features(model, clips, InputMaker(FRONT_END, None, 0), "cpu")
    assert found.names == tuple(CLIPS)
    checkpoint = Loaded(Path("memory"), {"model": model.config.model_dump(mode="json")}, dict(before))
    for index in range(len(CLIPS)):
        wave = wave_of(manifest, index, model)
        frames = FRONT_END.num_frames(len(wave))
        longer = zoo.load(checkpoint, n_frames=frames, positions="resample") if frames > model_length(model) else model
        torch.testing.assert_close(found.features[index], run(longer.features, wave), **TOLERANCE)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    if hasattr(model, "max_frames"):
        with pytest.raises(zoo.ShapeError, match="expected at most"):
            model(torch.zeros(1, 128, 356))


def model_length(model: Any) -> int:
    """As far as the model has positions."""
    return int(getattr(model, "max_frames", FRAMES))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("long_clips", ["windows", "whole"])
def test_a_clip_does_not_depend_on_the_others(name: str, long_clips: str, manifest: Manifest) -> None:
    model, make = built(name), InputMaker(FRONT_END, None, 0)
    together = predict_all(model, loader(manifest, model, long_clips=long_clips), make, "cpu").scores
    for batch_size in (1, 50):
        other = predict_all(model, loader(manifest, model, batch_size, long_clips=long_clips), make, "cpu").scores
        torch.testing.assert_close(other, together, **TOLERANCE)
    few = Manifest(manifest.clips[3:1:-1], "few")
    some = predict_all(model, loader(few, model, long_clips=long_clips), make, "cpu")
    assert some.names == ("full", "other")
    torch.testing.assert_close(some.scores, together[[3, 2]], **TOLERANCE)


@pytest.mark.parametrize("name", NETWORKS[-1:])
def test_positions_do_matter_here(name: str, manifest: Manifest) -> None:
    """The tests above would see a clip of 146 frames that got the positions of one of 366."""
    model = built(name)
    wave = wave_of(manifest, 2, model)
    log_mel = FRONT_END(wave[None]).as_subclass(Tensor)
    padded = torch.nn.functional.pad(log_mel, (0, 366 - log_mel.shape[2]))
    with torch.no_grad(), model.any_length():
        own = model.features(padded, torch.tensor([log_mel.shape[2]]))[0]
        torch.testing.assert_close(own, run(model.features, wave), **TOLERANCE)
        assert (model.features(padded, torch.tensor([366]))[0] - own).abs().max() > 1e-2


@pytest.mark.parametrize("name", PRETRAINED[:1] + PRETRAINED[-1:])
@pytest.mark.parametrize("long_clips", ["windows", "whole", "beginning"])
def test_pretext_masks_differ_from_window_to_window(name: str, long_clips: str, manifest: Manifest) -> None:
    model = shrunk(name, pretraining=True).eval()
    seen: list[int] = []

    def objective(model: Any, inputs: Inputs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        seen.extend(inputs.keys.tolist())
        output = model(inputs.log_mel, inputs.num_frames, inputs.keys)
        return output.reconstruct.length.float().mean(), torch.tensor(float(len(inputs.keys))), {}

    clips = loader(manifest, model, long_clips=long_clips)
    means = evaluate_objective(model, objective, clips, InputMaker(FRONT_END, None, 0), "cpu")
    assert means.num_clips == len(CLIPS)
    assert len(set(seen)) == len(seen) == clips.num_clips
    assert means.scalars["loss/total"] > 0
