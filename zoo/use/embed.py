"""What a frozen model makes of audio: a vector a clip, a frame or a patch, after any of its layers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo import provenance
from zoo.data.batch import BadAudio, Batch, Inputs
from zoo.data.found_audio import find_audio
from zoo.data.open_reader import Measure, open_reader
from zoo.data.windows import read_lengths
from zoo.errors import RecipeError, ShapeError, ZooError
from zoo.models.spectrogram_model import NO_AGGREGATOR
from zoo.use.embeddings import Dtype, Embeddings, Kind, Level, Piece, collect
from zoo.use.evaluate import Counting, uncounted
from zoo.use.parquet import arrow, write_parquet
from zoo.use.passes import Pass, check_some_usable, check_writable, real_frames
from zoo.use.places import Places
from zoo.use.ready import Source, ready_model

Layers = str | Sequence[int]
"""`last`, `all`, or numbers (as a list, or as text: "0,6,12"). 0 is what the encoder gets."""

_AT_ONCE = 64  # windows whose patches are in memory together


def embed(
    checkpoint: Source,
    audio: str | Path | Sequence[str | Path],
    *,
    level: Level = "clip",
    layers: Layers = "last",
    dtype: Dtype = "float32",
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    counting: Counting = uncounted,
) -> Embeddings:
    """Embeddings of audio of any length, rate and format, in memory.

        found = zoo.embed("runs/ast", ["a.wav", "folder"], level="frame")
        for path, frames in zip(found.paths, found):
            print(path, frames.shape)

    Args:
        checkpoint: all that `zoo.load` takes, or a model that it gave; with or without a classifier.
        audio: files, folders (searched through), or manifests.
        level: `clip`: what the model's aggregator makes of the tokens, `model.features`; of a long clip the mean over
            the windows of an evaluation. `patch`: the patch tokens, and `frame`: their mean over frequency. Of a long
            clip they come from windows of the model's length side by side: their times go on at one distance, but a
            token has seen nothing beyond its own window.
        layers: `last`, `all`, or numbers from 0 (what the encoder gets) to the depth (the output, normalised where the
            encoder ends with a norm; the others are as the blocks hand them on).
        dtype: of the result; computed is in float32.
        batch_size, workers: as in `zoo.predict`.

    Raises:
        ShapeError: no such layer, or a model without a grid of tokens. DataError: no clip can be used.
    """
    run = _Run(checkpoint, audio, level, layers, dtype, device, batch_size, workers, counting)
    found = collect(run.kind, run.pieces())
    check_some_usable(len(found), run.bad)
    return replace(found, bad=tuple(run.bad))


def embed_to_file(
    checkpoint: Source,
    audio: Sequence[str | Path],
    out: str | Path,
    *,
    level: Level = "clip",
    layers: Layers = "last",
    dtype: Dtype = "float32",
    device: str = "auto",
    batch_size: int = 32,
    workers: int | None = None,
    counting: Counting = uncounted,
) -> dict[str, Any]:
    """As `embed`, into an `.npz` (all of it is in memory first) or a `.parquet` (a row group is); and a report.

    Raises: as `embed`; RecipeError for another ending, ZooError without pyarrow, CheckpointError for the disk.
    """
    place = Path(out)
    suffix = place.suffix.lower()
    if suffix not in (".npz", ".parquet"):
        raise RecipeError(f"{out}: found the ending {suffix!r} - expected .npz or .parquet - rename it")
    if suffix == ".parquet":
        arrow()
    check_writable(place)
    run = _Run(checkpoint, audio, level, layers, dtype, device, batch_size, workers, counting)
    if suffix == ".npz":
        found = collect(run.kind, run.pieces())
        check_some_usable(len(found), run.bad)
        replace(found, bad=tuple(run.bad)).write(place)
        width = found.embeddings.shape[-1]
        counts = {"clips": len(found), "rows": found.embeddings.size // width, "width": width}
    else:
        counts = write_parquet(place, run.kind, run.checked_pieces())
    return {
        **run.kind.about,
        "out": str(out),
        "level": level,
        "layers": list(run.kind.layers),
        "dtype": dtype,
        **counts,
        "bytes": place.stat().st_size,
        "bad_audio": [asdict(one) for one in run.bad if not one.used],
        "odd_audio": [asdict(one) for one in run.bad if one.used],
    }


def chosen_layers(depth: int, layers: Layers) -> tuple[int, ...]:
    """The numbers that a choice means, as they are asked for. Raises ShapeError for one that is none."""
    if layers == "last":
        return (depth,)
    if layers == "all":
        return tuple(range(depth + 1))
    try:
        parts: Sequence[Any] = layers.split(",") if isinstance(layers, str) else layers
        numbers = tuple(int(part) for part in parts)
    except ValueError:
        numbers = ()
    twice = len(set(numbers)) < len(numbers)
    if not numbers or twice or not all(0 <= number <= depth for number in numbers):
        raise ShapeError(
            f"layers: found {layers!r} - expected last, all, or different numbers from 0 to {depth}, the model's "
            "depth, such as 0,1 - choose among them"
        )
    return numbers


class _Run:
    """One pass over the audio."""

    def __init__(
        self,
        checkpoint: Source,
        audio: str | Path | Sequence[str | Path],
        level: Level,
        layers: Layers,
        dtype: Dtype,
        device: str,
        batch_size: int,
        workers: int | None,
        counting: Counting,
    ) -> None:
        if level not in ("clip", "frame", "patch"):
            raise RecipeError(f"level: found {level!r} - expected clip, frame or patch - choose one")
        if dtype not in ("float32", "float16"):
            raise RecipeError(f"dtype: found {dtype!r} - expected float32 or float16 - choose one")
        self._ready = ready = ready_model(checkpoint, device)
        chosen = chosen_layers(ready.model.depth, layers)
        if level == "clip" and ready.model.aggregator is None:
            raise ShapeError(NO_AGGREGATOR)
        self._places = None if level == "clip" else Places.of(ready, level)
        self._found = find_audio([audio] if isinstance(audio, str | Path) else list(audio))
        self.bad: list[BadAudio] = list(self._found.bad)
        self._batch_size, self._workers, self._counting = batch_size, workers, counting
        frequencies = None if self._places is None or level == "frame" else self._places.frequencies().numpy()
        config = ready.windows()
        side_by_side = "windows of the model's length side by side, each on its own"
        about = {
            "checkpoint": ready.name,
            "front_end": ready.front_end.config.model_dump(mode="json"),
            "windows": config.in_words if level == "clip" else side_by_side,
            "device": provenance.device_name(ready.device),
            "versions": provenance.versions(),
        }
        self.kind = Kind(level, chosen, frequencies, dtype, about)

    def checked_pieces(self) -> Iterator[Piece]:
        """`pieces`; raises DataError where there is none."""
        count = 0
        for piece in self.pieces():
            count += 1
            yield piece
        check_some_usable(count, self.bad)

    def pieces(self) -> Iterator[Piece]:
        """Clip by clip; then `bad` is complete. Raises ZooError for numbers that are not finite."""
        clips = self._found.clips
        if not len(clips):
            return
        ready = self._ready
        reader, measure = open_reader(clips, None, ready.front_end, ready.model.min_frames)
        with self._counting("lengths", "files") as tell:
            lengths = read_lengths(reader, tell)
        if self._places is None:
            a_pass = Pass.averaged(ready, reader, lengths, measure, ready.windows(), self._batch_size, self._workers)
            compute: Callable[[Inputs, Batch], list[Any]] = self._of_clips
        else:
            rows = self._places.side_by_side(lengths, measure, ready.model.config.n_frames)
            a_pass = Pass.apart(ready, reader, rows, measure, self._batch_size, self._workers, _AT_ONCE)
            compute = self._of_windows
        with self._counting("embedding", "windows") as tell:
            for unit, kept in a_pass.results(compute, tell):
                with np.errstate(over="ignore"):  # what leaves half precision is told below
                    piece = self._piece(unit, kept, a_pass, measure)
                if not np.isfinite(piece.values).all():
                    raise ZooError(
                        f"{piece.path}: embeddings that are not finite in {self.kind.dtype} - expected finite "
                        "numbers - " + ("use float32" if self.kind.dtype == "float16" else "did training diverge?")
                    )
                yield piece
        self.bad += a_pass.judged()

    def _piece(self, unit: int, kept: list[Tensor], a_pass: Pass, measure: Measure) -> Piece:
        clips, dtype = self._found.clips.clips, self.kind.dtype
        if self._places is None:
            merged = kept[0] if len(kept) == 1 else torch.stack(kept).double().mean(dim=0).float()
            return Piece(unit, str(clips[unit].path), None, merged.numpy()[:, None, None].astype(dtype))
        window = a_pass.rows[unit]
        clip = clips[window.clip]
        # Frames begin where windows do: a window begins whole hops after the clip.
        first = window.first * self._ready.front_end.sample_rate / measure.sample_rate
        first_frame = first / self._ready.front_end.config.hop_length
        times = (clip.start or 0.0) + self._places.times(first_frame, kept[0].shape[2]).numpy()
        return Piece(window.clip, str(clip.path), times, kept[0].numpy().astype(dtype))

    def _of_clips(self, inputs: Inputs, batch: Batch) -> list[Tensor]:
        """(L, D) of every row."""
        model = self._ready.model
        layers, is_padded = model.layers(inputs.log_mel, inputs.num_frames, inputs.keys, self.kind.layers)
        vectors = [model.aggregator(tokens, is_padded) for tokens in layers]
        return list(torch.stack(vectors, dim=1).float().cpu())

    def _of_windows(self, inputs: Inputs, batch: Batch) -> list[Tensor]:
        """(L, F or 1, T, D) of every row, T its real columns."""
        assert self._places is not None
        places, model = self._places, self._ready.model
        layers, _ = model.layers(inputs.log_mel, inputs.num_frames, inputs.keys, self.kind.layers)
        grids = torch.stack([places.layout.on_grid(tokens, places.n_mels) for tokens in layers], dim=1)
        if self.kind.level == "frame":
            grids = grids.mean(dim=2, keepdim=True)  # (B, L, 1, T, D)
        grids = grids.float().cpu()
        frames = real_frames(self._ready, batch).tolist()
        return [grid[:, :, : places.num_columns(count)] for grid, count in zip(grids, frames, strict=True)]
