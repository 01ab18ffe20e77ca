"""From files to batches of log-mels: our loader and front end, and the straightforward way."""

import importlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.audio.decode import decode, read_header
from zoo.audio.front_ends import FAMILIES
from zoo.audio.resample import resample
from zoo.recipe import Recipe, parse_recipe
from zoo.run import prepare_data
from zoo.use.bench.log_mels import plain_transform

_STAGE_CLIPS = 64


def small_recipe(source: str, kind: str, n_frames: int, batch: int, workers: int, padding: str = "as_source") -> Recipe:
    """A pretraining run whose data part is that of any run; its model is never called."""
    values = {
        "name": "bench",
        "model": {"kind": "ssast", "embed_dim": 16, "depth": 1, "num_heads": 1, "n_frames": n_frames, "num_masked": 1},
        "front_end": {"kind": kind},
        "objective": {"kind": "masked-patch"},
        "data": {"train": source, "padding": padding, "num_workers": workers},
        "train": {"epochs": 1, "batch_size": batch},
    }
    return parse_recipe(json.dumps(values), "bench")


def n_frames_for(kind: str, seconds: float) -> int:
    """As many frames as the clips have, rounded up to a multiple of 64: for ten seconds 1,024, as AST has it."""
    front_end = FAMILIES[kind].build()
    return -(-front_end.num_frames(round(seconds * front_end.sample_rate)) // 64) * 64


class OurLoader:
    """What training does with every batch before the model sees it, by the run's own way to make its loader."""

    def __init__(self, source: str, kind: str, seconds: float, batch: int, workers: int, device: str) -> None:
        self.num_workers = workers
        self._rate = FAMILIES[kind].sample_rate
        self._device = torch.device(device)
        self._data = prepare_data(small_recipe(source, kind, n_frames_for(kind, seconds), batch, workers), self._device)
        self._epoch = 0

    def batches(self) -> Iterator[tuple[Tensor, tuple[str, ...]]]:
        """(B, M, T) of the next epoch, and the names of the clips."""
        loader = self._data.train_loader
        assert loader is not None
        self._epoch += 1
        for batch in loader.epoch(self._epoch):
            inputs = self._data.make_inputs(batch.to(self._device), self._epoch, True)
            yield inputs.log_mel, inputs.names

    def run(self) -> int:
        """One epoch."""
        clips = sum(len(log_mel) for log_mel, _ in self.batches())
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return clips

    def stages(self) -> dict[str, float]:
        """Milliseconds of this process; the rest is cropping, collating and handing over."""
        manifest = self._data.found.train
        assert manifest is not None
        if manifest.front_end is not None:
            return {}  # stored log-mels are read, and normalised
        files = [clip.path for clip in manifest.clips[:_STAGE_CLIPS]]
        rates = [read_header(file).sample_rate for file in files]
        decoded = [decode(file, rate).waveform for file, rate in zip(files, rates, strict=True)]
        at_rate = [resample(waveform, rate, self._rate) for waveform, rate in zip(decoded, rates, strict=True)]
        batch = torch.stack(at_rate[:32]).to(self._device)
        front_end, n_frames = self._data.front_end, self._data.found.model_config.n_frames

        def log_mel() -> None:
            with torch.no_grad():
                front_end(batch, n_frames=n_frames)

        return {
            "decode": _milliseconds(lambda: [decode(f, r) for f, r in zip(files, rates, strict=True)], len(files)),
            "resample": _milliseconds(
                lambda: [resample(w, r, self._rate) for w, r in zip(decoded, rates, strict=True)], len(files)
            ),
            "front end": _milliseconds(log_mel, len(batch)),
        }

    def close(self) -> None:
        """Ends the workers."""
        self._data.close()


class PlainLoader:
    """Per clip, in the worker: soundfile, torchaudio's resampling, the log-mel, padding; then torch's own loader."""

    def __init__(self, files: Sequence[Path], kind: str, seconds: float, batch: int, workers: int, device: str) -> None:
        self.num_workers = workers
        self._device = torch.device(device)
        self._data = _PlainData([str(file) for file in files], kind, n_frames_for(kind, seconds))
        self._loader: DataLoader[Tensor] = DataLoader(
            self._data,
            batch_size=batch,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
            persistent_workers=workers > 0,
        )

    def run(self) -> int:
        """One epoch."""
        clips = sum(len(log_mel.to(self._device)) for log_mel in self._loader)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return clips

    def stages(self) -> dict[str, float]:
        """Milliseconds of this process; the rest is padding, collating and handing over."""
        files = self._data.files[:_STAGE_CLIPS]
        read = [self._data.read(file) for file in files]
        at_rate = [self._data.resampled(*one) for one in read]
        return {
            "decode": _milliseconds(lambda: [self._data.read(file) for file in files], len(files)),
            "resample": _milliseconds(lambda: [self._data.resampled(*one) for one in read], len(files)),
            "front end": _milliseconds(lambda: [self._data.log_mel(waveform) for waveform in at_rate], len(files)),
        }

    def close(self) -> None:
        """Ends the workers."""
        self._loader._iterator = None


class _PlainData(Dataset[Tensor]):
    def __init__(self, files: list[str], kind: str, n_frames: int) -> None:
        self.files = files
        self._kind = kind
        self._n_frames = n_frames
        self._rate = FAMILIES[kind].sample_rate
        self._transform: Callable[[Tensor], Tensor] | None = None
        self._resamplers: dict[int, Callable[[Tensor], Tensor]] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        log_mel = self.log_mel(self.resampled(*self.read(self.files[index])))
        return torch.nn.functional.pad(log_mel, (0, self._n_frames - log_mel.shape[1]))

    def read(self, file: str) -> tuple[Tensor, int]:
        samples, rate = soundfile.read(file, dtype="float32")
        return torch.from_numpy(samples if samples.ndim == 1 else samples.mean(1)), rate

    def resampled(self, waveform: Tensor, rate: int) -> Tensor:
        if rate == self._rate:
            return waveform
        if rate not in self._resamplers:
            transforms: Any = importlib.import_module("torchaudio").transforms
            self._resamplers[rate] = transforms.Resample(rate, self._rate)
        return self._resamplers[rate](waveform)

    def log_mel(self, waveform: Tensor) -> Tensor:
        if self._transform is None:  # made in the worker
            self._transform = plain_transform(self._kind)
        return self._transform(waveform)


def _milliseconds(work: Callable[[], Any], clips: int) -> float:
    """Processor time a clip, the least of three."""
    found = []
    for _ in range(3):
        since = time.process_time()
        work()
        found.append(time.process_time() - since)
    return 1e3 * min(found) / clips
