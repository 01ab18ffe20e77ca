"""A part of the training clips that is set aside and watched, where a data set has no validation clips of its own."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from zoo.config import Config
from zoo.data.folds import By, assign_folds
from zoo.data.manifest import Manifest
from zoo.data.problems import listed
from zoo.errors import DataError


class ValidationConfig(Config):
    """Training clips to watch instead of to train on."""

    share: Annotated[float, Field(ge=0.001, le=0.5)] = 0.1
    """About this share of the training clips: one of round(1 / share) folds of them."""
    by: By | Literal["auto"] = "auto"
    """`group`: whole groups (speakers, kits, recordings). `label`: its share of every label. `clip`: at random. `auto`:
    the first of them for which every clip has what it takes."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another number sets other clips aside. It is not the recipe's: runs with other seeds watch the same clips."""

    def chosen_by(self, clips: Manifest) -> By:
        """What `auto` comes to for these clips."""
        if self.by != "auto":
            return self.by
        if all(clip.group is not None for clip in clips.clips):
            return "group"
        return "label" if any(clip.labels for clip in clips.clips) else "clip"


def set_aside(train: Manifest, config: ValidationConfig) -> tuple[Manifest, Manifest]:
    """(clips to train on, clips to watch), each in the order of the manifest.

    Raises: DataError for fewer clips or groups than it takes.
    """
    by, num_folds = config.chosen_by(train), round(1 / config.share)
    units = len({clip.group for clip in train.clips}) if by == "group" else len(train)
    if units < num_folds:
        what = "groups" if by == "group" else "clips"
        raise DataError(
            f"data.validation: found {units:,} {what} in {train.source} to set a share of {config.share:g} aside from "
            f"- expected {num_folds} at least - raise data.validation.share, or add clips"
        )
    folds = assign_folds(train.clips, num_folds, by, config.seed, f"{train.source}: data.validation")
    kept, watched = (
        tuple(clip for clip, fold in zip(train.clips, folds, strict=True) if (fold == 1) == is_watched)
        for is_watched in (False, True)
    )
    seen, trained = ({name for clip in side for name in clip.labels} for side in (watched, kept))
    absent = listed(sorted(trained - seen)) if trained - seen else ""
    notes = (f"data.validation: none of the {len(watched):,} watched clips is of {absent}",) if absent else ()
    return replace(train, clips=kept, notes=(*train.notes, *notes)), replace(train, clips=watched, notes=())
