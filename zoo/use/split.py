"""`zoo split`: a manifest with folds."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.data.folds import By, FoldsConfig
from zoo.data.manifest import SourceConfig, read_manifest
from zoo.data.table import unknown_columns
from zoo.data.written import write_manifest
from zoo.errors import DataError


def split_manifest(
    manifest: str, out: Path, num_folds: int, by: By, seed: int = 0, columns: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Writes the clips of a manifest or folder with folds 1 to `num_folds`, and returns how they came out.

    The folds are those that `folds: {num: …, by: …, seed: …}` gives in a recipe.

    Args:
        by: "group", "label" or "clip", as in `zoo.data.folds.FoldsConfig`.
        columns: our name for a column: the name in the file, as `data.columns`.

    Raises:
        DataError: clips that cannot be split so, or an `out` that is there already or no .csv or .jsonl.
    """
    if out.suffix.lower() not in (".csv", ".jsonl"):
        raise DataError(f"{out}: {out.suffix or 'no ending'} - expected .csv or .jsonl - choose another name")
    if out.exists():
        raise DataError(f"{out}: there already - expected a new file - choose another name, or move it away")
    unknown = unknown_columns(columns or {})
    if unknown:
        raise DataError("\n".join(f"--column: {text}" for text in unknown))
    folds = FoldsConfig(num=num_folds, by=by, seed=seed)
    found = read_manifest(SourceConfig(path=manifest, folds=folds), columns, labelled=None)
    write_manifest(out, found.clips)
    rows = []
    for fold in map(str, range(1, num_folds + 1)):
        clips = [clip for clip in found.clips if clip.fold == fold]
        labels = Counter(label for clip in clips for label in clip.labels)
        rows.append(
            {
                "fold": fold,
                "clips": len(clips),
                "groups": len({clip.group for clip in clips if clip.group is not None}),
                "labels": dict(sorted(labels.items())),
            }
        )
    shared = Counter(group for group, _ in {(c.group, c.fold) for c in found.clips if c.group is not None})
    return {
        "manifest": manifest,
        "out": str(out),
        "by": by,
        "seed": seed,
        "clips": len(found),
        "folds": rows,
        "groups_in_several_folds": sum(count > 1 for count in shared.values()),
        "notes": list(found.notes),
    }
