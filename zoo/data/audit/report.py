"""One audit: every clip heard, every check made, and all of it as plain values."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from zoo.data.audit.clip_checks import Needs, check_clip
from zoo.data.audit.duplicates import find_duplicates, stretch_of
from zoo.data.audit.finding import KINDS, SEVERITIES, Finding, in_order
from zoo.data.audit.labels import check_labels, class_balance, telling_formats
from zoo.data.audit.listen import Heard, listen
from zoo.data.audit.sides import Placed, shared_files, shared_groups
from zoo.data.in_order import in_order as worked
from zoo.data.in_order import worth_it
from zoo.data.labels import LabelTable
from zoo.data.manifest import Manifest

Counting = Callable[[str, int, int], None]
"""Told (what is done: "clips" or "pairs", how many are done, how many there are)."""


def audit(
    manifests: Sequence[Manifest],
    names: Sequence[str],
    needs: Needs,
    *,
    labelled: bool = True,
    table: LabelTable | None = None,
    known: Sequence[Finding] = (),
    duplicates: bool = True,
    workers: int = 1,
    counting: Counting | None = None,
) -> dict[str, Any]:
    """The report of some manifests. With more than one, each is a side of a split.

    Args:
        names: what each manifest is called on its side.
        labelled: whether labels are checked.
        known: what reading the manifests has shown already.
        duplicates: whether to look for near-duplicates too; the same samples are always found.
    """
    placed = [
        Placed(clip, name if len(manifests) > 1 else None)
        for manifest, name in zip(manifests, names, strict=True)
        for clip in manifest.clips
    ]
    heard = _heard(placed, duplicates, workers, counting)
    source = ", ".join(manifest.source for manifest in manifests)
    findings = list(known)
    for one, sound in zip(placed, heard, strict=True):
        findings += check_clip(one.clip, sound, needs)
    advance = None if counting is None else lambda done, total: counting("pairs", done, total)
    pairs = find_duplicates(placed, heard, workers, advance)
    findings += pairs.findings
    findings += [*shared_files(placed), *shared_groups(placed)]
    if labelled:
        findings += check_labels(placed, source, table)
        findings += telling_formats(placed, heard, source)
    findings = in_order(findings)
    return {
        "manifests": {name: manifest.source for name, manifest in zip(names, manifests, strict=True)},
        "manifest_hashes": {name: manifest.hash for name, manifest in zip(names, manifests, strict=True)},
        "totals": totals(heard),
        "kinds": summed_up(findings),
        "balance": class_balance(placed, heard) if labelled else None,
        "compared": {
            "fingerprints": sum(sound.prints is not None for sound in heard),
            "pairs_correlated": pairs.candidates,
            "pairs_found": len(pairs.correlations),
            "crowded_hashes": pairs.crowded,
        },
        "findings": [found.as_json() for found in findings],
    }


def _heard(placed: Sequence[Placed], prints: bool, workers: int, counting: Counting | None) -> list[Heard]:
    work = [stretch_of(one) for one in placed]
    heard: list[Heard] = []
    for sound in worked(_Listening(prints), work, worth_it(workers, len(work))):
        heard.append(sound)
        if counting is not None:
            counting("clips", len(heard), len(work))
    return heard


class _Listening:
    """`listen` with its options, as a worker process can be given it."""

    def __init__(self, prints: bool) -> None:
        self._prints = prints

    def __call__(self, stretch: Any) -> Heard:
        return listen(stretch, self._prints)


def totals(heard: Sequence[Heard]) -> dict[str, Any]:
    """How much there is, and how it is stored; unreadable clips are counted only."""
    good = [sound for sound in heard if sound.reason is None]
    seconds = [sound.seconds for sound in good]
    return {
        "clips": len(heard),
        "readable": len(good),
        "hours": round(sum(seconds) / 3600, 4),
        "seconds": {
            "shortest": round(min(seconds), 4),
            "median": round(statistics.median(seconds), 4),
            "longest": round(max(seconds), 4),
        }
        if seconds
        else None,
        "sample_rates": _counted(sound.sample_rate for sound in good),
        "channels": _counted(sound.channels for sound in good),
        "formats": _counted(sound.format for sound in good),
    }


def _counted(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


def summed_up(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Every kind that was found, the worst first: how often, and the first examples."""
    by_kind: dict[str, list[Finding]] = {}
    for found in findings:
        by_kind.setdefault(found.kind, []).append(found)
    rows = [
        {
            "severity": KINDS[kind][0],
            "kind": kind,
            "means": KINDS[kind][1],
            "count": len(found),
            "examples": [f"{one.where}: {one.text}" for one in found[:3]],
        }
        for kind, found in by_kind.items()
    ]
    return sorted(rows, key=lambda row: SEVERITIES.index(row["severity"]))


def has_errors(report: dict[str, Any]) -> bool:
    """Whether anything that was found is an error."""
    return any(row["severity"] == "error" for row in report["kinds"])
