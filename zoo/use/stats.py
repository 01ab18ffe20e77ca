"""`zoo stats`: the mean and deviation of a data set behind a front end, and how they compare with those in use."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo import provenance
from zoo.audio.front_ends import FAMILIES, AnyFrontEndConfig, FrontEndConfig
from zoo.data.in_order import default_workers
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.spectrum_statistics import measure
from zoo.errors import DataError
from zoo.recipe.document import Document, Problem
from zoo.recipe.plain_words import checked
from zoo.recipe.strict_yaml import split_pair
from zoo.weights.front_end import front_end as build_front_end

NOTE = (
    "The constants of released models were made otherwise. The official script (get_norm_stats.py of AST and SSAST) "
    "measures log-mels that are augmented (192 frames and 24 bands masked with 0, half of the clips mixed) and padded "
    "with 0 to the model's length, and takes the average of the deviations of its batches; its author says that the "
    "augmentation is meant. A 0 is far above a usual log-mel, so such a mean is higher. Take the numbers above to "
    "train from nothing; with released weights keep the constants that they come with."
)
"""Source: YuanGongND/ast, src/get_norm_stats.py and issue 16."""


def data_statistics(
    manifest: str,
    *,
    front_end: str = "ast",
    overrides: Sequence[str] = (),
    fold: Sequence[str] | None = None,
    split: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    as_source: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The statistics of a manifest or folder.

    Args:
        front_end: a family, or a checkpoint; `overrides` are KEY=VALUE of its fields.
        columns: our column names to the manifest's, as `data.columns` of a recipe.
        limit: only so many clips, evenly spread over the manifest.
        as_source: cut or pad every clip to so many frames and count the padding.

    Raises: DataError, RecipeError, CheckpointError.
    """
    config = front_end_config(front_end, overrides)
    source = SourceConfig(path=manifest, fold=tuple(fold) if fold else None, split=split)
    read = read_manifest(source, columns)
    if read.front_end is not None:
        raise DataError(f"{manifest}: stored log-mels - expected audio - measure what the pack was made of")
    clips = read.clips
    if limit is not None and limit < len(clips):
        clips = tuple(clips[place * len(clips) // limit] for place in range(limit))
    target = provenance.pick_device(device)
    found = measure(
        clips,
        config,
        n_frames=as_source,
        device=target,
        workers=default_workers() if workers is None else workers,
        advance=advance,
    )
    if found.moments.count == 0:
        told = "; ".join(f"{where}: {reason}" for where, reason in found.unusable[:3]) or "every clip is too short"
        raise DataError(
            f"{manifest}: no frame in {len(clips):,} clips ({told}) - expected audio - zoo audit {manifest}"
        )
    mean, std = found.moments.overall()
    band_means, band_stds = found.moments.by_band()
    return {
        "manifest": manifest,
        "manifest_hash": read.hash,
        "front_end": config.model_dump(mode="json"),
        "clips": found.clips,
        "hours": round(found.seconds / 3600, 4),
        "frames": found.moments.count,
        "mean": mean,
        "std": std,
        "in_use": {"mean": config.mean, "std": config.std},
        "normalised": {"mean": (mean - config.mean) / (2 * config.std), "std": std / (2 * config.std)},
        "clip_means": {
            "mean": statistics.fmean(own for own, _ in found.of_clips),
            "std": statistics.pstdev(own for own, _ in found.of_clips),
        },
        "clip_stds": {"mean": statistics.fmean(own for _, own in found.of_clips)},
        "bands": {"mean": band_means, "std": band_stds},
        "as_source": as_source,
        "recipe": [f"front_end.mean={mean:.7g}", f"front_end.std={std:.7g}"],
        "unusable": [{"where": where, "reason": reason} for where, reason in found.unusable],
        "without_frame": found.without_frame,
        "device": provenance.device_name(target),
        "note": NOTE,
    }


def front_end_config(name: str, overrides: Sequence[str]) -> AnyFrontEndConfig:
    """The config of a family or checkpoint with some fields changed.

    Raises: RecipeError - a pair that cannot be read or does not fit. CheckpointError - neither family nor checkpoint.
    """
    config = FAMILIES[name] if name in FAMILIES else build_front_end(name).config
    document = Document("stats", {"front_end": config.model_dump(mode="json")})
    given: dict[str, Any] = {}
    for pair in overrides:
        try:
            key, value = split_pair(pair.removeprefix("front_end."), given, "n_mels=64")
        except ValueError as error:
            document.problems += [Problem(None, "", line) for line in str(error).splitlines()]
            continue
        given[key] = value
        document.put(("front_end", *key.split(".")), value)
    changed: AnyFrontEndConfig = checked(FrontEndConfig, document, ("front_end",))
    document.check()
    return changed
