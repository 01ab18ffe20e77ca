"""Training from audio files: our loader, front end and step, and the other code's, in a process of their own."""

import csv
import importlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.audio.front_ends import FAMILIES
from zoo.data.batch import Inputs
from zoo.draws import clip_keys
from zoo.run import prepare_data
from zoo.use.bench.loaders import small_recipe
from zoo.use.bench.log_mels import plain_transform
from zoo.use.bench.sounds import FORMS, sounds
from zoo.use.bench.steps import ModelStep, synchronise
from zoo.use.bench.ways import FRONT_ENDS, n_frames_of

_FILES = 64  # different ones; an epoch has each as often as it must


def write_clips(source: str | None, family: str, seconds: float, count: int, folder: Path) -> Path:
    """A manifest of `count` clips that fill the model's input, wav at the front end's rate. Returns its path."""
    front_end = FAMILIES[FRONT_ENDS[family]].build()
    length = front_end.num_samples(n_frames_of(family, seconds)) / front_end.sample_rate
    clips = sounds(source, front_end.sample_rate, length, min(count, _FILES))
    files = FORMS["wav"](clips, front_end.sample_rate, folder / family).files
    path = folder / f"{family}.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "id"])
        writer.writerows([files[number % len(files)], f"clip {number}"] for number in range(count))
    return path


class OurTraining(ModelStep):
    """A round is an epoch of `steps` batches, by the run's own loader and way to log-mels."""

    def __init__(self, manifest: str, workers: int, *, family: str, seconds: float, **options: Any) -> None:
        super().__init__(family=family, seconds=seconds, **options)
        kind = FRONT_ENDS[family]
        recipe = small_recipe(manifest, kind, n_frames_of(family, seconds), self.batch, workers, padding="masked")
        self.num_workers = workers
        self._data = prepare_data(recipe, self.step.device)
        self._epoch, self._seconds = 0, 0.0

    def run(self) -> int:
        loader = self._data.train_loader
        assert loader is not None
        self._epoch += 1
        since, clips = time.perf_counter(), 0
        for batch in loader.epoch(self._epoch):
            inputs = self._data.make_inputs(batch.to(self.step.device), self._epoch, True)
            self.step(replace(inputs, target=self.target))
            clips += len(batch)
        synchronise_and_check(self, clips)
        self._seconds += time.perf_counter() - since
        return clips

    def facts(self) -> dict[str, Any]:
        """`waiting_share`: of all rounds' time, the part in which the loader had no batch to give."""
        loader = self._data.train_loader
        assert loader is not None
        return {**super().facts(), "waiting_share": loader.seconds_waiting / self._seconds}

    def close(self) -> None:
        self._data.close()


class PeerTraining(ModelStep):
    """The same with torch's own loader: soundfile a clip, and the features as the other code makes them."""

    def __init__(self, files: Sequence[str], workers: int, *, family: str, seconds: float, **options: Any) -> None:
        super().__init__(family=family, seconds=seconds, **options)
        self.num_workers = workers
        n_frames = n_frames_of(family, seconds)
        self._on_device = _hear21passt_mel(self.step.device, n_frames) if family == "passt" else None
        self._loader: DataLoader[Tensor] = DataLoader(
            _PeerClips(list(files), family, n_frames),
            batch_size=self.batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
            persistent_workers=workers > 0,
            pin_memory=self.step.device.type == "cuda",
        )
        self._epoch, self._seconds, self._waited = 0, 0.0, 0.0

    def run(self) -> int:
        self._epoch += 1
        since, clips = time.perf_counter(), 0
        for batch in self._batches():
            features = batch.to(self.step.device, non_blocking=True)
            log_mel = features if self._on_device is None else self._on_device(features)
            keys = clip_keys(0, self._epoch, torch.arange(len(log_mel), device=self.step.device))
            self.step(Inputs(log_mel, None, self.target, keys, ()))
            clips += len(log_mel)
        synchronise_and_check(self, clips)
        self._seconds += time.perf_counter() - since
        return clips

    def _batches(self) -> Iterator[Tensor]:
        since = time.perf_counter()
        for batch in self._loader:
            self._waited += time.perf_counter() - since
            yield batch
            since = time.perf_counter()

    def facts(self) -> dict[str, Any]:
        """As those of `OurTraining`."""
        return {**super().facts(), "waiting_share": self._waited / self._seconds}

    def close(self) -> None:
        self._loader._iterator = None


def synchronise_and_check(work: ModelStep, clips: int) -> None:
    """Waits for the device, and makes sure that a round did what it is counted for."""
    synchronise(work.step.device)
    assert clips == work.steps * work.batch, (clips, work.steps, work.batch)


class _PeerClips(Dataset[Tensor]):
    """A clip as the other code's loader has it: (M, T), or for hear21passt, whose mel is in the model, (S,)."""

    def __init__(self, files: list[str], family: str, n_frames: int) -> None:
        self._files, self._family, self._n_frames = files, family, n_frames
        self._features: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensor:
        if self._features is None:  # made in the worker
            made = {"ast": _hugging_face_features, "ssast": _kaldi_features, "passt": lambda _: lambda wave: wave}
            self._features = made[self._family](self._n_frames)
        return self._features(torch.from_numpy(soundfile.read(self._files[index], dtype="float32")[0]))


def _hugging_face_features(n_frames: int) -> Callable[[Tensor], Tensor]:
    transformers: Any = importlib.import_module("transformers")
    extractor = transformers.ASTFeatureExtractor(max_length=n_frames)

    def features(waveform: Tensor) -> Tensor:
        found = extractor(waveform.numpy(), sampling_rate=16_000, return_tensors="pt")
        log_mel: Tensor = found["input_values"][0].mT
        return log_mel

    return features


def _kaldi_features(n_frames: int) -> Callable[[Tensor], Tensor]:
    transform = plain_transform("ast")

    def features(waveform: Tensor) -> Tensor:
        log_mel = transform(waveform)
        return torch.nn.functional.pad(log_mel, (0, n_frames - log_mel.shape[1]))

    return features


def _hear21passt_mel(device: torch.device, n_frames: int) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preprocess: Any = importlib.import_module("hear21passt.models.preprocess")
    # Without its masks in frequency and time, which are an augmentation; it draws band edges, as our front end does.
    mel = preprocess.AugmentMelSTFT(freqm=0, timem=0, fmax=15_000, fmax_aug_range=2_000).to(device).train()

    def log_mel(waveform: Tensor) -> Tensor:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Tensor = mel(waveform)
        return found[:, :, :n_frames]

    return log_mel
