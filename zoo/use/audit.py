"""`zoo audit`: manifests as the user names them, to a report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.audio.front_end import FrontEnd
from zoo.data.audit.clip_checks import PATCH_FRAMES, Needs
from zoo.data.audit.finding import Finding
from zoo.data.audit.report import Counting, audit
from zoo.data.in_order import default_workers
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest, SourceConfig, read_manifest
from zoo.data.source_paths import short_names
from zoo.disk import written_whole
from zoo.errors import DataError
from zoo.weights.front_end import front_end


def audit_manifests(
    paths: Sequence[str],
    *,
    columns: Mapping[str, str] | None = None,
    unlabelled: bool = False,
    labels: str | None = None,
    front_end_of: str = "ast",
    duplicates: bool = True,
    workers: int | None = None,
    out: Path | None = None,
    counting: Counting | None = None,
) -> dict[str, Any]:
    """Everything that an audit finds; see `zoo.data.audit.report.audit`.

    Args:
        columns: our name for a column to the manifest's, as `data.columns` in a recipe.
        unlabelled: do not read labels. Without it they are read, and where that fails the audit goes on without them
            and says so; a manifest that cannot be read even so is an error.
        labels: a label table that all labels must be in.
        front_end_of: a family, or a checkpoint: what is too short, or has too low a rate, is too short for this one.
        workers: processes; None is one a core.
        out: a file for the findings, one JSON object a line.

    Raises: DataError - a manifest or label table that cannot be read. CheckpointError: as `zoo.front_end`.
    """
    if unlabelled and labels is not None:
        raise DataError("audit: both --unlabelled and --labels are given - expected one - leave one of them out")
    table = None if labels is None else LabelTable.read(labels, "multi-label")
    needs = _needs(front_end(front_end_of))
    known: list[Finding] = []
    manifests = [_read(path, columns, not unlabelled, table is not None, known) for path in paths]
    for path, read in zip(paths, manifests, strict=True):
        if read.front_end is not None:
            raise DataError(f"{path}: stored log-mels - expected audio - audit what the pack was made of")
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise DataError(f"audit: {twice[0]} is given twice - expected every manifest once - leave one out")
    report = audit(
        manifests,
        short_names(paths),
        needs,
        labelled=not unlabelled and not any(found.kind == "no-labels" for found in known),
        table=table,
        known=known,
        duplicates=duplicates,
        workers=default_workers() if workers is None else workers,
        counting=counting,
    )
    if out is not None:
        _write(out, report["findings"])
        report["out"] = str(out)
    return report


def _needs(front: FrontEnd) -> Needs:
    return Needs(front.sample_rate, front.min_samples, front.num_samples(PATCH_FRAMES))


def _read(path: str, columns: Mapping[str, str] | None, labelled: bool, must: bool, known: list[Finding]) -> Manifest:
    """A manifest with its labels, or without where they cannot be read, which becomes a finding."""
    source = SourceConfig(path=path)
    if not labelled:
        return read_manifest(source, columns)
    try:
        return read_manifest(source, columns, labelled=True)
    except DataError as error:
        if must or columns:
            raise
        manifest = read_manifest(source, columns)
        reason = str(error).splitlines()[0].removeprefix(f"{path}: ")
        known.append(Finding("no-labels", path, f"read without labels ({reason}); if that is meant: --unlabelled"))
        return manifest


def _write(out: Path, findings: list[dict[str, Any]]) -> None:
    with written_whole(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        for finding in findings:
            file.write(json.dumps(finding, ensure_ascii=False) + "\n")
