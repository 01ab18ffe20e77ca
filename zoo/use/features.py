"""The features of a frozen model for a set of labelled clips: computed once, kept on the disk, and read from there."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.manifest import Manifest
from zoo.data.open_reader import Measure, open_reader
from zoo.data.stretches import Rows
from zoo.data.windows import read_lengths
from zoo.disk import written_whole
from zoo.errors import ShapeError
from zoo.models.spectrogram_model import NO_AGGREGATOR
from zoo.nn.aggregator import PatchMeanAggregator
from zoo.use.evaluate import Counting
from zoo.use.passes import Pass, real_frames
from zoo.use.places import Places
from zoo.use.ready import ReadyModel

Pool = Literal["model", "mean"]

_FORMAT = 1
_INDEX = "index.json"
_MOST_COLUMNS = 64
"""Tokens of a clip that are kept for a probe that looks at them: 64 of width 768 are 100 kB a clip and layer in half
precision, where the patches of 10 s would be 2 MB. More columns than fit are averaged, neighbours with neighbours."""


@dataclass(frozen=True)
class Wanted:
    """What is computed of every clip."""

    layers: tuple[int, ...]
    pool: Pool
    """`model`: what the model's own aggregator makes of the tokens. `mean`: the mean of the patches."""
    tokens: bool
    """Also the tokens: the prefix, and the mean over frequency of every column of patches."""


@dataclass(frozen=True)
class FeatureSet:
    """Features that lie in a folder; a layer at a time is read. A clip that could not be used has zeros."""

    folder: Path
    wanted: Wanted
    is_used: Bool[Tensor, "n"]
    bad: tuple[BadAudio, ...]
    was_there: bool
    """Whether it was read, and not computed."""

    def pooled(self, layer: int) -> Float[Tensor, "n embed"]:
        """A vector a clip, in float32."""
        return torch.from_numpy(np.load(self.folder / f"pooled-{layer}.npy"))

    def tokens(self, layer: int) -> tuple[Float[Tensor, "n token embed"], Bool[Tensor, "n token"]]:
        """Tokens in half precision, and which of them are padding."""
        padding = torch.from_numpy(np.load(self.folder / "padding.npy"))
        return torch.from_numpy(np.load(self.folder / f"tokens-{layer}.npy")), padding

    @property
    def num_bytes(self) -> int:
        """On the disk."""
        return sum(file.stat().st_size for file in self.folder.iterdir())


def features_of(
    ready: ReadyModel,
    clips: Manifest,
    wanted: Wanted,
    cache: Path,
    *,
    batch_size: int,
    workers: int | None,
    counting: Counting,
) -> FeatureSet:
    """The features of all clips, from `cache` where they are there, else computed and put there.

    They are known by a hash of the weights, the model's config, the front end, the padding, the windows of long clips,
    the clips (`Manifest.hash`) and what is wanted. Of a long clip, vectors are averaged over the windows of an
    evaluation, and the columns of its windows come one behind the other.

    Raises: ShapeError - no such layer, or no aggregator. CheckpointError - the disk refuses. DataError.
    """
    if wanted.pool == "model" and ready.model.aggregator is None:
        raise ShapeError(NO_AGGREGATOR)
    folder = cache / _key(ready, clips, wanted)
    was_there = (folder / _INDEX).is_file()
    if not was_there:
        with written_whole(folder) as temporary:
            temporary.mkdir()
            _Extraction(ready, clips, wanted, batch_size, workers, counting).write(temporary)
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    bad = tuple(BadAudio(**one) for one in index["bad"])
    return FeatureSet(folder, wanted, torch.tensor(index["is_used"], dtype=torch.bool), bad, was_there)


def _key(ready: ReadyModel, clips: Manifest, wanted: Wanted) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(ready.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    told = {
        "format": _FORMAT,
        "model": ready.model.config.model_dump(mode="json"),
        "front_end": ready.front_end.config.model_dump(mode="json"),
        "padding": ready.padding,
        "windows": ready.windows().model_dump(mode="json"),
        "clips": clips.hash,
        **asdict(wanted),
    }
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()[:32]


class _Extraction:
    """One pass over the clips, into files that grow clip by clip."""

    def __init__(
        self,
        ready: ReadyModel,
        clips: Manifest,
        wanted: Wanted,
        batch_size: int,
        workers: int | None,
        counting: Counting,
    ) -> None:
        self._ready, self._wanted, self._counting = ready, wanted, counting
        self._num_clips = len(clips)
        self._places = Places.of(ready, "frame") if wanted.tokens else None
        layout = ready.model.layout
        self._num_prefix = 0 if layout is None else layout.num_prefix
        self._pool: Callable[..., Tensor] = (
            ready.model.aggregator if wanted.pool == "model" else PatchMeanAggregator(self._num_prefix)
        )
        reader, measure = open_reader(clips, None, ready.front_end, ready.model.min_frames)
        with counting("lengths", "files") as tell:
            lengths = read_lengths(reader, tell)
        self._pass = Pass.averaged(ready, reader, lengths, measure, ready.windows(), batch_size, workers)
        self._num_tokens = self._num_prefix + self._most_columns(self._pass.rows, measure)

    def _most_columns(self, rows: Rows, measure: Measure) -> int:
        """Of a clip, as far as their lengths are known; at least 1."""
        if self._places is None:
            return 1
        of_clip = np.zeros(rows.num_clips, dtype=np.int64)
        most = measure.num_samples(self._ready.model.config.n_frames)  # enough to reach the bound
        for clip, length in zip(rows.clip, rows.length, strict=True):
            of_clip[clip] += max(1, self._places.num_columns(measure.num_frames(int(min(length, most)))))
        return int(min(_MOST_COLUMNS, of_clip.max()))

    def write(self, folder: Path) -> None:
        """The files of a `FeatureSet`."""
        is_used = np.zeros(self._num_clips, dtype=bool)
        padding = np.ones((self._num_clips, self._num_tokens), dtype=bool)
        with ExitStack() as stack:
            files: dict[tuple[str, int], _GrowingArray] = {}
            with self._counting("features", "windows") as tell:
                for clip, kept in self._pass.results(self._of_batch, tell):
                    is_used[clip] = True
                    for place, layer in enumerate(self._wanted.layers):
                        pooled = torch.stack([one[0][place] for one in kept]).double().mean(dim=0).float()
                        rows = {"pooled": pooled.numpy()}
                        if self._wanted.tokens:
                            tokens = _joined([one[1][place] for one in kept], self._num_prefix, self._num_tokens)
                            padding[clip, : len(tokens)] = False
                            filled = F.pad(tokens, (0, 0, 0, self._num_tokens - len(tokens)))
                            rows["tokens"] = filled.half().numpy()
                        for name, row in rows.items():
                            if (name, layer) not in files:
                                file = stack.enter_context((folder / f"{name}-{layer}.npy").open("wb"))
                                files[name, layer] = _GrowingArray(file, self._num_clips, row)
                            files[name, layer].put(clip, row)
            for array in files.values():
                array.finish()
        np.save(folder / "padding.npy", padding)
        index = {"is_used": is_used.tolist(), "bad": [asdict(one) for one in self._pass.judged()]}
        (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")

    def _of_batch(self, inputs: Inputs, batch: Batch) -> list[tuple[Tensor, list[Tensor]]]:
        """((L, D), L times (P + T, D)) of every row."""
        model, places = self._ready.model, self._places
        layers, is_padded = model.layers(inputs.log_mel, inputs.num_frames, inputs.keys, self._wanted.layers)
        pooled = torch.stack([self._pool(tokens, is_padded) for tokens in layers], dim=1).float().cpu()
        if places is None:
            return [(one, []) for one in pooled]
        columns = [
            torch.cat((tokens[:, : self._num_prefix], places.layout.on_grid(tokens, places.n_mels).mean(dim=1)), dim=1)
            for tokens in layers
        ]
        on_cpu = [tokens.float().cpu() for tokens in columns]
        counts = [self._num_prefix + places.num_columns(count) for count in real_frames(self._ready, batch).tolist()]
        return [(one, [tokens[row, : counts[row]] for tokens in on_cpu]) for row, one in enumerate(pooled)]


def _joined(windows: Sequence[Tensor], num_prefix: int, most: int) -> Float[Tensor, "token embed"]:
    """The mean of the windows' prefix tokens, then their columns one behind the other, averaged where they are many."""
    prefix = torch.stack([one[:num_prefix] for one in windows]).mean(dim=0)
    columns = torch.cat([one[num_prefix:] for one in windows])
    if len(columns) > most - num_prefix:
        columns = F.adaptive_avg_pool1d(columns.T[None], most - num_prefix)[0].T
    return torch.cat((prefix, columns))


class _GrowingArray:
    """An `.npy` file that is written row after row; rows that are passed over are zeros."""

    def __init__(self, file: IO[bytes], num_rows: int, like: np.ndarray) -> None:
        self._file, self._num_rows, self._next = file, num_rows, 0
        self._zeros = bytes(like.nbytes)
        head: dict[str, Any] = {"descr": like.dtype.str, "fortran_order": False, "shape": (num_rows, *like.shape)}
        np.lib.format.write_array_header_1_0(file, head)

    def put(self, row: int, values: np.ndarray) -> None:
        """Rows come in ascending order."""
        self._skip_to(row)
        self._file.write(np.ascontiguousarray(values).tobytes())
        self._next += 1

    def finish(self) -> None:
        """The rows behind the last."""
        self._skip_to(self._num_rows)

    def _skip_to(self, row: int) -> None:
        assert row >= self._next, (row, self._next)
        while self._next < row:
            self._file.write(self._zeros)
            self._next += 1
