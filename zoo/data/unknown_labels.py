"""Labels of clips that the table of classes does not have: left out and counted, where a recipe says so."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal

from zoo.data.clip import Clip
from zoo.data.labels import LabelTable, UnknownLabelsError
from zoo.data.manifest import Manifest
from zoo.data.problems import listed
from zoo.errors import DataError

OnUnknown = Literal["error", "ignore"]


@dataclass(frozen=True)
class UnknownLabels:
    """What was ignored in one set of clips."""

    names: tuple[tuple[str, int], ...] = ()
    """Every unknown name with the number of its clips, the most frequent first."""
    clips_left_out: int = 0
    """Single-label: clips whose only label is unknown."""
    clips_without_label: int = 0
    """Multi-label: clips that stay, with none of the classes, since all of their labels are unknown."""

    def as_report(self) -> dict[str, Any]:
        """For `summary.json`."""
        return {
            "names": dict(self.names),
            "clips_left_out": self.clips_left_out,
            "clips_without_label": self.clips_without_label,
        }

    def in_words(self) -> str:
        """On one line."""
        named = listed([f"{name} × {count:,}" for name, count in self.names])
        left = f"; {self.clips_left_out:,} clips left out" if self.clips_left_out else ""
        bare = f"; {self.clips_without_label:,} clips stay with none of the classes" if self.clips_without_label else ""
        return f"unknown labels ignored: {named}{left}{bare}"


def without_unknown(manifest: Manifest, table: LabelTable) -> tuple[Manifest, UnknownLabels]:
    """The clips with the labels that the table knows, and what was ignored.

    A single-label clip of an unknown label is left out. A multi-label clip loses its unknown labels; when none is left
    it stays as a clip with none of the classes, which is true of it.

    Raises: `DataError` when no clip is left. Other problems of labels stay for `LabelTable.all_places` to tell.
    """
    kept: list[Clip] = []
    names: Counter[str] = Counter()
    left_out = bare = 0
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    for clip in manifest.clips:
        if clip.labels not in known:
            known[clip.labels] = _known(clip.labels, table)
        labels = known[clip.labels]
        if len(labels) == len(clip.labels):
            kept.append(clip)
            continue
        names.update(name for name in clip.labels if name not in labels)
        if table.task == "single-label":
            left_out += 1
            continue
        bare += not labels
        kept.append(replace(clip, labels=labels))
    if not names:
        return manifest, UnknownLabels()
    by_count = tuple(sorted(names.items(), key=lambda item: (-item[1], item[0])))
    if not any(clip.labels for clip in kept):
        raise DataError(
            f"{manifest.source}: no clip has a label of the table; found {listed([name for name, _ in by_count])} - "
            f"expected some of {listed(list(table.names))} - give the right table in data.labels"
        )
    return replace(manifest, clips=tuple(kept)), UnknownLabels(by_count, left_out, bare)


def _known(labels: tuple[str, ...], table: LabelTable) -> tuple[str, ...]:
    try:
        table.look_up(labels)
    except UnknownLabelsError as error:
        return tuple(name for name in labels if name not in error.names)
    except ValueError:
        pass
    return labels
