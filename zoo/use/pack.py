"""What `zoo pack` does: a manifest becomes shards, a pack is verified, shards of others get an index."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
import soundfile

from zoo import __version__, provenance
from zoo.audio.front_ends import AnyFrontEndConfig
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.shards.foreign import index_shards
from zoo.data.shards.layout import BAD_AUDIO, Mode, Pack, PackOptions, first_problem
from zoo.data.shards.verify import verify_pack
from zoo.data.shards.write import write_pack
from zoo.errors import DataError
from zoo.recipe import read_recipe
from zoo.weights.front_end import front_end

Progress = Callable[[int, int], None]

_MAX_AUTO_WORKERS = 8
_FEW_CLIPS = 1_000  # are done before workers have started


def pack_manifest(
    source: str,
    out: Path,
    *,
    mode: Mode = "original",
    sample_rate: int | None = None,
    front_end_of: str | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    unlabelled: bool = False,
    columns: Mapping[str, str] | None = None,
    shard_megabytes: float = 1000.0,
    shard_clips: int | None = None,
    workers: int | None = None,
    max_bad_share: float = 0.5,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Packs a manifest, or goes on with it; what was done, and what the pack holds.

    Args: `front_end_of` is a family, a checkpoint or a recipe; `workers` None is one a core, at most 8, and 0 for a few
        clips.
    Raises: DataError - the manifest, the folder or the options do not fit; too many unusable clips.
        CheckpointError - the disk refuses. RecipeError - a recipe that cannot be read.
    """
    config = None if front_end_of is None else find_front_end(front_end_of)
    options = make_options(mode, sample_rate, config, dtype, not unlabelled, shard_megabytes, shard_clips)
    manifest = _read(source, columns or {}, not unlabelled)
    began = time.perf_counter()
    packed = write_pack(
        manifest,
        out,
        options,
        max_bad_share=max_bad_share,
        workers=_auto_workers(len(manifest)) if workers is None else workers,
        versions=_versions(),
        on_progress=on_progress,
    )
    seconds = time.perf_counter() - began
    return {
        **_described(packed.pack, out),
        "was_finished": packed.was_finished,
        "kept_shards": packed.kept_shards,
        "seconds_taken": round(seconds, 2),
        "clips_per_second": round(packed.pack.clips / max(seconds, 1e-9), 1),
    }


def verify(pack: str, on_progress: Progress | None = None) -> dict[str, Any]:
    """Reads all of a pack. Raises: DataError - what is wrong with it, one line a problem."""
    return {"pack": pack, **verify_pack(Path(pack).expanduser(), pack, on_progress)}


def index(folder: str, on_progress: Progress | None = None) -> dict[str, Any]:
    """Makes a pack of a folder of shards that others wrote. Raises: DataError - shards that cannot be one."""
    path = Path(folder).expanduser()
    return _described(index_shards(path, folder, _versions(), on_progress), path)


def find_front_end(name: str) -> AnyFrontEndConfig:
    """Of a family, a checkpoint, or a recipe (*.yaml)."""
    if name.lower().endswith((".yaml", ".yml")):
        return read_recipe(name).front_end
    config: Any = front_end(name).config
    return config


def make_options(
    mode: Mode,
    sample_rate: int | None,
    front_end: AnyFrontEndConfig | None,
    dtype: Literal["float16", "float32"],
    labelled: bool,
    shard_megabytes: float,
    shard_clips: int | None,
) -> PackOptions:
    """The options as the pack keeps them. Raises DataError for those that contradict each other."""
    if mode == "original" and (sample_rate is not None or front_end is not None):
        raise DataError(
            "--sample-rate, --front-end: found with --as original, which keeps the bytes of the files - "
            "expected --as flac, --as wav or --features - add one of them, or leave these out"
        )
    if mode == "features" and front_end is None:
        raise DataError(
            "--features: found no --front-end - expected what the log-mels are for - add --front-end ast, passt, a "
            "checkpoint or a recipe"
        )
    if front_end is not None and sample_rate not in (None, front_end.sample_rate):
        raise DataError(
            f"--sample-rate: found {sample_rate} with a front end of {front_end.sample_rate} Hz - expected one of "
            "them - leave one out"
        )
    rate = None if mode == "original" else front_end.sample_rate if front_end is not None else sample_rate or 16_000
    is_features = mode == "features"
    try:
        return PackOptions(
            mode=mode,
            sample_rate=rate,
            front_end=front_end if is_features else None,
            dtype=dtype if is_features else None,
            labelled=labelled,
            shard_bytes=round(shard_megabytes * 1e6),
            shard_clips=shard_clips,
        )
    except pydantic.ValidationError as error:
        raise DataError(f"zoo pack: {first_problem(error)} - expected options that fit - see zoo pack --help") from None


def _read(source: str, columns: Mapping[str, str], labelled: bool) -> Manifest:
    try:
        manifest = read_manifest(SourceConfig(path=source), columns, labelled)
    except DataError as error:
        if labelled and _is_readable(source, columns):
            raise DataError(f"{error}; or pack without labels: --unlabelled") from None
        raise
    if manifest.front_end is not None:
        raise DataError(f"{source}: log-mels already - expected audio - pack the audio that they were made of")
    return manifest


def _is_readable(source: str, columns: Mapping[str, str]) -> bool:
    """Whether only the labels were in the way."""
    try:
        read_manifest(SourceConfig(path=source), columns)
    except DataError:
        return False
    return True


def _described(pack: Pack, out: Path) -> dict[str, Any]:
    options = pack.options.model_dump(mode="json")
    return {
        "path": str(out),
        **{key: options[key] for key in ("mode", "sample_rate", "dtype", "labelled")},
        "front_end": options["front_end"],
        "clips": pack.clips,
        "members": pack.members,
        "hours": round(pack.seconds / 3600, 4),
        "bytes": sum(shard.bytes for shard in pack.shards),
        "shards": len(pack.shards),
        "bad_clips": pack.bad_clips,
        "odd_clips": pack.odd_clips,
        "clipped_clips": pack.clipped_clips,
        "clipped_samples": pack.clipped_samples,
        "bad_audio": str(out / BAD_AUDIO),
    }


def _versions() -> dict[str, str]:
    return {**provenance.versions(), "spectrogram-zoo": __version__, "libsndfile": soundfile.__libsndfile_version__}


def _auto_workers(num_clips: int) -> int:
    if num_clips < _FEW_CLIPS:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MAX_AUTO_WORKERS, cores)
